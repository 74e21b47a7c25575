"""Packs a leaderboard for others to check: records, tables, the suite that was run, and fingerprints.

    records/<cell>.json  results.csv  leaderboard.csv  README.md  accuracy.svg    as in the leaderboard's folder
    suite.toml           byte for byte the suite that was run
    fingerprints.json    suite, versions, data, machines, and the SHA-256 of each of these files
    SHA256SUMS           the same hashes and that of fingerprints.json, for ``sha256sum -c``

The same folder gives the same bytes on any machine: there are no dates, and facts about machines come from the records.
An archive stores its files uncompressed, since compressors differ between machines.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ucbench
from ucbench.errors import UcbenchError, UsageError
from ucbench.leaderboard.check import environments
from ucbench.leaderboard.problems import Problem
from ucbench.leaderboard.tables import FIGURE, content_of
from ucbench.matrix.suite import SUITE_FILE, Suite, load_suite
from ucbench.results.records import Record, record_files
from ucbench.store.files import atomic_write_bytes, is_occupied
from ucbench.store.untrusted import read_json, read_regular

SCHEMA = 1
FINGERPRINTS, SUMS = "fingerprints.json", "SHA256SUMS"
TABLES = ("results.csv", "leaderboard.csv", "README.md", FIGURE)
#: Pattern of the names in :data:`SUMS` and :data:`FINGERPRINTS`.
_NAMES = "|".join([*map(re.escape, (SUITE_FILE, FINGERPRINTS, *TABLES)), "records/[0-9a-f]{32}[.]json"])
#: The date of all files in an archive: the earliest that the format allows.
_DATE = (1980, 1, 1, 0, 0, 0)

Files = Mapping[str, bytes]


def pack(folder: Path, suite: Suite, records: Sequence[Record]) -> dict[str, bytes]:
    """The files of a submission, sorted by path.

    Args:
        folder: a leaderboard that passed its check.
        records: its records.
    """
    files = {f"records/{record['cell']}.json": folder / "records" / f"{record['cell']}.json" for record in records}
    files |= {name: folder / name for name in _tables(folder)}
    content = {name: read_regular(path) for name, path in files.items()} | {SUITE_FILE: read_regular(suite.path)}
    content[FINGERPRINTS] = _json(
        {"schema": SCHEMA, "packed_by": {"ucbench": ucbench.__version__}, **describe(suite, records, content)}
    )
    content[SUMS] = "".join(f"{_sha256(content[name])}  {name}\n" for name in sorted(content)).encode()
    return dict(sorted(content.items()))


def describe(suite: Suite, records: Sequence[Record], content: Files) -> dict[str, Any]:
    """The content of ``fingerprints.json`` that follows from the records and files, as JSON values."""
    return {
        "suite": {"name": suite.file.name, "version": suite.file.version, "title": suite.file.title},
        "records": len(records),
        "numerics": _distinct(record["numerics"] for record in records),
        "distributions": _distributions(records),
        "data": _distinct(
            {"dataset": record["request"]["dataset"], "trusted": record["request"]["trusted"], **record["data"]}
            for record in records
        ),
        "environments": {name: dict(sorted(counts.items())) for name, counts in environments(records).items()},
        "files": {
            name: {"bytes": len(data), "sha256": _sha256(data)}
            for name, data in sorted(content.items())
            if name not in (FINGERPRINTS, SUMS)
        },
    }


def write(content: Files, out: Path, name: str) -> Path:
    """Write a submission to ``out``: a folder, or an archive of a folder ``name`` where ``out`` ends in ``.zip``.

    Raises:
        UsageError: if ``out`` exists and is not an empty folder.
        StoreError: if it cannot be written.
    """
    if is_occupied(out):
        raise UsageError(f"{out} exists already. Name another --out, or move it away.")
    if out.suffix == ".zip":
        atomic_write_bytes(out, _archive(content, name))
    else:
        # The list of hashes last: a folder with a list is complete.
        for path in sorted(content, key=lambda path: (path == SUMS, path)):
            atomic_write_bytes(out / path, content[path])
    return out


def verify(folder: Path, suite: Suite, records: Sequence[Record]) -> list[Problem]:
    """Errors in a folder's copy of its suite and, in that of a submission, in its fingerprints.

    The copy counts in any folder: other commands take from it what is ranked and how the gate is judged.
    """
    submission = (folder / FINGERPRINTS).exists() or (folder / SUMS).exists()
    errors = list(_wrong_suite(folder, suite)) if submission or (folder / SUITE_FILE).exists() else []
    if submission:
        errors += [*_wrong_sums(folder), *_wrong_fingerprints(folder, suite, records)]
    return [Problem("error", text) for text in errors]


def unchecked(folder: Path) -> list[str]:
    """Names of what a leaderboard's folder holds beside records, tables, suite and fingerprints, hidden files aside."""
    known = {SUITE_FILE, FINGERPRINTS, SUMS, *TABLES, "records"}
    return sorted(path.name for path in folder.iterdir() if path.name not in known and path.name[0] != ".")


