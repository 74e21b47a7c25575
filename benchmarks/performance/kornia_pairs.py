"""Our operations and defenses, each beside kornia's: what ``kornia_operations.py`` compares."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import formulas
import numpy as np
import torch
import torch.nn.functional as F
from kornia import augmentation as K
from kornia import color as kornia_color
from kornia import enhance, filters, metrics
from kornia.geometry.transform import resize
from torch import Tensor

from ucbench import ImageSet
from ucbench.data.distortion import measure
from ucbench.plugins.registry import installed
from ucbench.testing import make_run
from ucbench.training.batches import ResidentSet
from ucbench_augment import color, gaussian, policies
from ucbench_augment.ueraser import fractal_brightness

RUN = make_run(stage="train")


class Batch:
    """Images with some structure, and random amounts; the same in every run."""

    def __init__(self, count: int, side: int) -> None:
        self.count, self.side = count, side
        self.generator = torch.Generator().manual_seed(0)
        smooth = F.interpolate(torch.rand((count, 3, 8, 8), generator=self.generator), side, mode="bicubic")
        noise = 0.1 * torch.rand((count, 3, side, side), generator=self.generator)
        self.pixels = ((smooth + noise).clamp(0, 1) * 255).round().byte()
        self.x = self.pixels / 255

    def uniform(self, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(self.count, generator=self.generator)

    def images(self) -> ImageSet:
        return ImageSet(self.pixels.numpy(), np.arange(self.count) % 10, tuple(map(str, range(10))), name="random")


class Sides(NamedTuple):
    """Both sides, as calls that return images in [0, 1] or a number."""

    ours: Callable[[], Tensor]
    kornia: Callable[[], Tensor]


@dataclass(frozen=True)
class Pair:
    """An operation or defense.

    Attributes:
        name: its name.
        kornia: kornia's function or class.
        sides: makes both sides for a batch.
        used: which of them ucbench uses, and why.
        unit: of the difference of the results; empty where each side draws by itself.
    """

    name: str
    kornia: str
    sides: Callable[[Batch], Sides]
    used: Literal["ours", "kornia"]
    why: str
    unit: str = "levels"


Change = Callable[..., Tensor]


def amount(ours: Change, kornia: Change, low: float, high: float) -> Callable[[Batch], Sides]:
    """Both sides with one amount per image, uniform from ``low`` to ``high``."""

    def sides(batch: Batch) -> Sides:
        value = batch.uniform(low, high)
        return Sides(lambda: ours(batch.x, value), lambda: kornia(batch.x, value))

    return sides


def plain(ours: Change, kornia: Change) -> Callable[[Batch], Sides]:
    return lambda batch: Sides(lambda: ours(batch.x), lambda: kornia(batch.x))


def move(ours: Change, name: str, reach: float) -> Callable[[Batch], Sides]:
    def kornia(x: Tensor, value: Tensor) -> Tensor:
        return policies.moved(x, "nearest", **{name: value})

    return amount(ours, kornia, -reach, reach)


def squeeze(reference: str, kornia: Change, *, uint8: bool = False) -> Callable[[Batch], Sides]:
    """A squeezing defense beside kornia's function, from 8 bits to 8 bits."""

    def theirs(pixels: Tensor) -> Tensor:
        done = kornia(pixels) if uint8 else (kornia(pixels / 255) * 255).round().clamp(0, 255).byte()
        return done.expand_as(pixels) / 255

    def sides(batch: Batch) -> Sides:
        defense, images = installed().resolve("defense", reference).build(), batch.images()

        def ours() -> Tensor:
            return torch.from_numpy(defense.prepare(images, RUN).images.copy()) / 255

        return Sides(ours, lambda: theirs(batch.pixels))

    return sides


def augment(reference: str, kornia: Callable[[int], Change]) -> Callable[[Batch], Sides]:
    """A defense that draws for every batch beside kornia's class, which is made for the side of the images."""

    def sides(batch: Batch) -> Sides:
        defense, theirs = installed().resolve("defense", reference).build(), kornia(batch.side)
        return Sides(lambda: defense.augment(batch.x, RUN, batch.generator), lambda: theirs(batch.x))

    return sides


def mix(reference: str, kornia: Change) -> Callable[[Batch], Sides]:
    def sides(batch: Batch) -> Sides:
        defense, labels = installed().resolve("defense", reference).build(), torch.arange(batch.count) % 10
        targets = F.one_hot(labels, 10).float()
        return Sides(
            lambda: defense.mix(batch.x, targets, RUN, batch.generator)[0],
            lambda: kornia(batch.x, labels, data_keys=["input", "class"])[0],
        )

    return sides


