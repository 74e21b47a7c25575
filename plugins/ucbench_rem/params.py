"""Parameters of robust and stable error-minimising noise. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from ucbench import Params

#: The official code's for CIFAR: 10 steps of 1.6/255 and an adversary of 10 steps of 0.8/255 within 4/255.
_RELEASED: Mapping[str, Any] = {
    "network_steps": 5000,
    "lr_drop_every": 2000,
    "steps": 10,
    "step": 0.2,
    "samples": 5,
    "adversary_steps": 10,
    "adversary_step": 0.2,
}
_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "standard": {},
    "quick": {"network_steps": 60, "lr_drop_every": 24, "steps": 2, "step": 1.0, "adversary_steps": 2},
    "paper": _RELEASED,
    "released": _RELEASED,
    "imagenet": {
        **_RELEASED,
        "network_steps": 3000,
        "lr_drop_every": 1200,
        "steps": 7,
        "step": 0.25,
        "samples": 4,
        "adversary_steps": 7,
        "adversary_step": 0.25,
    },
}


class REMParams(Params):
    """Defaults are the ``standard`` preset. Both descents travel twice their radius, as the official code's do."""

    neutral: ClassVar[Mapping[str, Any]] = {"final_steps": None, "final_samples": None}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = _PRESETS
    surrogates: ClassVar[Mapping[str, str]] = dict.fromkeys(("paper", "released", "imagenet"), "resnet18")

    network_steps: int = Field(
        500, ge=1, description="steps of the surrogate, each on a batch that has just been perturbed"
    )
    batch: int = Field(128, ge=2, description="images a step; batches of a pass differ by at most one image")
    lr: float = Field(0.1, gt=0, description="first learning rate of the surrogate's SGD")
    lr_drop_every: int = Field(200, ge=1, description="steps after which it falls to a tenth, each time")
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0, description="coupled decay of all weights")
    steps: int = Field(4, ge=1, description="signed descent steps on a perturbation, from a uniform start every time")
    step: float = Field(0.5, gt=0, le=2, description="length of such a step in units of epsilon")
    samples: int = Field(1, ge=1, description="random crops and flips, each attacked on its own, per descent step")
    final_steps: int | None = Field(
        None,
        ge=1,
        description="descent steps on the published perturbations, over the same distance in all; none: `steps`",
    )
    final_samples: int | None = Field(None, ge=1, description="crops and flips per such step; none: `samples`")
    adversary: float = Field(0.5, ge=0, le=2, description="radius of the adversary, rho, in units of epsilon")
    adversary_steps: int = Field(3, ge=1, description="its signed ascent steps, from a uniform start")
    adversary_step: float = Field(0.667, gt=0, le=2, description="length of such a step in units of its radius")


class SEMParams(REMParams):
    """Defaults are the ``standard`` preset. The adversary acts on the surrogate's training alone."""

    adversary: float = Field(
        0.5, ge=0, le=2, description="radius of the random changes and of the adversary, rho, in units of epsilon"
    )
