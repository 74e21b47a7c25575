"""Parameters of the augmentations. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from ucbench import Params, versions


def _shares(interval: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= interval[0] <= interval[1] <= 1:
        raise ValueError(f"two numbers within 0 to 1, the lower one first, not {interval[0]:g}/{interval[1]:g}")
    return interval


def _positives(interval: tuple[float, float]) -> tuple[float, float]:
    if not 0 < interval[0] <= interval[1] < math.inf:
        raise ValueError(f"two numbers above 0, the lower one first, not {interval[0]:g}/{interval[1]:g}")
    return interval


#: Ends of an interval, written ``low/high`` on a command line.
_Shares = Annotated[tuple[float, float], AfterValidator(_shares)]
_Positives = Annotated[tuple[float, float], AfterValidator(_positives)]


class OnKorniaParams(Params):
    """Parameters of what calls kornia's functions, whose numbers may change between its releases."""

    def identity(self) -> dict[str, Any]:
        """All fields and kornia's version."""
        return {**super().identity(), "kornia": versions()["kornia"]}


class CutoutParams(Params):
    """Defaults are the paper's for CIFAR-10."""

    side: float = Field(
        0.5, gt=0, le=2, description="side of the square in units of the shorter side of the image (16 of 32 pixels)"
    )
    probability: float = Field(1.0, ge=0, le=1, description="share of the images that are cut")
    inside: bool = Field(
        False, description="cut a rectangle wholly inside, side times as high and wide as the image, rounded down"
    )

    neutral: ClassVar[Mapping[str, Any]] = {"inside": False}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cifar100": {"side": 8 / 32},
        "svhn": {"side": 20 / 32},
        # A tenth of the area.
        "uc": {"side": 0.1**0.5, "inside": True},
    }

    @model_validator(mode="after")
    def _fits_inside(self) -> Self:
        if self.inside and self.side > 1:
            raise ValueError(f"what lies inside the image has at most its side, not side={self.side:g}")
        return self


class RandomErasingParams(Params):
    """Defaults are the paper's for CIFAR."""

    probability: float = Field(0.5, ge=0, le=1, description="share of the images in which a rectangle is erased")
    area: _Shares = Field((0.02, 0.4), description="least and largest area of the rectangle, as a share of the image")
    aspect: _Positives = Field((0.3, 1 / 0.3), description="least and largest height of the rectangle over its width")
    fill: Literal["random", "black"] = Field("random", description="uniform noise in every value, or black")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "torchvision": {"area": (0.02, 0.33), "aspect": (0.3, 3.3), "fill": "black"},
    }


class MixingParams(Params):
    alpha: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="an image keeps a share of itself drawn from Beta(alpha, alpha)"
    )
    share: float | None = Field(None, ge=0, le=1, description="the share it keeps, fixed; none draws it")
    labels: bool = Field(True, description="mix the labels as the images are; false keeps each image's own")
    probability: float = Field(1.0, ge=0, le=1, description="share of the images that are mixed")


class CutMixParams(MixingParams):
    """Defaults are the paper's for CIFAR."""

    probability: float = Field(0.5, ge=0, le=1, description="share of the images that are mixed")
    times: int = Field(1, ge=1, le=8, description="how often the batch is mixed")
    inside: bool = Field(False, description="paste a rectangle wholly inside, in place of one clipped at the border")

    neutral: ClassVar[Mapping[str, Any]] = {"inside": False}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "imagenet": {"probability": 1.0},
        "apbench": {"probability": 1.0},
        "eminn": {"times": 2},
        "uc": {"share": 0.9, "labels": False, "probability": 1.0, "inside": True},
    }


class MixupParams(MixingParams):
    """Defaults are the paper's for CIFAR."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "imagenet": {"alpha": 0.2},
        "uc": {"share": 0.9, "labels": False},
    }


class RandAugmentParams(OnKorniaParams):
    """Defaults are those of torchvision, N = 2 and M = 9."""

    operations: int = Field(2, ge=1, le=14, description="operations on every image, one after another, N")
    magnitude: float = Field(9, ge=0, le=30, description="their common magnitude, M, on a scale from 0 to 30")


class TrivialAugmentParams(OnKorniaParams):
    """Defaults are the paper's best."""

    space: Literal["wide", "ra"] = Field("wide", description="ranges of the magnitudes: Wide, or RandAugment's")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"ra": {"space": "ra"}}


class ColorJitterParams(OnKorniaParams):
    """Defaults are SimCLR's for CIFAR-10, strength 0.5."""

    brightness: float = Field(0.4, ge=0, le=1, description="factor within 1 +- this")
    contrast: float = Field(0.4, ge=0, le=1, description="factor within 1 +- this")
    saturation: float = Field(0.4, ge=0, le=1, description="factor within 1 +- this")
    hue: float = Field(0.1, ge=0, le=0.5, description="shift within +- this, in turns of the colour circle")
    probability: float = Field(0.8, ge=0, le=1, description="share of the images that are changed")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "imagenet": {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2},
        "orthogonal-projection": {
            "brightness": 0.2,
            "contrast": 0.2,
            "saturation": 0.2,
            "hue": 0.0,
            "probability": 1.0,
        },
    }

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not (self.brightness or self.contrast or self.saturation or self.hue):
            raise ValueError("brightness, contrast, saturation and hue must not all be 0")
        return self


class GaussianBlurParams(OnKorniaParams):
    """Defaults are those of MI-UE's evaluation, of its kernel of 3 and of SimCLR's widths."""

    kernel: int = Field(3, ge=3, le=99, description="taps of the kernel along each side, odd")
    sigma: _Positives = Field((0.1, 2.0), description="least and largest standard deviation in pixels")
    probability: float = Field(1.0, ge=0, le=1, description="share of the images that are blurred")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "mi-ue": {},
        "uc": {"kernel": 7, "sigma": (3.0, 3.0)},
        "14a": {"kernel": 23, "sigma": (1.0, 1.0)},
    }

    @field_validator("kernel")
    @classmethod
    def _has_a_middle(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"a kernel needs an odd number of taps to have a middle, not {kernel}")
        return kernel


class GaussianNoiseParams(Params):
    """Defaults are those of MI-UE's evaluation."""

    sigma: float = Field(8.0, gt=0, le=255, description="standard deviation in 8-bit units")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"mi-ue": {"sigma": 8.0}, "eclipse": {"sigma": 0.05 * 255}}


class UEraserParams(OnKorniaParams):
    """Defaults are the paper's."""

    copies: int = Field(5, ge=1, le=64, description="views of every image of which the one of largest loss counts, K")
    epochs: int | None = Field(
        50, ge=0, description="epochs with so many views, one view in all that follow; none: to the end"
    )
    share: float | None = Field(
        None, ge=0, le=1, description="share of the victim's epochs with so many views, in place of epochs"
    )
    probability: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the views that get each of fractal brightness, contrast, shuffled channels",
    )
    roughness: _Shares = Field((0.3, 0.7), description="least and largest roughness of the fractals")
    intensity: _Shares = Field((0.5, 1.0), description="least and largest reach of the fractal brightness")
    views: Literal["own", "kornia"] = Field(
        "own", description="views by our operations, or by kornia's classes, as in the official code"
    )

    neutral: ClassVar[Mapping[str, Any]] = {"share": None}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "released": {"epochs": None, "share": 60 / 200},
        "lite": {"copies": 1},
        "max": {"epochs": None},
        "kornia": {"views": "kornia"},
    }
