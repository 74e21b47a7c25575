"""Parameters of PIL. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from ucbench import Params


class PILParams(Params):
    """Defaults are the official code's."""

    layers: Literal[1, 2] = Field(2, description="matrices whose product is the classifier: one, or two in turn")
    epochs: int = Field(30, ge=1, description="passes of the classifier over the clean images")
    batch: int = Field(512, ge=1, description="images a step of the classifier")
    lr: float = Field(0.003, gt=0, description="learning rate of its SGD, without decay; falls along a cosine")
    momentum: float = Field(0.9, ge=0, lt=1, description="of its SGD")
    steps: int = Field(30, ge=1, description="signed descent steps on every perturbation, from a uniform start")
    step: float = Field(0.1, gt=0, le=2, description="length of a step in units of epsilon")
    weight: float = Field(
        0.9, ge=0, le=1, description="lambda, of the label's share in the objective; the rest hides the image"
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"epochs": 5, "steps": 10, "step": 0.2},
        "paper": {"layers": 1},
        "released": {},
    }
