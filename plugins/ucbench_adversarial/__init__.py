"""Adversarial training as a defense, and accuracy under attack: both by projected gradient descent."""

from collections.abc import Iterator

from ucbench import DefenseSpec, MetricSpec, hookimpl


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="adv-train",
        summary="Adversarial training: every batch is replaced by adversarial examples of the current model",
        title="Adversarial training (AT)",
        load="ucbench_adversarial.training:AdversarialTraining",
        params="ucbench_adversarial.params:AdversarialTrainingParams",
        paper="A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu: Towards Deep Learning Models Resistant to "
        "Adversarial Attacks. ICLR 2018. arXiv 1706.06083; E. Wong, L. Rice, J. Z. Kolter: Fast Is Better than "
        "Free: Revisiting Adversarial Training. ICLR 2020. arXiv 2001.03994 (fast); H. Zhang, Y. Yu, J. Jiao, "
        "E. P. Xing, L. El Ghaoui, M. I. Jordan: Theoretically Principled Trade-off between Robustness and Accuracy. "
        "ICML 2019. arXiv 1901.08573 (trades)",
        aliases=("adversarial-training", "at"),
        tier="T2",
        fidelity="the attack is that of the publications; network, schedule, crop and flip are the victim's; an "
        "attack sees the model in eval mode, as in TRADES' code and in the evaluations of EMinN, REM, APBench and "
        "MI-UE, and with `fast` in train mode, as in the code of Wong et al.; `standard` takes ten steps of 2/255 "
        "within 8/255 from a uniform start, where EMinN and APBench start from Gaussian noise of deviation 2/255, "
        "which is not offered; `mi-ue-2` to `mi-ue-8` and `rem` are the attacks of those evaluations; `l2-0.25` to "
        "`l2-0.75` have CUDA's radii and this suite's steps; `fast` draws its start in pixels, where the released "
        "code draws in normalised ones (at first with the first channel's epsilon as upper end of all three); it has "
        "no restarts, no memory of the last perturbation and no early stopping; `trades` has 8/255 for 0.031, and "
        "clean images pass through the model once a loss instead of twice, which changes the running statistics "
        "alone; with `norm=l2` its attack is PGD, where the released code differs; targets may be mixed, and have the "
        "label smoothing of the victim's recipe, for `cross-entropy` in the attack too; `through` is this suite's",
    )


@hookimpl
def ucbench_metrics() -> Iterator[MetricSpec]:
    yield MetricSpec(
        name="robust-accuracy",
        summary="Accuracy of the victim on the clean test set under PGD-20",
        load="ucbench_adversarial.robustness:RobustAccuracy",
        params="ucbench_adversarial.params:RobustAccuracyParams",
        paper="A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu: Towards Deep Learning Models Resistant to "
        "Adversarial Attacks. ICLR 2018. arXiv 1706.06083",
        reads=("model", "test"),
        fidelity="PGD from a uniform start as published, with the 20 steps of epsilon / 10 of TRADES' evaluation, at "
        "8/255 for its 0.031; on 1,000 test images at most; an image that is wrong without attack counts as wrong; the "
        "attack goes through what defenses do to test images, and sees nothing where that has no gradient",
    )
