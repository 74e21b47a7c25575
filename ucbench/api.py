"""The Python API, which the command line uses too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ucbench.data.budget import Budget, parse_epsilon
from ucbench.errors import UsageError
from ucbench.matrix.axes import AXES, AXIS
from ucbench.matrix.cell import Cell, Craft, CraftLabels
from ucbench.matrix.compatibility import check_surrogate
from ucbench.matrix.matrix import Axes, dedup_key, expand, native_budget
from ucbench.numerics import resolve
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import ExecutorSpec, PoisonerSpec, SurrogateSpec
from ucbench.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from ucbench.matrix.suite import Suite
    from ucbench.results.records import Record
    from ucbench.running.runner import Rerun
    from ucbench.session import Session

#: The model behind predicted classes and clusters where craft labels name none; UC's surrogate too.
DEFAULT_LABELER = "efficientnet-lite0@auto"

Texts = str | Sequence[str]
Numbers = str | float | Sequence[str | float]


def axes(
    *,
    poisoner: Texts = AXIS["poisoner"].default,
    dataset: Texts = AXIS["dataset"].default,
    surrogate: Texts = AXIS["surrogate"].default,
    craft_labels: Texts = AXIS["craft_labels"].default,
    labeling: Texts = AXIS["labeling"].default,
    defense: Texts = AXIS["defense"].default,
    victim: Texts = AXIS["victim"].default,
    epsilon: Numbers = AXIS["epsilon"].default,
    mixture: Numbers = AXIS["mixture"].default,
    trusted: Numbers = AXIS["trusted"].default,
    metric: Texts = AXIS["metric"].default,
    seed: str | int | None = None,
    craft_seed: str | int | None = None,
    train_seed: str | int | None = None,
    schedule: str | float = AXIS["schedule"].default,
) -> Axes:
    """Build a request; every axis takes one value or several. All metrics are measured of every cell.

    ``seed`` ("0-2", "0,4") sets craft and train seed pairwise; ``craft_seed`` and ``train_seed`` cross. Epsilon is the
    linf radius in 8-bit units: ``8`` or ``"8/255"``. ``schedule`` multiplies the epochs of every victim. See
    :data:`ucbench.matrix.axes.AXES`.

    Raises:
        UsageError: for seeds given both ways, or values that cannot be read.
    """
    given = locals()
    if seed is not None and (craft_seed is not None or train_seed is not None):
        raise UsageError("Give either --seed, which sets both seeds pairwise, or --craft-seed and --train-seed.")
    if craft_seed is None and train_seed is None:
        pairs = [(one, one) for one in AXIS["seed"].read(0 if seed is None else seed)]
    else:
        crafts, trains = (AXIS["seed"].read(0 if one is None else one) for one in (craft_seed, train_seed))
        pairs = [(craft, train) for craft in crafts for train in trains]
    request = {axis.request: given[axis.name] for axis in AXES if axis.request}
    return Axes(**request, labeler=DEFAULT_LABELER, seeds=pairs)


def session(
    *,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    home: Path | None = None,
    progress: Progress | None = None,
) -> Session:
    """The installed plugins on this machine's arithmetic; ``home`` defaults to UCBENCH_HOME."""
    from ucbench.session import Session
    from ucbench.store.store import Store

    return Session(Store(home), resolve(device, dtype, threads), progress, installed())


def run(
    *,
    out: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    executor: str = "serial",
    rerun: Rerun = "failed",
    **axis: Any,
) -> pd.DataFrame:
    """Run the cross product of the axes (see :func:`axes`) and return one row a cell, references included.

    ``executor="process:workers=2"`` computes them by two processes: from a script, under ``if __name__ == "__main__"``.

    >>> ucbench.run(poisoner="uc", victim="resnet18", seed="0-2")  # doctest: +SKIP

    Raises:
        UsageError: for names or values that do not exist; failed cells raise nothing and have status ``failed``.
    """
    from ucbench.results.table import columns, rows

    here = session(device=device, dtype=dtype, threads=threads, progress=progress)
    folder = Path(out) if out is not None else None
    records = run_session(cells_of(axes(**axis), here), here, out=folder, executor=executor, rerun=rerun)
    table = rows(records)
    return table[columns(table)].infer_objects()


def cells_of(request: Axes, here: Session) -> list[Cell]:
    """The cells of a request, references included."""
    return expand(request, here.registry)


def suite_cells(suite: Suite, here: Session, *, shard: str | None = None, **axis: Any) -> list[Cell]:
    """The cells of a suite, references included; ``axis`` replaces axes in all its tables.

    Args:
        shard: such as ``3/16``: that part of the cells, those that share a release together.

    Raises:
        UsageError: for names or values that do not exist or do not fit together.
    """
    from ucbench.matrix.compatibility import is_oracle
    from ucbench.matrix.suite import shard as part_of

    for defense in suite.file.ranking.defenses:
        if is_oracle(defense, here.registry):
            raise UsageError(
                f"Suite {suite.path}: ranking.defenses names {defense}, which sees more than exploiters do."
            )
    found: dict[str, Cell] = {}
    for request in suite.requests(axis):
        for cell in expand(axes(**request), here.registry, suite.keeps):
            found.setdefault(dedup_key(cell), cell)
    cells = list(found.values())
    return cells if shard is None else part_of(cells, shard)


def suite(name: str) -> Suite:
    """The suite of that name, from ucbench, a plugin or a file ``name.toml``.

    Raises:
        UsageError: if there is none, or its file is wrong.
    """
    from ucbench.matrix.suite import find_suite

    return find_suite(name, suites()[0])


