"""The augmentation spaces of the literature: which operations, and how far each goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """An operation's parameter is ``start + level * reach`` for levels in [0, 1]; where signed, as often ``-``."""

    start: float = 0.0
    reach: float = 0.0
    signed: bool = False


#: A space for pictures of a height and a width. Units: shears as slopes, shifts in pixels, turns in degrees, bits,
#: thresholds in 8-bit units, the others as factors.
Space = Callable[[int, int], Mapping[str, Range]]


def randaugment(height: int, width: int) -> Mapping[str, Range]:
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


def trivial_augment_ra(height: int, width: int) -> Mapping[str, Range]:
    """TrivialAugment (RA): ranges of the official code, shifts of up to 10 pixels whatever the size."""
    return _trivial_augment(
        _geometric(shear=0.3, right=10, down=10, turn=30), factors=Range(0.1, 1.8), posterize=Range(8, -4)
    )


def trivial_augment_wide(height: int, width: int) -> Mapping[str, Range]:
    """TrivialAugment (Wide): ranges of the official code, shifts of up to 32 pixels whatever the size."""
    return _trivial_augment(
        _geometric(shear=0.99, right=32, down=32, turn=135), factors=Range(0.01, 1.99), posterize=Range(8, -6)
    )


def ueraser(height: int, width: int) -> Mapping[str, Range]:
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
