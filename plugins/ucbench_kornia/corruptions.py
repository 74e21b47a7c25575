"""Accuracy under common corruptions, and the corruptions themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from kornia.color import hsv_to_rgb, rgb_to_hsv
from kornia.enhance import adjust_saturation, jpeg_codec_differentiable, posterize
from kornia.filters import filter2d, gaussian_blur2d, motion_blur
from kornia.geometry.transform import elastic_transform2d, scale
from torch import Generator, Tensor

from ucbench_kornia.params import LEVELS

if TYPE_CHECKING:
    from ucbench import MetricContext
    from ucbench_kornia.params import CorruptionsParams

#: Images that are corrupted and predicted at once.
_BATCH = 500
#: Points per pixel and axis that the disk of defocus is sampled at.
_POINTS = 16
#: Deviation in pixels of the Gaussian that smooths elastic displacements.
_SMOOTHNESS = 2.0


class Corruptions:
    """Accuracy of the trained victim on corrupted test images, in percent, after Hendrycks and Dietterich (ICLR 2019).

    The families are modelled on CIFAR-10-C and named as its files are; ``ucbench_kornia.params.LEVELS`` says which
    levels are published. Compare victims by these numbers, not with numbers on CIFAR-10-C.

    Corrupted images are rounded to 8 bits, and defenses at test act on them. A family draws the same noise at every
    severity, whichever others are requested.
    """

    def __init__(self, params: CorruptionsParams) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> dict[str, float]:
        """``<family>``: mean over severities; ``severity_<k>``: mean over families; ``mean``: over both."""
        run, params, test = context.run, self.params, context.test
        if params.images is not None:
            order = np.random.RandomState(run.seed("images", bits=32)).permutation(len(test))
            test = test.subset(np.sort(order[: params.images]))
        correct = np.zeros((len(params.families), len(params.severities)))
        progress = run.progress("corruptions", correct.size * len(test))
        for (row, column), _ in np.ndenumerate(correct):
            family, severity = params.families[row], params.severities[column]
            generator = run.generator(family)
            for start in range(0, len(test), _BATCH):
                part = test.subset(np.arange(start, min(start + _BATCH, len(test))))
                x = torch.from_numpy(part.images.copy()).to(run.device).float().div_(255.0)
                corrupted = corrupt(x, family, severity, generator).mul_(255.0).round_().byte().cpu().numpy()
                predicted = run.engine.predict(context.model, part.with_images(corrupted))
                correct[row, column] += np.count_nonzero(predicted == part.known_labels)
                progress(len(part))
        accuracy = 100.0 * correct / len(test)
        by_family = zip(params.families, accuracy.mean(1), strict=True)
        by_severity = zip(params.severities, accuracy.mean(0), strict=True)
        return {
            "mean": float(accuracy.mean()),
            **{family: float(value) for family, value in by_family},
            **{f"severity_{severity}": float(value) for severity, value in by_severity},
        }


def corrupt(x: Tensor, family: str, severity: int, generator: Generator) -> Tensor:
    """Corrupted copies of images, in [0, 1]: the more severe, the further from the originals.

    Args:
        x: float32 ``[B, 3, H, W]`` in [0, 1].
        family: a name in ``ucbench_kornia.params.LEVELS``.
        severity: 1 to 5.
        generator: on the CPU; draws whatever is random, anew for every image.
    """
    return _FAMILIES[family](x, LEVELS[family][severity - 1], generator).clamp(0, 1)


def _pixels(x: Tensor) -> float:
    """How many pixels of ``x`` one pixel of an image of 32 is; at least 1, as shorter lengths would have no effect."""
    return max(1.0, min(x.shape[2:]) / 32)


def _normal(x: Tensor, generator: Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator).to(x)


def _gaussian_noise(x: Tensor, level: float, generator: Generator) -> Tensor:
    return x + level * _normal(x, generator)


def _shot_noise(x: Tensor, level: float, generator: Generator) -> Tensor:
    return torch.poisson(x.cpu() * level, generator).to(x) / level


def _impulse_noise(x: Tensor, level: float, generator: Generator) -> Tensor:
    drawn = torch.rand(x.shape, generator=generator).to(x)
    return x.masked_fill(drawn < level / 2, 0).masked_fill(drawn >= 1 - level / 2, 1)


def _speckle_noise(x: Tensor, level: float, generator: Generator) -> Tensor:
    return x * (1 + level * _normal(x, generator))


def _gaussian_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    deviation = level * _pixels(x)
    side = 2 * math.ceil(3 * deviation) + 1
    return gaussian_blur2d(x, (side, side), (deviation, deviation), border_type="replicate")


def _defocus_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    radius = level * _pixels(x)
    side = 2 * math.ceil(radius - 0.5) + 1
    points = (torch.arange(side * _POINTS, device=x.device) + 0.5) / _POINTS - side / 2
    disk = (points[:, None].square() + points.square() <= radius**2).float()
    kernel = F.avg_pool2d(disk[None], _POINTS)
    return filter2d(x, kernel / kernel.sum(), border_type="replicate")


def _motion_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    side = 2 * int(level * _pixels(x) / 2) + 1
    angle = torch.rand(len(x), generator=generator).to(x) * 90 - 45
    return motion_blur(x, side, angle, torch.zeros_like(angle), border_type="replicate", mode="bilinear")


def _zoom_blur(x: Tensor, level: float, generator: Generator) -> Tensor:
    zooms = [1 + step / 100 for step in range(round(100 * (level - 1)) + 1)]
    total = x.clone()
    for zoom in zooms:
        total += scale(x, torch.tensor([zoom], device=x.device), padding_mode="border")
    return total / (len(zooms) + 1)


def _brightness(x: Tensor, level: float, generator: Generator) -> Tensor:
    hue, saturation, value = rgb_to_hsv(x).unbind(1)
    return hsv_to_rgb(torch.stack([hue, saturation, (value + level).clamp(0, 1)], 1))


def _contrast(x: Tensor, level: float, generator: Generator) -> Tensor:
    # Of every channel, as published; kornia takes the mean luma for all three.
    mean = x.mean((2, 3), keepdim=True)
    return mean + level * (x - mean)


def _saturate(x: Tensor, level: float, generator: Generator) -> Tensor:
    return adjust_saturation(x, level)


def _posterize(x: Tensor, level: float, generator: Generator) -> Tensor:
    return posterize(x, int(level))


def _elastic_transform(x: Tensor, level: float, generator: Generator) -> Tensor:
    height, width = x.shape[2:]
    drawn = torch.rand(len(x), 2, height, width, generator=generator).to(x) * 2 - 1
    deviation = _SMOOTHNESS * _pixels(x)
    # Smoothing leaves white noise of deviation 1 / sqrt(3) this much of it; kornia's unit is half an image.
    smoothed = 1 / math.sqrt(3) / (2 * math.sqrt(math.pi) * deviation)
    pixels = level * _pixels(x) / smoothed
    side = 2 * math.ceil(3 * deviation) + 1
    return elastic_transform2d(
        x,
        drawn,
        kernel_size=(side, side),
        sigma=(deviation, deviation),
        alpha=(pixels * 2 / width, pixels * 2 / height),
        padding_mode="reflection",
    )


def _pixelate(x: Tensor, level: float, generator: Generator) -> Tensor:
    rows, columns = (_blocks(side, max(1, int(level * side))).to(x) for side in x.shape[2:])
    return rows @ x @ columns.T


def _blocks(side: int, count: int) -> Tensor:
    """Averages ``side`` pixels within ``count`` equal blocks, by overlap: a matrix ``[side, side]``.

    Interpolation by area or to the nearest pixel shifts the image by parts of a pixel where blocks split pixels.
    """
    pixels, edges = torch.arange(side), torch.arange(count) * (side / count)
    ends = torch.minimum(pixels + 1, edges[:, None] + side / count)
    overlap = (ends - torch.maximum(pixels, edges[:, None])).clamp(min=0)
    return overlap.T @ overlap * (count / side)


def _jpeg_compression(x: Tensor, level: float, generator: Generator) -> Tensor:
    return jpeg_codec_differentiable(x, torch.tensor([float(level)], device=x.device))


_FAMILIES: Mapping[str, Callable[[Tensor, float, Generator], Tensor]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "speckle_noise": _speckle_noise,
    "gaussian_blur": _gaussian_blur,
    "defocus_blur": _defocus_blur,
    "motion_blur": _motion_blur,
    "zoom_blur": _zoom_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "saturate": _saturate,
    "posterize": _posterize,
    "elastic_transform": _elastic_transform,
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg_compression,
}
