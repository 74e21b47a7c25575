"""Random changes of colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ucbench_augment import photometric
from ucbench_augment.subset import by_choice, on_share

if TYPE_CHECKING:
    from ucbench.components import Run
    from ucbench_augment.params import ColorJitterParams


class ColorJitter:
    """Brightness, contrast, saturation and hue, each by its own random amount, in an order of the picture's own.

    The definitions and the random order are those of torchvision, the default strengths those of SimCLR at 32 pixels.
    Preset `imagenet` has SimCLR's strengths there; `orthogonal-projection` those with which that defense trains.
    """

    def __init__(self, params: ColorJitterParams) -> None:
        self.params = params
        changes = (
            (photometric.brightness, 1.0, params.brightness),
            (photometric.contrast, 1.0, params.contrast),
            (photometric.saturation, 1.0, params.saturation),
            (photometric.hue, 0.0, params.hue),
        )
        used = [change for change in changes if change[2] > 0]
        self._operations = [operation for operation, _, _ in used]
        self._middle = torch.tensor([middle for _, middle, _ in used])
        self._reach = torch.tensor([reach for _, _, reach in used])

    def augment(self, x: Tensor, run: Run, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1]; about ``probability`` of them have other colours."""
        return on_share(x, self.params.probability, generator, self._changed)

    def _changed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        shape = len(x), len(self._operations)
        values = self._middle + self._reach * (2 * torch.rand(shape, generator=generator) - 1)
        order = torch.rand(shape, generator=generator).argsort(1)
        for choice, value in zip(order.unbind(1), values.gather(1, order).unbind(1), strict=True):
            x = by_choice(x, choice, value, self._operations)
        return x
