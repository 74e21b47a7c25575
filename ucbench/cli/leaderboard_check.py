"""``ucbench leaderboard check`` and ``submit``: verifying a leaderboard, and packing it for others."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ucbench.cli.leaderboard import MAKE
from ucbench.cli.options import AsJson, BoardFolder, SuiteName, flag, option
from ucbench.cli.output import print_json
from ucbench.errors import DataError, UnmetRequestError, UsageError, visible

if TYPE_CHECKING:
    from ucbench.leaderboard.check import Audit
    from ucbench.matrix.suite import Suite

_log = logging.getLogger(__name__)


app = typer.Typer()


@app.command("check", no_args_is_help=True, rich_help_panel=MAKE)
def check_command(
    suite: SuiteName,
    folder: BoardFolder,
    complete: Annotated[bool, flag("--complete", "Missing or failed cells are errors, not warnings.")] = False,
    as_json: AsJson = False,
) -> int:
    """Verify that FOLDER holds records of SUITE, and tables that follow from them byte for byte.

    Every record must be well-formed, belong to a cell of the suite, and have the same numerics and data. Missing cells,
    and different machines or library versions, are warnings. The folder's copy of the suite and the fingerprints of a
    submission are verified too.
    """
    from ucbench.matrix import requests

    audit = _audit(requests.suite(suite), folder, complete=complete)
    if as_json:
        errors, warnings = audit.texts("error"), audit.texts("warning")
        print_json({"errors": errors, "warnings": warnings, "notes": list(audit.notes)})
    else:
        _show(audit)
    return 1 if audit.failed else 0


@app.command("submit", no_args_is_help=True, rich_help_panel=MAKE)
def submit_command(
    suite: SuiteName,
    folder: BoardFolder,
    out: Annotated[Path, option("PATH", "A new folder, or an archive FILE.zip.")],
    complete: Annotated[bool, flag("--complete", "Refuse a leaderboard with missing or failed cells.")] = False,
) -> int:
    """Pack the leaderboard of SUITE in FOLDER: records, tables, the suite, and fingerprints of all of it.

    A folder that fails `ucbench leaderboard check` is refused. The same folder gives the same bytes. An archive holds
    SUITE/vN, to be unpacked in leaderboards/ for a pull request; or send the archive.
    """
    from ucbench.leaderboard.submission import pack, write
    from ucbench.matrix import requests

    loaded = requests.suite(suite)
    audit = _audit(loaded, folder, complete=complete)
    _show(audit)
    if audit.failed:
        typer.echo(
            f"Nothing was packed. First fix what `ucbench leaderboard check {suite} {folder}` reports.", err=True
        )
        return 1
    content = pack(folder, loaded, audit.records)
    typer.echo(str(write(content, out, f"{loaded.file.name}/v{loaded.file.version}")))
    return 0


def _audit(suite: Suite, folder: Path, *, complete: bool) -> Audit:
    """Check the records, the tables that follow from them, and the fingerprints of a submission.

    Raises:
        DataError: if there are no records.
        UsageError: if a component of the suite is not installed here.
        UnmetRequestError: if a file that one of them names is not here.
    """
    from ucbench.leaderboard.check import audit
    from ucbench.leaderboard.gates import missing_board
    from ucbench.leaderboard.problems import Problem
    from ucbench.leaderboard.submission import FINGERPRINTS, unchecked, verify
    from ucbench.leaderboard.tables import differences
    from ucbench.matrix import requests
    from ucbench.results.records import record_files
    from ucbench.session import open_session

    threads = suite.file.threads
    session = open_session(device="cpu", threads=threads)
    try:
        cells = requests.suite_cells(suite, session.registry)
    except UsageError as error:
        raise UsageError(f"{error}{_not_installed(folder)}") from error
    except UnmetRequestError as error:
        raise UnmetRequestError(
            f"{error} Keys of the suite's cells hold its content, so boards of the suite cannot be checked without it."
        ) from error
    result = audit(folder, cells, session.with_numerics, threads=threads, complete=complete)
    problems, notes = list(result.problems), list(result.notes)
    if len(result.records) < len(record_files(folder)):
        notes.append("Tables were not compared, because some records are not well-formed.")
    else:
        try:
            different = differences(folder, suite.file.ranking.defenses, suite.title, suite.file.gate)
        except DataError as error:  # the other problems say more
            problems.append(Problem("error", str(error)))
        else:
            problems += [Problem("error", _differs(folder / name)) for name in different]
            if not different:
                notes.append("All tables follow from the records.")
    if problem := missing_board(suite.file.gate, folder):
        problems.append(Problem("warning", problem))
    wrong = verify(folder, suite, result.records)
    problems += wrong
    if not wrong and (folder / FINGERPRINTS).exists():
        notes.append("All fingerprints match.")
    if others := unchecked(folder):
        notes.append(f"Not checked: {', '.join(others)}.")
    return result._replace(problems=tuple(problems), notes=tuple(notes))


def _differs(path: Path) -> str:
    if path.exists():
        return f"{path} does not follow from the records."
    return f"{path} is missing: `ucbench leaderboard build` makes it."


def _not_installed(folder: Path) -> str:
    """A sentence on the plugins that made the folder's records and are not installed here; empty if there are none."""
    from ucbench.leaderboard.check import read_all
    from ucbench.leaderboard.submission import absent_distributions

    absent = absent_distributions(read_all(folder)[0])
    return f" The records were made with {', '.join(absent)}, not installed here." if absent else ""


def _show(audit: Audit) -> None:
    """Print notes and errors, and log warnings."""
    for note in audit.notes:
        typer.echo(visible(note))
    for text in audit.texts("warning"):
        _log.warning("%s", text)
    for text in audit.texts("error"):
        typer.echo(f"Error: {visible(text)}", err=True)
