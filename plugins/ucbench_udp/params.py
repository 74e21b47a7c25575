"""Parameters of detection and defense by adversarial noise. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from ucbench import Params


class NoiseParams(Params):
    """Defaults are the ``standard`` preset."""

    hidden: int | None = Field(512, ge=1, description="units of the network's hidden layer; none: one per input")
    epochs: int = Field(10, ge=1, description="of the detector, and of the adversarial training")
    batch: int = Field(32, ge=2, description="images per step; batches of a pass differ by at most one image")
    lr: float = Field(0.01, gt=0, description="of SGD, a tenth after 3/4, a hundredth after 9/10 of the epochs")
    epsilon: float = Field(8.0, gt=0, description="radius of the noise in 8-bit levels")
    steps: int = Field(10, ge=1, description="of every attack")
    threshold: float = Field(
        70.0, ge=0, le=100, description="accuracy of the detector in percent from which noise is added; 0: always"
    )
    strength: float = Field(1.0, ge=0, le=1, description="of crop, colour jitter and grey in training; 0: none")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"epochs": 4, "hidden": 256, "steps": 5},
        "paper": {"hidden": None, "epochs": 100, "batch": 128},
    }
