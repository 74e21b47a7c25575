"""Surrogates without weights: architectures that bi-level poisoners train themselves."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor

from ucbench import ImageSet, Normalized, UsageError, normalized, seeded
from ucbench_timm.surrogate_params import UntrainedParams
from ucbench_timm.victims import ResNet18


class FreshNetwork(Normalized):
    """A network of timm that takes images in [0, 1] and also gives its penultimate features."""

    def features(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to the classifier's input ``[B, D]``."""
        model = self.model
        features: Tensor = model.forward_head(model.forward_features((x - self.mean) / self.std), pre_logits=True)
        return features


class UntrainedResNet18:
    """The victim's ResNet-18 with fresh weights; small-image stem and width as there."""

    def __init__(self, params: UntrainedParams) -> None:
        self.params = params

    def module(self, seed: int, train: ImageSet | None = None) -> FreshNetwork:
        """A new, trainable network for the classes and size of ``train``, drawn from ``seed``.

        Raises:
            UsageError: without ``train``.
        """
        if train is None:
            raise UsageError("An untrained surrogate is built for a training set: module(seed, train).")
        with seeded(seed):
            model = ResNet18(self.params).build(len(train.classes), train.size)
        shell = normalized(model, self.params.normalize, train)
        return FreshNetwork(model, shell.mean, shell.std)

    def features(self, x: Tensor) -> Tensor:
        """Raises UsageError: there are no weights yet."""
        self._refuse()

    def logits(self, x: Tensor) -> Tensor:
        """Raises UsageError: there are no weights yet."""
        self._refuse()

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Nothing to move: the engine places every network it trains."""

    def _refuse(self) -> NoReturn:
        raise UsageError(
            "This surrogate is an architecture without weights, for poisoners that train it themselves. Name a"
            " pretrained one, or `trained`, where features are wanted."
        )
