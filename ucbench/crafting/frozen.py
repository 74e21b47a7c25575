"""Networks with fixed weights that take images in [0, 1], with resizing and normalisation inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ucbench.crafting.resize import Mode, resize
from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError


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


class NetworkSurrogate:
    """A surrogate around one :class:`FrozenNetwork`, which may be set before or after :meth:`to` is called."""

    def __init__(self, network: FrozenNetwork | None = None) -> None:
        self._network: FrozenNetwork | None = None
        self._device, self._dtype = torch.device("cpu"), torch.float32
        if network is not None:
            self.adopt(network)

    def adopt(self, network: FrozenNetwork) -> None:
        """Use ``network``, on the device and in the precision set by :meth:`to`."""
        self._network = network.to(self._device)
        network.dtype = self._dtype

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Set where the network runs, and whether its layers run in autocast to bfloat16."""
        self._device, self._dtype = device, dtype
        if self._network is not None:
            self.adopt(self._network)

    def module(self, seed: int = 0, train: ImageSet | None = None) -> FrozenNetwork:
        """The network with its weights; neither argument changes it.

        Raises:
            UsageError: if a fitted surrogate is neither fitted nor restored yet.
        """
        if self._network is None:
            raise UsageError(f"{type(self).__name__} has no weights yet: call fit() or restore() first.")
        return self._network

    @property
    def note(self) -> str:
        """What a reader of a record should know of the weights; empty if nothing."""
        return self.module().note

    def features(self, x: Tensor) -> Tensor:
        """Features ``[B, D]`` float32 of images ``[B, 3, H, W]`` in [0, 1]."""
        return self.module().features(x)

    def logits(self, x: Tensor) -> Tensor:
        """Class scores ``[B, K]`` float32 of images ``[B, 3, H, W]`` in [0, 1]."""
        scores: Tensor = self.module()(x)
        return scores
