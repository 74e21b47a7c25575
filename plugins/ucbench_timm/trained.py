"""A surrogate trained on the spot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import nn

from ucbench import ImageSet, seeded
from ucbench_timm.frozen import FrozenNetwork, NetworkSurrogate
from ucbench_timm.surrogate_params import TrainedParams
from ucbench_timm.victims import ResNet18

if TYPE_CHECKING:
    from ucbench import Run


class TrainedSurrogate(NetworkSurrogate):
    """The victim's ResNet-18, trained on the clean training set with its labels.

    Features ``[B, 8 * width]``, scores ``[B, K]`` of the training set's classes. Images are not resized, and
    are normalised as the recipe says. Initialisation and training draw from the seed of the stream
    ``surrogate``.
    """

    def __init__(self, params: TrainedParams) -> None:
        super().__init__()
        self._victim = ResNet18(params)

    def fit(self, train: ImageSet, run: Run) -> Mapping[str, NDArray[Any]]:
        """Train on ``train``; the state holds ``model.*`` (weights), ``mean`` and ``std`` (normalisation)."""
        recipe, seed = self._victim.recipe, run.seed("surrogate")
        steps = recipe.epochs * math.ceil(len(train) / recipe.batch)
        progress = run.progress("training the surrogate", steps)
        result = run.engine.fit(self._fresh(train, seed), train, recipe, seed=seed, progress=progress)
        state = {name: tensor.cpu().contiguous().numpy() for name, tensor in result.model.state_dict().items()}
        self.restore(state, train, run)
        return state

    def restore(self, state: Mapping[str, NDArray[Any]], train: ImageSet, run: Run) -> None:
        """Take up what :meth:`fit` returned for the same training set."""
        tensors = {name: torch.tensor(array) for name, array in state.items()}
        mean, std = tensors.pop("mean"), tensors.pop("std")
        network = self._fresh(train, seed=0)
        network.load_state_dict({name.removeprefix("model."): tensor for name, tensor in tensors.items()})
        self.adopt(FrozenNetwork(network, mean=mean, std=std))

    def _fresh(self, train: ImageSet, seed: int) -> nn.Module:
        with seeded(seed):
            return self._victim.build(len(train.classes), train.size)
