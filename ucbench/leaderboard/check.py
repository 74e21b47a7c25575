"""Checks whether a leaderboard's records can be published: well-formed, cells of the suite, and comparable.

Defects are *errors*: a malformed record, an impossible number, a cell of another suite, different data under the same
name, different numerics. What readers should know is a *warning*: missing or failed cells, records of earlier versions
of components, and different machines or libraries, which do not change keys but may change numbers (docs/protocol.md).

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

from ucbench.errors import DataError, UcbenchError
from ucbench.leaderboard.earlier import earlier_versions, stated_key
from ucbench.matrix.cell import Cell
from ucbench.numerics import Numerics
from ucbench.results.records import Record, read_record
from ucbench.running.tasks import task_of, title
from ucbench.session import Session
from ucbench.store.keys import canonical

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
    findings += [*comparable(records, threads)]
    by_numerics: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_numerics[canonical(record["numerics"])].append(record)
    severity: Severity = "error" if complete else "warning"
    for _, group in sorted(by_numerics.items()):
        expected = Expected.of(cells, session_of(Numerics("cpu", **group[0]["numerics"])))
        findings += [*foreign(group, expected), *missing(group, expected, severity)]
        notes += expected.notes
    failures = [record for record in records if record["status"] != "ok"]
    if failures:
        findings.append(Finding(severity, f"{_count(failures, 'failed cell')}: {_some(map(_title, failures))}."))
    return Audit(tuple(records), tuple(findings), tuple(dict.fromkeys(notes)))


def read_all(folder: Path) -> tuple[list[Record], list[Finding]]:
    """The well-formed records of a folder, by file name, and errors for the others.

    Raises:
        DataError: if there are no records.
    """
    paths = sorted((folder / "records").glob("*"))
    if not paths:
        raise DataError(f"There are no records in {folder / 'records'}.")
    records, findings = [], []
    for path in paths:
        try:
            record = read_record(path)
        except DataError as error:
            findings.append(Finding("error", str(error)))
            continue
        if path.name == f"{record['cell']}.json":
            records.append(record)
        else:
            findings.append(Finding("error", f"{path} contains another cell, {record['cell']}."))
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


def environments(records: Iterable[Record]) -> dict[str, Counter[str]]:
    """Numbers of records by value of device, processor, system, Python and library versions, by name."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        environment = dict(record["environment"])
        versions = environment.pop("versions")
        for name, value in {**environment, **versions}.items():
            if name not in record["numerics"]:  # :func:`comparable` checks those separately
                counts[name][str(value)] += 1
    return dict(sorted(counts.items()))


@dataclass
class Expected:
    """A suite's cells: by key where the key can be computed here, otherwise by description.

    Attributes:
        keyed: cell and release key, by the cell's key.
        described: cells by their description in canonical JSON.
        notes: how many cells are in either, and why some keys could not be computed.
    """

    numerics: Numerics
    keyed: dict[str, tuple[Cell, str | None]] = field(default_factory=dict)
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
                expected.keyed[task.key] = (cell, task.release_key)
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
            cell, release = expected.keyed[record["cell"]]
            yield from _as_described(record, cell, release)
        elif described in expected.described:
            cell = expected.described[described]
            if _keyed_otherwise(record, cell, expected.numerics):
                earlier = earlier_versions(record, cell, expected.numerics)
                (superseded[", ".join(earlier)] if earlier else false).append(record)
        elif described in key_of:
            key = key_of[described]
            cell, _ = expected.keyed[key]
            same_data = cell.mixture < 1 or stated_key(record, cell, expected.numerics) == key
            earlier = earlier_versions(record, cell, expected.numerics) if same_data else []
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


def _as_described(record: Record, cell: Cell, release: str | None) -> Iterator[Finding]:
    """Whether a record with the key of ``cell`` describes that cell: tables are made from the description."""
    stated, true = record["request"], cell.describe()
    wrong = [f"{name} {stated[name]} for {value}" for name, value in true.items() if stated[name] != value]
    if record["release"] != release:
        wrong.append(f"release {record['release']} for {release}")
    if wrong:
        # The same images may have two names, and paths of folders differ between machines.
        severity: Severity = "warning" if len(wrong) == 1 and stated["dataset"] != true["dataset"] else "error"
        yield Finding(severity, f"Record {record['cell']} describes another cell than its key: {'; '.join(wrong)}.")


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
