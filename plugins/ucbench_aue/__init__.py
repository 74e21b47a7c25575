"""Availability attacks on supervised and contrastive learners at once: AUE and AAP (NeurIPS 2024)."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl

PAPER = (
    "Y. Wang, Y. Zhu, X.-S. Gao: Efficient Availability Attacks against Supervised and Contrastive Learning "
    "Simultaneously. NeurIPS 2024. arXiv 2402.04010"
)
_VIEWS = (
    "views differ from the code's as those of simclr do (bilinear crops in continuous places, operations of colour in "
    "a random order for each image), and mirror only where the data set allows it; at strength 0 there are none; the "
    "paper's text was not read; images are rounded to levels, where the code cuts off; the default surrogate has a "
    "quarter of the published width, that of `paper`, `released` and `cifar100` all of it"
)


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="aue",
        summary="Error-minimising noise under the augmentation of contrastive learning, against either kind of learner",
        title="Augmented unlearnable examples (AUE)",
        load="ucbench_aue.poisoner:AugmentedUnlearnable",
        params="ucbench_aue.params:AUEParams",
        paper=PAPER,
        equation=r"$$\min_{\theta} \min_{\delta_1, \ldots, \delta_n} \frac{1}{n} \sum_{i=1}^n \mathbb{E}_t "
        r"\mathrm{CE}(f(t(x_i + \delta_i); \theta), y_i), \quad {\|\delta_i\|}_\infty \le \varepsilon$$ where $t$ is "
        "a random view of contrastive learning at a given strength",
        aliases=("augmented-unlearnable",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16",
        trains_surrogate=True,
        fidelity=(
            "`released` and `paper` follow the official code for CIFAR-10, `cifar100` has its strength for CIFAR-100; "
            f"`standard` takes a third of the epochs; perturbed images are cut to [0, 1] before they are viewed; the "
            f"class-wise variant is left out; {_VIEWS}"
        ),
    )
    yield PoisonerSpec(
        name="aap",
        summary="Adversarial examples of a classifier, both under the augmentation of contrastive learning",
        title="Augmented adversarial poisoning (AAP)",
        load="ucbench_aue.poisoner:AugmentedAdversarial",
        params="ucbench_aue.params:AAPParams",
        paper=PAPER,
        equation=r"$$\min_{\delta_i} \mathbb{E}_t \mathrm{CE}(f(t(x_i + \delta_i); \theta), y_i + 1), \quad "
        r"{\|\delta_i\|}_\infty \le \varepsilon$$ (untargeted: $\max$, with $y_i$), where $\theta$ is trained on "
        "random views $t(x_i)$ of the clean images, those of contrastive learning at a given strength",
        aliases=("augmented-adversarial",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16",
        trains_surrogate=True,
        fidelity=(
            "`released` and `paper` follow the official code for CIFAR-10, `cifar100` has its strengths for CIFAR-100; "
            "`standard` takes half of the epochs, a fifth of the steps and steps five times as long; the learning rate "
            f"moves at every step, in the code at every epoch; {_VIEWS}"
        ),
    )
