"""Brings the records of a suite's cells from results of several runs into one leaderboard's folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ucbench.errors import DataError
from ucbench.matrix.cell import Cell
from ucbench.results.records import Record, read_records, record_path, write_record
from ucbench.results.sheets import sheet_name
from ucbench.results.table import check_worlds, rows
from ucbench.store.files import atomic_write_bytes, reporting
from ucbench.store.keys import canonical
from ucbench.store.untrusted import read_regular

#: What a record measured; two records of one cell that differ in it contradict each other.
_MEASURED = ("epochs", "history", "budget")


class Merged(NamedTuple):
    """What a merge brought together: cells of the suite, those with results, those that failed, and others' records."""

    cells: int
    done: int
    failed: int
    left_out: int

    @property
    def text(self) -> str:
        """The counts in one line."""
        failed = f", {self.failed} failed" if self.failed else ""
        left_out = f"; left out {self.left_out} records of other cells" if self.left_out else ""
        return f"{self.done} of {self.cells} cells have results{failed}{left_out}."


def merge(folder: Path, sources: Iterable[Path], cells: Sequence[Cell]) -> Merged:
    """Write into ``folder`` the records of ``cells`` that it lacks and the ``sources`` have, and their image sheets.

    Of two records of a cell, a measured one is taken rather than a failed one, then the one with more metrics, then the
    first, beginning with those in ``folder``. It gets the metrics that only the other has, unless the two measured some
    metric in different versions. Records of other cells in ``sources`` are left out and counted.

    Args:
        sources: results of runs, with ``records`` and perhaps ``sheets``.

    Raises:
        DataError: if two records of one cell contradict each other (the text names both), if records that a table would
            average differ in images or numerics, or if ``folder`` holds records of other cells; nothing is written.
    """
    described = {canonical(cell.describe()) for cell in cells}
    best: dict[str, tuple[Path, Record]] = {}
    present: dict[str, Record] = {}
    left_out, others = 0, [path for path in sources if path.resolve() != folder.resolve()]
    for source in (folder, *others):
        for record in read_records(source):
            path, request = record_path(source, record["cell"]), canonical(record["request"])
            if request not in described and source == folder:
                raise DataError(f"{path} is of no cell of the suite. Choose another --out, or move it away.")
            if request not in described:
                left_out += 1
                continue
            cell = canonical([record["request"], record["numerics"]])
            if source == folder:
                present[cell] = record
            best[cell] = _better(best.get(cell, (path, record)), (path, record))
    check_worlds(rows(record for _, record in best.values()))
    for cell, (_, record) in best.items():
        if record is not present.get(cell):
            write_record(folder, record)
    _copy_sheets(folder, others, {sheet_name(record) for _, record in best.values()})
    # A cell that failed with other numerics than those it was measured with has a result.
    requests = [(canonical(record["request"]), record["status"]) for _, record in best.values()]
    done = {request for request, status in requests if status == "ok"}
    return Merged(len(described), len(done), len({request for request, _ in requests} - done), left_out)


def _better(one: tuple[Path, Record], other: tuple[Path, Record]) -> tuple[Path, Record]:
    """The one to take of two records of a cell, with their paths, and with the metrics of both."""
    (path, first), (second_path, second) = one, other
    if first["cell"] != second["cell"]:
        why = "were made from different data or by different versions of components"
        raise DataError(f"{path} and {second_path} are of one cell, but {why}. Move one of them away.")
    if "failed" in (first["status"], second["status"]):
        return one if first["status"] == "ok" or second["status"] == "failed" else other
    metrics, second_metrics = first["metrics"], second["metrics"]
    wrong = [name for name in _MEASURED if first.get(name) != second.get(name)]
    wrong += [name for name in metrics.keys() & second_metrics.keys() if metrics[name] != second_metrics[name]]
    if wrong:
        raise DataError(f"{path} and {second_path} contradict each other in {', '.join(sorted(wrong))}. Move one away.")
    if len(second_metrics) > len(metrics):
        return second_path, _with_metrics_of(second, first)
    return path, _with_metrics_of(first, second)


def _with_metrics_of(record: Record, other: Record) -> Record:
    """The record with the metrics that only the other has; the same object if there are none."""
    by, other_by = record.get("measured_by", {}), other.get("measured_by", {})
    metrics, measured_by = {**other["metrics"], **record["metrics"]}, {**other_by, **by}
    # Values of two versions of one metric do not belong together.
    versions_differ = any(by[name] != other_by[name] for name in by.keys() & other_by.keys())
    if versions_differ or (metrics == record["metrics"] and measured_by == by):
        return record
    return {**record, "metrics": metrics, **({"measured_by": measured_by} if measured_by else {})}


def _copy_sheets(folder: Path, sources: Iterable[Path], names: set[str]) -> None:
    for source in sources:
        for path in sorted((source / "sheets").glob("*.png")):
            # The end of a link may be a file that nobody means to publish.
            if path.name in names and not path.is_symlink():
                with reporting(path, "--records"):
                    atomic_write_bytes(folder / "sheets" / path.name, read_regular(path))
