"""The contract for plugins: every hook, with an example.

A plugin is a module named by an entry point of the group ``ucbench`` (``ucbench_example = "ucbench_example"``). It
implements any of these hooks and *yields records*. Hooks run at listing time, so a plugin module imports neither torch
nor its own heavy dependencies: records point to classes lazily, as ``"module:Class"``.

    import ucbench

    @ucbench.hookimpl
    def ucbench_poisoners():
        yield ucbench.PoisonerRecord(
            name="stripes",
            summary="The same stripes on every image",
            load="ucbench_example.stripes:Stripes",
        )
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pluggy

from ucbench.components import (
    CellEvent,
    DatasetRecord,
    DefenseRecord,
    ExecutorRecord,
    ExporterRecord,
    LabelingRecord,
    MetricRecord,
    PoisonerRecord,
    SurrogateRecord,
    VictimRecord,
)

PROJECT = "ucbench"
ENTRY_POINT_GROUP = "ucbench"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ucbench_datasets() -> Iterable[DatasetRecord]:
    """Yield data sets: ``yield DatasetRecord(name="shapes", summary="...", load="my_plugin.shapes:Shapes")``."""
    return ()


@hookspec
def ucbench_surrogates() -> Iterable[SurrogateRecord]:
    """Yield models that poisoners optimise against: ``yield SurrogateRecord(name="my-clip", load="...", ...)``."""
    return ()


@hookspec
def ucbench_poisoners() -> Iterable[PoisonerRecord]:
    """Yield makers of releases: ``yield PoisonerRecord(name="stripes", granularity="universal", load="...", ...)``."""
    return ()


@hookspec
def ucbench_labelings() -> Iterable[LabelingRecord]:
    """Yield ways in which an exploiter labels: ``yield LabelingRecord(name="parity", source="semantic", ...)``."""
    return ()


@hookspec
def ucbench_defenses() -> Iterable[DefenseRecord]:
    """Yield what exploiters do about a perturbation: ``yield DefenseRecord(name="blur", tier="T1", ...)``."""
    return ()


@hookspec
def ucbench_victims() -> Iterable[VictimRecord]:
    """Yield architectures with their training recipe: ``yield VictimRecord(name="my-net", load="...", ...)``."""
    return ()


@hookspec
def ucbench_metrics() -> Iterable[MetricRecord]:
    """Yield measures to ask for: ``yield MetricRecord(name="sharpness", reads=("model", "test"), load="...")``."""
    return ()


@hookspec
def ucbench_executors() -> Iterable[ExecutorRecord]:
    """Yield ways to compute cells: ``yield ExecutorRecord(name="cluster", load="my_plugin.cluster:Cluster")``."""
    return ()


@hookspec
def ucbench_exporters() -> Iterable[ExporterRecord]:
    """Yield formats of leaderboards: ``yield ExporterRecord(name="org", load="my_plugin.org:Org")``."""
    return ()


@hookspec
def ucbench_suites() -> Iterable[str | Path]:
    """Give paths of suites: ``return [Path(__file__).parent / "my-suite.toml"]``; the file's name is the suite's."""
    return ()


@hookspec
def ucbench_cell_finished(event: CellEvent) -> None:
    """Called after a cell's record was written: ``print(event.record["metrics"]["test_accuracy"])``."""


@hookspec
def ucbench_cell_failed(event: CellEvent) -> None:
    """Called after a cell failed: ``event.record["error"]`` says why."""
