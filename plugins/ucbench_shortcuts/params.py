"""Parameters of the data-free shortcuts. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from ucbench import Params


class RandomClassParams(Params):
    pattern: Literal["blocks", "sign", "uniform"] = Field(
        "blocks", description="+-epsilon constant on a grid of blocks, +-epsilon per pixel, or uniform per pixel"
    )
    grid: int = Field(4, ge=1, description="blocks along each side, for pattern=blocks")


class RandomSampleParams(Params):
    kind: Literal["uniform", "sign"] = Field("uniform", description="uniform in +-epsilon, or +-epsilon, per value")


class LSPParams(Params):
    grid: int = Field(4, ge=1, description="patches along each side (paper: 4 at 32 pixels, 7 at 224)")
    separation: float = Field(
        10.0,
        gt=0,
        description="coordinates of the groups' centres, plus or minus this; draws spread about them by "
        "sqrt(dimensions / 3), with 3 * grid**2 dimensions",
    )


class ARParams(Params):
    norm: Literal["l2", "linf"] = Field("l2", description="the budget's norm (paper: l2 1.0 at 32 pixels, or linf 8)")
    fit: Literal["clip", "scale"] = Field(
        "clip",
        description=(
            "how noise meets a linf budget: root mean square at epsilon, then clipped; or largest value at epsilon "
            "(released code), which is weaker and keeps the process exact; an l2 budget only scales"
        ),
    )
    largest_norm: float = Field(
        50.0, gt=0, description="filters whose unscaled noise is longer (l2, at 32 pixels) are rejected as diverging"
    )
    response: float | None = Field(
        None,
        ge=0,
        description="least response of earlier filters to a new one's noise, for noise of length 1 at 32 pixels; none: "
        "10 for up to ten classes, else 3 (paper)",
    )
    tries: int = Field(1_000_000, ge=1, description="filters drawn for one class before giving up")

    native_epsilons: ClassVar[Mapping[str, float]] = {"l2": 1.0, "linf": 8.0}

    def least_response(self, classes: int) -> float:
        """The response that filters of this number of classes need."""
        return self.response if self.response is not None else 10.0 if classes <= 10 else 3.0


class OPSParams(Params):
    dispersion: Literal["std", "variance"] = Field(
        "std",
        description="what the mean distance to a colour is divided by: its standard deviation over images and channels "
        "(released code) or the variance of the channels' sum (paper)",
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"dispersion": "variance"},
        "released": {"dispersion": "std"},
    }


class CUDAParams(Params):
    kernel: int = Field(3, ge=1, description="side of the kernels in pixels, odd (ImageNet: 9)")
    blur: float = Field(0.3, ge=0, le=1, description="upper end of the kernels' random entries (ImageNet: 0.06)")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"imagenet": {"kernel": 9, "blur": 0.06}}

    @field_validator("kernel")
    @classmethod
    def _has_a_middle(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"a kernel needs an odd side to have a middle, not {kernel}")
        return kernel
