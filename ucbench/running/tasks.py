"""Tasks: cells with their keys, and whether they are done. Imports no torch."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from ucbench.errors import DataError, UcbenchError, UsageError, did_you_mean, visible
from ucbench.matrix.cell import Cell
from ucbench.matrix.names import titled
from ucbench.numerics import Numerics
from ucbench.plugins.specs import MetricSpec
from ucbench.results.records import BEHIND, Record, platform_of, read_record, record_files, record_path
from ucbench.running.metric_values import metric_key, recorded_values, training_of, with_metrics, with_values
from ucbench.session import Session
from ucbench.store.untrusted import only_text, read_json

_log = logging.getLogger(__name__)

#: What is computed: cells without a record, also those that failed, or all.
Rerun = Literal["missing", "failed", "all"]

#: What the images decide of a record's data.
_OF_IMAGES = ("train", "test", "trusted", "train_images", "test_images", "classes", "size")


def check_rerun(value: str) -> None:
    """Check a value of :data:`Rerun`.

    Raises:
        UsageError: if it is none of these.
    """
    if value not in (known := get_args(Rerun)):
        raise UsageError(f"rerun is one of {', '.join(known)}; got {value!r}.{did_you_mean(str(value), known)}")


@dataclass(frozen=True)
class Task:
    """A cell to compute, with the keys of its record and of its release (None for the clean reference).

    With ``force`` the cell is computed even if it is in the store; work shared with other cells is not repeated.
    """

    cell: Cell
    key: str
    release_key: str | None
    force: bool = False


def task_of(cell: Cell, session: Session) -> Task:
    """The cell with its keys; loads its data set."""
    return _task_with(session.numerics, cell, session)


def _task_with(numerics: Numerics, cell: Cell, session: Session) -> Task:
    data = session.data(cell)
    release_key = cell.release_key(session.protected(cell).fingerprint, numerics)
    trusted = data.trusted.fingerprint if data.trusted is not None else None
    key = cell.key(release_key, data.train.fingerprint, data.test.fingerprint, numerics, trusted)
    return Task(cell, key, release_key)


def distinct(tasks: Iterable[Task]) -> list[Task]:
    """One task for each key, with the metrics of all: requests can name the same images in several ways."""
    by_key: dict[str, Task] = {}
    for task in tasks:
        earlier = by_key.get(task.key)
        by_key[task.key] = task if earlier is None else replace(earlier, cell=earlier.cell.united(task.cell))
    return list(by_key.values())


def facts(task: Task, session: Session) -> Record:
    """What a record states whatever was measured: cell, release, request, components, data and numerics."""
    data = session.data(task.cell)
    stated = {
        "cell": task.key,
        "release": task.release_key,
        "request": task.cell.describe(),
        "components": stated_components(task.cell),
        **task.cell.nature,
        "data": {
            "train": data.train.fingerprint,
            "test": data.test.fingerprint,
            **({"trusted": data.trusted.fingerprint} if data.trusted is not None and task.cell.reads_trusted else {}),
            "train_images": len(data.train),
            "test_images": len(data.test),
            "classes": len(data.train.classes),
            "size": list(data.train.size),
            "note": data.note,
            "inventory": data.inventory.compact(),
        },
        "numerics": session.numerics.identity(),
    }
    return dict(only_text(stated))


def stated_components(cell: Cell) -> dict[str, dict[str, Any]]:
    """Identity of each component by its place, and the distribution that it comes from."""
    return {
        place: {
            **part.identity(),
            "distribution": part.origin.distribution,
            "distribution_version": part.origin.version,
        }
        for place, part in cell.components.items()
    }


def with_crafting(tasks: Iterable[Task], session: Session) -> Iterator[tuple[Task, bool]]:
    """Each task, and whether it has to craft its release: the store lacks it, and no earlier task crafts it."""
    seen: set[str | None] = set()
    for task in tasks:
        key = task.release_key
        yield task, key is not None and key not in seen and session.store.get("release", key) is None
        seen.add(key)


class Finished(NamedTuple):
    """The record of a cell that is done, and whether the result folder has it like this."""

    record: Record
    written: bool


def finished(task: Task, session: Session, out: Path | None, *, failed_too: bool = False) -> Finished | None:
    """The record of a cell that is done, from the result folder or the store; None if it is not done.

    A cell without a value for a requested metric is not done, nor is one whose file is not its record, of which this
    warns. Several requests can have one key (the same images by two names); the record gets the names of this request.
    With ``failed_too``, a failure in the result folder counts as done where nothing else does.
    """
    cell, key = task.cell, task.key
    records = []
    written = None if out is None else _recorded(record_path(out, key), task, session)

    def result(record: Record) -> Finished:
        requested = as_requested(record, cell)
        return Finished(requested, requested == written)

    if written is not None and written["status"] == "ok":
        records.append(written)
    stored = session.store.get("cell", key)
    if stored is not None:
        records.append(dict(stored.meta))
    for record in records:
        complete = with_metrics(record, cell, key, session)
        if complete is not None:
            return result(complete)
    if failed_too and written is not None and written["status"] != "ok":
        return result(written)
    return None


def other_threads(
    tasks: Iterable[Task], undone: Iterable[Task], session: Session, out: Path | None
) -> dict[str, tuple[int, ...]]:
    """The numbers of threads with which the result folder has records of cells that are not done, by their keys."""
    keys = {task.key for task in tasks}
    wanted = {task.key: task for task in undone if not task.force}
    threads_of = {} if out is None or not wanted else _threads_of_records(out, keys)
    others: dict[str, tuple[int, ...]] = {}
    for threads in sorted(set(threads_of.values()) - {session.numerics.threads}):
        numerics = replace(session.numerics, threads=threads)
        for key, task in wanted.items():
            if threads_of.get(_task_with(numerics, task.cell, session).key) == threads:
                others[key] = (*others.get(key, ()), threads)
    return others


def warn_of_threads(others: Mapping[str, Sequence[int]]) -> None:
    """Warn of each number of threads of :func:`other_threads`, before all of its cells are computed again."""
    counts = Counter(threads for of_cell in others.values() for threads in of_cell)
    for threads, count in sorted(counts.items()):
        records = "1 cell has a record" if count == 1 else f"{count} cells have records"
        _log.warning(
            "%s with threads = %d; give --threads %d (in Python threads=%d) to use them.",
            records, threads, threads, threads,
        )  # fmt: skip


def _threads_of_records(out: Path, keys: Container[str]) -> dict[str, int]:
    """The threads of each successful record by its key; records are not checked, which is slow and decides nothing.

    Args:
        keys: of cells whose records need not be read again.
    """
    threads_of = {}
    for path in record_files(out):
        if path.stem in keys:
            continue
        with suppress(OSError, ValueError, LookupError, TypeError):  # other files
            record = read_json(path)
            if record["status"] == "ok" and type(threads := record["numerics"]["threads"]) is int:
                threads_of[path.stem] = threads
    return threads_of


def succeeded(task: Task, session: Session, out: Path | None) -> bool:
    """Whether the result folder has a record of the cell's success, with or without the requested metrics."""
    written = None if out is None else _recorded(record_path(out, task.key), task, session)
    return written is not None and written["status"] == "ok"


