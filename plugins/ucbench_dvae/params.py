"""Parameters of D-VAE. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from ucbench import Params


class DVAEParams(Params):
    """Defaults are the ``standard`` preset: a quarter of the paper's channels, a sixth of its epochs."""

    epochs: int = Field(
        10, ge=1, description="passes over the release, in each of the two stages (official code: 60, of 390 steps)"
    )
    batch: int = Field(32, ge=2, description="images per step; batches of a pass differ by at most one image")
    lr: float = Field(0.005, gt=0, description="first learning rate of Adam; a cosine to 0, by epoch")
    rate: float = Field(3.0, gt=0, description="nats per 2 x 2 pixels that the second stage keeps (first stage: 1)")
    weight: float = Field(0.01, gt=0, description="of the rate in the loss, w")
    latent: int = Field(64, ge=1, description="channels of the latent vectors")
    width: int = Field(16, ge=2, description="channels of the encoder at full size, twice as many at half size")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"epochs": 4, "latent": 32, "width": 8},
        "paper": {"epochs": 60, "batch": 128, "latent": 256, "width": 64},
    }
