"""Parameters of PaddlePaddle's trainer. Imports neither torch nor paddle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from ucbench import Framework, FrameworkParams

PADDLE = Framework(
    "paddle", ("paddlepaddle", "paddlepaddle-gpu"), Path(__file__).with_name("worker.py"), "ucbench[paddle]"
)


class PaddleParams(FrameworkParams):
    """Which model, and what ``Model.fit`` gets."""

    framework: ClassVar[Framework] = PADDLE
    argument: ClassVar[str | None] = "model"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"epochs": 1},
        "fit": {"epochs": 1, "batch": 1},
    }

    model: str = Field("resnet18", description="a function of paddle.vision.models")
    epochs: int = Field(5, ge=1, description="passes over the training set")
    batch: int = Field(64, ge=1, description="images a step; the last batch of a pass may be smaller")

    @field_validator("model")
    @classmethod
    def _model_exists(cls, model: str) -> str:
        if model == "googlenet":
            raise ValueError("googlenet has three outputs, and Model.fit a loss for one. Use another model.")
        return cls.checked(model, filter(str.islower, PADDLE.exported("vision/models")))
