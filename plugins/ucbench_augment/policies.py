"""Automatic augmentation: one operation per image, drawn from a space of operations and their ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ucbench_augment import color
from ucbench_augment.drawing import Operation, by_choice

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_augment.params import RandAugmentParams, TrivialAugmentParams

#: TrivialAugment's number of magnitudes, from 0.
_LEVELS = 31


class RandAugment:
    """RandAugment (Cubuk et al. 2020) in the variant of torchvision: 14 operations, magnitudes on a scale of 0 to 30.

    Every operation is drawn uniformly, with replacement, for every image; signs are random; images are moved with
    nearest interpolation and a black surrounding. Between operations, values are not rounded to 8 bits.
    """

    def __init__(self, params: RandAugmentParams) -> None:
        self.params = params
        self._policy = Policy(randaugment_space)

    def augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1], each after its own ``operations``."""
        level = torch.full((len(x),), self.params.magnitude / 30)
        for _ in range(self.params.operations):
            x = self._policy.apply(x, level, generator)
        return x


class TrivialAugment:
    """TrivialAugment (Müller and Hutter 2021): one operation of 14 and one magnitude of 31 for every image.

    As in the paper's code, factors of colour run evenly from the least to the largest, shifts are in pixels at
    any size, images are moved with nearest interpolation and a black surrounding. Bits are rounded, where that code
    rounds them up, and angles are not rounded to degrees.
    """

    def __init__(self, params: TrivialAugmentParams) -> None:
        self.params = params
        wide = params.space == "wide"
        self._policy = Policy(trivial_augment_wide_space if wide else trivial_augment_ra_space)

    def augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1], each after its own operation."""
        level = torch.randint(_LEVELS, (len(x),), generator=generator) / (_LEVELS - 1)
        return self._policy.apply(x, level, generator)


class Policy:
    """Operations of a space, one drawn uniformly for every image.

    Args:
        space: the operations and their ranges.
        mode: interpolation of the operations that move images.
    """

    def __init__(self, space: Space, mode: Literal["nearest", "bilinear"] = "nearest") -> None:
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


@dataclass(frozen=True)
class Range:
    """An operation's parameter: ``start + level * reach`` for levels in [0, 1].

    Where ``signed``, ``level * reach`` is added or subtracted with equal chance.
    """

    start: float = 0.0
    reach: float = 0.0
    signed: bool = False


#: A space for images of a height and a width. Units: shears as slopes, shifts in pixels, turns in degrees, bits,
#: thresholds in 8-bit units, the others as factors.
Space = Callable[[int, int], Mapping[str, Range]]


def randaugment_space(height: int, width: int) -> Mapping[str, Range]:
    """RandAugment's operations with the ranges of torchvision, in which factors lie evenly about 1."""
    return {
        "identity": Range(),
        **_geometric(shear=0.3, right=150 / 331 * width, down=150 / 331 * height, turn=30),
        **_enhancing(Range(1, 0.9, signed=True)),
        "posterize": Range(8, -4),
        "solarize": Range(255, -255),
        "autocontrast": Range(),
        "equalize": Range(),
    }


def trivial_augment_ra_space(height: int, width: int) -> Mapping[str, Range]:
    """TrivialAugment (RA): ranges of the official code, shifts of up to 10 pixels at any size."""
    return _trivial_augment(
        _geometric(shear=0.3, right=10, down=10, turn=30), factors=Range(0.1, 1.8), posterize=Range(8, -4)
    )


def trivial_augment_wide_space(height: int, width: int) -> Mapping[str, Range]:
    """TrivialAugment (Wide): ranges of the official code, shifts of up to 32 pixels at any size."""
    return _trivial_augment(
        _geometric(shear=0.99, right=32, down=32, turn=135), factors=Range(0.01, 1.99), posterize=Range(8, -6)
    )


def ueraser_space(height: int, width: int) -> Mapping[str, Range]:
    """The twelve operations of the library that UEraser's code uses: neither identity nor colour."""
    space = _trivial_augment(
        _geometric(shear=0.3, right=width / 2, down=height / 2, turn=30),
        factors=Range(0.1, 1.8),
        posterize=Range(8, -4),
    )
    return {name: reach for name, reach in space.items() if name not in ("identity", "saturation")}


