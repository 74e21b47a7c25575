"""``ucbench leaderboard check`` and ``submit``: verifying a leaderboard, and packing it for others."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ucbench.cli.options import FOLDER, as_json, verbosity
from ucbench.cli.output import print_json

if TYPE_CHECKING:
    from ucbench.leaderboard.check import Audit
    from ucbench.matrix.suite import Suite

_log = logging.getLogger(__name__)


@click.command("check")
@click.argument("suite")
@click.argument("folder", type=FOLDER)
@click.option("--complete", is_flag=True, help="Missing or failed cells are errors, not warnings.")
@as_json
@verbosity
def check_command(suite: str, folder: Path, complete: bool, as_json: bool) -> int:
    """Verify that FOLDER holds records of SUITE, and tables that follow from them byte for byte.

    Every record must be well-formed, belong to a cell of the suite, and have the same numerics and data. Missing cells,
    and different machines or library versions, are warnings. Fingerprints of a submission are verified too.
    """
    from ucbench import api

    verdict = _judge(api.suite(suite), folder, complete=complete)
    if as_json:
        errors, warnings = verdict.texts("error"), verdict.texts("warning")
        print_json({"errors": errors, "warnings": warnings, "notes": list(verdict.notes)})
    else:
        _show(verdict)
    return 1 if verdict.failed else 0


@click.command("submit")
@click.argument("suite")
@click.argument("folder", type=FOLDER)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder, or an archive FILE.zip.")
@click.option("--complete", is_flag=True, help="Refuse a leaderboard with missing or failed cells.")
@verbosity
def submit_command(suite: str, folder: Path, out: Path, complete: bool) -> int:
    """Pack the leaderboard of SUITE in FOLDER: records, tables, the suite, and fingerprints of all of it.

    A folder that fails `ucbench leaderboard check` is refused. The same folder gives the same bytes. Send the result as
    a pull request that adds it to leaderboards/, or send the archive.
    """
    from ucbench import api
    from ucbench.leaderboard.submission import pack, write

    named = api.suite(suite)
    verdict = _judge(named, folder, complete=complete)
    _show(verdict)
    if verdict.failed:
        click.echo(
            f"Nothing was packed. First fix what `ucbench leaderboard check {suite} {folder}` reports.", err=True
        )
        return 1
    content = pack(folder, named, verdict.records)
    click.echo(str(write(content, out, f"{named.file.name}-v{named.file.version}")))
    return 0


def _judge(suite: Suite, folder: Path, *, complete: bool) -> Audit:
    """Audit the records, regenerate the tables, and verify fingerprints if there are any.

    Raises:
        DataError: if there are no records.
        UsageError: if a component of the suite is not installed here.
    """
    from ucbench import api
    from ucbench.leaderboard.check import Finding, audit
    from ucbench.leaderboard.submission import FINGERPRINTS, verify
    from ucbench.leaderboard.tables import differences

    session = api.open_session(device="cpu", threads=suite.file.threads)
    records_audit = audit(
        folder,
        api.suite_cells(suite, session),
        session.with_numerics,
        threads=suite.file.threads,
        complete=complete,
    )
    findings, notes = list(records_audit.findings), list(records_audit.notes)
    if len(records_audit.records) < len(list((folder / "records").glob("*"))):
        notes.append("Tables were not compared, because some records are not well-formed.")
    else:
        differing = differences(folder, suite.file.ranking.defenses, suite.title)
        findings += [Finding("error", f"{folder / name} does not follow from the records.") for name in differing]
        if not differing:
            notes.append("All tables follow from the records.")
    mismatches = verify(folder, suite, records_audit.records)
    findings += mismatches
    if not mismatches and (folder / FINGERPRINTS).exists():
        notes.append("All fingerprints match.")
    return replace(records_audit, findings=tuple(findings), notes=tuple(notes))


def _show(verdict: Audit) -> None:
    """Print notes to standard output, warnings and errors to standard error."""
    for note in verdict.notes:
        click.echo(note)
    for text in verdict.texts("warning"):
        _log.warning("%s", text)
    for text in verdict.texts("error"):
        click.echo(text, err=True)
