"""The contract for plugins: every hook, with an example.

A plugin is a module named by an entry point of the group ``ucbench`` (``ucbench_example = "ucbench_example"``). It
implements any of these hooks and *yields specs*. Hooks run at listing time, so a plugin module imports neither torch
nor its own heavy dependencies: specs point to classes lazily, as ``"module:Class"``.

    import ucbench

    @ucbench.hookimpl
    def ucbench_poisoners():
        yield ucbench.PoisonerSpec(
            name="stripes",
            summary="The same stripes on every image",
            load="ucbench_example.stripes:Stripes",
        )
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pluggy

from ucbench.plugins.specs import (
    CellEvent,
    DatasetSpec,
    DefenseSpec,
    ExecutorSpec,
    ExporterSpec,
    LabelingSpec,
    MetricSpec,
    PoisonerSpec,
    SurrogateSpec,
    VictimSpec,
)

PROJECT = "ucbench"
ENTRY_POINT_GROUP = "ucbench"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ucbench_datasets() -> Iterable[DatasetSpec]:
    """Yield data sets: ``yield DatasetSpec(name="shapes", summary="...", load="my_plugin.shapes:Shapes")``."""
    return ()


@hookspec
def ucbench_surrogates() -> Iterable[SurrogateSpec]:
    """Yield models that poisoners optimise against: ``yield SurrogateSpec(name="my-clip", load="...", ...)``."""
    return ()


@hookspec
def ucbench_poisoners() -> Iterable[PoisonerSpec]:
    """Yield makers of releases: ``yield PoisonerSpec(name="stripes", granularity="universal", load="...", ...)``."""
    return ()


@hookspec
def ucbench_labelings() -> Iterable[LabelingSpec]:
    """Yield ways in which an exploiter labels: ``yield LabelingSpec(name="parity", source="semantic", ...)``."""
    return ()


@hookspec
def ucbench_defenses() -> Iterable[DefenseSpec]:
    """Yield what exploiters do about a perturbation: ``yield DefenseSpec(name="blur", tier="T1", ...)``."""
    return ()


@hookspec
def ucbench_victims() -> Iterable[VictimSpec]:
    """Yield architectures with their training recipe: ``yield VictimSpec(name="my-net", load="...", ...)``."""
    return ()


@hookspec
def ucbench_metrics() -> Iterable[MetricSpec]:
    """Yield measures to ask for: ``yield MetricSpec(name="sharpness", reads=("model", "test"), load="...")``."""
    return ()


@hookspec
def ucbench_executors() -> Iterable[ExecutorSpec]:
    """Yield ways to compute cells: ``yield ExecutorSpec(name="cluster", load="my_plugin.cluster:Cluster")``."""
    return ()


@hookspec
def ucbench_exporters() -> Iterable[ExporterSpec]:
    """Yield formats of leaderboards: ``yield ExporterSpec(name="org", load="my_plugin.org:Org")``."""
    return ()


@hookspec
def ucbench_suites() -> Iterable[str | Path]:
    """Give paths of suites: ``return [Path(__file__).parent / "my-suite.toml"]``; the file's name is the suite's."""
    return ()


@hookspec
def ucbench_cell_finished(event: CellEvent) -> None:
    """Called after a cell's spec was written: ``print(event.spec["metrics"]["test_accuracy"])``."""


@hookspec
def ucbench_cell_failed(event: CellEvent) -> None:
    """Called after a cell failed: ``event.spec["error"]`` says why."""
