"""Entangled features: perturbations against adversarially trained learners (ICLR 2023)."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="entf",
        summary="Images pushed from their class's centre in robust features (or pulled to another's), against "
        "adversarial training",
        title="Entangled features (EntF)",
        load="ucbench_entf.poisoner:EntangledFeatures",
        params="ucbench_entf.params:EntFParams",
        paper=(
            "R. Wen, Z. Zhao, Z. Liu, M. Backes, T. Wang, Y. Zhang: Is Adversarial Training Really a Silver Bullet for "
            "Mitigating Data Poisoning? ICLR 2023. https://openreview.net/forum?id=zKvm1ETDOq"
        ),
        equation=r"$$\max_{\delta_i} {\|f(t(x_i + \delta_i)) - m_{y_i}\|}^2 \quad \text{(push), or} \quad "
        r"\min_{\delta_i} \min_{k \ne y_i} {\|f(t(x_i + \delta_i)) - m_k\|}^2 \quad \text{(pull)}, \quad "
        r"{\|\delta_i\|}_\infty \le \varepsilon$$ where $f$ are the features of a network trained adversarially on "
        "the clean images, $m_k$ their mean in class $k$ and $t$ a random shift and flip",
        aliases=("entangled-features",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16",
        trains_surrogate=True,
        fidelity=(
            "`released` and `paper` have the official code's training, radius (half of epsilon), steps and start; "
            "`standard` takes a fifth of the epochs with an adversary of 3 steps, and a sixth of the steps, each "
            "twice as long; pulling takes the nearest centre of another class anew in every step, as the code does, "
            "which however takes the own one where all others are further than a mean square of 1; "
            "lengths are shares of epsilon; the start keeps the images in [0, 1], in the code only the steps do; "
            "images take all their steps batch by batch, which makes no difference to a fixed network; the default "
            "surrogate has a quarter of the published width, that of `paper` and `released` all of it"
        ),
    )
