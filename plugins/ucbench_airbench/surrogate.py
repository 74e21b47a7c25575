"""The fast victim's network for poisoners that train their surrogate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ucbench import Normalized, UntrainedSurrogate, UsageError, initialize, normalized, seeded
from ucbench_airbench.network import AirbenchNet, check_size

if TYPE_CHECKING:
    from ucbench import ImageSet
    from ucbench_airbench.params import UntrainedAirbenchParams


class UntrainedAirbench(UntrainedSurrogate):
    """The network of :class:`Airbench` without weights but those of the whitening, which stay as they are."""

    def __init__(self, params: UntrainedAirbenchParams) -> None:
        self.params = params

    def module(self, seed: int, train: ImageSet | None = None) -> FreshAirbench:
        """A new network for the classes of ``train``, drawn from ``seed``; up to 5,000 of its images set the whitening.

        Raises:
            UsageError: without ``train``, or for images of less than 9 pixels.
        """
        if train is None:
            raise UsageError("An untrained surrogate is built for a training set: module(seed, train).")
        check_size(train.size)
        with seeded(seed):
            model = AirbenchNet(self.params.width, len(train.classes), self.params.whitening_eps)
        shell = normalized(model, self.params.normalize, train)
        initialize(shell, train)
        return FreshAirbench(model, shell.mean, shell.std)


class FreshAirbench(Normalized):
    """An :class:`AirbenchNet` that takes images in [0, 1] and also gives its penultimate features."""

    model: AirbenchNet

    def features(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to the head's input ``[B, D]``."""
        return self.model.features((x - self.mean) / self.std)
