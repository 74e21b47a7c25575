"""Checks whether a leaderboard's records can be published: well-formed, cells of the suite, and comparable.

Defects are *errors*: a malformed record, a number that no run writes, a cell of another suite, a statement that
contradicts the key, different data under the same name, different numerics. What readers should know is a *warning*:
missing or failed cells, records of earlier versions of components, values of earlier versions of metrics, and different
machines or libraries, which do not change keys but may change numbers (docs/protocol.md).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ucbench.errors import DataError
from ucbench.leaderboard.membership import Expected, foreign, missing, unmeasured
from ucbench.leaderboard.plausible import chances, implausible, sizes_by_images, sizes_by_release, unlearned
from ucbench.leaderboard.problems import SHOWN, Problem, Severity, record_title, some
from ucbench.matrix.cell import Cell
from ucbench.numerics import Numerics
from ucbench.results.records import Record, read_record, record_files
from ucbench.results.text import counted
from ucbench.session import Session
from ucbench.store.keys import canonical


class Audit(NamedTuple):
    """The result of an audit.

    Attributes:
        records: the well-formed records.
        problems: errors and warnings, in the order of the checks.
        notes: what was checked, and how.
    """

    records: tuple[Record, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def failed(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)

    def texts(self, severity: Severity) -> list[str]:
        return [problem.text for problem in self.problems if problem.severity == severity]


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
    records, problems = read_all(folder)
    notes = [f"{len(records)} well-formed records."]
    problems += [*comparable(records, threads), *possible(records)]
    by_numerics: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_numerics[canonical(record["numerics"])].append(record)
    severity: Severity = "error" if complete else "warning"
    for _, group in sorted(by_numerics.items()):
        expected = Expected.of(cells, session_of(Numerics("cpu", **group[0]["numerics"])))
        problems += [*foreign(group, expected), *missing(group, expected, severity)]
        problems += unmeasured(group, expected, severity)
        notes += expected.notes
    failures = [record for record in records if record["status"] != "ok"]
    if failures:
        problems.append(
            Problem(severity, f"{counted(len(failures), 'failed cell')}: {some(map(record_title, failures))}.")
        )
    return Audit(tuple(records), tuple(problems), tuple(dict.fromkeys(notes)))


def read_all(folder: Path) -> tuple[list[Record], list[Problem]]:
    """The well-formed records of a folder, by file name, and errors for links and other files that are not hidden.

    Raises:
        DataError: if there are no records.
    """
    paths = record_files(folder)
    if not paths:
        raise DataError(f"There are no records in {folder / 'records'}.")
    records, problems = [], list[Problem]()
    links = [path for path in (folder / "records", *paths) if path.is_symlink()]
    if links:
        # Whoever gets the folder may find something else at their ends.
        problems.append(Problem("error", f"Links instead of records: {some(str(path) for path in links)}."))
    for path in paths:
        try:
            records.append(read_record(path))
        except DataError as error:
            problems.append(Problem("error", str(error)))
    return records, problems


def comparable(records: Sequence[Record], threads: int) -> Iterator[Problem]:
    """Errors for different numerics or data, warnings for different machines or libraries."""
    numerics = Counter(canonical(record["numerics"]) for record in records)
    if len(numerics) > 1:
        yield Problem("error", f"Records were made with different numerics, part of every key: {_counts(numerics)}.")
    others = [record for record in records if record["numerics"]["threads"] != threads]
    if others:
        text = f"{counted(len(others), 'record')} made with another number of threads than the suite's {threads}"
        yield Problem("error", f"{text}: {some(map(record_title, others))}.")
    fingerprints: dict[tuple[str, int], set[tuple[str, str]]] = defaultdict(set)
    for record in records:
        request, data = record["request"], record["data"]
        fingerprints[request["dataset"], request["trusted"]].add((data["train"], data["test"]))
    for (dataset, _), distinct in sorted(fingerprints.items()):
        if len(distinct) > 1:
            yield Problem("error", f"The data set {dataset} has {len(distinct)} different fingerprints.")
    for name, values in environments(records).items():
        if len(values) > 1:
            yield Problem("warning", f"Records were made with different {name}: {_counts(values)}.")


def possible(records: Sequence[Record]) -> Iterator[Problem]:
    """Errors for numbers that no run writes, and problems for exploiters who learn nothing from clean images."""
    for record in records:
        if wrong := implausible(record):
            yield Problem("error", f"{record_title(record)}: {'; '.join(wrong[:SHOWN])}.")
    for text in (*sizes_by_images(records), *chances(records)):
        yield Problem("error", text)
    for text in sizes_by_release(records):  # two machines that crafted it may differ in the last bits
        yield Problem("warning", text)
    texts, count = unlearned(records)
    if texts:
        # A leaderboard with other exploiters still shows something.
        severity: Severity = "error" if len(texts) == count else "warning"
        text = f"Clean accuracy is not clearly above chance, so nothing can be removed: {some(texts)}."
        yield Problem(severity, text)


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


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{value} ({count})" for value, count in sorted(counts.items()))
