"""Networks with fixed weights that take images in [0, 1], with resizing and normalisation inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ucbench.training.resize import Mode, resize


class FrozenNetwork(nn.Module):
    """A network in eval mode, without gradients on its weights.

    Its features are the network's output, unless a subclass overrides :meth:`penultimate`.

    Args:
        network: normalised images ``[B, 3, H, W]`` to scores ``[B, K]``.
        mean: per channel, on the [0, 1] scale.
        std: per channel, on the [0, 1] scale.
        size: height and width, in pixels, to which whole images are resized; None leaves them as they are. Results of
            resizing are not rounded to 8 bits, so that every pixel has a gradient.
        mode: interpolation.
        note: what a reader of a record should know of the weights, as of :class:`ucbench.Weights`; empty if nothing.

    Attributes:
        dtype: float32, or bfloat16 to run the layers in autocast; pixels and results are float32 throughout.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: Sequence[float] | Tensor,
        std: Sequence[float] | Tensor,
        size: tuple[int, int] | None = None,
        mode: Mode = "bicubic",
        note: str = "",
    ) -> None:
        super().__init__()
        self.network: Any = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).reshape(1, 3, 1, 1))
        self.size, self.mode, self.note = size, mode, note
        self.dtype = torch.float32

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to class scores ``[B, K]`` float32."""
        return self.compute(self.network, x)

    def features(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to features ``[B, D]`` float32."""
        return self.compute(self.penultimate, x)

    def penultimate(self, x: Tensor) -> Tensor:
        """Features ``[B, D]`` of prepared images, the input of the classifier."""
        features: Tensor = self.network(x)
        return features

    def input_size(self, x: Tensor) -> tuple[int, int] | None:
        """Height and width to which these images are resized; None leaves them as they are."""
        return self.size

    def prepare(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] as the network's input: resized, normalised, channels-last."""
        size = self.input_size(x)
        if size is not None:
            x = resize(x, size, self.mode)
        return ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def compute(self, layers: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """The output of ``layers``, float32, for images in [0, 1], in the precision of :attr:`dtype`."""
        x = self.prepare(x)
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            return layers(x).float()
