"""Whether a leaderboard's records can be published as they are: well-formed, the suite's, and made comparably.

What is wrong is an *error*: a record that is none, a number that cannot be, a cell of another suite, other data under
the same name, other arithmetic. What a reader should know is a *warning*: cells that are missing or failed, machines
or libraries that differ, which change no key and may still change a number (docs/protocol.md).

Membership is judged by key: the suite's cells are keyed anew, from the data and the components installed here, with the
records' own arithmetic. Where a cell's data or weights cannot be had, its records are judged by their descriptions, and
their keys by the fingerprints that they state themselves: that proves components and parameters, and not the pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ucbench.errors import DataError, UcbenchError
from ucbench.matrix.cell import Cell
from ucbench.numerics import Numerics
from ucbench.results.records import Record, read_record
from ucbench.running.tasks import task_of, title
from ucbench.session import Session
from ucbench.store.keys import canonical

#: So many examples stand in a message.
_SHOWN = 5


class Finding(NamedTuple):
    """One finding, in a whole sentence."""

    severity: Literal["error", "warning"]
    text: str


@dataclass(frozen=True)
class Audit:
    """What came of an audit.

    Attributes:
        records: those that are well-formed.
        findings: errors and warnings, in the order of their discovery.
        notes: what was judged, and how.
    """

    records: tuple[Record, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def failed(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)

    def texts(self, severity: str) -> list[str]:
        return [finding.text for finding in self.findings if finding.severity == severity]


def audit(
    folder: Path,
    cells: Sequence[Cell],
    bench_of: Callable[[Numerics], Session],
    *,
    threads: int,
    complete: bool = False,
) -> Audit:
    """Judge the records of a leaderboard's folder.

    Args:
        cells: the suite's.
        bench_of: a workbench with the given arithmetic, to key them.
        threads: what the suite fixes.
        complete: whether a cell without a record, or with a failed one, is an error.

    Raises:
        DataError: if there are no records.
    """
    records, findings = read_all(folder)
    notes = [f"{len(records)} well-formed records."]
    findings += [*comparable(records, threads)]
    arithmetic = {canonical(record["numerics"]): record["numerics"] for record in records}
    for text, numerics in sorted(arithmetic.items()):
        mine = [record for record in records if canonical(record["numerics"]) == text]
        expected = Expected.of(cells, bench_of(Numerics("cpu", **numerics)))
        findings += [*foreign(mine, expected)]
        findings += [*missing(mine, expected, complete)]
        notes += expected.notes
    failures = [record for record in records if record["status"] != "ok"]
    if failures:
        severity: Literal["error", "warning"] = "error" if complete else "warning"
        findings.append(Finding(severity, f"{_count(failures, 'failed cell')}: {_some(map(_named, failures))}."))
    return Audit(tuple(records), tuple(findings), tuple(dict.fromkeys(notes)))


def read_all(folder: Path) -> tuple[list[Record], list[Finding]]:
    """The well-formed records of a folder, by file name, and what is wrong with the others.

    Raises:
        DataError: if there are none at all.
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
            findings.append(Finding("error", f"{path} holds the cell {record['cell']}, and its name says another."))
    return records, findings


def comparable(records: Sequence[Record], threads: int) -> Iterator[Finding]:
    """Errors where the arithmetic or the data differ, warnings where machine or libraries do."""
    arithmetic = Counter(canonical(record["numerics"]) for record in records)
    if len(arithmetic) > 1:
        yield Finding(
            "error", f"Records were made with different arithmetic, part of every key: {_counts(arithmetic)}."
        )
    others = [record for record in records if record["numerics"]["threads"] != threads]
    if others:
        text = f"{_count(others, 'record')} made with other threads than the {threads} that the suite fixes"
        yield Finding("error", f"{text}: {_some(map(_named, others))}.")
    pictures: dict[tuple[str, int], set[tuple[str, str]]] = {}
    for record in records:
        request = record["request"]
        prints = (record["data"]["train"], record["data"]["test"])
        pictures.setdefault((request["dataset"], request["trusted"]), set()).add(prints)
    for (dataset, _), found in sorted(pictures.items()):
        if len(found) > 1:
            yield Finding("error", f"The data set {dataset} is {len(found)} different ones, by their fingerprints.")
    for name, values in environments(records).items():
        if len(values) > 1:
            yield Finding("warning", f"Records were made with different {name}: {_counts(values)}.")


def environments(records: Iterable[Record]) -> dict[str, Counter[str]]:
    """How many records were made with which device, processor, system, Python, and versions of libraries."""
    found: dict[str, Counter[str]] = {}
    for record in records:
        stated = dict(record["environment"])
        versions = stated.pop("versions")
        for name, value in {**stated, **versions}.items():
            if name not in record["numerics"]:  # an error of its own
                found.setdefault(name, Counter())[str(value)] += 1
    return dict(sorted(found.items()))


