"""Parameters of error-minimising and error-maximising noise. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ucbench import Params

#: The official code's: 20 steps of 0.8/255 at epsilon 8/255. It bounds neither the sweeps nor their least number.
_RELEASED: Mapping[str, Any] = {"batch": 512, "steps": 20, "step": 0.1, "min_sweeps": 1, "max_sweeps": 100}
#: The official class-wise scripts': one step a batch.
_RELEASED_CLASS: Mapping[str, Any] = {**_RELEASED, "steps": 1, "stop_error": 0.1}
#: The defaults of PUE's official code: deviations of 0 to 1 in steps of 0.05. It does not bound the sweeps.
_RELEASED_NOISE: Mapping[str, Any] = {
    "stop_error": 0.5,
    "min_sweeps": 1,
    "max_sweeps": 100,
    "noise": 1.0,
    "levels": 21,
    "train_draws": 100,
    "draws": 10,
}
#: The published width, without normalisation, for the presets that follow a paper or a repository.
_PUBLISHED: Mapping[str, str] = dict.fromkeys(("paper", "released"), "resnet18")


class SurrogateTraining(Params):
    """How the surrogate learns, and how long a step on a perturbation is."""

    batch: int = Field(128, ge=2, description="images a step; batches of a pass differ by at most one image")
    lr: float = Field(0.1, gt=0, description="learning rate of the surrogate's SGD")
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0, description="coupled decay of all weights (official code: 5e-4)")
    clip_norm: float | None = Field(5.0, gt=0, description="largest gradient norm, or none")
    step: float = Field(0.2, gt=0, le=1, description="length of a signed step in units of epsilon (official code: 0.1)")


class SweepParams(SurrogateTraining):
    """The alternation of the surrogate's steps with sweeps over the perturbations, and when it ends."""

    network_steps: int = Field(10, ge=1, description="steps of the surrogate before a sweep over the perturbations, M")
    lr_drop_every: int | None = Field(
        None, ge=1, description="surrogate steps after which its learning rate falls to a tenth, each time"
    )
    steps: int = Field(
        5, ge=1, description="signed descent steps of a sweep on every perturbation, T (official code: 20)"
    )
    stop_error: float | None = Field(
        0.01,
        ge=0,
        le=1,
        description="share of misclassified perturbed images at which to stop; none: run all sweeps",
    )
    min_sweeps: int = Field(
        5, ge=1, description="sweeps before stop_error applies: on few images it can hold after the first"
    )
    max_sweeps: int = Field(20, ge=1, description="sweeps after which to end in any case, with a warning")
    legacy_positive_only: bool = Field(
        False,
        description=(
            "publish the positive half only, as the official data sets and notebook do by clamping the noise to "
            "[0, 255] before adding it; for reproduction, not for comparison"
        ),
    )

    @model_validator(mode="after")
    def _sweeps_fit(self) -> Self:
        if self.min_sweeps > self.max_sweeps:
            raise ValueError(f"min_sweeps={self.min_sweeps} must not exceed max_sweeps={self.max_sweeps}")
        return self


class EMinNParams(SweepParams):
    """Defaults are the ``standard`` preset."""

    turns: Literal["sweeps", "batches"] = Field(
        "sweeps",
        description=(
            "perturb all images after every network_steps steps; or each step's batch just before it, and all "
            "images once at the end (REM repository), where a sweep is only network_steps steps"
        ),
    )
    random_start: bool = Field(
        False, description="descend from uniform noise in the ball instead of from the perturbation so far"
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"network_steps": 5, "steps": 3, "min_sweeps": 2, "max_sweeps": 4},
        "paper": _RELEASED,
        "released": _RELEASED,
        "apbench": {"steps": 5, "step": 0.2, "min_sweeps": 1, "max_sweeps": 100},
        "rem": {
            "turns": "batches",
            "network_steps": 250,
            "min_sweeps": 20,
            "max_sweeps": 20,
            "stop_error": None,
            "steps": 10,
            "step": 0.2,
            "random_start": True,
            "lr_drop_every": 2000,
            "clip_norm": None,
        },
    }
    surrogates: ClassVar[Mapping[str, str]] = dict.fromkeys(("paper", "released", "apbench", "rem"), "resnet18")

    @model_validator(mode="after")
    def _batches_have_no_error(self) -> Self:
        if self.turns == "batches" and self.stop_error is not None:
            raise ValueError("turns=batches measures no error before the end: it needs stop_error=none")
        return self


