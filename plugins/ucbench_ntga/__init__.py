"""Neural tangent generalization attacks: against a network of infinite width (ICML 2021)."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="ntga",
        summary="Images from which an infinitely wide network would learn to be wrong on others: no training, a kernel",
        title="Neural tangent generalization attack (NTGA)",
        load="ucbench_ntga.poisoner:TangentAttack",
        params="ucbench_ntga.params:NTGAParams",
        paper=(
            "C.-H. Yuan, S.-H. Wu: Neural Tangent Generalization Attacks. ICML 2021. "
            "https://proceedings.mlr.press/v139/yuan21b.html"
        ),
        equation=r"$$\max_{\delta} \sum_{j} \mathrm{CE}(f_j, y_j), \quad f = \Theta(X', X + \delta) \, \Theta^{-1} "
        r"(1 - e^{-t \Theta}) Y, \quad {\|\delta_i\|}_\infty \le \varepsilon$$ where $\Theta$ is the neural tangent "
        r"kernel of a fully connected network among the perturbed images $X + \delta$ of a block, $X'$ are other "
        "images and $y_j$ their classes",
        aliases=("neural-tangent",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        fidelity=(
            "the fully connected surrogate, the official default; the convolutional one is left out; `paper` "
            "takes 10 steps of 0.11 epsilon; `released` takes one of epsilon, which is what the code's 10 amount to, "
            "since each starts from the clean images; all have the code's default time of 64, where the figures that "
            "its README publishes are those of the best time, for CIFAR-10 4096, which is `cifar10`; the attacked "
            "images are drawn from the other blocks, clean, where the code keeps a part of the training set apart "
            "and does not perturb it; `standard` attacks a tenth as many; all images are perturbed, where the code "
            "drops the last incomplete block; blocks are drawn at random and differ by one image at most; the paper "
            "was read in its abstract"
        ),
    )
