"""Progressive staged training: shallow layers, which learn perturbations first, learn slowly."""

from collections.abc import Iterator

from ucbench import DefenseSpec, hookimpl


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="progressive",
        summary="Slow the network's layers down stage by stage, the shallow ones first",
        title="Progressive staged training (PST)",
        load="ucbench_progressive.training:ProgressiveTraining",
        params="ucbench_progressive.params:ProgressiveParams",
        paper="P. Dang, X. Hu, K. Xu, J. Duan, D. Huang, H. Han, R. Zhang, Z. Du: Unlearnable Examples Give a False "
        "Sense of Data Privacy: Understanding and Relearning. 2024. arXiv 2306.02064",
        equation=r"$$\theta_l \mapsto \theta_l - \eta f_l \frac{\partial}{\partial \theta_l} \mathrm{CE}(h(x; "
        r"\theta), y)$$ where $f_l$ is the factor for the first $s L / S$ of $L$ layers in stage $s$ of $S$, 1 for "
        r"the others",
        aliases=("pst",),
        tier="T3",
        version=2,
        fidelity="written from the abstract and notes on the paper, since neither its algorithm nor code could be had: "
        "that shallow layers get lower rates, and training has stages; in the paper a measure of how activations "
        "cluster decides when a stage ends, here each has an equal share of the epochs after `free`; the number of "
        "stages and the factor 0.1 are ours, so there is no preset `paper`; a layer is a module with weights of its "
        "own, in the order in which the network registers them, and the classifier is never slow; rates are scaled, "
        "and weight decay with them; in two trials on photographs against class-wise signs, one training each, a small "
        "network gained less by this reading than it lost on clean images, so figures say little about the paper's "
        "method",
    )
