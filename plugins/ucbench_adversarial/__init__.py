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
    )
