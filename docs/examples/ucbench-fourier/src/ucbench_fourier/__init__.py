"""A wave for every class or cluster: noise from a Fourier basis that poisons a training set.

This module imports no torch, so that `ucbench list` stays quick.
"""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="fourier",
        summary="Waves whose frequency identifies the class (or cluster), with a phase per image",
        load="ucbench_fourier.poisoner:Fourier",
        params="ucbench_fourier.params:FourierParams",
        paper="after Y. Tsuzuku, I. Sato: On the Structural Sensitivity of Deep Convolutional Networks to the "
        "Directions of Fourier Basis Functions. CVPR 2019. arXiv 1809.04098; and D. Yin, R. Gontijo Lopes, J. Shlens, "
        "E. D. Cubuk, J. Gilmer: A Fourier Perspective on Model Robustness in Computer Vision. NeurIPS 2019. "
        "arXiv 1906.08988",
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        fidelity="neither paper poisons: both add one basis function to the test images of a trained network, to see "
        "which it is sensitive to. Here every group of training images gets its own frequencies, drawn at random and "
        "independent of any network; the linf radius is Tsuzuku and Sato's kind of budget, Yin et al. fix the l2 "
        "length; channels=signs draws a sign per channel and group, where Yin et al. draw one per channel and image",
    )
