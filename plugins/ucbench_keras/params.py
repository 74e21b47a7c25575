"""Parameters of Keras's trainer. Imports neither torch nor keras."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from ucbench import Framework, FrameworkParams

KERAS = Framework("keras", ("keras",), Path(__file__).with_name("worker.py"), "ucbench[keras]")
CONVNET = "convnet"


class KerasParams(FrameworkParams):
    """Which model, and what ``fit()`` gets."""

    framework: ClassVar[Framework] = KERAS
    argument: ClassVar[str | None] = "model"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {"epochs": 1}, "fit": {"epochs": 1}}

    model: str = Field(CONVNET, description=f"{CONVNET}, or a function of keras.applications, such as ResNet50")
    epochs: int = Field(15, ge=1, description="passes over the training set")

    @field_validator("model")
    @classmethod
    def _model_exists(cls, model: str) -> str:
        functions = [name for name in KERAS.exported("applications") if name[0].isupper()]
        return cls.checked(model, [CONVNET, *functions] if functions else ())