def _wrong_sums(folder: Path) -> Iterator[str]:
    """Files that are missing, altered, or not listed."""
    try:
        lines = [line.split("  ", 1) for line in read_regular(folder / SUMS).decode().splitlines()]
        digests = {name: digest for digest, name in lines}
    except (OSError, ValueError) as error:
        yield f"{folder / SUMS} cannot be read: {type(error).__name__}: {error}."
        return
    if len(digests) < len(lines):
        yield f"{folder / SUMS} lists a file twice."
    for name, digest in sorted(digests.items()):
        if not _belongs(folder, name):
            yield f"{SUMS} lists {name!r}, which is no file of a submission."
        elif not (folder / name).is_file():
            yield f"{folder / name} is missing; {SUMS} lists it."
        elif (data := content_of(folder / name)) is None or _sha256(data) != digest:
            yield f"{folder / name} is not what {SUMS} says: it was altered."
    present = {SUITE_FILE, FINGERPRINTS, *_tables(folder)} | {f"records/{path.name}" for path in record_files(folder)}
    for name in sorted(present - digests.keys()):
        yield f"{folder / name} is not listed in {SUMS}."


def _tables(folder: Path) -> list[str]:
    """The names of the folder's tables; a leaderboard without measured poisoners has no figure."""
    return [name for name in TABLES if name != FIGURE or (folder / name).exists()]


def _belongs(folder: Path, name: Any) -> bool:
    """Whether a listed name is of a file that :func:`pack` writes, and not of a link, which may lead elsewhere."""
    if not isinstance(name, str) or not re.fullmatch(_NAMES, name):
        return False
    return not any((folder / part).is_symlink() for part in ("records", name))


def _wrong_suite(folder: Path, suite: Suite) -> Iterator[str]:
    """Whether the submission's suite differs from the installed one."""
    try:
        submitted = load_suite(folder / SUITE_FILE)
    except UcbenchError as error:
        yield str(error)
        return
    if submitted.file != suite.file:
        yield (
            f"{submitted.path} differs from {suite.path}, which was named as the suite. To check the folder"
            f" by its own suite, name {submitted.path} in place of it."
        )


def _wrong_fingerprints(folder: Path, suite: Suite, records: Sequence[Record]) -> Iterator[str]:
    path = folder / FINGERPRINTS
    try:
        stated = read_json(path)
        if stated["schema"] != SCHEMA:
            yield f"{path} has schema {stated['schema']}, and this version reads {SCHEMA}."
            return
        names = [name for name in stated["files"] if _belongs(folder, name) and (folder / name).is_file()]
        expected = describe(suite, records, {name: read_regular(folder / name) for name in names})
        wrong = [name for name, value in expected.items() if stated[name] != value]
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield f"{path} cannot be read: {type(error).__name__}: {error}."
        return
    if wrong:
        yield f"{path} does not follow from the records beside it: {', '.join(wrong)}."


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Distinct JSON values, in a fixed order."""
    return [json.loads(text) for text in sorted({json.dumps(value, sort_keys=True) for value in values})]


def _distributions(records: Sequence[Record]) -> dict[str, list[str]]:
    """Versions of all distributions whose components the records name."""
    versions: dict[str, set[str]] = defaultdict(set)
    for record in records:
        for component in record["components"].values():
            versions[component["distribution"]].add(component["distribution_version"])
    return {name: sorted(distinct) for name, distinct in sorted(versions.items())}


def absent_distributions(records: Sequence[Record]) -> list[str]:
    """Name and versions of each distribution that made the records and is not installed here."""
    versions = _distributions(records)
    return [f"{name} {' and '.join(versions[name])}" for name in versions if not _is_installed(name)]


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _archive(content: Files, name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(content):
            entry = zipfile.ZipInfo(f"{name}/{path}", _DATE)
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content[path])
    return buffer.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
