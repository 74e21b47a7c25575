"""SimCLR as a surrogate that knows no labels (Chen et al., ICML 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from numpy.typing import NDArray
from torch import Tensor

from ucbench import ImageSet, Normalized, UsageError, seeded
from ucbench_simclr.encoder import resnet18
from ucbench_simclr.pretraining import pretrain

if TYPE_CHECKING:
    from ucbench import Run
    from ucbench_simclr.params import EncoderParams


class SimCLRSurrogate:
    """A ResNet-18 trained by contrastive learning on the protector's images on the spot, without labels.

    Features ``[B, 8 * width]`` are the encoder's, before the projection head (section 4.2 of the paper: those transfer
    better). There are no class scores. Images are not resized, and are normalised by the training images' channels.
    """

    def __init__(self, params: EncoderParams) -> None:
        self.params = params
        self._encoder: Normalized | None = None
        self._device, self._dtype = torch.device("cpu"), torch.float32

    def fit(self, train: ImageSet, run: Run) -> Mapping[str, NDArray[Any]]:
        """Train on the pictures of ``train``; the state holds ``model.*`` (weights), ``mean`` and ``std``.

        Raises:
            UsageError: for a single image.
            DivergedError: if the contrastive loss is not finite.
        """
        encoder = pretrain(train, self.params, run)
        state = {name: tensor.cpu().contiguous().numpy() for name, tensor in encoder.state_dict().items()}
        self.restore(state, train, run)
        return state

    def restore(self, state: Mapping[str, NDArray[Any]], train: ImageSet, run: Run) -> None:
        """Take up what :meth:`fit` returned for the same training set."""
        tensors = {name: torch.tensor(array) for name, array in state.items()}
        with seeded(0):  # weights that are drawn and at once overwritten
            backbone = resnet18(self.params.width, train.size)
        encoder = Normalized(backbone.to(memory_format=torch.channels_last), tensors["mean"], tensors["std"])
        encoder.load_state_dict(tensors)
        self._encoder = encoder.to(self._device).eval().requires_grad_(False)

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Set where the encoder runs, and whether its layers run in autocast to bfloat16."""
        self._device, self._dtype = device, dtype
        if self._encoder is not None:
            self._encoder.to(device)

    def module(self, seed: int = 0, train: ImageSet | None = None) -> Normalized:
        """The frozen encoder, images ``[B, 3, H, W]`` in [0, 1] to *features*: it has no scores to give.

        Raises:
            UsageError: before it was fitted or restored.
        """
        if self._encoder is None:
            raise UsageError("SimCLRSurrogate has no weights yet: call fit() or restore() first.")
        return self._encoder

    def features(self, x: Tensor) -> Tensor:
        """Features ``[B, 8 * width]`` float32 of images ``[B, 3, H, W]`` in [0, 1]."""
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self._dtype == torch.bfloat16):
            features: Tensor = self.module()(x.contiguous(memory_format=torch.channels_last))
        return features.float()

    def logits(self, x: Tensor) -> NoReturn:
        """Raises UsageError: contrastive learning knows no classes."""
        raise UsageError(
            "The surrogate simclr learns without labels and has no class scores. Name one with a classifier where"
            " predicted labels or scores are wanted."
        )
