"""Parameters of the core's components. Imports no torch."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ucbench.plugins.params import Params


class PositiveParams(Params):
    grid: int = Field(4, ge=1, description="blocks along each side of the pattern")


class ShuffledParams(Params):
    argument: ClassVar[str | None] = "poisoner"

    poisoner: str = Field(description="reference of the poisoner whose perturbations are shuffled")
