"""Parameters of executors. Imports no torch."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ucbench.plugins.params import Params


class ProcessParams(Params):
    argument: ClassVar[str | None] = "workers"

    workers: int | None = Field(
        None, ge=1, description="processes; none: as many as fit the cores at the run's threads each, or one a device"
    )
    limit: float | None = Field(None, gt=0, description="seconds a cell may take, and a craft; none: no limit")
