"""What the Python functions and the commands do alike, in a session: run cells, plan them, analyze them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ucbench.matrix.cell import Cell
from ucbench.matrix.names import titled
from ucbench.plugins.specs import ExecutorSpec

if TYPE_CHECKING:
    from ucbench.analysis.analyze import Analysis
    from ucbench.analysis.measures import AnalysisRequest
    from ucbench.results.records import Record
    from ucbench.running.tasks import Rerun
    from ucbench.session import Session


ReleaseState = Literal["", "stored", "shared", "to craft"]


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a plan.

    Attributes:
        done: whether its record is in the store or the result folder.
        release: ``stored``, ``to craft`` by this cell, or ``shared`` with an earlier cell of the plan that crafts it;
            empty if none is needed, of clean images or a cell that is done.
        seconds: predicted for what is missing, from earlier work of the same kind on this machine; None without any.
        other_threads: numbers of threads with which the result folder has a record of a cell that is not done: planned
            with ``threads=`` one of them, the cell is done.
    """

    cell: Cell
    key: str
    done: bool
    release: ReleaseState
    seconds: float | None
    other_threads: tuple[int, ...] = ()

    @property
    def release_done(self) -> bool:
        """Whether this cell has no release to craft."""
        return self.release != "to craft"

    def __repr__(self) -> str:
        """What a row of ``ucbench plan`` says, in one line."""
        seconds = "" if self.done else "? s" if self.seconds is None else f"{self.seconds:.0f} s"
        recorded = f"recorded with threads={' and '.join(map(str, self.other_threads))}" if self.other_threads else ""
        state = ["done" if self.done else "to run", recorded, self.release and f"release {self.release}", seconds]
        title = titled(self.cell.describe(), str(self.cell.craft.poisoner))
        return f"<PlannedCell {title} | {', '.join(filter(None, state))}>"


def run_session(
    cells: Sequence[Cell],
    session: Session,
    *,
    out: Path | None = None,
    executor: str = "serial",
    rerun: Rerun = "failed",
) -> list[Record]:
    """As :func:`run`, for these cells in a session; returns their records in the same order.

    A run that an error or an interruption ends also leaves ``results.csv`` of all records in ``out``.
    """
    from ucbench.running.tasks import check_rerun

    check_rerun(rerun)
    component = session.registry.resolve(ExecutorSpec, executor)
    # Not before: a wrong request should fail without the seconds that importing torch takes.
    from ucbench.results.records import record_files
    from ucbench.results.table import update_csv
    from ucbench.running.preflight import preflight
    from ucbench.running.runner import run_cells

    preflight(session, out, device=not component.spec.remote)
    try:
        records = run_cells(cells, session, out=out, executor=component.build(), rerun=rerun)
    except BaseException:
        if out is not None and record_files(out):
            with suppress(Exception):  # the error that brought us here says more
                update_csv(out)
        raise
    if out is not None:
        update_csv(out)
        _write_sheets(cells, records, out, session)
    return records


def _write_sheets(cells: Iterable[Cell], records: Iterable[Record], out: Path, session: Session) -> None:
    """Write one image sheet per release."""
    from ucbench.crafting.release import Release
    from ucbench.export.sheet import write_sheet
    from ucbench.results.sheets import sheet_name

    for cell, record in zip(cells, records, strict=True):
        key = record["release"]
        if key is None or cell.craft.is_added_reference or record["status"] != "ok":
            continue
        path = out / "sheets" / sheet_name(record)
        stored = None if path.exists() else session.store.get("release", key)
        if stored is not None:
            release = Release.from_arrays(stored.arrays, stored.meta)
            title = f"{cell.craft.poisoner} on {cell.dataset}, craft seed {cell.craft.seed}"
            write_sheet(path, session.protected(cell).images, release, title)


def plan_session(
    cells: Sequence[Cell], session: Session, *, out: Path | None = None, probe: bool = False
) -> list[PlannedCell]:
    """As :func:`plan`, for these cells in a session.

    Args:
        probe: time two steps of every kind of training that was never done on this machine.
    """
    from ucbench.running.estimate import predicted, probe_training, training_work
    from ucbench.running.preflight import check_components
    from ucbench.running.tasks import finished, other_threads, task_of, warn_of_threads, with_crafting

    planned = []
    crafting: set[str | None] = set()
    tasks = [task_of(cell, session) for cell in cells]
    done_before = [finished(task, session, out) is not None for task in tasks]
    undone = [task for task, done in zip(tasks, done_before, strict=True) if not done]
    check_components(undone, session)
    others = other_threads(tasks, undone, session, out)
    warn_of_threads(others)
    # A craft is for the first cell that needs it, which a cell that is done does not.
    left = with_crafting(undone, session)
    for task, done in zip(tasks, done_before, strict=True):
        cell, crafts = task.cell, not done and next(left)[1]
        if probe and not done:
            train = session.data(cell).train
            work = training_work(cell, len(train), train.size, session.numerics)
            session.timings.assume(work, partial(probe_training, cell, session))
        seconds = 0.0 if done else predicted(task, session, crafts=crafts)
        release: ReleaseState = ""
        if crafts:
            release = "to craft"
            crafting.add(task.release_key)
        elif not done and task.release_key is not None:
            release = "shared" if task.release_key in crafting else "stored"
        planned.append(PlannedCell(cell, task.key, done, release, seconds, others.get(task.key, ())))
    return planned


def analyze_session(
    cells: Sequence[Cell],
    session: Session,
    request: AnalysisRequest,
    *,
    out: Path | None = None,
    executor: str = "serial",
) -> Analysis:
    """As :func:`analyze`, for these cells in a session."""
    from ucbench.analysis.analyze import analyzed
    from ucbench.analysis.measures import measured
    from ucbench.analysis.recorded import Recorded

    requested = measured(cells, request.metrics(session.registry))
    records = run_session(requested, session, out=out, executor=executor)
    return analyzed([Recorded(session, requested, records)], request, out)


def analyze_folder(
    folder: Path, session: Session, request: AnalysisRequest, *, out: Path | None = None, executor: str = "serial"
) -> Analysis:
    """As :func:`analyze`, for the records in a folder, with their numerics. The folder's records stay as they are."""
    from ucbench.analysis.analyze import analyzed
    from ucbench.analysis.measures import measured
    from ucbench.analysis.recorded import Recorded, recorded, with_measures
    from ucbench.running.preflight import check_folder

    if out is not None:
        check_folder(out)
    metrics = request.metrics(session.registry)
    groups = []
    for group in recorded(folder, session):
        requested = measured(group.cells, metrics)
        complete = with_measures(requested, group)
        missing = [cell for cell, record in zip(requested, complete, strict=True) if record is None]
        computed = iter(run_session(missing, group.session, executor=executor) if missing else ())
        groups.append(Recorded(group.session, requested, [record or next(computed) for record in complete]))
    return analyzed(groups, request, out)
