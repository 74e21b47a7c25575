"""All that ``check`` and ``submit`` ask of a leaderboard's folder."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ucbench.leaderboards.audit import Audit
    from ucbench.suite import Suite

_log = logging.getLogger(__name__)


def verdict_json(verdict: Audit) -> dict[str, Any]:
    return {"errors": verdict.texts("error"), "warnings": verdict.texts("warning"), "notes": list(verdict.notes)}


def show(verdict: Audit) -> None:
    """Notes to the output, warnings and errors beside it."""
    for note in verdict.notes:
        click.echo(note)
    for text in verdict.texts("warning"):
        _log.warning("%s", text)
    for text in verdict.texts("error"):
        click.echo(text, err=True)


def judge(suite: Suite, folder: Path, *, complete: bool = False) -> Audit:
    """Audit the records, regenerate the tables, and verify fingerprints where there are any.

    Raises:
        DataError: if there are no records.
        UsageError: if a component of the suite is not installed here.
    """
    from ucbench import api
    from ucbench.leaderboards.audit import Finding, audit
    from ucbench.leaderboards.submission import FINGERPRINTS, verify
    from ucbench.leaderboards.tables import differences
    from ucbench.store import Store
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
    return replace(found, findings=tuple(findings), notes=tuple(notes))
