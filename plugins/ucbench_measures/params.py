"""Parameters of the measures. Imports no torch."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from ucbench import Params

EstimatorName = Literal["ksg", "histogram", "kernel", "mine", "gaussian"]


class PairParams(Params):
    """Which images are measured."""

    pairs: int = Field(2000, ge=10, description="how many images, drawn at random, are measured at most")


class FeatureParams(PairParams):
    """Which images are measured, and at which layer of the victim."""

    argument: ClassVar[str | None] = "layer"

    layer: str = Field(
        "penultimate",
        description="penultimate (the input of the last linear layer), input, logits, or the number of a convolution "
        "or linear layer in the order in which they run: 1 is the first, -1 the last",
    )
    split: Literal["train", "test"] = Field(
        "train", description="training images, or test images (which not every poisoner can perturb)"
    )

    @field_validator("layer")
    @classmethod
    def _is_a_layer_of_some_network(cls, layer: str) -> str:
        """Found before a victim is trained; how many layers it has is known only then."""
        if layer not in ("penultimate", "input", "logits") and not re.fullmatch(r"[-+]?0*[1-9][0-9]*", layer):
            raise ValueError(f"it is penultimate, input, logits, or a number such as 1 or -1, not {layer!r}")
        return layer


class InformationParams(FeatureParams):
    """Which images and features, along how many directions, and by which estimators."""

    projections: int = Field(128, ge=2, description="pairs of random directions that are averaged over")
    estimators: tuple[EstimatorName, ...] = Field(
        ("ksg", "histogram", "kernel", "mine", "gaussian"), min_length=1,
        description="k nearest neighbours, histogram, kernel density, a neural network, the Gaussian closed form",
    )  # fmt: skip


class ByLayerParams(PairParams):
    """Which images, along how many directions, and by which estimator."""

    split: Literal["train", "test"] = Field("train", description="training or test images")
    projections: int = Field(64, ge=2, description="pairs of random directions that are averaged over")
    estimator: EstimatorName = Field("ksg", description="as in mutual-information")
