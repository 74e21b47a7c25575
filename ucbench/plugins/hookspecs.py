"""The contract of plugins: every hook, with a complete example.

A plugin is a module that an entry point of the group ``ucbench`` names. Its hooks yield specs. They run whenever
components are listed, so a plugin module imports neither torch nor other heavy dependencies: a spec names its class
as ``"module:Class"``, which is imported when a cell needs it.
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
    """Yield data sets.

    ```python
    import ucbench

    @ucbench.hookimpl
    def ucbench_datasets():
        yield ucbench.DatasetSpec(
            name="shapes",
            summary="Coloured shapes, 32x32, 4 classes",
            load="my_plugin.shapes:Shapes",
            params="my_plugin.params:ShapesParams",
        )
    ```
    """
    return ()


@hookspec
def ucbench_surrogates() -> Iterable[SurrogateSpec]:
    """Yield models that poisoners optimise against.

    ```python
    import ucbench

    @ucbench.hookimpl
    def ucbench_surrogates():
        yield ucbench.SurrogateSpec(
            name="my-dino",
            summary="DINOv2 ViT-S/14, frozen",
            load="my_plugin.dino:Dino",
            requires=("transformers",),
            extra="my-plugin[dino]",
        )
    ```
    """
    return ()


@hookspec
def ucbench_poisoners() -> Iterable[PoisonerSpec]:
    """Yield poisoners: methods that turn images into a release.

    ```python
    import ucbench

    @ucbench.hookimpl
    def ucbench_poisoners():
        yield ucbench.PoisonerSpec(
            name="stripes",
            summary="The same stripes on every image",
            load="my_plugin.stripes:Stripes",
            granularity="universal",
        )
    ```
    """
    return ()


@hookspec
def ucbench_labelings() -> Iterable[LabelingSpec]:
    """Yield labelings: how an exploiter labels the images.

    ```python
    import ucbench

    @ucbench.hookimpl
    def ucbench_labelings():
        yield ucbench.LabelingSpec(
            name="parity",
            summary="Even or odd class",
            load="my_plugin.parity:Parity",
        )
    ```
    """
    return ()


@hookspec
def ucbench_defenses() -> Iterable[DefenseSpec]:
    """Yield defenses: what an exploiter does about a perturbation.

    ```python
    import ucbench

    @ucbench.hookimpl
    def ucbench_defenses():
        yield ucbench.DefenseSpec(
            name="blur",
            summary="Gaussian blur of the training images",
            load="my_plugin.blur:Blur",
            tier="T1",
            static=True,
        )
    ```
    """
    return ()


@hookspec
def ucbench_victims() -> Iterable[VictimSpec]:
    """Yield victims: architectures with a training recipe, or opaque trainers.

    ```python
    import ucbench

    @ucbench.hookimpl
    def ucbench_victims():
        yield ucbench.VictimSpec(
            name="my-net",
            summary="Three convolutions and a linear layer",
            load="my_plugin.net:Net",
            params="my_plugin.params:NetRecipe",
        )
    ```
    """
    return ()


@hookspec
def ucbench_metrics() -> Iterable[MetricSpec]:
    """Yield metrics: measures that a run adds with ``--metric``.

    ```python
    import ucbench

    @ucbench.hookimpl
    def ucbench_metrics():
        yield ucbench.MetricSpec(
            name="sharpness",
            summary="Largest curvature of the loss on test images",
            load="my_plugin.sharpness:Sharpness",
            reads=("model", "test"),
        )
    ```
    """
    return ()


@hookspec
def ucbench_executors() -> Iterable[ExecutorSpec]:
    """Yield executors: ways to compute many cells.

    ```python
    import ucbench

    @ucbench.hookimpl
    def ucbench_executors():
        yield ucbench.ExecutorSpec(
            name="cluster",
            summary="One job per cell on a cluster",
            load="my_plugin.cluster:Cluster",
        )
    ```
    """
    return ()


@hookspec
def ucbench_exporters() -> Iterable[ExporterSpec]:
    """Yield exporters: formats of leaderboards.

    ```python
    import ucbench

    @ucbench.hookimpl
    def ucbench_exporters():
        yield ucbench.ExporterSpec(
            name="org",
            summary="Tables for Org mode",
            load="my_plugin.org:Org",
        )
    ```
    """
    return ()


@hookspec
def ucbench_suites() -> Iterable[str | Path]:
    """Return paths of suites. A suite is named after its file.

    ```python
    from pathlib import Path

    import ucbench

    @ucbench.hookimpl
    def ucbench_suites():
        return [Path(__file__).parent / "my-suite.toml"]
    ```
    """
    return ()


@hookspec
def ucbench_cell_finished(event: CellEvent) -> None:
    """Called after a cell was computed and its record written; not for cells that were done already.

    ```python
    import ucbench

    @ucbench.hookimpl
    def ucbench_cell_finished(event):
        print(event.record["cell"], event.record["metrics"]["test_accuracy"])
    ```
    """


@hookspec
def ucbench_cell_failed(event: CellEvent) -> None:
    """Called after a cell failed; ``event.record["error"]`` has the type and text of its error.

    ```python
    import ucbench

    @ucbench.hookimpl
    def ucbench_cell_failed(event):
        error = event.record["error"]
        print(event.record["cell"], error["type"], error["text"])
    ```
    """
