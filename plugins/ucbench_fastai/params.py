"""Parameters of fastai's vision learner. Imports neither torch nor fastai."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from ucbench import Framework, FrameworkParams

FASTAI = Framework("fastai", ("fastai",), Path(__file__).with_name("worker.py"), "ucbench[fastai]")


class FastaiParams(FrameworkParams):
    """Which model, and what ``fit_one_cycle`` gets."""

    framework: ClassVar[Framework] = FASTAI
    argument: ClassVar[str | None] = "model"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {"epochs": 1}}

    model: Literal["resnet18", "resnet34", "resnet50", "squeezenet1_0", "densenet121", "vgg16_bn", "alexnet"] = Field(
        "resnet18", description="an architecture that fastai.vision.all names"
    )
    epochs: int = Field(5, ge=1, description="passes over the training set")
