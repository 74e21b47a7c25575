"""A leaderboard packed for others to check: records, tables, the suite as it was used, and fingerprints of all of it.

    records/<cell>.json  results.csv  leaderboard.csv  README.md    as the leaderboard's folder has them
    suite.toml           byte for byte the suite that was run
    fingerprints.json    suite, versions, data, machines, and the SHA-256 of each of these files
    SHA256SUMS           the same hashes and that of fingerprints.json, for ``sha256sum -c``

The same folder gives the same bytes, wherever it is packed: nothing is dated, and what is said of the machine is what
the records say. An archive stores its files uncompressed, since compressors differ between machines.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ucbench
from ucbench.errors import UcbenchError, UsageError
from ucbench.leaderboard.check import Finding, environments
from ucbench.matrix.suite import Suite, load_suite
from ucbench.results.records import Record
from ucbench.store.files import atomic_write_bytes

SCHEMA = 1
SUITE, FINGERPRINTS, SUMS = "suite.toml", "fingerprints.json", "SHA256SUMS"
TABLES = ("results.csv", "leaderboard.csv", "README.md")
#: Every file of an archive is as old as archives can say.
_DATE = (1980, 1, 1, 0, 0, 0)

Files = Mapping[str, bytes]


def pack(folder: Path, suite: Suite, records: Sequence[Record]) -> dict[str, bytes]:
    """The files of a submission by path, sorted.

    Args:
        folder: a leaderboard's, whose check passed.
        records: its well-formed records.
    """
    files = {f"records/{record['cell']}.json": folder / "records" / f"{record['cell']}.json" for record in records}
    files |= {name: folder / name for name in TABLES}
    content = {name: path.read_bytes() for name, path in files.items()} | {SUITE: suite.path.read_bytes()}
    content[FINGERPRINTS] = _json(
        {"schema": SCHEMA, "packed_by": {"ucbench": ucbench.__version__}, **describe(suite, records, content)}
    )
    content[SUMS] = "".join(f"{_sha256(content[name])}  {name}\n" for name in sorted(content)).encode()
    return dict(sorted(content.items()))


def describe(suite: Suite, records: Sequence[Record], content: Files) -> dict[str, Any]:
    """What ``fingerprints.json`` says of records, as JSON values."""
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
        UsageError: if there is something at ``out`` that is no empty folder.
        StoreError: if it cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists already. Name another --out, or move it away.")
    if out.suffix == ".zip":
        atomic_write_bytes(out, _archive(content, name))
    else:
        # The list of hashes last: a folder that has one is whole.
        for path in sorted(content, key=lambda path: (path == SUMS, path)):
            atomic_write_bytes(out / path, content[path])
    return out


def verify(folder: Path, suite: Suite, records: Sequence[Record]) -> list[Finding]:
    """What is wrong with the fingerprints of a submission's folder; nothing if it has none at all."""
    if not (folder / FINGERPRINTS).exists() and not (folder / SUMS).exists():
        return []
    findings = [*_summed(folder), *_suite_as_used(folder, suite)]
    try:
        stated = json.loads((folder / FINGERPRINTS).read_text(encoding="utf-8"))
        if stated["schema"] != SCHEMA:
            text = f"{folder / FINGERPRINTS} has schema {stated['schema']}, and this version reads {SCHEMA}."
            return [*findings, Finding("error", text)]
        names = [name for name in stated["files"] if (folder / name).is_file()]
        true = describe(suite, records, {name: (folder / name).read_bytes() for name in names})
        wrong = [name for name, value in true.items() if stated[name] != value]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [
            *findings,
            Finding("error", f"{folder / FINGERPRINTS} cannot be read: {type(error).__name__}: {error}."),
        ]
    if wrong:
        text = f"{folder / FINGERPRINTS} does not follow from the records beside it: {', '.join(wrong)}."
        findings.append(Finding("error", text))
    return findings


def _summed(folder: Path) -> list[Finding]:
    """Files that are missing, altered, or not listed."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        stated = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError) as error:
        return [Finding("error", f"{folder / SUMS} cannot be read: {type(error).__name__}: {error}.")]
    found = []
    for name, digest in sorted(stated.items()):
        if not (folder / name).is_file():
            found.append(Finding("error", f"{folder / name} is missing; {SUMS} lists it."))
        elif _sha256((folder / name).read_bytes()) != digest:
            found.append(Finding("error", f"{folder / name} is not what {SUMS} says: it was altered."))
    present = {SUITE, FINGERPRINTS, *TABLES} | {f"records/{path.name}" for path in (folder / "records").glob("*")}
    for name in sorted(present - stated.keys()):
        found.append(Finding("error", f"{folder / name} is not listed in {SUMS}."))
    return found


def _suite_as_used(folder: Path, suite: Suite) -> list[Finding]:
    """Whether the suite that came along is the one it is checked against."""
    try:
        used = load_suite(folder / SUITE)
    except UcbenchError as error:
        return [Finding("error", str(error))]
    if used.file != suite.file:
        return [Finding("error", f"{used.path} is not {suite.title} as it is here: it was run as something else.")]
    return []


def _distinct(values: Any) -> list[Any]:
    """Equal ones once, in a fixed order."""
    return [json.loads(text) for text in sorted({json.dumps(value, sort_keys=True) for value in values})]


def _distributions(records: Sequence[Record]) -> dict[str, list[str]]:
    """The versions of every distribution whose components the records name."""
    found: dict[str, set[str]] = {}
    for record in records:
        for component in record["components"].values():
            found.setdefault(component["distribution"], set()).add(component["distribution_version"])
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def _archive(content: Files, name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(content):
            entry = zipfile.ZipInfo(f"{name}/{path}", _DATE)
            entry.create_system = 3  # Unix, whatever packs it
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content[path])
    return buffer.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
