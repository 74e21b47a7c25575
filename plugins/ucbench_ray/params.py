"""Parameters of the executor. Imports neither torch nor ray."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from ucbench import Params


class RayParams(Params):
    argument: ClassVar[str | None] = "workers"

    workers: int | None = Field(None, ge=1, description="how many at once; none: as many as the cluster has room for")
    limit: float | None = Field(None, gt=0, description="seconds a cell may take, and a craft; none: no limit")
    cpus: int | None = Field(None, ge=1, description="processors a worker takes; none: the run's threads")
    gpus: float | None = Field(
        None, ge=0, description="GPUs a worker takes, 0.5 to share one; none: 1 on cuda, 0 elsewhere"
    )
    address: str | None = Field(
        None,
        description="of a cluster to join: auto, host:port or ray://host:port; none: one of this machine is started",
    )
    home: str | None = Field(
        None, description="folder of the store on the workers' machines; none: at the same path as here"
    )

    @field_validator("gpus")
    @classmethod
    def _whole_beyond_one(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise ValueError("a part of one GPU or whole ones")
        return gpus
