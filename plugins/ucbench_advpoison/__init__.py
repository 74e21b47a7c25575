"""Adversarial examples as poisons, and their opposite: per-image steps against a fixed classifier."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl

_PARAMS = "ucbench_advpoison.params"
_POISONERS = "ucbench_advpoison.poisoner"
_SURROGATE = "trained:width=16"


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="adv-poison",
        summary="Adversarial examples of a clean-trained classifier, towards another class (or away from their own)",
        title="Adversarial poisoning (AP, TAP)",
        load=f"{_POISONERS}:AdvPoison",
        params=f"{_PARAMS}:AdvPoisonParams",
        paper=(
            "L. Fowl, M. Goldblum, P. Chiang, J. Geiping, W. Czaja, T. Goldstein: Adversarial Examples Make Strong "
            "Poisons. NeurIPS 2021. arXiv 2106.10807"
        ),
        equation=r"$$\min_{\delta_i} \mathrm{CE}(f(t(x_i + \delta_i); \theta), g(y_i)), \quad {\|\delta_i\|}_\infty "
        r"\le \varepsilon$$ "
        r"(untargeted: $\max$, with $y_i$), where $\theta$ is trained on the clean images, $t$ is a random shift and "
        "flip and $g$ a derangement of the classes",
        aliases=("tap", "adversarial-poisons"),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate=_SURROGATE,
        fidelity=(
            "`paper` takes the official code's steps, restarts and augmentation, and its classifier but for the shifts "
            "that it is trained under (see `trained`); `rem` has the steps of the repository of robust unlearnable "
            "examples, which runs once as well, but starts from uniform noise and shifts by whole pixels, and keeps "
            "the default classifier of width 16, as `standard` does, which is the same "
            "method at 60 longer steps and one restart; in all, shifts are padded with the training images' mean "
            "colour, restarts are compared by the loss of what they made instead of that of their last step, and "
            "images take all their steps batch by batch, which makes no difference to a fixed classifier; the default "
            "classifier trains for eight epochs, few for a small set: a craft warns where it misses its aim"
        ),
    )
    yield PoisonerSpec(
        name="hypo",
        summary="Changes that make a clean-trained classifier more sure of the right class: little is left to learn",
        title="Hypocritical perturbations (HYPO)",
        load=f"{_POISONERS}:Hypo",
        params=f"{_PARAMS}:HypoParams",
        paper=(
            "L. Tao, L. Feng, J. Yi, S.-J. Huang, S. Chen: Better Safe Than Sorry: Preventing Delusive Adversaries "
            "with Adversarial Training. NeurIPS 2021. arXiv 2102.04716"
        ),
        equation=r"$$\min_{\delta_i} \mathrm{CE}(f(x_i + \delta_i; \theta), y_i), \quad {\|\delta_i\|}_\infty \le "
        r"\varepsilon$$ where $\theta$ is trained on the clean images",
        aliases=("hypocritical",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate=_SURROGATE,
        fidelity="`paper` is the linf 8 form of APBench, 100 steps from zero without augmentation, where the authors' "
        "own experiments use l2 0.5 and a VGG-16; images take all their steps batch by batch, which makes no "
        "difference to a fixed classifier; `standard` takes fewer steps, against a classifier of width 16 that is "
        "trained for eight epochs, `paper` against that of adv-poison's `paper`, where APBench loads a ready one of "
        "full width without normalisation",
    )
