"""Parameters of SEP. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ucbench import Params, Recipe, check_milestones

_RELEASED: Mapping[str, Any] = {
    "checkpoints": 15,
    "epochs": 120,
    "milestones": (75, 90),
    "steps": 30,
    "step": 0.125,
    "inner": 15,
}


class SEPParams(Params):
    """Defaults are the ``standard`` preset."""

    argument: ClassVar[str | None] = "variant"

    variant: Literal["sep", "sep-fa", "sep-fa-vr"] = Field(
        "sep-fa-vr",
        description="cross-entropy with the other class; features near its mean; these with reduced variance of steps",
    )
    checkpoints: int = Field(5, ge=1, description="of the training, evenly spaced up to its end")
    epochs: int = Field(30, ge=1, description="passes of the surrogate over the clean images, cropped and flipped")
    batch: int = Field(128, ge=2, description="images a step; batches of a pass differ by at most one image")
    lr: float = Field(0.1, gt=0, description="learning rate of the surrogate's SGD")
    milestones: tuple[int, ...] = Field((19, 23), description="epochs after which it falls to a tenth: 75/90")
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0, description="coupled decay of all weights")
    steps: int = Field(10, ge=1, description="signed descent steps on every perturbation, from zero")
    step: float = Field(0.25, gt=0, le=2, description="length of a step in units of epsilon (official code: 1/255)")
    inner: int = Field(5, ge=1, description="draws of a checkpoint to reduce the variance of one step, M (sep-fa-vr)")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"checkpoints": 2, "epochs": 4, "milestones": (), "steps": 4, "step": 0.5, "inner": 2},
        "paper": _RELEASED,
        "released": _RELEASED,
    }
    surrogates: ClassVar[Mapping[str, str]] = dict.fromkeys(("paper", "released"), "resnet18:normalize=data")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.checkpoints > self.epochs:
            raise ValueError(f"checkpoints={self.checkpoints} must not exceed epochs={self.epochs}")
        check_milestones(self.milestones, self.epochs)
        return self

    @property
    def recipe(self) -> Recipe:
        """Epochs, batch and learning rates of the surrogate; the first epoch warms up from 0 (official code: 0.001)."""
        return Recipe(
            epochs=self.epochs,
            batch=self.batch,
            lr=self.lr,
            schedule="step",
            milestones=self.milestones,
            warmup=1 / self.epochs if self.epochs > 1 else 0.0,
        )

    @property
    def keep(self) -> tuple[int, ...]:
        """The epochs, from 1, whose weights are the checkpoints."""
        return tuple(self.epochs * number // self.checkpoints for number in range(1, self.checkpoints + 1))
