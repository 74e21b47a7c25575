"""SimCLR as a surrogate that needs no labels (Chen et al., ICML 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from numpy.typing import NDArray
from torch import Tensor

from ucbench import FrozenNetwork, ImageSet, NetworkSurrogate, UsageError, seeded
from ucbench_simclr.pretraining import pretrain, resnet18

if TYPE_CHECKING:
    from ucbench import Run
    from ucbench_simclr.params import EncoderParams


class SimCLRSurrogate(NetworkSurrogate):
    """A ResNet-18 trained by contrastive learning on the protector's images on the spot, without labels.

    Features ``[B, 8 * width]`` are the encoder's, before the projection head (section 4.2 of the paper: those transfer
    better), and are what :meth:`module` returns instead of class scores. Images are not resized, and are normalised
    by the training images' channels.
    """

    def __init__(self, params: EncoderParams) -> None:
        super().__init__()
        self.params = params

    def fit(self, train: ImageSet, run: Run) -> Mapping[str, NDArray[Any]]:
        """Train on the images of ``train``; the state holds ``model.*`` (weights), ``mean`` and ``std``.

        Raises:
            UsageError: for a single image.
            DivergedError: if the contrastive loss is not finite.
        """
        encoder = pretrain(train, self.params, run)
        state = {name: tensor.cpu().contiguous().numpy() for name, tensor in encoder.state_dict().items()}
        self.restore(state, train, run)
        return state

    def restore(self, state: Mapping[str, NDArray[Any]], train: ImageSet, run: Run) -> None:
        """Restore what :meth:`fit` returned for the same training set."""
        tensors = {name: torch.tensor(array) for name, array in state.items()}
        mean, std = tensors.pop("mean"), tensors.pop("std")
        with seeded(0):  # weights that are drawn and at once overwritten
            encoder = resnet18(self.params.width, train.size)
        encoder.load_state_dict({name.removeprefix("model."): tensor for name, tensor in tensors.items()})
        self.adopt(FrozenNetwork(encoder, mean=mean, std=std))

    def logits(self, x: Tensor) -> NoReturn:
        """Raises UsageError: contrastive learning has no classes."""
        raise UsageError(
            "The surrogate simclr learns without labels and has no class scores. Name one with a classifier where"
            " predicted labels or scores are wanted."
        )
