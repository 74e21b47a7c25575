"""Parameters, in a module that imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from ucbench import Params


class FourierParams(Params):
    """What `ucbench show poisoner fourier` lists."""

    low: float = Field(1.0, gt=0, description="lowest frequency, in cycles per image, in any direction")
    high: float = Field(
        8.0,
        gt=0,
        description="highest frequency; those that an image of its size cannot hold (half its pixels) are left out",
    )
    waves: int = Field(1, ge=1, description="basis functions summed for every class or cluster")
    phases: int = Field(
        8,
        ge=1,
        description="evenly spaced phases, of which every image has one; 1: the same noise for the whole class",
    )
    channels: Literal["grey", "signs"] = Field(
        "grey", description="the same wave in all channels, or inverted in some, drawn for every class"
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"fixed": {"phases": 1}}

    @model_validator(mode="after")
    def _band_is_one(self) -> Self:
        if self.high < self.low:
            raise ValueError(f"high={self.high:g} must not be below low={self.low:g}")
        return self
