"""Parameters of TUE. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from ucbench import Params


class TUEParams(Params):
    """Defaults are the ``standard`` preset."""

    rounds: int = Field(
        10, ge=1, description="turns of training and perturbing (official code: 5 in each of 40 epochs)"
    )
    network_steps: int = Field(20, ge=1, description="steps of the contrastive network in a turn, M")
    batch: int = Field(256, ge=2, description="images a step, each in two views, and perturbed together")
    steps: int = Field(5, ge=1, description="signed descent steps on every perturbation, a turn")
    step: float = Field(0.1, gt=0, le=2, description="length of a step in units of epsilon")
    ssl_weight: float = Field(1.0, ge=0, description="weight of the contrastive loss, w; 0: no network is trained")
    csd_weight: float = Field(1.0, ge=0, description="weight of the class-wise separability discriminant, v")
    temperature: float = Field(0.5, gt=0, description="divides the cosines of views")
    projection: int = Field(128, ge=1, description="dimensions in which views are compared")
    crop: float = Field(0.08, gt=0, le=1, description="least area of a view as a share of the image")
    lr: float = Field(0.25, gt=0, description="learning rate of the network's SGD")
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0, description="coupled decay of all weights")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"rounds": 3, "network_steps": 5, "step": 0.3},
        "paper": {"rounds": 200, "batch": 512, "steps": 20, "lr": 0.5},
        "released": {"rounds": 200, "batch": 512, "steps": 20, "ssl_weight": 0.0, "csd_weight": 0.1},
    }
    surrogates: ClassVar[Mapping[str, str]] = dict.fromkeys(("paper", "released"), "resnet18")

    @model_validator(mode="after")
    def _has_an_objective(self) -> Self:
        if not self.ssl_weight and not self.csd_weight:
            raise ValueError("ssl_weight and csd_weight are both 0: there is nothing to minimise")
        return self
