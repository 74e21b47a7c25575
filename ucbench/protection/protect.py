"""The flow: survey, patterns, copies, manifest, report. It continues where an earlier run stopped."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ucbench.errors import DataError, UsageError
from ucbench.numerics import versions
from ucbench.protection.journal import journal, read_state, stamp
from ucbench.protection.manifest import (
    MANIFEST,
    PATTERNS,
    REPORT,
    UNCHANGED,
    LeftOut,
    Manifest,
    Patterns,
    ProtectedPhoto,
    Settings,
    check_unaltered,
    read_manifest,
    write_manifest,
)
from ucbench.protection.survey import survey
from ucbench.protection.work import is_complete, left_out, work_of
from ucbench.store.files import digest_of, sweep_drafts

if TYPE_CHECKING:
    from ucbench.protection.copies import Run
    from ucbench.protection.patterns import CraftedPatterns
    from ucbench.protection.request import ProtectionRequest
    from ucbench.session import Session


@dataclass(frozen=True)
class Protection:
    """What a run of :func:`ucbench.protect` did.

    Attributes:
        folder: of the copies.
        photos: copies that the folder has in all.
        written: originals whose copies this run wrote; of a dry run, would write.
        left: entries without a copy, with reasons.
        unchanged: photos that their pattern does not change, most likely since they are too small for it.
        notes: what else happened to photos, such as a position that was removed, and to how many.
        linf: largest difference of any copy, re-opened, from its original, in 8-bit levels; None without copies.
        patterns: how many patterns there are; None in a dry run of a new folder.
        warnings: what crafting them warned of.
        seconds: that this run took.
        peak_memory_mib: of the largest process.
        report: the page, or None in a dry run.
        dry_run: whether nothing was done.
        refused: of a dry run, why a run would write no copies, as far as it shows before photos are read; else empty.
    """

    folder: Path
    photos: int
    written: tuple[str, ...]
    left: tuple[LeftOut, ...]
    unchanged: tuple[str, ...]
    notes: dict[str, int]
    linf: int | None
    patterns: int | None
    warnings: tuple[str, ...]
    seconds: float
    peak_memory_mib: int
    report: Path | None
    dry_run: bool = False
    refused: str = ""

    def summary(self) -> dict[str, Any]:
        """The values as JSON."""
        values = {name: value for name, value in vars(self).items() if name not in ("folder", "report", "left")}
        left = [{"path": one.path, "reason": one.reason} for one in self.left]
        report = None if self.report is None else str(self.report)
        return {"folder": str(self.folder), **values, "left": left, "report": report}


def protect(
    photos: Path,
    out: Path,
    request: ProtectionRequest,
    session: Session,
    *,
    jobs: int = 1,
    patterns_of: Path | None = None,
    by_folder: bool = False,
    check: bool = False,
    force: bool = False,
    dry_run: bool = False,
) -> Protection:
    """See :func:`ucbench.protect`, which also documents the errors.

    Args:
        patterns_of: the manifest of another folder, whose patterns are used.
    """
    started = time.perf_counter()
    if by_folder and not check:
        raise UsageError("--by-folder says what --check compares, and does nothing without it. Add --check.")
    before, state = stamp(out), read_state(out)
    earlier, file = (state.settings, None) if patterns_of is None else _given(patterns_of, out, state.settings)
    settings = request.settings(session.registry, earlier)
    output = request.output(state.output)
    work = work_of(survey(photos, out), photos, out, output.format, state, session.progress, force)
    refused = ""
    if work.todo or check or not is_complete(out, work, state):
        from ucbench.protection.copies import Run, existing_patterns, photos_to_assign, photos_to_craft_on

        run = Run(photos, out, work, settings, output, state, session)
        try:
            if dry_run and (patterns := existing_patterns(run, file)):
                photos_to_assign(run, patterns)
            elif file is None and state.manifest is None and not (out / PATTERNS).exists():
                photos_to_craft_on(run)
        except (UsageError, DataError) as error:
            if not dry_run:
                raise
            refused = str(error).partition(":\n")[0]  # without the entries that are left, which a dry run lists
        if not dry_run:
            _carry_out(run, before, file, by_folder, check, jobs)
    left = left_out(work, state)
    without = {one.path for one in left}
    return Protection(
        folder=out,
        photos=len(state.photos),
        written=tuple(path for found in work.todo if (path := str(found.path)) not in without),
        left=left,
        unchanged=tuple(path for path, photo in sorted(state.photos.items()) if photo.is_unchanged),
        notes=_notes(state.photos.values()),
        linf=max((photo.linf for photo in state.photos.values()), default=None),
        patterns=state.manifest.patterns.count if state.manifest else None,
        warnings=state.manifest.patterns.warnings if state.manifest else (),
        seconds=time.perf_counter() - started,
        peak_memory_mib=_peak_memory(),
        report=None if dry_run else out / REPORT,
        dry_run=dry_run,
        refused=refused,
    )


def _carry_out(run: Run, before: tuple[str, ...], file: Path | None, by_folder: bool, check: bool, jobs: int) -> None:
    from ucbench.protection.copies import patterns_for, write_copies

    out, state = run.out, run.state
    with journal(out) as log:
        if stamp(out) != before:
            raise UsageError(f"Another run wrote to {out} meanwhile. The same command does what is left.")
        settings = {name: getattr(run, name).model_dump(mode="json") for name in ("settings", "output")}
        log.write("begin", settings)
        for folder in {out, *((out / name).parent for name in run.work.names.values())}:
            sweep_drafts(folder)
        patterns = patterns_for(run, file)
        write_copies(run, patterns, log, jobs)
        state.manifest = _manifest(run, patterns)
        write_manifest(out / MANIFEST, state.manifest)
        problem = _write_report(out / REPORT, state.manifest, run.photos, run.session, by_folder, check)
    if problem:
        raise UsageError(f"{problem} The copies and their report are written, without the check.") from problem


def _given(patterns_of: Path, out: Path, earlier: Settings | None) -> tuple[Settings, Path]:
    """Settings and file of another folder's patterns; ``earlier`` are the settings of an earlier run in ``out``."""
    given = read_manifest(patterns_of)
    file = patterns_of.parent / given.patterns.file
    check_unaltered(file, patterns_of, given.patterns.sha256, "--with")
    if earlier is not None and earlier != given.settings:
        raise UsageError(f"{out} has patterns with other settings than those of {patterns_of}. Choose another --out.")
    return given.settings, file


