"""Parameters of AUE and AAP. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from ucbench import Params, Recipe

_STRENGTH = (
    "of the views: least area 1 - 0.9 s, jitter 0.4 s (hue 0.1 s) with probability 0.8 s, grey with 0.2 s; 0: no views"
)
#: Of the presets with published settings.
_PUBLISHED: Mapping[str, str] = dict.fromkeys(("paper", "released", "cifar100"), "resnet18")


class AUEParams(Params):
    """Defaults are the ``standard`` preset."""

    strength: float = Field(0.6, ge=0, le=1, description=f"s {_STRENGTH} (official code: 0.6, on CIFAR-100 1)")
    epochs: int = Field(
        20, ge=1, description="rounds of one pass of training, one of perturbing (official code: 60, of 391 batches)"
    )
    batch: int = Field(128, ge=2, description="images a step; batches of a pass differ by at most one image")
    steps: int = Field(5, ge=1, description="signed descent steps on every perturbation, a round")
    step: float = Field(0.1, gt=0, le=2, description="length of a step in units of epsilon")
    lr: float = Field(
        0.1, gt=0, description="learning rate of the surrogate's SGD in the first round; falls by a cosine"
    )
    final_lr: float = Field(1e-6, ge=0, description="where the cosine ends, one round after the last")
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0, description="coupled decay of all weights")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"epochs": 4, "step": 0.3},
        "paper": {"epochs": 60},
        "released": {"epochs": 60},
        "cifar100": {"epochs": 60, "strength": 1.0},
    }
    surrogates: ClassVar[Mapping[str, str]] = _PUBLISHED


class AAPParams(Params):
    """Defaults are the ``standard`` preset."""

    argument: ClassVar[str | None] = "goal"

    goal: Literal["targeted", "untargeted"] = Field(
        "targeted", description="towards the class after the image's own, or away from its own"
    )
    train_strength: float = Field(0.4, ge=0, le=1, description=f"s {_STRENGTH}; in training (CIFAR-100: 0.8)")
    craft_strength: float = Field(0.4, ge=0, le=1, description="the same, while perturbing")
    epochs: int = Field(20, ge=1, description="passes of the surrogate over the clean images (code: 40, of 391 steps)")
    batch: int = Field(128, ge=2, description="images a step; batches of a pass differ by at most one image")
    lr: float = Field(
        0.5, gt=0, description="peak learning rate of its SGD; falls along a cosine to 0 (official code: 1e-6)"
    )
    warmup: float = Field(0.25, ge=0, lt=1, description="share of its steps over which the rate rises from 0")
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0, description="coupled decay of all weights")
    steps: int = Field(50, ge=1, description="signed steps on every perturbation, from zero (official code: 250)")
    travel: float = Field(2.5, gt=0, description="length of all steps together in units of epsilon")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"epochs": 4, "lr": 0.1, "steps": 10},
        "paper": {"epochs": 40, "steps": 250},
        "released": {"epochs": 40, "steps": 250},
        "cifar100": {"epochs": 40, "steps": 250, "train_strength": 0.8, "craft_strength": 0.8},
    }
    surrogates: ClassVar[Mapping[str, str]] = _PUBLISHED

    @property
    def recipe(self) -> Recipe:
        """Epochs, batch and learning rates of the surrogate."""
        return Recipe(epochs=self.epochs, batch=self.batch, lr=self.lr, warmup=self.warmup)
