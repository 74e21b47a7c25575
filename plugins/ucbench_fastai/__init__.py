"""fastai: its vision learner, trained by the 1cycle policy."""

from __future__ import annotations

from collections.abc import Iterator

from ucbench import VictimSpec, hookimpl
from ucbench_fastai.params import FASTAI


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield FASTAI.victim(
        summary="fastai: a vision learner from random weights, by fit_one_cycle, as fastai:resnet18",
        params="ucbench_fastai.params:FastaiParams",
        paper="J. Howard, S. Gugger: fastai: A Layered API for Deep Learning. Information 11(2), 2020. arXiv "
        "2002.04688",
        fidelity="data blocks, learner and schedule are fastai's, of the installed version, with their defaults: "
        "batches of 64, of which the last, smaller one is dropped, Adam at 0.001 with decay of 0.01, a head of two "
        "dense layers with dropout; the number of epochs has no default, and 5 is this suite's choice; weights are "
        "random, where `vision_learner` starts from pretrained ones by default; models are torchvision's, for "
        "ImageNet, at the images' own size; images are scaled to [0, 1], as without pretrained weights; no "
        "augmentation, as without `aug_transforms`",
    )
