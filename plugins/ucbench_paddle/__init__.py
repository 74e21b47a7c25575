"""PaddlePaddle's vision models, trained by its high-level trainer."""

from __future__ import annotations

from collections.abc import Iterator

from ucbench import VictimSpec, hookimpl
from ucbench_paddle.params import PADDLE


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield PADDLE.victim(
        summary="PaddlePaddle: a model of paddle.vision from random weights, by Model.fit, as paddle:resnet18",
        params="ucbench_paddle.params:PaddleParams",
        paper="Y. Ma, D. Yu, T. Wu, H. Wang: PaddlePaddle: An Open-Source Deep Learning Platform from Industrial "
        "Practice. Frontiers of Data and Computing 1(1), 2019. doi 10.11871/jfdc.issn.2096.742X.2019.01.011",
        fidelity="models, optimiser, loss and trainer are PaddlePaddle's, of the installed version; models are those "
        "for ImageNet, with their stems, at the images' own size; Adam with its default rate of 0.001, 5 epochs and "
        "batches of 64 images scaled to [-1, 1], as in the platform's introductory example: the defaults of `fit()` "
        "itself are one epoch in batches of one image (preset `fit`); no augmentation",
    )
