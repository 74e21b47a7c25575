"""Shortcuts drawn from label (or cluster) ids alone: no surrogate is attacked, nothing is trained."""

from collections.abc import Iterator

from ucbench import PoisonerRecord, hookimpl


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerRecord]:
    yield PoisonerRecord(
        name="rand-class",
        summary="One random pattern a class (or cluster), the same for all its images",
        load="ucbench_shortcuts.random_patterns:RandomClassPatterns",
        params="ucbench_shortcuts.params:RandomClassParams",
        paper="H. Huang, X. Ma, S. M. Erfani, J. Bailey, Y. Wang: Unlearnable Examples. ICLR 2021. arXiv 2101.04898 "
        "(its class-wise random baseline)",
        label_access="full",
        granularity="class",
        budget="linf",
        native_epsilon=8,
        fidelity="uniform and sign noise as in the literature's baselines; blocks are this suite's own stronger form",
    )
    yield PoisonerRecord(
        name="lsp",
        summary="Linearly separable synthetic patches: every image draws its own from its class's (or cluster's) group",
        load="ucbench_shortcuts.lsp:LinearlySeparable",
        params="ucbench_shortcuts.params:LSPParams",
        paper="D. Yu, H. Zhang, W. Chen, J. Yin, T.-Y. Liu: Availability Attacks Create Shortcuts. KDD 2022. "
        "arXiv 2111.00898",
        aliases=("synper",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        projects=True,
        fidelity="the paper's budget is l2; scaled here to fill the linf budget it is compared in, see its docstring",
    )
