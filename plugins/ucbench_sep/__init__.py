"""Self-ensemble protection: perturbations against the checkpoints of one training (ICLR 2023)."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="sep",
        summary="Images moved to another class's mean features in every checkpoint of one training",
        title="Self-ensemble protection (SEP)",
        load="ucbench_sep.poisoner:SelfEnsemble",
        params="ucbench_sep.params:SEPParams",
        paper=(
            "S. Chen, G. Yuan, X. Cheng, Y. Gong, M. Qin, Y. Wang, X. Huang: Self-Ensemble Protection: Training "
            "Checkpoints Are Good Data Protectors. ICLR 2023. arXiv 2211.12005"
        ),
        equation=r"$$\min_{\delta_i} \sum_{j=1}^J {\|f_j(x_i + \delta_i) - m_j(g(y_i))\|}^2, \quad "
        r"{\|\delta_i\|}_\infty \le \varepsilon$$ where $f_j$ are the features of checkpoint $j$ of a training on the "
        "clean images, $m_j(k)$ their mean in class $k$ and $g(y) = y + K / 2$ modulo the number of classes $K$",
        aliases=("self-ensemble",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16,normalize=data",
        trains_surrogate=True,
        fidelity=(
            "`released` and `paper` have the official code's training, steps and 15 checkpoints at epsilon 8/255 "
            "(the paper's smaller radius is 2/255, at which the code's step of 1/255 is step=0.5); `standard` takes "
            "5 checkpoints of 30 epochs, a third of the steps, each twice as long, and 5 inner draws instead of 15; "
            "all have the variant SEP-FA-VR unless one is named; `sep` and `sep-fa` took 30 checkpoints there: "
            "checkpoints=30. Checkpoints are evenly spaced among all epochs, where the code spaces them among those "
            "that improved the test accuracy; the first epoch warms up from 0, in the code from 0.001; the variance "
            "reduction takes the mean features of the checkpoint it draws, where the code takes those of the last, "
            "with 15 draws in its list of tasks and 16 by default; all means are of networks in eval mode, in the "
            "code those of the first checkpoint in train mode; images are rounded to 8 bits, in the code truncated; "
            "the paper was read in its abstract and notes only; the default surrogate has a quarter of the published "
            "width, that of `paper` and `released`, resnet18:normalize=data, all of it"
        ),
    )
