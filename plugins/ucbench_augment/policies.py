"""Automatic augmentation: to every picture operations of its own, drawn from a space."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from ucbench_augment import geometric, photometric, spaces, tone
from ucbench_augment.subset import Operation, by_choice

if TYPE_CHECKING:
    from ucbench.components import Run
    from ucbench_augment.params import RandAugmentParams, TrivialAugmentParams

_PLAIN: dict[str, Operation] = {
    "identity": lambda x, _: x,
    "brightness": photometric.brightness,
    "saturation": photometric.saturation,
    "contrast": photometric.contrast,
    "sharpness": photometric.sharpness,
    "posterize": tone.posterize,
    "solarize": tone.solarize,
    "autocontrast": lambda x, _: tone.autocontrast(x),
    "equalize": lambda x, _: tone.equalize(x),
}
_GEOMETRIC = (
    geometric.shear_x,
    geometric.shear_y,
    geometric.translate_x,
    geometric.translate_y,
    geometric.rotate,
)
#: Magnitudes that TrivialAugment tells apart, from 0.
_LEVELS = 31


class Policy:
    """Operations of a space, one drawn uniformly for every image.

    Args:
        space: the operations and how far they go.
        mode: how pictures are interpolated where they are moved.
    """

    def __init__(self, space: spaces.Space, mode: Literal["nearest", "bilinear"] = "nearest") -> None:
        self._space = space
        self._operations = _PLAIN | {move.__name__: partial(move, mode=mode) for move in _GEOMETRIC}

    def apply(self, x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
        """One operation on every image of ``x`` ``[B, 3, H, W]``, at ``level`` ``[B]`` in [0, 1] of its range."""
        space = self._space(x.shape[2], x.shape[3])
        choice = torch.randint(len(space), (len(x),), generator=generator)
        sign = 1.0 - 2.0 * torch.randint(2, (len(x),), generator=generator)
        start = torch.tensor([way.start for way in space.values()])
        reach = torch.tensor([way.reach for way in space.values()])
        signed = torch.tensor([way.signed for way in space.values()])
        offset = reach[choice] * level
        value = start[choice] + torch.where(signed[choice], sign * offset, offset)
        return by_choice(x, choice, value, [self._operations[name] for name in space])


class RandAugment:
    """RandAugment (Cubuk et al. 2020) in the variant of torchvision: 14 operations, magnitudes on a scale of 0 to 30.

    Every operation is drawn uniformly, with replacement, for every picture; signs are random; pictures are moved with
    nearest interpolation and a black surrounding. Levels of 8 bits are not rounded to between the operations.
    """

    def __init__(self, params: RandAugmentParams) -> None:
        self.params = params
        self._policy = Policy(spaces.randaugment)

    def augment(self, x: Tensor, run: Run, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1], each after its own ``operations``."""
        level = torch.full((len(x),), self.params.magnitude / 30)
        for _ in range(self.params.operations):
            x = self._policy.apply(x, level, generator)
        return x


class TrivialAugment:
    """TrivialAugment (Müller and Hutter 2021): one operation of 14 and one magnitude of 31 for every picture.

    As in the paper's code, factors of colour run evenly from the least to the largest, shifts are in pixels whatever
    the size, pictures are moved with nearest interpolation and a black surrounding. Bits are rounded, where that code
    rounds them up, and angles are not rounded to degrees.
    """

    def __init__(self, params: TrivialAugmentParams) -> None:
        self.params = params
        wide = params.space == "wide"
        self._policy = Policy(spaces.trivial_augment_wide if wide else spaces.trivial_augment_ra)

    def augment(self, x: Tensor, run: Run, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1], each after its own operation."""
        level = torch.randint(_LEVELS, (len(x),), generator=generator) / (_LEVELS - 1)
        return self._policy.apply(x, level, generator)
