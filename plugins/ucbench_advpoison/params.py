"""Parameters of poisoners that step against a fixed classifier. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ucbench import Params


class SignedStepsParams(Params):
    """How perturbations are stepped; the poisoner sets their aim."""

    steps: int = Field(60, ge=1, description="signed gradient steps for each image in every restart")
    step: float = Field(0.1, gt=0, le=2, description="length of a step as a fraction of epsilon")
    restarts: int = Field(1, ge=1, description="crafts of the whole set, of which that with the lowest loss is kept")
    start: Literal["normal", "zero"] = Field(
        "normal", description="first perturbation: epsilon times standard normal noise, clipped to +-epsilon; or none"
    )
    augment: bool = Field(
        True,
        description=(
            "shift the perturbed image by up to an eighth of its sides (bilinear, between pixels too) and mirror "
            "half of them, again at every step; mirrored only where the data set allows it"
        ),
    )
    batch: int = Field(
        500, ge=1, description="images on the device at once; but for rounding, it does not change the result"
    )

    @model_validator(mode="after")
    def _restarts_differ(self) -> Self:
        if self.restarts > 1 and self.start == "zero" and not self.augment:
            raise ValueError("restarts without a random start or augmentation are identical: set restarts=1")
        return self


#: The official code's steps.
_PAPER: Mapping[str, Any] = {"steps": 250, "step": 0.05, "restarts": 8}


class AdvPoisonParams(SignedStepsParams):
    """``rem`` takes step length and single run of the repository of Robust Unlearnable Examples (Fu et al., 2022)."""

    argument: ClassVar[str | None] = "goal"

    goal: Literal["targeted", "untargeted"] = Field(
        "targeted", description="towards the class assigned to the image's class, or away from the image's class"
    )
    permutation: Literal["shift", "random"] = Field(
        "shift", description="targets of the classes: y + offset modulo their number, or drawn without a fixed point"
    )
    offset: int = Field(1, description="of the shift; not a multiple of the number of classes")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"steps": 20},
        "paper": _PAPER,
        "rem": {**_PAPER, "step": 0.008, "restarts": 1},
    }
    surrogates: ClassVar[Mapping[str, str]] = {"paper": "trained@adv-poison"}


class HypoParams(SignedStepsParams):
    steps: int = Field(30, ge=1, description="signed gradient steps for each image in every restart")
    start: Literal["normal", "zero"] = Field(
        "zero", description="first perturbation: none, or epsilon times standard normal noise, clipped to +-epsilon"
    )
    augment: bool = Field(False, description="shift and mirror the perturbed image at every step, as adv-poison does")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"steps": 10},
        "paper": {"steps": 100, "step": 0.1},
    }
    surrogates: ClassVar[Mapping[str, str]] = {"paper": "trained@adv-poison"}
