"""Checks whether a leaderboard's records can be published: well-formed, cells of the suite, and comparable.

Defects are *errors*: a malformed record, a number that no run writes, a cell of another suite, a statement that
contradicts the key, different data under the same name, different numerics. What readers should know is a *warning*:
missing or failed cells, records of earlier versions of components, values of earlier versions of metrics, and different
machines or libraries, which do not change keys but may change numbers (docs/protocol.md).

Membership is checked by key: the keys of the suite's cells are computed again from the data and the installed
components, with the numerics of the records. Where a cell's data or weights are unavailable, its records are matched by
description, and their keys are checked with the fingerprints that the records state: this proves components and
parameters, but not the images.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError, UcbenchError
from ucbench.leaderboard.earlier import earlier_versions, stated_key, stated_release
from ucbench.leaderboard.plausible import chances, implausible, sizes_by_images, sizes_by_release, unlearned
from ucbench.matrix.axes import AXIS
from ucbench.matrix.cell import Cell
from ucbench.numerics import Numerics
from ucbench.results.records import Record, read_record, record_files
from ucbench.running.metric_values import metric_key
from ucbench.running.tasks import contradictions, facts, task_of, title
from ucbench.session import Session
from ucbench.store.keys import canonical

#: The labeling that gives exploiters the data set's labels.
ORIGINAL = AXIS["labeling"].default
#: Most examples that a message lists.
_SHOWN = 5

Severity = Literal["error", "warning"]


class Finding(NamedTuple):
    """One error or warning, as a sentence."""

    severity: Severity
    text: str


class Audit(NamedTuple):
    """The result of an audit.

    Attributes:
        records: the well-formed records.
        findings: errors and warnings, in the order of the checks.
        notes: what was checked, and how.
    """

    records: tuple[Record, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def failed(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)

    def texts(self, severity: Severity) -> list[str]:
        return [finding.text for finding in self.findings if finding.severity == severity]


def audit(
    folder: Path,
    cells: Sequence[Cell],
    session_of: Callable[[Numerics], Session],
    *,
    threads: int,
    complete: bool = False,
) -> Audit:
    """Check the records of a leaderboard's folder.

    Args:
        cells: the suite's cells.
        session_of: returns a session with the given numerics, to compute keys.
        threads: the suite's number of threads.
        complete: whether a missing or failed cell is an error.

    Raises:
        DataError: if there are no records.
    """
    records, findings = read_all(folder)
    notes = [f"{len(records)} well-formed records."]
    findings += [*comparable(records, threads), *possible(records)]
    by_numerics: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_numerics[canonical(record["numerics"])].append(record)
    severity: Severity = "error" if complete else "warning"
    for _, group in sorted(by_numerics.items()):
        expected = Expected.of(cells, session_of(Numerics("cpu", **group[0]["numerics"])))
        findings += [*foreign(group, expected), *missing(group, expected, severity)]
        findings += unmeasured(group, expected, severity)
        notes += expected.notes
    failures = [record for record in records if record["status"] != "ok"]
    if failures:
        findings.append(Finding(severity, f"{_count(failures, 'failed cell')}: {_some(map(_title, failures))}."))
    return Audit(tuple(records), tuple(findings), tuple(dict.fromkeys(notes)))


def read_all(folder: Path) -> tuple[list[Record], list[Finding]]:
    """The well-formed records of a folder, by file name, and errors for links and other files that are not hidden.

    Raises:
        DataError: if there are no records.
    """
    paths = record_files(folder)
    if not paths:
        raise DataError(f"There are no records in {folder / 'records'}.")
    records, findings = [], list[Finding]()
    links = [path for path in (folder / "records", *paths) if path.is_symlink()]
    if links:
        # Whoever gets the folder may find something else at their ends.
        findings.append(Finding("error", f"Links instead of records: {_some(str(path) for path in links)}."))
    for path in paths:
        try:
            records.append(read_record(path))
        except DataError as error:
            findings.append(Finding("error", str(error)))
    return records, findings


def comparable(records: Sequence[Record], threads: int) -> Iterator[Finding]:
    """Errors for different numerics or data, warnings for different machines or libraries."""
    numerics = Counter(canonical(record["numerics"]) for record in records)
    if len(numerics) > 1:
        yield Finding("error", f"Records were made with different numerics, part of every key: {_counts(numerics)}.")
    others = [record for record in records if record["numerics"]["threads"] != threads]
    if others:
        text = f"{_count(others, 'record')} made with another number of threads than the suite's {threads}"
        yield Finding("error", f"{text}: {_some(map(_title, others))}.")
    fingerprints: dict[tuple[str, int], set[tuple[str, str]]] = defaultdict(set)
    for record in records:
        request, data = record["request"], record["data"]
        fingerprints[request["dataset"], request["trusted"]].add((data["train"], data["test"]))
    for (dataset, _), distinct in sorted(fingerprints.items()):
        if len(distinct) > 1:
            yield Finding("error", f"The data set {dataset} has {len(distinct)} different fingerprints.")
    for name, values in environments(records).items():
        if len(values) > 1:
            yield Finding("warning", f"Records were made with different {name}: {_counts(values)}.")


def possible(records: Sequence[Record]) -> Iterator[Finding]:
    """Errors for numbers that no run writes, and findings for exploiters who learn nothing from clean images."""
    for record in records:
        if wrong := implausible(record):
            yield Finding("error", f"{_title(record)}: {'; '.join(wrong[:_SHOWN])}.")
    for text in (*sizes_by_images(records), *chances(records)):
        yield Finding("error", text)
    for text in sizes_by_release(records):  # two machines that crafted it may differ in the last bits
        yield Finding("warning", text)
    texts, count = unlearned(records)
    if texts:
        # A leaderboard with other exploiters still shows something.
        severity: Severity = "error" if len(texts) == count else "warning"
        text = f"Clean accuracy is not clearly above chance, so nothing can be removed: {_some(texts)}."
        yield Finding(severity, text)


def environments(records: Iterable[Record]) -> dict[str, Counter[str]]:
    """Numbers of records by value of device, processor, system, Python and library versions, by name.

    Versions of a trainer outside ucbench's process are called ``python of keras``, ``numpy of keras`` and so on.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        environment = dict(record["environment"])
        versions = environment.pop("versions")
        for trainer, theirs in environment.pop("trainers", {}).items():
            environment |= {f"{name} of {trainer}": version for name, version in theirs.items()}
        for name, value in {**environment, **versions}.items():
            if name not in record["numerics"]:  # :func:`comparable` checks those separately
                counts[name][str(value)] += 1
    return dict(sorted(counts.items()))


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


