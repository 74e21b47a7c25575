"""How much of a photo's change is left after what sites do to photos: compression, reduction, grey, blur.

Of a change that is left, its effect on a training may still be gone, so this is an upper bound of what an owner may
hope for, measured on a few photos.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ucbench.data.images import Pixels, decode
from ucbench.errors import DataError
from ucbench.progress import Progress, Silent
from ucbench.protection.manifest import ProtectedPhoto
from ucbench.protection.sampling import sample

#: Most photos that are measured.
PHOTOS = 12
#: Rows compared at once; limits memory.
_ROWS = 256

_Size = tuple[int, int]


class Remainder(NamedTuple):
    """What is left of one photo's change, compared with the change before (reduced alike, if the photo is reduced).

    Attributes:
        energy: sum of squares after processing over that before; noise of the processing adds to it.
        cosine: of the angle between the two, -1 to 1; 0 if nothing is left.
    """

    energy: float
    cosine: float

    @property
    def kept(self) -> float:
        """Share of the original change's energy that is left in its own direction, 0 if it is reversed."""
        return self.energy * max(self.cosine, 0.0) ** 2


@dataclass(frozen=True)
class Survival:
    """What is left after one processing.

    Attributes:
        processing: its name.
        photos: by output path; photos too small to be reduced are left out.
    """

    processing: str
    photos: Mapping[str, Remainder]

    @property
    def energy(self) -> float:
        """Median over photos of :attr:`Remainder.energy`: a tiny photo can have many times its change."""
        return median(one.energy for one in self.photos.values())

    @property
    def cosine(self) -> float:
        """Median over photos of :attr:`Remainder.cosine`."""
        return median(one.cosine for one in self.photos.values())

    @property
    def kept(self) -> float:
        """Median over photos of :attr:`Remainder.kept`."""
        return median(one.kept for one in self.photos.values())


class _Processing(NamedTuple):
    """``target`` gives the reduced width and height, or None for photos that it does not fit; ``then`` follows."""

    name: str
    target: Callable[[_Size], _Size | None]
    then: Callable[[Image.Image], Image.Image]


def _shorter(side: int) -> Callable[[_Size], _Size | None]:
    def target(size: _Size) -> _Size | None:
        scale = side / min(size)
        return None if scale >= 1 else (max(side, round(size[0] * scale)), max(side, round(size[1] * scale)))

    return target


def _longer(side: int) -> Callable[[_Size], _Size | None]:
    def target(size: _Size) -> _Size:
        scale = min(1.0, side / max(size))
        return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))

    return target


def _same(size: _Size) -> _Size:
    return size


def _jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    def compressed(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, subsampling="4:2:0")
        return Image.open(file)

    return compressed


_PROCESSINGS = (
    _Processing("JPEG, quality 90", _same, _jpeg(90)),
    _Processing("JPEG, quality 75", _same, _jpeg(75)),
    _Processing("Reduced to 512 pixels (shorter side)", _shorter(512), lambda image: image),
    _Processing("Reduced to 224 pixels (shorter side)", _shorter(224), lambda image: image),
    _Processing("Like a social network: longer side at most 2,048 pixels, JPEG 80", _longer(2048), _jpeg(80)),
    _Processing("Colours removed", _same, lambda image: image.convert("L").convert("RGB")),
    _Processing("Blurred a little (sigma 1 pixel)", _same, lambda image: image.filter(ImageFilter.GaussianBlur(1))),
)


def survival(
    photos: Sequence[ProtectedPhoto], photos_root: Path, out_root: Path, progress: Progress | None = None
) -> tuple[Survival, ...]:
    """Measure a sample of at most :data:`PHOTOS` written files; a processing that fits none of them is left out.

    Raises:
        DataError: if a file cannot be read.
    """
    chosen = sample(photos, PHOTOS)
    advance = (progress or Silent()).bar("measuring what survives", len(chosen))
    found: dict[str, dict[str, Remainder]] = {processing.name: {} for processing in _PROCESSINGS}
    for photo in chosen:
        for name, remainder in remainders(decode(photos_root / photo.source), decode(out_root / photo.output)).items():
            found[name][photo.output] = remainder
        advance(1)
    return tuple(Survival(name, values) for name, values in found.items() if values)


def remainders(original: Pixels, protected: Pixels) -> dict[str, Remainder]:
    """By processing, what is left of the change between two photos, uint8 ``[H, W, 3]``; empty if they are equal.

    Of the original ``o``, its copy ``p`` and a processing T with the resizing part T0, ``T(p) - T(o)`` is compared with
    ``T0(p - o)``.

    Raises:
        DataError: if the sizes differ.
    """
    if original.shape != protected.shape:
        raise DataError(f"A photo of {list(original.shape)} has a copy of {list(protected.shape)}: not the same photo.")
    if np.array_equal(original, protected):
        return {}
    images = Image.fromarray(original), Image.fromarray(protected)
    size = images[0].size
    found = {}
    for processing in _PROCESSINGS:
        if (target := processing.target(size)) is None:
            continue
        before, after = (np.asarray(processing.then(_resized(image, target))) for image in images)
        geometry = None if target == size else _resized_change(original, protected, target)
        sums = np.zeros(3)
        for start in range(0, len(before), _ROWS):
            rows = slice(start, start + _ROWS)
            change = _change(original[rows], protected[rows]) if geometry is None else geometry[rows]
            sums += _products(_change(before[rows], after[rows]), change)
        remaining, common, whole = sums
        length = float(np.sqrt(remaining * whole))
        # Reduction averages a change of high frequency away: nothing was there to survive.
        found[processing.name] = Remainder(
            float(remaining / whole) if whole else 0.0, float(common) / length if length else 0.0
        )
    return found


def _change(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float64]:
    return after.astype(np.float64) - before


def _products(remaining: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    pairs = ((remaining, remaining), (remaining, whole), (whole, whole))
    return np.array([np.vdot(first, second) for first, second in pairs])


def _resized(image: Image.Image, size: _Size) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def _resized_change(original: Pixels, protected: Pixels, size: _Size) -> NDArray[np.float64]:
    """The change, resized as the photos are but without rounding, float64 ``[H, W, 3]``."""
    channels = (
        _resized(Image.fromarray(protected[:, :, channel].astype(np.float32) - original[:, :, channel]), size)
        for channel in range(3)
    )
    return np.stack([np.asarray(channel, np.float64) for channel in channels], axis=2)
