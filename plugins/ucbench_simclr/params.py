"""Parameters of SimCLR, as an exploiter and as a surrogate. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from ucbench import Params, Recipe

#: Appendix B.9 of the paper; one of the three rates that it tries, and its best batch.
_PAPER: Mapping[str, Any] = {
    "width": 64,
    "epochs": 1000,
    "batch": 1024,
    "lr": 1.0,
    "weight_decay": 1e-6,
    "warmup": 0.01,
    "crop": 0.08,
}
#: The evaluation that BridgePure reports and that AUE's code published.
_BRIDGEPURE: Mapping[str, Any] = {
    "width": 64,
    "epochs": 1000,
    "batch": 512,
    "lr": 0.5,
    "weight_decay": 1e-4,
    "warmup": 0.01,
    "crop": 0.08,
}
_QUICK: Mapping[str, Any] = {"epochs": 4, "batch": 64}


class EncoderParams(Params):
    """How an encoder is trained without labels.

    ``standard`` is the published procedure cut to two cores: a quarter of the width, 20 passes instead of 1,000,
    batches of 128 images (254 negatives) with BridgePure's rate scaled to them, and crops that spare short trainings
    the smallest views. None of it was tuned on results. ``paper`` has the settings of the paper's CIFAR-10 experiments
    (appendix B.9), ``bridgepure`` those of BridgePure's evaluation. Of UC's code only the model is published: ``uc`` is
    ``standard`` at its temperature.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": _QUICK,
        "paper": _PAPER,
        "bridgepure": _BRIDGEPURE,
        "uc": {"temperature": 0.07},
    }

    # At least 16: below, oneDNN's backward pass of a strided 1x1 convolution in channels-last layout writes out of
    # bounds, https://github.com/uxlfoundation/oneDNN/issues/6035.
    width: int = Field(16, ge=16, multiple_of=2, description="channels of the stem and of the first stage")
    projection: int = Field(128, ge=1, description="dimensions in which views are compared")
    temperature: float = Field(0.5, gt=0, description="divides the cosines of views (UC's code: 0.07)")
    epochs: int = Field(20, ge=1, description="passes over the images")
    batch: int = Field(128, ge=2, description="images a step, each in two views")
    lr: float = Field(0.125, gt=0, description="peak learning rate of SGD; falls to 0 along a cosine")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(1e-4, ge=0, description="coupled decay of all weights")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of all steps over which the rate rises from 0")
    crop: float = Field(0.2, gt=0, le=1, description="least area of a view as a share of the image (paper: 0.08)")
    strength: float | None = Field(
        None,
        ge=0,
        le=1.25,
        description="of the colour jitter; none: 0.5 up to 64 px and 1 above, as in the paper for CIFAR and ImageNet",
    )

    @property
    def recipe(self) -> Recipe:
        """Batches and learning rates of the contrastive training."""
        return Recipe(epochs=self.epochs, batch=self.batch, lr=self.lr, warmup=self.warmup)


class SimCLRParams(EncoderParams):
    """How an encoder is trained without labels, and a linear probe on it with those of the trusted set.

    The probe's passes and rates are published ones in every preset (BridgePure; AUE's code). Its batch is smaller than
    the published 512, since trusted sets are: ``bridgepure`` has that too.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **EncoderParams.presets,
        "bridgepure": {**_BRIDGEPURE, "probe_batch": 512},
    }

    probe_epochs: int = Field(100, ge=1, description="passes over the trusted set")
    probe_batch: int = Field(64, ge=1, description="trusted images a step")
    probe_lr: float = Field(1.0, gt=0, description="first learning rate of the probe's SGD, momentum 0.9, no decay")
    probe_milestones: tuple[int, ...] = Field(
        (60, 75, 90), description="passes after which the rate is multiplied by probe_gamma: 60/75/90"
    )
    probe_gamma: float = Field(0.2, gt=0, le=1)

    @model_validator(mode="after")
    def _milestones_fit(self) -> Self:
        marks = self.probe_milestones
        if any(mark >= self.probe_epochs for mark in marks) or list(marks) != sorted(set(marks)):
            raise ValueError(f"probe_milestones {marks} must rise and lie below probe_epochs={self.probe_epochs}")
        return self

    @property
    def probe_recipe(self) -> Recipe:
        """Batches and learning rates of the linear probe."""
        return Recipe(
            epochs=self.probe_epochs,
            batch=self.probe_batch,
            lr=self.probe_lr,
            schedule="step",
            milestones=self.probe_milestones,
            gamma=self.probe_gamma,
        )
