"""MI-UE: sample-wise perturbations that reduce the mutual information of clean and perturbed features (ICLR 2026)."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl

PAPER = (
    "Y. Zhu, Y. Miao, Y. Dong, X.-S. Gao: Why Do Unlearnable Examples Work: A Novel Perspective of Mutual "
    "Information. ICLR 2026. arXiv 2603.03725"
)


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="mi-ue",
        summary="Perturbations that gather each class in the features of a network trained on them, turn by turn",
        title="Mutual Information Unlearnable Examples (MI-UE)",
        load="ucbench_miue.poisoner:MIUE",
        params="ucbench_miue.params:MIUEParams",
        paper=PAPER,
        equation=r"$$\min_\delta -\frac{1}{B} \sum_j \log \frac{\sum_{k: y_k = y_j} \exp(s_{jk} / T)}{\sum_k "
        r"\exp(s_{jk} / T)} + "
        r"\frac{\zeta}{B} \sum_j \log\Bigl(1 + \frac{1}{D} \sum_{k: y_k = y_j} \|g_j - g_k\|\Bigr)$$ within "
        r"${\|\delta_i\|}_\infty \le \varepsilon$, in turn with training $f$, where $g_j = f(x_j + \delta_j) \in "
        r"\mathbb{R}^D$ and $s_{jk}$ is the cosine of $g_j$ and $g_k$",
        aliases=("miue",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16,normalize=imagenet",
        trains_surrogate=True,
        fidelity=(
            "written from descriptions of the paper and its code; `released` follows the code as shipped (no distance "
            "term) with its option of mirroring, `paper` has the distance term, undivided, and only other classes in "
            "the denominator, both read in notes on the paper; `standard` is the code's objective with the paper's "
            "zeta in a fifth of the rounds, half the steps and twice the step length, its batches stratified by class "
            "above 40 classes; in all, steps are shares of epsilon, which the code fixes at 8/255, batches are of even "
            "size, and there is no 1e-8 beside the similarities; images plus perturbations are cut to [0, 1] where the "
            "network learns them, too, and before the first step on a batch, and perturbations at the end to what "
            "keeps the unmirrored images there; random start, averages over augmentations and adversarial training, "
            "options of the code, are left out; the schedule of `paper` is the code's; `standard` and `quick` have a "
            "surrogate of width 16 instead of 64 unless one is named"
        ),
    )