def foreign(records: Iterable[Record], expected: Expected) -> Iterator[Finding]:
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
        yield Finding("error", f"{_count(outside, 'record')} outside the suite: {_some(map(_title, outside))}.")
    if rekeyed:
        yield Finding(
            "error",
            f"{_count(rekeyed, 'record')} described as cells of the suite, but with other keys: made from other data,"
            f" or by other versions of components, than those here: {_some(map(_title, rekeyed))}.",
        )
    for record in false:
        yield Finding(
            "error",
            f"{_title(record)}: its key does not follow from its content; it was made by other versions of its"
            " components than those here, or changed afterwards.",
        )
    for versions, group in sorted(superseded.items()):
        yield Finding("warning", f"{_count(group, 'record')} made by earlier versions of components: {versions}.")


def missing(records: Sequence[Record], expected: Expected, severity: Severity) -> Iterator[Finding]:
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
        yield Finding(severity, text)
    if absent:
        text = f"No record of {len(absent)} of the suite's {count} cells: {_some(map(title, absent))}."
        yield Finding(severity, text)


def unmeasured(records: Iterable[Record], expected: Expected, severity: Severity) -> Iterator[Finding]:
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
        text = f"{_count(group, 'record')} without a value of the metric {name} in the version that is here"
        yield Finding(severity, f"{text}: {_some(map(_title, group))}.")


def _contradicting(record: Record, true: Record) -> Iterator[Finding]:
    """Whether a record states anything else than its key decides: tables are made from the statements."""
    wrong = contradictions(record, true)
    chance = record["metrics"]["chance"] if record["status"] == "ok" else None
    if None not in (chance, true.get("chance")) and chance != true["chance"]:
        wrong.append(f"chance {chance:g} for {true['chance']:g}")
    if wrong:
        yield Finding("error", f"Record {record['cell']} contradicts its key: {'; '.join(wrong)}.")


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
    trusted = () if cell.mixture == 1 else ("poisoner", "surrogate")
    components = {place: part.identity() for place, part in cell.components.items()}
    components |= {
        place: record["components"].get(place, components[place]) for place in trusted if place in components
    }
    return {**record, "release": release, "components": components, **cell.nature}


def _keyed_otherwise(record: Record, cell: Cell, numerics: Numerics) -> bool:
    """Whether a record's key differs from what its description and the fingerprints it states yield here."""
    try:
        return bool(stated_key(record, cell, numerics) != record["cell"])
    except UcbenchError:
        return False  # weights are unavailable; the notes say that only descriptions were compared


def _title(record: Record) -> str:
    """A record in one line, in the form of :func:`ucbench.running.tasks.title`."""
    request = record["request"]
    budget = "" if request["epsilon"] is None else f" {request['norm']} {request['epsilon']:g}"
    defense = "" if request["defense"] == "none" else f" + {request['defense']}"
    place = f"{request['dataset']} | {request['poisoner']}{budget} | {request['victim']}{defense}"
    return f"{place} | seed {request['train_seed']} ({record['cell'][:8]})"


def _count(records: Sequence[Record], noun: str) -> str:
    return f"{len(records)} {noun}{'' if len(records) == 1 else 's'}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{value} ({count})" for value, count in sorted(counts.items()))


def _some(texts: Iterable[str]) -> str:
    all_texts = list(texts)
    more = f"; and {len(all_texts) - _SHOWN} more" if len(all_texts) > _SHOWN else ""
    return "; ".join(all_texts[:_SHOWN]) + more
