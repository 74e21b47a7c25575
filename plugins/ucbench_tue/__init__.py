"""Transferable unlearnable examples: contrastive error-minimising noise that is linearly separable (ICLR 2023)."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="tue",
        summary="Error-minimising noise of a contrastive learner whose classes also stand apart from each other",
        title="Transferable unlearnable examples (TUE)",
        load="ucbench_tue.poisoner:TransferableUnlearnable",
        params="ucbench_tue.params:TUEParams",
        paper=(
            "J. Ren, H. Xu, Y. Wan, X. Ma, L. Sun, J. Tang: Transferable Unlearnable Examples. ICLR 2023. "
            "arXiv 2210.10114"
        ),
        equation=r"$$\min_{\theta} \min_\delta w \, L(\theta, x + \delta) + \frac{v}{K (K - 1)} \sum_{k \ne m} "
        r"\frac{\sigma_k + \sigma_m}{\|c_k - c_m\|}, \quad {\|\delta_i\|}_\infty \le \varepsilon$$ where $L$ is the "
        r"loss of SimCLR, $c_k$ the mean of the perturbations of class $k$ and $\sigma_k$ their mean distance from "
        "it, which is held fixed",
        aliases=("transferable-unlearnable",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16",
        trains_surrogate=True,
        sample="rounds=3,network_steps=4",
        fidelity=(
            "the SimCLR form of the official code. `released` has its demo's weights, which leave the contrastive loss "
            "out (w = 0), so that no network is trained; `standard` has the weights of its MoCo demo (1 and 1) in a "
            "bounded number of rounds; `paper` joins the 20 steps of the SimCLR demo with the weights of the MoCo "
            "demo. Its MoCo and SimSiam forms are left out. In all, the start is uniform, where the MoCo demo starts "
            "from zero; the network is trained by SGD with momentum, where the code takes Adam; its views while "
            "training differ from the code's as those of simclr do; while perturbing, views are drawn for every image, "
            "where the code draws one for a whole batch; both views go through the network in one batch, in the code "
            "one after the other; perturbations are cut to what keeps the images in [0, 1]; the paper's text was not "
            "read; the default surrogate has a quarter of the published width, that of `paper` and `released` all of it"
        ),
    )
