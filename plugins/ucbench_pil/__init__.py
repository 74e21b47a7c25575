"""PIL: perturbations that a linear classifier reads, and images that it cannot read (ICLR 2026)."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="pil",
        summary="A linear classifier reads the label in the perturbation alone, and nothing in the rest of the image",
        title="Perturbation-induced linearisation (PIL)",
        load="ucbench_pil.poisoner:PIL",
        params="ucbench_pil.params:PILParams",
        paper=(
            "J. Liu, W. Chen, X. Zhang: Perturbation-Induced Linearization: Constructing Unlearnable Data with Solely "
            "Linear Classifiers. ICLR 2026. arXiv 2601.19967"
        ),
        equation=r"$$\min_{\delta_i} \lambda \, \mathrm{CE}(W \delta_i, y_i) + (1 - \lambda) \, \mathrm{KL}(u \, \| \,"
        r"\operatorname{softmax}(W (x_i - \delta_i))), \quad {\|\delta_i\|}_\infty \le \varepsilon$$ "
        r"where $W$ is a linear classifier trained on the clean images and $u$ is uniform; the images become $x_i - "
        r"\delta_i$",
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        fidelity=(
            "`standard` and `released` are the official code, whose classifier is a product of two matrices without "
            "bias; `paper` has the single one of notes on the paper, whose text was not read. In all, the "
            "classifier's batches are shuffled, where the code takes stored order, and of even size; a step's length "
            "is a share of epsilon; images are rounded to levels, where the code cuts off"
        ),
    )
