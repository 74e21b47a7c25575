"""Parameters of the Trainer of transformers. Imports neither torch nor transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ucbench import Framework, FrameworkParams

TRANSFORMERS = Framework(
    "transformers", ("transformers",), Path(__file__).with_name("worker.py"), "ucbench[transformers]"
)

#: Side of a patch of ViT-Base, in pixels.
_PATCH = 16


class TransformersParams(FrameworkParams):
    """Which model, and what the Trainer gets."""

    framework: ClassVar[Framework] = TRANSFORMERS
    argument: ClassVar[str | None] = "model"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"epochs": 1},
        "full": {"size": 224, "base": True},
    }

    model: Literal["vit", "resnet"] = Field("vit", description="ViTConfig or ResNetConfig")
    epochs: int = Field(3, ge=1, description="passes over the training set")
    size: int | None = Field(
        None, ge=8, description="side of the square that the image processor makes; none: the images' shorter side"
    )
    base: bool = Field(False, description="whether `vit` is ViT-Base with patches of 16 pixels, instead of a small one")

    @property
    def smallest(self) -> int | None:
        """The shortest side of images that the model takes, in pixels."""
        return _PATCH if self.model == "vit" and self.base and self.size is None else None

    @model_validator(mode="after")
    def _holds_a_patch(self) -> Self:
        if self.model == "vit" and self.base and self.size is not None and self.size < _PATCH:
            raise ValueError(f"size={self.size} is less than a patch of ViT-Base; give size={_PATCH} or more")
        return self
