"""The network of the bridge: convolutions, and maps of the place that are learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Channels that encode the time: cosines of these multiples of it.
_FREQUENCIES = 8


class BridgeNetwork(nn.Module):
    """Predicts the difference of a protected image to the clean one, in units of its usual size.

    A perturbation that many images share has no shape that convolutions could know: which value it has at a place
    depends on the place, and which one an image has depends on all of its places. So every block multiplies its
    channels by learned maps and averages them over the image, a matched filter, and these means choose the maps that
    are added.

    Args:
        size: height and width of the images.
        width: channels.
        blocks: residual blocks.
    """

    def __init__(self, size: tuple[int, int], width: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(6, width, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(size, width) for _ in range(blocks))
        self.last = nn.Conv2d(width, 3, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, protected: Tensor, times: Tensor) -> Tensor:
        """Differences ``[B, 3, H, W]``, 0 before training.

        Args:
            x: images of the bridge, ``[B, 3, H, W]`` on the [-1, 1] scale.
            protected: where the bridges end, likewise.
            times: ``[B]`` in [0, 1].
        """
        turns = torch.pi * torch.arange(1, _FREQUENCIES + 1, device=x.device) * times.to(x)[:, None]
        code, hidden = turns.cos(), self.first(torch.cat([x, protected], 1))
        for block in self.blocks:
            hidden = block(hidden, code)
        difference: Tensor = self.last(hidden)
        return difference


class _Block(nn.Module):
    def __init__(self, size: tuple[int, int], width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.convolution = nn.Conv2d(width, width, 3, padding=1)
        self.filters = nn.Parameter(torch.randn(1, width, *size))
        self.maps = nn.Parameter(torch.randn(1, width, *size))
        self.choice = nn.Sequential(nn.Linear(2 * width + _FREQUENCIES, 2 * width), nn.SiLU())
        self.gains = nn.Linear(2 * width, 2 * width)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        hidden = nn.functional.silu(self.convolution(self.norm(x)))
        # Sums over the image grow with its places only by their root where nothing matches.
        matched = (self.norm(x) * self.filters).sum((2, 3)) / x[0, 0].numel() ** 0.5
        seen = torch.cat([matched, hidden.mean((2, 3)), code], 1)
        scale, gain = self.gains(self.choice(seen))[:, :, None, None].chunk(2, 1)
        out: Tensor = x + self.out(hidden * (1 + scale) + gain * self.maps)
        return out