class EMinNClassParams(SweepParams):
    """Defaults are the ``standard`` preset: the official class-wise setting at a smaller batch."""

    steps: int = Field(1, ge=1, description="signed descent steps on every batch, T")
    step: float = Field(0.1, gt=0, le=1, description="length of a signed step in units of epsilon")
    stop_error: float | None = Field(
        0.1,
        ge=0,
        le=1,
        description=(
            "share of misclassified perturbed images at which to stop; none: run all sweeps (official README: 0.1, "
            "scripts: 0.01)"
        ),
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"network_steps": 5, "min_sweeps": 2, "max_sweeps": 4},
        "paper": _RELEASED_CLASS,
        "released": _RELEASED_CLASS,
    }
    surrogates: ClassVar[Mapping[str, str]] = _PUBLISHED


class PUEParams(EMinNClassParams):
    """Defaults are the ``standard`` preset: a setting of this suite, with less noise, fewer levels and draws."""

    stop_error: float | None = Field(
        0.1,
        ge=0,
        le=1,
        description=(
            "share of misclassified perturbed images at which to stop, once a sweep had noise; none: run all sweeps "
            "(official code: 0.5)"
        ),
    )
    noise: float = Field(
        0.25, ge=0, description="largest standard deviation of the noise on the surrogate's weights (official code: 1)"
    )
    levels: int = Field(
        3, ge=2, description="deviations from 0 to noise, a step of optimisation for each (official code: 21)"
    )
    train_draws: int = Field(
        2, ge=1, description="draws of noise a level in a step of the surrogate (official code: 100)"
    )
    draws: int = Field(2, ge=1, description="draws of noise a level in a step on the perturbations (official code: 10)")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"network_steps": 5, "min_sweeps": 2, "max_sweeps": 4, "levels": 2, "train_draws": 1, "draws": 1},
        "paper": _RELEASED_NOISE,
        "released": _RELEASED_NOISE,
    }


class CertifiedParams(Params):
    """Defaults are the ``standard`` preset: a setting of this suite."""

    q: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="probability with which accuracies under noise keep to the bound (official code: 0.7)",
    )
    eta: float = Field(
        0.1,
        ge=0,
        description="furthest that the weights are moved, as the length of the change (official code: 0.001 to 2)",
    )
    sigma: float = Field(0.25, gt=0, description="standard deviation of the noise on the weights (official code: 0.1)")
    draws: int = Field(100, ge=1, description="draws of noise, N (official code: 10)")
    confidence: float = Field(0.99, gt=0, lt=1, description="with which the bound holds over the draws")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "released": {"q": 0.7, "sigma": 0.1, "draws": 10},
    }


class EMaxNParams(SurrogateTraining):
    """Defaults are the ``standard`` preset."""

    epochs: int = Field(20, ge=1, description="passes of the surrogate over the clean images")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="cosine falls to 0, moving at every step")
    steps: int = Field(20, ge=1, description="signed ascent steps on every perturbation")
    step: float = Field(0.1, gt=0, le=1, description="length of a signed step in units of epsilon")
    wanted_error: float = Field(
        0.9, ge=0, le=1, description="share of misclassified perturbed images that counts as reached; only reported"
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"epochs": 4, "steps": 5, "step": 0.3},
        "released": {"epochs": 60, "batch": 512},
    }
    surrogates: ClassVar[Mapping[str, str]] = {"released": "resnet18"}
