"""Parameters of the surrogates. Weights enter a key by their content, never by where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from ucbench import QUICK_RECIPE, Params, sha256_of
from ucbench_timm.victim_params import ResNetParams
from ucbench_timm.weight_files import efficientnet_lite0_file


class EfficientNetLite0Params(Params):
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "levels": {"features": "levels"},
        "auto": {"features": "auto"},
    }

    size: int | None = Field(
        None,
        ge=32,
        description=(
            "side of the square, in pixels, to which images are resized; none: three times their longer side, but "
            "between 32 and 96, and 224 for pictures above 96"
        ),
    )
    features: Literal["penultimate", "levels", "auto"] = Field(
        "penultimate",
        description=(
            "the classifier's input, or that beside the fourth stage averaged over quadrants, each of length 1: shapes "
            "count as much as what ImageNet's classes tell apart; auto: "
            "levels for pictures below 16 px, else penultimate"
        ),
    )

    def identity(self) -> dict[str, Any]:
        """All fields, and the SHA-256 of the weights."""
        return {**super().identity(), "weights": sha256_of(efficientnet_lite0_file())}


class TimmSurrogateParams(Params):
    """A pretrained model of timm.

    Without ``checkpoint`` the model is named with the tag of its weights (``resnet50.tv_in1k``): the tag that
    a bare name stands for is timm's to change.
    """

    argument: ClassVar[str | None] = "model"

    model: str = Field(description="timm's name with the tag of the weights: resnet50.tv_in1k")
    checkpoint: Path | None = Field(None, description="a local file of weights, safetensors or torch's own")
    size: int | None = Field(
        None,
        ge=8,
        description="side of the square, in pixels, to which images are resized; none: the model's own",
    )

    @field_validator("checkpoint")
    @classmethod
    def _at_home(cls, checkpoint: Path | None) -> Path | None:
        return checkpoint and checkpoint.expanduser()

    @model_validator(mode="after")
    def _weights_are_named(self) -> Self:
        if self.checkpoint is None and "." not in self.model:
            raise ValueError(
                f"{self.model!r} leaves open which weights: add their tag, as in resnet50.tv_in1k"
                f" (timm.list_pretrained({self.model + '.*'!r}) lists them), or give checkpoint=PATH"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """``model`` and ``size``, and for a checkpoint the SHA-256 of the file."""
        values = self.model_dump(mode="json", exclude={"checkpoint"})
        if self.checkpoint is not None:
            values["weights"] = sha256_of(self.checkpoint)
        return values


class UntrainedParams(Params):
    """Width and normalisation of a ResNet-18; how it is trained is its poisoner's affair."""

    # At least 16 for the reason given at the victims' width.
    width: int = Field(64, ge=16, multiple_of=2, description="channels of the stem and of the first stage")
    normalize: Literal["data", "imagenet", "half", "none"] = Field(
        "none", description="per-channel mean and deviation inside the network: the training images', ImageNet's, ..."
    )


class TrainedParams(ResNetParams):
    """Recipe and width of a ResNet-18.

    The preset ``adv-poison`` trains as Fowl et al. do (Adversarial Examples Make Strong Poisons, NeurIPS
    2021, arXiv:2106.10807).
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": QUICK_RECIPE,
        "adv-poison": {
            "epochs": 40,
            "batch": 128,
            "lr": 0.1,
            "nesterov": True,
            "schedule": "step",
            "milestones": (15, 25, 35),
            "gamma": 0.1,
        },
    }
