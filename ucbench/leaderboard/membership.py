"""Whether records are those of a suite's cells, each once and with every metric.

Membership is checked by key: the keys of the suite's cells are computed again from the data and the installed
components, with the numerics of the records. Where a cell's data or weights are unavailable, its records are matched by
description, and their keys are checked with the fingerprints that the records state: this proves components and
parameters, but not the images.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ucbench.data.imageset import ImageSet
from ucbench.errors import UcbenchError
from ucbench.leaderboard.earlier import earlier_versions, stated_key, stated_release
from ucbench.leaderboard.problems import Problem, Severity, record_title, some
from ucbench.matrix.axes import AXIS
from ucbench.matrix.cell import Cell
from ucbench.numerics import Numerics
from ucbench.plugins.registry import Component
from ucbench.results.records import Record
from ucbench.results.text import counted
from ucbench.running.metric_values import metric_key
from ucbench.running.tasks import contradictions, facts, task_of, title
from ucbench.session import Session
from ucbench.store.keys import canonical

#: The labeling that gives exploiters the data set's labels.
ORIGINAL = AXIS["labeling"].default


@dataclass
class Expected:
    """A suite's cells: by key where the key can be computed here, otherwise by description.

    Attributes:
        keyed: cell, and the facts of its record, by the cell's key.
        described: cells by their description in canonical JSON.
        notes: how many cells are in either, and why some keys could not be computed.
    """

    numerics: Numerics
    keyed: dict[str, tuple[Cell, Record]] = field(default_factory=dict)
    described: dict[str, Cell] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, cells: Iterable[Cell], session: Session) -> Expected:
        expected = cls(session.numerics)
        reasons: Counter[str] = Counter()
        for cell in cells:
            try:
                task = task_of(cell, session)
            except (UcbenchError, OSError) as error:
                expected.described[canonical(cell.describe())] = cell
                reasons[" ".join(str(error).split())] += 1
            else:
                chance = _chance(session.data(cell).test) if str(cell.labeling) == ORIGINAL else None
                expected.keyed[task.key] = (cell, {**facts(task, session), "chance": chance})
        if expected.keyed:
            keyed = len(expected.keyed)
            expected.notes.append(f"The keys of {keyed} of the suite's cells were computed from data and components.")
        for reason, count in reasons.items():
            expected.notes.append(
                f"{count} of the suite's cells were matched by description only, since their keys cannot be computed"
                f" here: {reason}"
            )
        return expected


def foreign(records: Iterable[Record], expected: Expected) -> Iterator[Problem]:
    """Errors for records that are not of the suite's cells, or whose key and description disagree.

    A warning for records that earlier versions of components made, as their keys prove.
    """
    key_of = {canonical(cell.describe()): key for key, (cell, _) in expected.keyed.items()}
    outside: list[Record] = []
    false: list[Record] = []
    rekeyed: list[Record] = []
    superseded: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        described = canonical(record["request"])
        if record["cell"] in expected.keyed:
            yield from _contradicting(record, expected.keyed[record["cell"]][1])
        elif described in expected.described:
            cell = expected.described[described]
            yield from _contradicting(record, _facts_without_data(record, cell, expected.numerics))
            if _keyed_otherwise(record, cell, expected.numerics):
                earlier = earlier_versions(record, cell, expected.numerics)
                (superseded[", ".join(earlier)] if earlier else false).append(record)
        elif described in key_of:
            key = key_of[described]
            cell, true = expected.keyed[key]
            # Older records do not state the trusted images, and their keys do not have them.
            completed = {**record, "data": {**true["data"], **record["data"]}}
            same_data = cell.mixture < 1 or stated_key(completed, cell, expected.numerics) == key
            earlier = earlier_versions(record, cell, expected.numerics) if same_data else []
            yield from _contradicting(record, {**record, **cell.nature})
            (superseded[", ".join(earlier)] if earlier else rekeyed).append(record)
        else:
            outside.append(record)
    if outside:
        yield Problem(
            "error", f"{counted(len(outside), 'record')} outside the suite: {some(map(record_title, outside))}."
        )
    if rekeyed:
        yield Problem(
            "error",
            f"{counted(len(rekeyed), 'record')} described as cells of the suite, but with other keys: made from other"
            f" data, or by other versions of components, than those here: {some(map(record_title, rekeyed))}.",
        )
    for record in false:
        yield Problem(
            "error",
            f"{record_title(record)}: its key does not follow from its content; it was made by other versions of its"
            " components than those here, or changed afterwards.",
        )
    for versions, group in sorted(superseded.items()):
        yield Problem("warning", f"{counted(len(group), 'record')} made by earlier versions of components: {versions}.")


def missing(records: Sequence[Record], expected: Expected, severity: Severity) -> Iterator[Problem]:
    """Findings for cells without a record and, where that is an error, for those that have only superseded ones."""
    keys = {record["cell"] for record in records}
    described = {canonical(record["request"]) for record in records}
    count = len(expected.keyed) + len(expected.described)
    unkeyed = [cell for key, (cell, _) in expected.keyed.items() if key not in keys]
    absent = [cell for cell in unkeyed if canonical(cell.describe()) not in described]
    superseded = len(unkeyed) - len(absent)
    absent += [cell for text, cell in expected.described.items() if text not in described]
    if superseded and severity == "error":
        text = f"{superseded} of the suite's {count} cells have only records with other keys, which count as missing."
        yield Problem(severity, text)
    if absent:
        text = f"No record of {len(absent)} of the suite's {count} cells: {some(map(title, absent))}."
        yield Problem(severity, text)


def unmeasured(records: Iterable[Record], expected: Expected, severity: Severity) -> Iterator[Problem]:
    """Findings for records without a value of a metric that the suite measures, in the version that is here."""
    without: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        keyed = expected.keyed.get(record["cell"])
        cell = keyed[0] if keyed else expected.described.get(canonical(record["request"]))
        for metric in cell.metrics if cell and record["status"] == "ok" else ():
            try:
                identity = metric_key(record["cell"], metric)
            except UcbenchError:  # its weights are unavailable
                continue
            if record.get("measured_by", {}).get(str(metric)) != identity:
                without[str(metric)].append(record)
    for name, group in without.items():
        text = f"{counted(len(group), 'record')} without a value of the metric {name} in the version that is here"
        yield Problem(severity, f"{text}: {some(map(record_title, group))}.")


def _contradicting(record: Record, true: Record) -> Iterator[Problem]:
    """Whether a record states anything else than its key decides: tables are made from the statements."""
    wrong = contradictions(record, true)
    chance = record["metrics"]["chance"] if record["status"] == "ok" else None
    if None not in (chance, true.get("chance")) and chance != true["chance"]:
        wrong.append(f"chance {chance:g} for {true['chance']:g}")
    if wrong:
        yield Problem("error", f"Record {record['cell']} contradicts its key: {'; '.join(wrong)}.")


def _chance(images: ImageSet) -> float:
    """Share of the largest class, in percent, as of :func:`ucbench.metrics.accuracy.test_metrics`."""
    return 100.0 * float(np.bincount(images.known_labels).max() / len(images))


def _facts_without_data(record: Record, cell: Cell, numerics: Numerics) -> Record:
    """What a cell decides of a record where its data are not here; the rest as stated."""
    if _keyed_otherwise(record, cell, numerics):  # by other versions of components
        return {**record, **cell.nature}
    try:
        release = stated_release(record, cell, numerics)
    except UcbenchError:
        release = None if cell.craft.is_clean else record["release"]
    # The key of a mixture's record has its release's key, not what made the release, see :func:`stated_release`.
    trusted = () if cell.mixture == 1 else ("poisoner", "poisoner-base", "surrogate", "surrogate-craft-labels")
    stated = record["components"]
    components = {
        place: stated[place] if place in trusted and place in stated else _identity(part, stated.get(place, {}))
        for place, part in cell.components.items()
    }
    return {**record, "release": release, "components": components, **cell.nature}


def _identity(part: Component[Any], stated: Record) -> Record:
    """What a key has of a component; as stated where its weights are unavailable."""
    try:
        return part.identity()
    except UcbenchError:
        return stated


def _keyed_otherwise(record: Record, cell: Cell, numerics: Numerics) -> bool:
    """Whether a record's key differs from what its description and the fingerprints it states yield here."""
    try:
        return bool(stated_key(record, cell, numerics) != record["cell"])
    except UcbenchError:
        return False  # weights are unavailable; the notes say that only descriptions were compared
