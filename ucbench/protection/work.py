"""What a run has to do, given what the folder of copies says of earlier runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ucbench.errors import UsageError
from ucbench.progress import Progress
from ucbench.protection.journal import State
from ucbench.protection.manifest import JOURNAL, REPORT, Format, LeftOut, ProtectedPhoto
from ucbench.protection.survey import Found, is_within, output_names
from ucbench.store.files import digest_of, draft_name, reporting

#: Existing files that an error names.
NAMED = 10
#: Bytes of a file's name on most file systems.
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Work:
    """What a run has to do.

    Attributes:
        photos: all photos, those that are done among them; ``sha256``: of their files, by path.
        names: of all copies, by photo.
        todo: photos without a copy that is up to date.
        left: entries that the survey leaves, by path.
    """

    photos: list[Found]
    sha256: dict[str, str]
    names: dict[PurePosixPath, PurePosixPath]
    todo: list[Found]
    left: dict[str, LeftOut]


def work_of(
    entries: Sequence[Found], photos: Path, out: Path, format: Format, state: State, progress: Progress, force: bool
) -> Work:
    """Compare the entries of the folder ``photos`` with what was done.

    Raises:
        UsageError: unless ``force``, if a file would be overwritten that no earlier run wrote as it is.
        StoreError: if a copy cannot be read.
    """
    left = {str(one.path): LeftOut(path=str(one.path), reason=one.reason) for one in entries if one.action == "leave"}
    candidates = [found for found in entries if found.action == "protect"]
    sha256 = _hashes(candidates, photos, left, progress)
    if force:  # what could not be read is tried again
        state.left.clear()
    # A file that could not be protected stays so until it changes.
    known = {path: one for path, one in state.left.items() if one.sha256 and sha256.get(path) == one.sha256}
    left |= known
    readable = [found for found in candidates if str(found.path) not in left]
    taken = {PurePosixPath(photo.source): PurePosixPath(photo.output) for photo in state.photos.values()}
    names = output_names(readable, format, taken)
    for found in readable:
        if reason := _too_long(out / names[found.path]):
            left[str(found.path)] = LeftOut(path=str(found.path), reason=reason)
            del names[found.path]
    readable = [found for found in readable if found.path in names]
    for folder in sorted({(out / name).parent for name in names.values()}):
        if is_within(folder, photos):
            raise UsageError(f"{folder} leads into {photos}, where the originals are. Remove the link.")
    todo = [found for found in readable if not _is_done(found, sha256, out, state)]
    outputs = [(str(found.path), str(names[found.path])) for found in todo]
    foreign = [output for source, output in outputs if _is_foreign(source, output, out, state)]
    if foreign and not force:
        more = len(foreign) - NAMED
        shown = "\n  ".join([*foreign[:NAMED], *([f"and {more} more"] if more > 0 else [])])
        raise UsageError(
            f"{out} has files that would be overwritten and are not as an earlier run wrote them:\n  {shown}\nMove them"
            " elsewhere, or overwrite them with --force."
        )
    return Work(readable, sha256, names, todo, left)


def _hashes(entries: Sequence[Found], photos: Path, left: dict[str, LeftOut], progress: Progress) -> dict[str, str]:
    """SHA-256 of the files by path; those that cannot be read are added to ``left``."""
    hashes = {}
    advance = progress.bar("comparing files", len(entries))
    for found in entries:
        path = str(found.path)
        try:
            hashes[path] = digest_of(photos / path)
        except OSError as error:
            left[path] = LeftOut(path=path, reason=f"cannot be read: {error.strerror}")
        advance(1)
    return hashes


def _too_long(copy: Path) -> str:
    """Why a copy cannot have this path, or an empty text."""
    if len(os.fsencode(copy.name)) > _LONGEST_NAME:
        return "its copy's name would be too long: rename it"
    draft = copy.with_name(draft_name(copy.name))
    if max(len(os.fsencode(path)) for path in (copy, draft)) >= os.pathconf("/", "PC_PATH_MAX"):
        return "its copy's path would be too long: rename folders, or choose a shorter --out"
    return ""


def _is_done(found: Found, sha256: dict[str, str], out: Path, state: State) -> bool:
    done = state.photos.get(str(found.path))
    return done is not None and done.source_sha256 == sha256[str(found.path)] and _is_copy(done, out / done.output)


def _is_copy(done: ProtectedPhoto, target: Path) -> bool:
    """Whether the file is the copy that an earlier run wrote."""
    with reporting(target):
        return target.is_file() and not target.is_symlink() and digest_of(target) == done.output_sha256


def _is_foreign(source: str, output: str, out: Path, state: State) -> bool:
    target, done = out / output, state.photos.get(source)
    if output in state.planned or not (target.exists() or target.is_symlink()):
        return False
    return done is None or not _is_copy(done, target)


def is_complete(out: Path, work: Work, state: State) -> bool:
    """Whether the manifest says all, and the run that wrote it ended."""
    written = state.manifest is not None and state.manifest.left == left_out(work, state)
    return written and (out / REPORT).exists() and not (out / JOURNAL).exists()


def damaged(work: Work, state: State) -> dict[str, LeftOut]:
    """Photos that could not be read, written or given a pattern in this run, by path."""
    tried = {str(found.path) for found in work.todo}
    return {path: one for path, one in state.left.items() if path in tried and one.sha256 == work.sha256[path]}


def left_out(work: Work, state: State) -> tuple[LeftOut, ...]:
    """All entries without a copy, those of this run among them."""
    return tuple(one for _, one in sorted({**work.left, **damaged(work, state)}.items()))
