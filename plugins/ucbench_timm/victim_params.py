"""Parameters of the victims: a training recipe and what may be chosen of the architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator

from ucbench import PAPER_RECIPES, QUICK_RECIPE, Recipe


class VictimParams(Recipe):
    """The recipe alone, with the literature's recipes as presets."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": QUICK_RECIPE,
        **PAPER_RECIPES,
    }


class ResNetParams(VictimParams):
    # At least 16: below, oneDNN's backward pass of a strided 1x1 convolution (the projections between stages)
    # writes out of bounds in channels-last layout, https://github.com/uxlfoundation/oneDNN/issues/6035.
    width: int = Field(64, ge=16, multiple_of=2, description="channels of the stem and of the first stage")


class VGGParams(VictimParams):
    width: int = Field(
        64, ge=16, multiple_of=2, description="channels of the first stage; the last two have 8 times as many"
    )


_PLAIN = {name: Recipe.model_fields[name].default for name in ("weight_decay", "warmup", "clip_norm")}


class ViTParams(VictimParams):
    """A transformer under SGD.

    The defaults follow the SGD recipe with which Dosovitskiy et al. (2021) fine-tune (rate 0.03, gradient
    norm at most 1), with a warm-up and some weight decay since training starts from scratch. The literature's
    presets are taken over unchanged: without warm-up or clipping unless they name it.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": QUICK_RECIPE,
        **{name: {**_PLAIN, **recipe} for name, recipe in PAPER_RECIPES.items()},
    }

    lr: float = Field(0.03, gt=0, description="peak learning rate")
    weight_decay: float = Field(1e-4, ge=0, description="coupled decay of all weights")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of all steps over which the rate rises from 0")
    clip_norm: float | None = Field(1.0, gt=0, description="largest gradient norm, or none")
    width: int = Field(384, ge=64, multiple_of=64, description="size of a token; one attention head per 64")
    depth: int = Field(12, ge=1, description="number of blocks")


class TimmVictimParams(VictimParams):
    argument: ClassVar[str | None] = "model"

    model: str = Field(description="timm's name of the architecture: vit_tiny_patch16_224")

    @field_validator("model")
    @classmethod
    def _names_no_weights(cls, model: str) -> str:
        architecture, dot, _ = model.partition(".")
        if dot:
            raise ValueError(f"{model!r} names pretrained weights, but a victim has none: write {architecture!r}")
        return model
