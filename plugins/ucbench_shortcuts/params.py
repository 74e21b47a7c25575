"""Parameters of the data-free shortcuts. Imports no torch."""

from typing import Literal

from pydantic import Field

from ucbench import Params


class RandomClassParams(Params):
    pattern: Literal["blocks", "sign", "uniform"] = Field(
        "blocks", description="+-epsilon constant on a grid of blocks, +-epsilon a pixel, or uniform a pixel"
    )
    grid: int = Field(4, ge=1, description="blocks along each side, for pattern=blocks")


class LSPParams(Params):
    grid: int = Field(4, ge=1, description="patches along each side (paper: 4 at 32 pixels, patches of 8 pixels)")
    separation: float = Field(10.0, gt=0, description="distance between the groups in units of their spread")