def with_recorded_metrics(record: Record, task: Task, session: Session, out: Path) -> Record:
    """The record with the values of further metrics from the result folder's record of the same cell.

    The store may not have them. Values of an earlier version of a metric, of one that is not here, or of another
    training of the cell do not count.
    """
    written = _recorded(record_path(out, task.key), task, session, warn=False)
    if written is None or written["status"] != "ok" or training_of(written) != training_of(record):
        return record
    for name, identity in written.get("measured_by", {}).items():
        try:
            metric = session.registry.resolve(MetricSpec, name)
            if str(metric) in record.get("measured_by", {}) or metric_key(task.key, metric) != identity:
                continue
        except UcbenchError:  # it is not installed, or its weights are unavailable
            continue
        record = with_values(record, task.key, metric, recorded_values(written, name))
    return record


def _recorded(path: Path, task: Task, session: Session, *, warn: bool = True) -> Record | None:
    """The task's record in that file; None, with a warning, if the file holds anything else."""
    if not path.exists():
        return None
    level = logging.WARNING if warn else logging.DEBUG
    try:
        record = read_record(path)
    except DataError as error:
        _log.log(level, "%s The cell counts as not done.", error)
        return None
    # Rows of one cell may name its data set in several ways; the record gets the name of this request.
    if wrong := contradictions(as_requested(record, task.cell), facts(task, session)):
        _log.log(level, "%s", visible(f"{path} contradicts its key: {'; '.join(wrong)}. The cell counts as not done."))
        return None
    return record


def contradictions(record: Record, true: Record) -> list[str]:
    """Where a record differs from the :func:`facts` of its key, as ``<name> <value> for <true value>``.

    Older records need not name the components :data:`ucbench.results.records.BEHIND` others.
    """
    stated, decided = _decided(record), _decided(true)
    for place in BEHIND:
        if place not in record["components"]:
            decided.pop(f"component {place}", None)
    return [
        f"{name} differs" if isinstance(value, Mapping) else f"{name} {stated.get(name)} for {value}"
        for name, value in decided.items()
        if stated.get(name) != value
    ]


def _decided(record: Record) -> Record:
    """What the key of a record decides of it, by name."""
    data = record["data"]
    parts = {
        f"component {place}": {name: value for name, value in part.items() if not name.startswith("distribution")}
        for place, part in record["components"].items()
        if place != "dataset"  # a key has its images only
    }
    return {
        **record["request"],
        "release": record["release"],
        **{name: record[name] for name in ("label_access", "oracle", "granularity")},
        "platform": platform_of(record),
        **{f"data.{name}": data[name] for name in _OF_IMAGES if name in data},
        **parts,
    }


def as_requested(record: Record, cell: Cell) -> Record:
    """The record with the request and the data set of ``cell``; the same object if it has them."""
    request, parts = cell.describe(), record["components"]
    dataset = {**parts["dataset"], **only_text(cell.dataset.identity())}
    if (request, dataset) == (record["request"], parts["dataset"]):
        return record
    return {**record, "request": request, "components": {**parts, "dataset": dataset}}


def title(cell: Cell) -> str:
    """The cell in one line of a log."""
    return titled(cell.describe(), str(cell.craft.poisoner))