@dataclass
class Expected:
    """A suite's cells, found by key where they could be keyed, and by description where not.

    Attributes:
        keyed: cell and release key by the cell's key.
        described: cells by their description in canonical JSON.
        notes: why some could not be keyed.
    """

    numerics: Numerics
    keyed: dict[str, tuple[Cell, str | None]] = field(default_factory=dict)
    described: dict[str, Cell] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, cells: Iterable[Cell], session: Session) -> Expected:
        found = cls(session.numerics)
        lacking: Counter[str] = Counter()
        for cell in cells:
            try:
                task = task_of(cell, session)
            except (UcbenchError, OSError) as error:
                found.described[canonical(cell.describe())] = cell
                lacking[" ".join(str(error).split())] += 1
            else:
                found.keyed[task.key] = (cell, task.release_key)
        if found.keyed:
            found.notes.append(f"{len(found.keyed)} of the suite's cells were keyed anew from data and components.")
        for reason, count in lacking.items():
            found.notes.append(
                f"{count} of the suite's cells were judged by their descriptions only, since they could not be keyed"
                f" here: {reason}"
            )
        return found


def foreign(records: Iterable[Record], expected: Expected) -> Iterator[Finding]:
    """Errors for records that are none of the suite's cells, or are described or keyed as something else."""
    alike = {canonical(cell.describe()): key for key, (cell, _) in expected.keyed.items()}
    strangers, otherwise = [], []
    for record in records:
        described = canonical(record["request"])
        if record["cell"] in expected.keyed:
            cell, release = expected.keyed[record["cell"]]
            yield from _as_described(record, cell, release)
        elif described in expected.described:
            yield from _as_keyed(record, expected.described[described], expected.numerics)
        elif described in alike:
            otherwise.append(record)
        else:
            strangers.append(record)
    if strangers:
        yield Finding(
            "error", f"{_count(strangers, 'record')} of no cell of the suite: {_some(map(_named, strangers))}."
        )
    if otherwise:
        yield Finding(
            "error",
            f"{_count(otherwise, 'record')} described as cells of the suite, and keyed as others: made from other data,"
            f" or by other versions of components, than those here: {_some(map(_named, otherwise))}.",
        )


def missing(records: Iterable[Record], expected: Expected, complete: bool) -> Iterator[Finding]:
    """One warning, or error where the leaderboard is to be ``complete``, for the cells without a record."""
    records = list(records)
    keys, described = ({make(record) for record in records} for make in (_key, _description))
    absent = [cell for key, (cell, _) in expected.keyed.items() if key not in keys]
    absent += [cell for text, cell in expected.described.items() if text not in described]
    if absent:
        count = len(expected.keyed) + len(expected.described)
        text = f"No record of {len(absent)} of the suite's {count} cells: {_some(map(title, absent))}."
        yield Finding("error" if complete else "warning", text)


def _as_described(record: Record, cell: Cell, release: str | None) -> Iterator[Finding]:
    """What a record keyed as ``cell`` says wrong of itself: tables are made from what it says."""
    stated, true = record["request"], cell.describe()
    wrong = [f"{name} {stated[name]} for {value}" for name, value in true.items() if stated[name] != value]
    if record["release"] != release:
        wrong.append(f"release {record['release']} for {release}")
    if wrong:
        # The same pictures may be had under two names, and a folder is named as it is on each machine.
        severity: Literal["error", "warning"] = (
            "warning" if len(wrong) == 1 and stated["dataset"] != true["dataset"] else "error"
        )
        yield Finding(severity, f"Record {record['cell']} is described otherwise than it is keyed: {'; '.join(wrong)}.")


def _as_keyed(record: Record, cell: Cell, numerics: Numerics) -> Iterator[Finding]:
    """Whether a record's key follows from its description and from the fingerprints it states."""
    data = record["data"]
    try:
        # Of a mixture, the fingerprint of the protected part is not stated; its release's key is taken as stated.
        whole = cell.mixture == 1 or cell.craft.is_clean
        release = cell.release_key(data["train"], numerics) if whole else record["release"]
        key = cell.key(release, data["train"], data["test"], numerics)
    except UcbenchError:
        return  # weights that are not here; the notes say that only descriptions were judged
    if key != record["cell"]:
        yield Finding(
            "error",
            f"{_named(record)}: its key does not follow from what it says of itself; it was made by other versions of"
            " its components than those here, or changed afterwards.",
        )


def _key(record: Record) -> str:
    return str(record["cell"])


def _description(record: Record) -> str:
    return canonical(record["request"])


def _named(record: Record) -> str:
    """A record in one line, as :func:`ucbench.running.tasks.title` has its cell."""
    request = record["request"]
    budget = "" if request["epsilon"] is None else f" {request['norm']} {request['epsilon']:g}"
    defense = "" if request["defense"] == "none" else f" + {request['defense']}"
    place = f"{request['dataset']} | {request['poisoner']}{budget} | {request['victim']}{defense}"
    return f"{place} | seed {request['train_seed']} ({record['cell'][:8]})"


def _count(found: Sequence[Any], noun: str) -> str:
    return f"{len(found)} {noun}{'' if len(found) == 1 else 's'}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{value} ({count})" for value, count in sorted(counts.items()))


def _some(texts: Iterable[str]) -> str:
    found = list(texts)
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more