def suites() -> tuple[dict[str, Path], list[str]]:
    """The files of all suites by name, and one sentence for every plugin whose suites could not be had."""
    from ucbench.matrix.suite import shipped_suites
    from ucbench.plugins.manager import suite_paths

    brought, problems = suite_paths(installed().plugins)
    return {**brought, **shipped_suites()}, problems


def run_session(
    cells: Sequence[Cell],
    here: Session,
    *,
    out: Path | None = None,
    executor: str = "serial",
    rerun: Rerun = "failed",
) -> list[Record]:
    """Run cells in a session; with ``out``, write records, results.csv and a picture sheet a release there.

    Args:
        executor: component reference of what computes them, such as ``process:workers=2``.
        rerun: what is computed again, see :func:`ucbench.running.runner.run_cells`.
    """
    how = here.registry.resolve(ExecutorSpec, executor)
    # Not before: a wrong request should fail without the seconds that importing torch takes.
    from ucbench.results.records import read_records
    from ucbench.results.table import rows, write_csv
    from ucbench.running.runner import run_cells

    records = run_cells(cells, here, out=out, executor=how.build(), rerun=rerun)
    if out is not None:
        write_csv(out, rows(read_records(out)))
        _write_sheets(cells, records, out, here)
    return records


def _write_sheets(cells: Iterable[Cell], records: Iterable[Record], out: Path, here: Session) -> None:
    from ucbench.crafting.release import Release
    from ucbench.export.sheet import write_sheet

    for cell, record in zip(cells, records, strict=True):
        key = record["release"]
        if key is None or cell.craft.is_reference or record["status"] != "ok":
            continue
        path = out / "sheets" / f"{cell.craft.poisoner.spec.name}-{key[:12]}.png"
        stored = None if path.exists() else here.store.get("release", key)
        if stored is not None:
            release = Release.from_arrays(stored.arrays, stored.meta)
            craft = f"{cell.craft.poisoner} | {cell.craft.budget} | craft seed {cell.craft.seed}"
            write_sheet(path, here.protected(cell).images, release, f"{cell.dataset} | {craft}")


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a plan.

    Attributes:
        done: whether its record is in the store or the result folder.
        release_done: whether its release is there, or crafted by an earlier cell of the plan.
        seconds: predicted for what is missing, from what such work took on this machine before; None if it never did.
    """

    cell: Cell
    key: str
    done: bool
    release_done: bool
    seconds: float | None


def plan(
    *,
    out: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    **axis: Any,
) -> list[PlannedCell]:
    """The cells a run of these axes would have, and which are done.

    Computes nothing, but loads the data, whose fingerprints the keys need.
    """
    here = session(device=device, dtype=dtype, threads=threads)
    return plan_session(cells_of(axes(**axis), here), here, out=Path(out) if out is not None else None)


def plan_session(
    cells: Sequence[Cell], here: Session, *, out: Path | None = None, probe: bool = False
) -> list[PlannedCell]:
    """As :func:`plan`, of these cells in a session.

    Args:
        probe: time two steps of every kind of training that was never done on this machine.
    """
    from ucbench.running.estimate import predicted, probe_training, training_work
    from ucbench.running.tasks import finished, task_of

    planned, crafted = [], set()
    for cell in cells:
        task = task_of(cell, here)
        key, release_key = task.key, task.release_key
        done = finished(task, here, out) is not None
        has_release = (
            release_key is None or release_key in crafted or here.store.get("release", release_key) is not None
        )
        crafted.add(release_key)
        if probe and not done:
            train = here.data(cell).train
            work = training_work(cell, len(train), train.size, here.numerics)
            here.timings.assume(work, partial(probe_training, cell, here))
        seconds = 0.0 if done else predicted(task, here, crafts=not has_release)
        planned.append(PlannedCell(cell, key, done, has_release, seconds))
    return planned


def craft(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    poisoner: str,
    *,
    surrogate: str | None = None,
    epsilon: str | float | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """Perturb images: uint8 ``[N, 3, H, W]`` to the release, uint8 of the same shape. The release is not stored.

    >>> release = ucbench.craft(images, None, "uc", epsilon=16)  # doctest: +SKIP

    Args:
        labels: int64 ``[N]``, or None for poisoners that read none.
        epsilon: linf radius in 8-bit units; the poisoner's own by default.

    Raises:
        UsageError: for unknown names, a surrogate that does not fit, or a label-based poisoner without labels.
        ContractError: if the poisoner returned what its contract forbids.
    """
    from ucbench.crafting.craft import craft_labels, craft_release
    from ucbench.crafting.release import materialise
    from ucbench.data.imageset import ImageSet

    here = session(device=device, dtype=dtype, threads=threads, progress=progress)
    chosen = here.registry.resolve(PoisonerSpec, poisoner)
    spec = chosen.spec
    if labels is None and spec.label_access != "none":
        raise UsageError(f"Poisoner {spec.name!r} is label-based and needs labels.")
    budget = native_budget(spec, chosen.params)
    if budget.norm == "linf" and epsilon is not None:
        budget = Budget("linf", parse_epsilon(str(epsilon)))
    named = here.registry.resolve(SurrogateSpec, surrogate or spec.surrogate) if spec.surrogate else None
    check_surrogate(spec, named)
    source = "none" if spec.label_access == "none" else "original"
    request = Craft(chosen, named, CraftLabels(source), budget, seed)
    classes = () if labels is None else tuple(str(k) for k in range(int(labels.max()) + 1))
    train = ImageSet(images, labels, classes, name="images")
    release = craft_release(request, train, craft_labels(request, train, None, here), here)
    return materialise(train.images, release.changes, release.index)
