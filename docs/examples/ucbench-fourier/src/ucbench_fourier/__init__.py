"""A wave for every class or cluster: universal noise from a Fourier basis, made to poison a training set.

This module imports no torch, so that `ucbench list` stays quick.
"""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="fourier",
        summary="Waves whose frequency tells the class (or cluster), in a phase of every image's own",
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
        fidelity="neither paper poisons: both add one basis function to the pictures that a trained network is shown, "
        "to see which it is sensitive to. Here every group of training pictures gets frequencies of its own, drawn "
        "without a look at any network; the linf radius is Tsuzuku and Sato's kind of budget, Yin et al. fix the l2 "
        "length; channels=signs draws a sign for a group's channel, where Yin et al. draw one for a picture's",
    )
