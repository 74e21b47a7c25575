"""The transformations of the search: functions of images ``[N, 3, H, W]``, uint8, to the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Images = NDArray[np.uint8]
#: Takes images and the generator of what is drawn for each of them.
Transformation = Callable[[Images, np.random.Generator], Images]

#: Values of images transformed together at most.
_TOGETHER = 2**22
#: Amounts: sides of windows and a deviation in pixels, levels kept, a level, degrees, a share of the height.
AMOUNTS = {"window": 2, "median": 3, "blur": 1.0, "posterize": 4, "solarize": 128, "rotate": 15, "shear": 0.2}


def _dilate(images: Images, rng: np.random.Generator) -> Images:
    found: Images = ndimage.maximum_filter(images, (1, 1, AMOUNTS["window"], AMOUNTS["window"]), mode="mirror")
    return found


def _erode(images: Images, rng: np.random.Generator) -> Images:
    found: Images = ndimage.minimum_filter(images, (1, 1, AMOUNTS["window"], AMOUNTS["window"]), mode="mirror")
    return found


def _median(images: Images, rng: np.random.Generator) -> Images:
    found: Images = ndimage.median_filter(images, (1, 1, AMOUNTS["median"], AMOUNTS["median"]), mode="mirror")
    return found


def _blur(images: Images, rng: np.random.Generator) -> Images:
    smooth = ndimage.gaussian_filter(images.astype(np.float32), (0, 0, AMOUNTS["blur"], AMOUNTS["blur"]), mode="mirror")
    rounded: Images = np.clip(np.rint(smooth), 0, 255).astype(np.uint8)
    return rounded


def _grey(images: Images, rng: np.random.Generator) -> Images:
    luma = np.tensordot(images.astype(np.float32), np.array([0.299, 0.587, 0.114], np.float32), (1, 0))
    return np.repeat(np.rint(luma).clip(0, 255).astype(np.uint8)[:, None], 3, 1)


def _threshold(images: Images, rng: np.random.Generator) -> Images:
    """Black or white, by the mean of the image's channel."""
    return np.where(images > images.mean((2, 3), keepdims=True), np.uint8(255), np.uint8(0))


def _posterize(images: Images, rng: np.random.Generator) -> Images:
    top = AMOUNTS["posterize"] - 1
    table = np.rint(np.rint(np.arange(256) / 255 * top) * 255 / top).astype(np.uint8)
    return table[images]


def _solarize(images: Images, rng: np.random.Generator) -> Images:
    return np.where(images >= AMOUNTS["solarize"], 255 - images, images).astype(np.uint8)


def _rotate(images: Images, rng: np.random.Generator) -> Images:
    angles = np.deg2rad(rng.uniform(-AMOUNTS["rotate"], AMOUNTS["rotate"], len(images)))
    return _moved(images, [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles])


def _shear(images: Images, rng: np.random.Generator) -> Images:
    slopes = rng.uniform(-AMOUNTS["shear"], AMOUNTS["shear"], len(images))
    return _moved(images, [np.array([[1, 0], [slope, 1]]) for slope in slopes])


def _moved(images: Images, maps: list[NDArray[np.float64]]) -> Images:
    """Each image by its own linear map of rows and columns around its centre, bilinear."""
    centre = (np.array(images.shape[2:]) - 1) / 2
    moved = np.empty_like(images)
    for image, out, matrix in zip(images, moved, maps, strict=True):
        offset = centre - matrix @ centre
        for channel, target in zip(image, out, strict=True):
            ndimage.affine_transform(channel, matrix, offset, order=1, mode="mirror", output=target)
    return moved


def transformed(name: str, images: Images, rng: np.random.Generator) -> Images:
    """The images after a transformation, block by block, since some of them work on floats."""
    changed, count = np.empty_like(images), max(1, _TOGETHER // images[0].size)
    for begin in range(0, len(images), count):
        changed[begin : begin + count] = TRANSFORMATIONS[name](images[begin : begin + count], rng)
    return changed


TRANSFORMATIONS: Mapping[str, Transformation] = {
    "dilate": _dilate,
    "erode": _erode,
    "median": _median,
    "blur": _blur,
    "grey": _grey,
    "threshold": _threshold,
    "posterize": _posterize,
    "solarize": _solarize,
    "rotate": _rotate,
    "shear": _shear,
}