def _trivial_augment(geometric: Mapping[str, Range], *, factors: Range, posterize: Range) -> dict[str, Range]:
    return {
        "identity": Range(),
        **geometric,
        **_enhancing(factors),
        "posterize": posterize,
        "solarize": Range(256, -256),
        "autocontrast": Range(),
        "equalize": Range(),
    }


def _geometric(shear: float, right: float, down: float, turn: float) -> dict[str, Range]:
    return {
        "shear_x": Range(0, shear, signed=True),
        "shear_y": Range(0, shear, signed=True),
        "translate_x": Range(0, right, signed=True),
        "translate_y": Range(0, down, signed=True),
        "rotate": Range(0, turn, signed=True),
    }


def _enhancing(factors: Range) -> dict[str, Range]:
    return dict.fromkeys(("brightness", "saturation", "contrast", "sharpness"), factors)


# Shears, shifts and turns of images ``[B, 3, H, W]`` by one amount per image ``[B]``; what moves in is black.
# Coordinates are in pixels. ``mode`` is ``nearest``, as Pillow's default, or ``bilinear``.


def shear_x(x: Tensor, slope: Tensor, *, mode: str) -> Tensor:
    """Row i, counted from the upper edge, shows what lay ``slope * i`` further right."""
    return _warped(x, mode, across=slope, right=slope * x.shape[2] / 2)


def shear_y(x: Tensor, slope: Tensor, *, mode: str) -> Tensor:
    """Column j, counted from the left edge, shows what lay ``slope * j`` further down."""
    return _warped(x, mode, along=slope, down=slope * x.shape[3] / 2)


def translate_x(x: Tensor, pixels: Tensor, *, mode: str) -> Tensor:
    """Shift to the right by whole ``pixels``; fractions are cut off."""
    return _warped(x, mode, right=-pixels.trunc())


def translate_y(x: Tensor, pixels: Tensor, *, mode: str) -> Tensor:
    """Shift down by whole ``pixels``; fractions are cut off."""
    return _warped(x, mode, down=-pixels.trunc())


def rotate(x: Tensor, degrees: Tensor, *, mode: str) -> Tensor:
    """Turn counter-clockwise about the middle."""
    angle = torch.deg2rad(degrees)
    return _warped(x, mode, scale=angle.cos(), across=-angle.sin(), along=angle.sin())


def _warped(
    x: Tensor,
    mode: str,
    *,
    scale: Tensor | float = 1.0,
    across: Tensor | float = 0.0,
    right: Tensor | float = 0.0,
    along: Tensor | float = 0.0,
    down: Tensor | float = 0.0,
) -> Tensor:
    """Show at ``(u, v)``, counted rightwards and downwards from the middle, what lay at
    ``(scale * u + across * v + right, along * u + scale * v + down)``."""
    height, width = x.shape[2:]
    theta = torch.empty((len(x), 2, 3), device=x.device, dtype=x.dtype)
    # torch counts from -1 to 1 between opposite edges.
    theta[:, 0, 0] = scale
    theta[:, 0, 1] = across * (height / width)
    theta[:, 0, 2] = right * (2 / width)
    theta[:, 1, 0] = along * (width / height)
    theta[:, 1, 1] = scale
    theta[:, 1, 2] = down * (2 / height)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode=mode, padding_mode="zeros", align_corners=False)


_PLAIN: dict[str, Operation] = {
    "identity": lambda x, _: x,
    "brightness": color.brightness,
    "saturation": color.saturation,
    "contrast": color.contrast,
    "sharpness": color.sharpness,
    "posterize": color.posterize,
    "solarize": color.solarize,
    "autocontrast": lambda x, _: color.autocontrast(x),
    "equalize": lambda x, _: color.equalize(x),
}
_GEOMETRIC = (shear_x, shear_y, translate_x, translate_y, rotate)