def adapter(name: str) -> Callable[[int], Change]:
    """kornia's class as the defense `kornia` applies it: one image at a time where it draws once per batch."""
    defense = installed().resolve("defense", f"kornia:{name}").build()
    return lambda side: lambda x: defense.augment(x, RUN, torch.Generator().manual_seed(0))


def crop_flip(batch: Batch) -> Sides:
    padding = batch.side // 8
    resident = ResidentSet(batch.images(), padding=padding, flip=True, device=torch.device("cpu"))
    theirs = torch.nn.Sequential(
        K.RandomCrop((batch.side, batch.side), padding=padding, p=1.0), K.RandomHorizontalFlip(p=0.5)
    )

    def ours() -> Tensor:
        draws = resident.draw(batch.generator)
        return resident.gather(draws.order, draws.offsets, draws.mirrored)

    return Sides(ours, lambda: theirs(batch.pixels / 255))


def fractal(batch: Batch) -> Sides:
    roughness, intensity = batch.uniform(0.3, 0.7), batch.uniform(0.5, 1.0)
    theirs = K.RandomPlasmaBrightness((0.3, 0.7), (0.5, 1.0), p=1.0)
    return Sides(lambda: fractal_brightness(batch.x, roughness, intensity, batch.generator), lambda: theirs(batch.x))


def measured(name: str, kornia: Change) -> Callable[[Batch], Sides]:
    """A measure of the budget, all of which ucbench computes in one pass, beside kornia's function."""

    def sides(batch: Batch) -> Sides:
        noise = torch.randint(-8, 9, batch.pixels.shape, generator=batch.generator)
        changed = (batch.pixels.int() + noise).clamp(0, 255).byte()
        before, after = batch.pixels.numpy(), changed.numpy()
        return Sides(
            lambda: torch.tensor(measure(before, after)[name]), lambda: kornia(batch.pixels / 255, changed / 255)
        )

    return sides


