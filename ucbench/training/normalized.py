"""Models that take images in [0, 1]: normalisation belongs to the model, not to the data."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ucbench.data.imageset import ImageSet
from ucbench.training.recipe import InitializedFromImages

#: Images that a model is initialised from, at most.
_SEEN = 5000
_FIXED = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


class Normalized(nn.Module):
    """``model((x - mean) / std)`` with mean and deviation per channel, float32 ``[3]``, as buffers."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", mean.view(1, 3, 1, 1))
        self.register_buffer("std", std.view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to logits ``[B, K]``."""
        logits: Tensor = self.model((x - self.mean) / self.std)
        return logits


def channel_statistics(images: ImageSet, block: int = 4096) -> tuple[Tensor, Tensor]:
    """Mean and deviation ``[3]`` per channel on the [0, 1] scale, in blocks of images to save memory."""
    total, squares = np.zeros(3), np.zeros(3)
    for start in range(0, len(images), block):
        pixels = images.images[start : start + block].astype(np.float64) / 255.0
        total += pixels.sum((0, 2, 3))
        squares += np.square(pixels).sum((0, 2, 3))
    count = len(images) * images.size[0] * images.size[1]
    mean = total / count
    # A constant channel must not divide by zero.
    std = np.sqrt(np.maximum(squares / count - np.square(mean), 1e-6))
    return torch.tensor(mean, dtype=torch.float32), torch.tensor(std, dtype=torch.float32)


def normalized(model: nn.Module, scheme: str, train: ImageSet) -> Normalized:
    """Wrap ``model`` by a recipe's ``normalize``: ``data`` (of ``train``), ``imagenet``, ``half`` or ``none``."""
    if scheme == "data":
        return Normalized(model, *channel_statistics(train))
    mean, std = _FIXED[scheme]
    return Normalized(model, torch.tensor(mean), torch.tensor(std))


def initialize(wrapped: Normalized, train: ImageSet) -> None:
    """Initialise a model that wants it from up to 5,000 images of ``train``, evenly spread over it."""
    if not isinstance(wrapped.model, InitializedFromImages):
        return
    rows = np.linspace(0, len(train) - 1, min(len(train), _SEEN)).astype(int)
    x = torch.from_numpy(train.images[rows]).to(wrapped.mean.device).float().div_(255.0)
    wrapped.model.initialize_from(x.sub_(wrapped.mean).div_(wrapped.std))
