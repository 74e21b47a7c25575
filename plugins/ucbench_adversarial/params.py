"""Parameters of adversarial training. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ucbench import Params, UsageError

#: Default radius: 8/255, and Madry et al.'s 0.5 for images of 32 pixels.
_RADII: Mapping[str, float] = {"linf": 8.0, "l2": 0.5}


class AttackParams(Params):
    """The ball that adversarial examples are sought in."""

    argument: ClassVar[str | None] = "epsilon"

    norm: Literal["linf", "l2"] = Field("linf", description="of the ball that adversarial examples are sought in")
    epsilon: float = Field(
        8.0, gt=0, description="its radius: 8-bit units for linf, the [0, 1] scale for l2 (there 0.5 by default)"
    )

    @model_validator(mode="before")
    @classmethod
    def _radius_of_the_norm(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("norm") in _RADII:
            return {"epsilon": _RADII[values["norm"]], **values}
        return values

    @model_validator(mode="after")
    def _radius_in_its_units(self) -> Self:
        if self.norm == "linf" and not 1 <= self.epsilon <= 255:
            raise ValueError(f"a linf epsilon is in 8-bit units, 1 to 255, not {self.epsilon:g}")
        return self

    @classmethod
    def resolve(
        cls,
        label: str,
        preset: str | None = None,
        argument: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """As for every component; refuses to take a preset's radius for one of another norm."""
        params = super().resolve(label, preset, argument, options)
        values = cls.presets.get(preset or "", {})
        is_given = argument is not None or "epsilon" in (options or {})
        if "epsilon" in values and not is_given and params.norm != values.get("norm", "linf"):
            raise UsageError(f"{label}: preset {preset!r} has an epsilon of another norm, give one of {params.norm}.")
        return params


class AdversarialTrainingParams(AttackParams):
    """Defaults are the ``standard`` preset: ten steps of 2/255 within linf 8/255 from a uniform start."""

    steps: int = Field(10, ge=1, description="gradient steps of the attack")
    step: float = Field(0.25, gt=0, description="length of a step in units of epsilon (0.25 of 8/255 is 2/255)")
    start: Literal["uniform", "gaussian"] = Field(
        "uniform", description="first perturbation: uniform in the ball, or Gaussian of deviation 0.001 per value"
    )
    attack_mode: Literal["eval", "train"] = Field(
        "eval",
        description=(
            "of the model while it is attacked: eval (batch norm uses its running statistics and leaves them alone) or "
            "train (it uses those of the attacked batch, and the running ones move at every step)"
        ),
    )
    objective: Literal["cross-entropy", "trades"] = Field(
        "cross-entropy",
        description=(
            "what is learnt: the adversarial examples' targets; or the clean images' targets, and equal predictions "
            "for both"
        ),
    )
    beta: float = Field(6.0, ge=0, description="weight of the agreement of predictions, for objective=trades")
    through: bool = Field(
        False,
        description=(
            "whether the attack goes through the augmentations of the chain, drawn anew at every step, so that the "
            "ball lies around the images before them; otherwise it lies around the augmented images"
        ),
    )

    neutral: ClassVar[Mapping[str, Any]] = {"through": False}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"steps": 3, "step": 0.5},
        # One step length, 2/255, for all four radii.
        "mi-ue-2": {"epsilon": 2.0, "step": 1.0},
        "mi-ue-4": {"epsilon": 4.0, "step": 0.5},
        "mi-ue-6": {"epsilon": 6.0, "step": 2 / 6},
        "mi-ue-8": {"epsilon": 8.0, "step": 0.25},
        "rem": {"epsilon": 4.0, "step": 0.2},
        # The radii of CUDA's evaluation; steps are those of `standard`.
        "l2-0.25": {"norm": "l2", "epsilon": 0.25},
        "l2-0.5": {"norm": "l2", "epsilon": 0.5},
        "l2-0.75": {"norm": "l2", "epsilon": 0.75},
        "fast": {"steps": 1, "step": 1.25, "attack_mode": "train"},
        "trades": {"objective": "trades", "start": "gaussian", "step": 0.226},
    }


class RobustAccuracyParams(AttackParams):
    """The attack at evaluation; defaults are PGD-20 within linf 8/255 in steps of 0.8/255."""

    steps: int = Field(20, ge=1, description="gradient steps")
    step: float = Field(0.1, gt=0, description="length of a step in units of epsilon")
    restarts: int = Field(1, ge=1, description="attacks on every image, each from another start")
    images: int = Field(1000, ge=1, description="how many test images, drawn at random, are attacked at most")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"standard": {}, "quick": {"steps": 3, "step": 0.5}}
