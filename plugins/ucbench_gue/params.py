"""Parameters of GUE. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from ucbench import Params

_RELEASED: Mapping[str, Any] = {"epochs": 50, "batch": 256, "steps": 10, "width": 64}


class GUEParams(Params):
    """Defaults are the ``standard`` preset."""

    epochs: int = Field(15, ge=1, description="passes over the images (official code: 50, of 196 steps)")
    batch: int = Field(128, ge=2, description="images a step; batches of a pass differ by at most one (code: 256)")
    steps: int = Field(3, ge=1, description="steps to the answer to the present perturbations, T (official code: 10)")
    step_lr: float = Field(1e-4, gt=0, description="learning rate of these, by Adam from scratch on the batch")
    eta: float = Field(1.5, gt=0, description="how much of the answer's condition a step must meet, relative to it")
    lr_generator: float = Field(0.1, gt=0, description="learning rate of the generator's plain gradient steps")
    lr_network: float = Field(0.01, gt=0, description="the same of the network")
    width: int = Field(16, ge=1, description="channels of the generator's first level (official code: 64)")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"epochs": 3, "steps": 2, "width": 8},
        "paper": _RELEASED,
        "released": _RELEASED,
    }
    surrogates: ClassVar[Mapping[str, str]] = {"paper": "resnet18", "released": "resnet18"}
