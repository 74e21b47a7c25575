"""Parameters of progressive staged training. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from ucbench import Params


class ProgressiveParams(Params):
    """Defaults are the ``standard`` preset."""

    stages: int = Field(4, ge=1, description="of training; in stage s of S the first s/S of the layers are slow")
    factor: float = Field(0.1, ge=0, le=1, description="on the learning rate of slow layers; 0 freezes them")
    free: float = Field(
        0.1, ge=0, lt=1, description="share of the epochs before the first stage, all layers at full rate"
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"standard": {}, "quick": {"stages": 2}}
