"""Parameters of EntF. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ucbench import Params, Recipe, check_milestones

_RELEASED: Mapping[str, Any] = {
    "epochs": 100,
    "milestones": (75, 90),
    "adversary_steps": 10,
    "adversary_step": 0.5,
    "steps": 300,
    "step": 0.05,
}


class EntFParams(Params):
    """Defaults are the ``standard`` preset."""

    argument: ClassVar[str | None] = "goal"

    goal: Literal["push", "pull"] = Field(
        "push", description="away from the class's own centre, or to the nearest of another class"
    )
    epochs: int = Field(20, ge=1, description="passes of adversarial training over the clean images")
    batch: int = Field(128, ge=2, description="images a step; batches of a pass differ by at most one image")
    lr: float = Field(0.1, gt=0, description="learning rate of the surrogate's SGD")
    milestones: tuple[int, ...] = Field((15, 18), description="epochs after which it falls to a tenth: 75/90")
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0, description="coupled decay of all weights")
    adversary: float = Field(0.5, ge=0, le=2, description="radius of the adversary in units of epsilon")
    adversary_steps: int = Field(3, ge=0, description="its signed ascent steps, from a uniform start")
    adversary_step: float = Field(0.667, gt=0, le=2, description="length of such a step in units of its radius")
    steps: int = Field(50, ge=1, description="signed steps on every perturbation, from clipped normal noise")
    step: float = Field(0.1, gt=0, le=2, description="length of such a step in units of epsilon")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"epochs": 4, "milestones": (), "steps": 10, "step": 0.3},
        "paper": _RELEASED,
        "released": _RELEASED,
    }
    surrogates: ClassVar[Mapping[str, str]] = dict.fromkeys(("paper", "released"), "resnet18")

    @model_validator(mode="after")
    def _milestones_fit(self) -> Self:
        check_milestones(self.milestones, self.epochs)
        return self

    @property
    def recipe(self) -> Recipe:
        """Epochs, batch and learning rates of the surrogate."""
        return Recipe(epochs=self.epochs, batch=self.batch, lr=self.lr, schedule="step", milestones=self.milestones)