def _psnr(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([metrics.psnr(a, b, 1.0) for a, b in zip(x, y, strict=True)]).mean()


def _ssim(x: Tensor, y: Tensor) -> Tensor:
    return metrics.ssim(x, y, 11, padding="valid").mean()


def _resized(x: Tensor) -> Tensor:
    side = x.shape[-1]
    return resize(resize(x, side // 2, interpolation="area"), side, interpolation="bicubic", align_corners=False)


def _jpeg(x: Tensor) -> Tensor:
    return enhance.jpeg_codec_differentiable(x, torch.full((len(x),), 10.0))


SAME = "Pillow's operation"
SLOW = "the same, and kornia is slower"
PAIRS = (
    Pair("brightness", "enhance.adjust_brightness_accumulative",
         amount(formulas.brightness, color.brightness, 0, 2), "kornia", SAME),
    Pair("contrast", "enhance.adjust_contrast_with_mean_subtraction",
         amount(formulas.contrast, color.contrast, 0, 2), "kornia", SAME),
    Pair("saturation", "enhance.adjust_saturation_with_gray_subtraction",
         amount(formulas.saturation, color.saturation, 0, 2), "kornia", SAME),
    Pair("luma (contrast, saturation)", "color.rgb_to_grayscale",
         plain(formulas.luma, kornia_color.rgb_to_grayscale), "kornia", SAME),
    Pair("hue", "enhance.adjust_hue",
         amount(color.hue, lambda x, turn: enhance.adjust_hue(x, 2 * math.pi * turn), -0.5, 0.5), "ours", SLOW),
    Pair("sharpness", "enhance.sharpness",
         amount(formulas.sharpness, color.sharpness, 0, 2), "kornia", SAME),
    Pair("posterize", "enhance.posterize",
         amount(color.posterize, lambda x, bits: enhance.posterize(x, bits.round().int()), 1, 8), "ours", SLOW),
    Pair("solarize", "enhance.solarize",
         amount(formulas.solarize, color.solarize, 0, 256), "kornia", SAME),
    Pair("autocontrast", "enhance.normalize_min_max",
         plain(color.autocontrast, enhance.normalize_min_max), "ours", "kornia blackens channels of one value"),
    Pair("equalize", "enhance.equalize", plain(formulas.equalize, color.equalize), "kornia", SAME),
    Pair("shear", "geometry.transform.warp_affine", move(formulas.shear_x, "shear_x", 0.3), "kornia", SAME),
    Pair("translate", "geometry.transform.warp_affine", move(formulas.translate_x, "translate_x", 10), "kornia", SAME),
    Pair("rotate", "geometry.transform.warp_affine", move(formulas.rotate, "rotate", 30), "kornia",
         "Pillow's operation; a place half-way between pixels may go to either"),
    Pair("gaussian-blur, kernel 3", "filters.filter2d_separable",
         amount(lambda x, s: formulas.blurred(x, s, 3), lambda x, s: gaussian.blurred(x, s, 3), 0.1, 2), "kornia",
         "torchvision's operation"),
    Pair("gaussian-blur, kernel 23", "filters.filter2d_separable",
         amount(lambda x, s: formulas.blurred(x, s, 23), lambda x, s: gaussian.blurred(x, s, 23), 0.1, 2), "kornia",
         "torchvision's operation"),
    Pair("gaussian-noise", "augmentation.RandomGaussianNoise",
         augment("gaussian-noise", lambda side: K.RandomGaussianNoise(std=8 / 255, p=1.0)), "ours",
         "kornia draws from the global generator and does not clip", ""),
    Pair("color-jitter", "augmentation.ColorJitter",
         augment("color-jitter", adapter("ColorJitter:brightness=0.4,contrast=0.4,saturation=0.4,hue=0.1,p=0.8")),
         "ours", "kornia draws the order per batch (here called image by image)", ""),
    Pair("randaugment", "augmentation.auto.RandAugment", augment("randaugment", adapter("RandAugment:n=2,m=9")), "ours",
         "kornia draws operations per batch (here called image by image), not all of them Pillow's", ""),
    Pair("trivial-augment", "augmentation.auto.TrivialAugment", augment("trivial-augment", adapter("TrivialAugment")),
         "ours", "kornia draws the operation per batch (here called image by image), not always Pillow's", ""),
    Pair("fractal brightness of ueraser", "augmentation.RandomPlasmaBrightness", fractal, "ours",
         "equally distributed, and kornia is slower; ueraser@kornia uses it", ""),
    Pair("cutout", "augmentation.RandomErasing",
         augment("cutout", lambda side: K.RandomErasing((0.25, 0.25), (1.0, 1.0), p=1.0)), "ours",
         "kornia's square lies wholly inside the image, the paper's may extend beyond it", ""),
    Pair("random-erasing", "augmentation.RandomErasing",
         augment("random-erasing", lambda side: K.RandomErasing((0.02, 0.4), (0.3, 1 / 0.3), p=0.5)), "ours",
         "kornia fills a rectangle with one value, the paper with noise", ""),
    Pair("cutmix", "augmentation.RandomCutMixV2",
         mix("cutmix:probability=1", K.RandomCutMixV2(use_correct_lambda=True)), "ours",
         "kornia mixes all of a batch or nothing", ""),
    Pair("mixup", "augmentation.RandomMixUpV2", mix("mixup", K.RandomMixUpV2()), "ours",
         "kornia's shares are uniform, the paper's follow a Beta distribution", ""),
    Pair("crop and flip of training", "augmentation.RandomCrop, RandomHorizontalFlip", crop_flip, "ours",
         "the set stays in 8 bits, and batches have the layout of convolutions", ""),
    Pair("grayscale", "color.rgb_to_grayscale", squeeze("grayscale", kornia_color.rgb_to_grayscale, uint8=True), "ours",
         "Pillow's values; kornia rounds otherwise"),
    Pair("bit-depth", "enhance.posterize", squeeze("bit-depth", lambda x: enhance.posterize(x, 2)), "ours", SLOW),
    Pair("jpeg", "enhance.jpeg_codec_differentiable", squeeze("jpeg", _jpeg), "ours",
         "ours is Pillow's encoder; kornia rounds smoothly, which has gradients"),
    Pair("median", "filters.median_blur", squeeze("median", lambda x: filters.median_blur(x, 3)), "ours",
         "the same on 8 bits, and kornia is slower"),
    Pair("mean", "filters.box_blur", squeeze("mean", lambda x: filters.box_blur(x, 3)), "ours",
         "the same on 8 bits, and kornia is slower"),
    Pair("resize-down-up", "geometry.transform.resize", squeeze("resize-down-up", _resized), "ours",
         "Pillow's values; the bicubic curves differ"),
    Pair("PSNR of a release", "metrics.psnr", measured("psnr", _psnr), "ours",
         "kornia's is of a whole batch (here called image by image); our time is that of all measures", "dB"),
    Pair("SSIM of a release", "metrics.ssim", measured("ssim", _ssim), "ours",
         "ours is float64, and of images smaller than the window too; our time is that of all measures", "SSIM"),
)  # fmt: skip
