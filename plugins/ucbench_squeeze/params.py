"""Parameters of the squeezing defenses. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from ucbench import Params, versions


class SqueezingParams(Params):
    """The parameters of every squeezing defense."""

    at_test: bool = Field(
        False, description="squeeze the test images too; published figures are for unchanged test images"
    )

    @property
    def random(self) -> bool:
        """Whether the strength is drawn anew for every image of every batch."""
        return False

    @property
    def batchwise(self) -> bool:
        """Whether every training batch is squeezed, rather than the training set once."""
        return self.random

    @property
    def static(self) -> bool:
        """Whether only the training images are squeezed, once."""
        return not (self.batchwise or self.at_test)

    @model_validator(mode="after")
    def _at_test_draws_nothing(self) -> Self:
        if self.at_test and self.random:
            raise ValueError("test images are not squeezed at random: leave out at_test or the range")
        return self


class JPEGParams(SqueezingParams):
    quality: int = Field(10, ge=1, le=100, description="quality factor of libjpeg (ISS and APBench: 10)")
    max_quality: int | None = Field(
        None,
        ge=1,
        le=100,
        description="squeeze at random: qualities uniform from quality to this one; or none, all at quality",
    )
    subsampling: Literal["444", "422", "420"] = Field(
        "420", description="of the chroma: full, halved in width, or halved in both (Pillow's default, as in ISS)"
    )
    codec: Literal["pillow", "kornia"] = Field(
        "pillow",
        description="pillow writes and reads a file; kornia computes nearly the same on floats, with a gradient that "
        "attacks pass through, and acts on every training batch",
    )

    argument: ClassVar[str | None] = "quality"
    neutral: ClassVar[Mapping[str, Any]] = {"codec": "pillow"}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # The range of APBench's UEraser, which draws once per batch.
        "random": {"quality": 10, "max_quality": 99},
        "kornia": {"codec": "kornia", "at_test": True},
    }

    @property
    def random(self) -> bool:
        return self.max_quality is not None

    @property
    def batchwise(self) -> bool:
        return self.random or self.codec == "kornia"

    def identity(self) -> dict[str, Any]:
        """All fields, and kornia's version where its codec is used."""
        version = {"kornia": versions()["kornia"]} if self.codec == "kornia" else {}
        return {**super().identity(), **version}

    @model_validator(mode="after")
    def _kornia_subsamples_both(self) -> Self:
        if self.codec == "kornia" and self.subsampling != "420":
            raise ValueError("kornia's codec halves the chroma in both directions: leave out subsampling")
        return self

    @model_validator(mode="after")
    def _range_rises(self) -> Self:
        if self.max_quality is not None and self.max_quality < self.quality:
            raise ValueError(f"max_quality={self.max_quality} must not be below quality={self.quality}")
        return self


class ISSParams(SqueezingParams):
    quality: int = Field(10, ge=1, le=100, description="quality factor of libjpeg (ISS: 10)")

    argument: ClassVar[str | None] = "quality"


class GrayscaleParams(SqueezingParams):
    probability: float = Field(
        1.0, gt=0, le=1, description="below 1, squeeze at random: the chance of each image, anew in every batch"
    )

    #: As in ECLIPSE (ESORICS 2024), there after a purification.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"random": {"probability": 0.4}}

    @property
    def random(self) -> bool:
        return self.probability < 1


class BitDepthParams(SqueezingParams):
    bits: int = Field(2, ge=1, le=8, description="bits kept of the 8 of a value (ISS and APBench: 2)")
    max_bits: int | None = Field(
        None, ge=1, le=8, description="squeeze at random: bits uniform from bits to these; or none, bits for all"
    )
    rounding: Literal["floor", "nearest"] = Field(
        "floor",
        description="clear the low bits, which darkens (ISS, APBench); or the nearest of levels from 0 to 255",
    )

    argument: ClassVar[str | None] = "bits"
    #: The range in which TrivialAugment (ICCV 2021), part of UEraser, posterises.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"random": {"bits": 2, "max_bits": 8}}

    @property
    def random(self) -> bool:
        return self.max_bits is not None

    @model_validator(mode="after")
    def _range_rises(self) -> Self:
        if self.max_bits is not None and self.max_bits < self.bits:
            raise ValueError(f"max_bits={self.max_bits} must not be below bits={self.bits}")
        return self


class FilterParams(SqueezingParams):
    kernel: int = Field(3, ge=3, description="side of the neighbourhood in pixels, odd (ISS: 3)")

    argument: ClassVar[str | None] = "kernel"

    @field_validator("kernel")
    @classmethod
    def _has_a_middle(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"a neighbourhood needs an odd side to have a middle, not {kernel}")
        return kernel


class ResizingParams(SqueezingParams):
    factor: int = Field(2, ge=2, description="how many times smaller the sides become, rounded up to whole pixels")

    argument: ClassVar[str | None] = "factor"
