"""Automatic augmentation: one operation per image, drawn from a space of operations and their ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from kornia.geometry.transform import get_rotation_matrix2d, warp_affine
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
    nearest interpolation and a black surrounding.
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
    any size, images are moved with nearest interpolation and a black surrounding.
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
        self._mode = mode

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
        x = by_choice(x, choice, value, [_PLAIN[name] for name in space])
        # All that are moved, in one call.
        index = torch.tensor([name in _GEOMETRIC for name in space])[choice].nonzero().flatten()
        if not len(index):
            return x
        amounts = {
            name: torch.where(choice == place, value, 0.0)[index].to(x.device)
            for place, name in enumerate(space)
            if name in _GEOMETRIC
        }
        index = index.to(x.device)
        return x.index_copy(0, index, moved(x[index], self._mode, **amounts))


def _unchanged(x: Tensor, value: Tensor) -> Tensor:
    return x


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


def moved(
    x: Tensor,
    mode: str,
    *,
    shear_x: Tensor | float = 0.0,
    shear_y: Tensor | float = 0.0,
    translate_x: Tensor | float = 0.0,
    translate_y: Tensor | float = 0.0,
    rotate: Tensor | float = 0.0,
) -> Tensor:
    """Shear, shift or turn every image of ``x`` ``[B, 3, H, W]`` by its own amount; what moves in is black.

    All in one call, which costs less than one for each kind. Of an image's amounts, at most one differs from 0.

    Args:
        mode: ``nearest``, as Pillow's default, or ``bilinear``.
        shear_x: slopes ``[B]``: row i, counted from the upper edge, shows what lay ``slope * i`` further right.
        shear_y: slopes ``[B]``: column j, counted from the left edge, shows what lay ``slope * j`` further down.
        translate_x: shifts to the right in pixels ``[B]``; fractions are cut off.
        translate_y: shifts down in pixels ``[B]``; fractions are cut off.
        rotate: degrees ``[B]`` counter-clockwise about the middle.
    """
    height, width = x.shape[2:]
    none = x.new_zeros(len(x))
    middle = x.new_tensor([[(width - 1) / 2, (height - 1) / 2]]).repeat(len(x), 1)
    # Matrices are multiplied, which autocast would do in half precision.
    with torch.autocast(x.device.type, enabled=False):
        matrix = get_rotation_matrix2d(middle, none + rotate, torch.ones_like(middle))
        # kornia counts from the middle of the first pixel, half a pixel inside the edge.
        matrix[:, 0] += torch.stack([none, none - shear_x, (none + translate_x).trunc() - shear_x / 2], 1)
        matrix[:, 1] += torch.stack([none - shear_y, none, (none + translate_y).trunc() - shear_y / 2], 1)
        return warp_affine(x, matrix, (height, width), mode=mode, align_corners=False)


_GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
_PLAIN: dict[str, Operation] = {
    **dict.fromkeys(("identity", *_GEOMETRIC), _unchanged),
    "brightness": color.brightness,
    "saturation": color.saturation,
    "contrast": color.contrast,
    "sharpness": color.sharpness,
    "posterize": color.posterize,
    "solarize": color.solarize,
    "autocontrast": lambda x, _: color.autocontrast(x),
    "equalize": lambda x, _: color.equalize(x),
}
