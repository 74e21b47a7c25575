"""The cells of a folder of records, to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ucbench.errors import UcbenchError
from ucbench.matrix.cell import Cell
from ucbench.matrix.from_record import cell_of
from ucbench.numerics import Numerics
from ucbench.results.records import Record, records_in
from ucbench.running.metric_values import with_metrics
from ucbench.running.tasks import task_of
from ucbench.session import Session


@dataclass(frozen=True)
class Recorded:
    """Records with equal numerics, their cells in the same order, and a session with these numerics."""

    session: Session
    cells: list[Cell] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)


def recorded(folder: Path, session: Session) -> list[Recorded]:
    """The finished cells in a folder that this installation would compute alike; says how many others there are.

    Raises:
        DataError: if there are no records, or they cannot be read.
    """
    groups: dict[Numerics, Recorded] = {}
    left_out = []
    for record in records_in(folder):
        if record["status"] != "ok":
            continue
        numerics = Numerics(session.numerics.device, **record["numerics"])
        group = groups.setdefault(numerics, Recorded(session.with_numerics(numerics)))
        try:
            cell = cell_of(record, session.registry)
            problem = "" if task_of(cell, group.session).key == record["cell"] else "its data or versions differ here"
        except UcbenchError as error:
            problem = str(error)
        if problem:
            left_out.append(f"{record['cell']}: {problem}")
        else:
            group.cells.append(cell)
            group.records.append(record)
    if left_out:
        session.progress.say(f"Left out: {len(left_out)} records of cells that cannot be made again, {left_out[0]}")
    return [group for group in groups.values() if group.cells]


def with_measures(cells: Sequence[Cell], group: Recorded) -> list[Record | None]:
    """The records of a group with the metrics of ``cells``, from themselves or the store; None where one is missing."""
    return [
        with_metrics(record, cell, record["cell"], group.session)
        for record, cell in zip(group.records, cells, strict=True)
    ]
