"""Changes of colour: images ``[B, 3, H, W]`` in [0, 1], one amount an image ``[B]`` on their device.

Brightness, contrast and saturation are blends by a factor: 1 leaves an image as it is, 0 leaves black, its mean grey or
its grey. They and the turn of the hue are defined as in torchvision, from which the paper's appendix A takes them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)
#: Ranges of the four changes at strength 1 (appendix A).
_REACH = (0.8, 0.8, 0.8, 0.2)
_NEUTRAL = (1.0, 1.0, 1.0, 0.0)


def grey(x: Tensor) -> Tensor:
    """Luma ``[B, 1, H, W]``."""
    return (x * x.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    return _blended(torch.zeros_like(x), x, factor)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    return _blended(grey(x).mean((2, 3), keepdim=True), x, factor)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    return _blended(grey(x), x, factor)


def hue(x: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue by ``turn`` of a full circle in HSV; greys stay as they are."""
    high, which = x.max(1)
    spread = high - x.amin(1)
    # From the largest channel on, the next two in the circle red, green, blue.
    following, last = (x.gather(1, ((which + step) % 3)[:, None])[:, 0] for step in (1, 2))
    sixth = 2 * which + (following - last) / torch.where(spread > 0, spread, 1.0) + 6 * turn[:, None, None]
    channels = []
    for offset in (5, 3, 1):
        place = (sixth + offset) % 6
        channels.append(high - spread * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(channels, 1).clamp(0, 1)


def jittered(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """All four changes, each by its own random amount, in an order of the image's own."""
    amounts = torch.tensor(_NEUTRAL) + strength * torch.tensor(_REACH) * (
        2 * torch.rand((len(x), 4), generator=generator) - 1
    )
    order = torch.rand((len(x), 4), generator=generator).argsort(1)
    for turn in order.unbind(1):
        # Whose turn it is was decided on the CPU: no device is waited for.
        groups = [(turn == which).nonzero().flatten() for which in range(4)]
        parts = [
            change(x[group.to(x.device)], amounts[group, which].to(x.device))
            for which, (change, group) in enumerate(zip(_CHANGES, groups, strict=True))
        ]
        x = torch.cat(parts)[torch.cat(groups).argsort().to(x.device)]
    return x


def _blended(origin: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(origin.expand_as(x), x, factor[:, None, None, None]).clamp(0, 1)


_CHANGES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (brightness, contrast, saturation, hue)
