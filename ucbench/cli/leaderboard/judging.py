"""All that ``check`` and ``submit`` ask of a leaderboard's folder."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ucbench.audit import Finding
    from ucbench.records import Record
    from ucbench.suite import Suite

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """What was found: well-formed records, findings, and notes on what was judged and how."""

    records: tuple[Record, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def failed(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)

    def texts(self, severity: str) -> list[str]:
        return [finding.text for finding in self.findings if finding.severity == severity]

    def as_json(self) -> dict[str, Any]:
        return {"errors": self.texts("error"), "warnings": self.texts("warning"), "notes": list(self.notes)}

    def print(self) -> None:
        """Notes to the output, warnings and errors beside it."""
        for note in self.notes:
            click.echo(note)
        for text in self.texts("warning"):
            _log.warning("%s", text)
        for text in self.texts("error"):
            click.echo(text, err=True)


def judge(suite: Suite, folder: Path, *, complete: bool = False) -> Verdict:
    """Audit the records, regenerate the tables, and verify fingerprints where there are any.

    Raises:
        DataError: if there are no records.
        UsageError: if a component of the suite is not installed here.
    """
    from ucbench import api
    from ucbench.audit import Finding, audit
    from ucbench.leaderboard import differences
    from ucbench.store import Store
    from ucbench.submission import FINGERPRINTS, verify
    from ucbench.workbench import Workbench

    here = api.session(device="cpu", threads=suite.file.threads)
    found = audit(
        folder,
        api.suite_cells(suite, here),
        lambda numerics: Workbench(Store(here.home), numerics, here.progress),
        threads=suite.file.threads,
        complete=complete,
    )
    findings, notes = list(found.findings), list(found.notes)
    if len(found.records) < len(list((folder / "records").glob("*"))):
        notes.append("Tables were not compared, since some records are not well-formed.")
    else:
        wrong = differences(folder, suite.file.ranking.defenses, suite.title)
        findings += [Finding("error", f"{folder / name} does not follow from the records.") for name in wrong]
        if not wrong:
            notes.append("All tables follow from the records.")
    stated = verify(folder, suite, found.records)
    findings += stated
    if not stated and (folder / FINGERPRINTS).exists():
        notes.append("The fingerprints are those of the files.")
    return Verdict(found.records, tuple(findings), tuple(notes))