def _notes(photos: Iterable[ProtectedPhoto]) -> dict[str, int]:
    """How often each note is there, most often first; photos that their pattern does not change are listed apart."""
    counts = Counter(note for photo in photos for note in photo.notes if note != UNCHANGED)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _manifest(run: Run, patterns: CraftedPatterns) -> Manifest:
    return Manifest(
        ucbench=versions()["ucbench"],
        settings=run.settings,
        output=run.output,
        patterns=Patterns(
            file=PATTERNS,
            sha256=digest_of(run.out / PATTERNS),
            count=len(patterns.release.changes),
            warnings=patterns.warnings,
        ),
        photos=tuple(photo for _, photo in sorted(run.state.photos.items())),
        left=left_out(run.work, run.state),
    )


def _write_report(
    path: Path, manifest: Manifest, photos: Path, session: Session, by_folder: bool, check: bool
) -> UsageError | None:
    """Write the report; returns why there was no check, if one was asked for."""
    from ucbench.protection.effect import check_effect
    from ucbench.protection.report import write_report
    from ucbench.protection.survival import survival

    # Of originals that are gone or out of reach nothing can be shown.
    left = {one.path for one in manifest.left}
    present = tuple(
        photo for photo in manifest.photos if photo.source not in left and os.path.isfile(photos / photo.source)
    )  # isfile, since is_file raises an error in a folder that nobody may enter
    shown = manifest.model_copy(update={"photos": present})
    effect, problem = None, None
    try:
        effect = check_effect(shown, photos, path.parent, session, by_folder=by_folder) if check else None
    except UsageError as error:  # too few photos or classes; the copies and their report are no worse for it
        problem = error
    write_report(path, shown, photos, path.parent, survival(present, photos, path.parent, session.progress), effect)
    return problem


def _peak_memory() -> int:
    """Resident memory in MiB of this process or the largest of those that it started, at its peak."""
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak >> (20 if sys.platform == "darwin" else 10)
