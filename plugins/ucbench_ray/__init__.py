"""Cells computed on a Ray cluster: one started on this machine for the run, or one that exists already.

Ray: P. Moritz et al.: Ray: A Distributed Framework for Emerging AI Applications. OSDI 2018. arXiv 1712.05889.
"""

from __future__ import annotations

from collections.abc import Iterator

from ucbench import ExecutorSpec, hookimpl


@hookimpl
def ucbench_executors() -> Iterator[ExecutorSpec]:
    yield ExecutorSpec(
        name="ray",
        summary="Workers on a Ray cluster, a local one unless address= joins another: ray:workers=2",
        load="ucbench_ray.executor:OnRay",
        params="ucbench_ray.params:RayParams",
        sample="workers=2",
        remote=True,
        requires=("ray",),
        extra="ucbench[ray]",
    )
