"""Unlearnable Clusters: label-agnostic, cluster-wise perturbations (CVPR 2023)."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl

PAPER = (
    "J. Zhang, X. Ma, Q. Yi, J. Sang, Y.-G. Jiang, Y. Wang, C. Xu: Unlearnable Clusters: Towards Label-agnostic "
    "Unlearnable Examples. CVPR 2023. arXiv 2301.01217"
)


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="uc",
        summary="One perturbation per cluster of similar images, which pushes them to a wrong cluster centre",
        title="Unlearnable Clusters (UC)",
        load="ucbench_uc.poisoner:UnlearnableClusters",
        params="ucbench_uc.params:UCParams",
        sample="steps=2,clusters=3,width=4,residual_blocks=1",
        version=3,
        paper=PAPER,
        equation=r"$$\min_{\theta_c} \frac{1}{|c|} \sum_{x \in c} d(f(x + G(z_c; \theta_c)), \mu_{\pi(c)}), \quad "
        r"{\|G\|}_\infty \le \varepsilon$$ for every cluster $c$, where $f$ is the surrogate, $\mu$ are its cluster "
        r"centres, $\pi$ is a derangement, $z_c$ fixed noise and $d$ a distance",
        aliases=("unlearnable-clusters",),
        label_access="none",
        granularity="cluster",
        budget="linf",
        native_epsilon=16,
        surrogate="efficientnet-lite0@auto",
        fidelity="`released` and `paper` follow the official code, but k-means takes the best of 10 starts, a target "
        "centre is the exact mean of its cluster's features, crops enlarge the stored image by 8/7, where the code "
        "resizes every file to 256 pixels and cuts out 224, but publishes the middle 224, and perturbations are made "
        "at the images' own size, where the code makes them at 224 pixels (and may scale them to the file's); `paper` "
        "fits every generator on its own cluster, in shuffled order; `standard` is the same method at a budget of "
        "steps, with a distance whose gradient does not vanish, crops and flips of the perturbed images as the "
        "students are trained with, and target centres under them (below 16 px instead: 4-pixel blocks, and features "
        "of two depths; from 64 px up 8-pixel blocks), and a tenth of the images kept out of fitting to diagnose the "
        "craft. Two choices of `standard` are not the paper's: the values are optimised directly, without a generator, "
        "and from 16 px up against students, small networks trained to tell the surrogate's clusters apart, instead of "
        "the surrogate itself; `students=0,perturbation=generator` undoes both. `multiscale`, which adds larger blocks "
        "to each perturbation, and `photos` are not the paper's either. `paper` and `released` attack the input of the "
        "default surrogate's classifier unless `--surrogate timm:resnet50.tv_in1k` names the paper's. Each parameter "
        "says where it deviates",
    )
