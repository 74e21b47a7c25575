"""Networks that poisoners look through: resizing and normalisation inside, weights fixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ucbench import ImageSet, Mode, UsageError, resize


class FrozenNetwork(nn.Module):
    """A network of timm in eval mode, without gradients on its weights, that takes images in [0, 1].

    Args:
        network: has timm's ``forward_features`` and ``forward_head``.
        mean: per channel, on the [0, 1] scale.
        std: likewise.
        size: height and width, in pixels, to which whole images are resized; None leaves them as they are.
        mode: how they are resized.
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
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).reshape(1, 3, 1, 1))
        self.size, self.mode = size, mode
        #: Arithmetic of the network's layers; pixels and results are float32 throughout.
        self.dtype = torch.float32

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to class scores ``[B, K]`` float32."""
        return self._through(self.network, x)

    def features(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to the classifier's input ``[B, D]`` float32."""
        return self._through(self._penultimate, x)

    def input_size(self, x: Tensor) -> tuple[int, int] | None:
        """Height and width to which these images are resized; None leaves them as they are."""
        return self.size

    def prepare(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] as the network takes them: resized, normalised, channels-last."""
        size = self.input_size(x)
        if size is not None:
            x = resize(x, size, self.mode)
        return ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def _penultimate(self, x: Tensor) -> Tensor:
        return self.network.forward_head(self.network.forward_features(x), pre_logits=True)

    def _through(self, layers: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        x = self.prepare(x)
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            return layers(x).float()


class NetworkSurrogate:
    """A surrogate around one :class:`FrozenNetwork`, taken up before or after the device is known."""

    def __init__(self) -> None:
        self._network: FrozenNetwork | None = None
        self._device, self._dtype = torch.device("cpu"), torch.float32

    def adopt(self, network: FrozenNetwork) -> None:
        """Take up ``network`` and bring it where :meth:`to` said."""
        self._network = network.to(self._device)
        network.dtype = self._dtype

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Set where the network runs, and whether its layers run in autocast to bfloat16."""
        self._device, self._dtype = device, dtype
        if self._network is not None:
            self.adopt(self._network)

    def module(self, seed: int = 0, train: ImageSet | None = None) -> FrozenNetwork:
        """The network with its weights, taking images in [0, 1] to class scores; neither argument changes it.

        Raises:
            UsageError: before a fitted surrogate was fitted or restored.
        """
        if self._network is None:
            raise UsageError(f"{type(self).__name__} has no weights yet: call fit() or restore() first.")
        return self._network

    def features(self, x: Tensor) -> Tensor:
        """The classifier's input ``[B, D]`` float32 for images ``[B, 3, H, W]`` in [0, 1]."""
        return self.module().features(x)

    def logits(self, x: Tensor) -> Tensor:
        """Class scores ``[B, K]`` float32 for images ``[B, 3, H, W]`` in [0, 1]."""
        return self.module()(x)
