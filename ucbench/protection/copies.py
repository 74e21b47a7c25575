"""From a run's work to patterns and written copies."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ucbench.errors import DataError, UsageError
from ucbench.protection.crafting import PatternSettings, assign_patterns, check_assigns, craft_of, craft_patterns
from ucbench.protection.journal import Journal, State
from ucbench.protection.manifest import MANIFEST, PATTERNS, LeftOut, Output, ProtectedPhoto, Settings, check_unaltered
from ucbench.protection.patterns import CraftedPatterns, crafted, read_patterns, write_patterns
from ucbench.protection.photo import read_photo
from ucbench.protection.survey import Found
from ucbench.protection.work import NAMED, Work, damaged, left_out
from ucbench.protection.working import crafted_on, working_images
from ucbench.protection.writing import Task, protect_photo, reason_of, start_worker
from ucbench.store.files import digest_of, reporting

if TYPE_CHECKING:
    from ucbench.data.images import Pixels
    from ucbench.data.imageset import ImageSet
    from ucbench.session import Session

#: Files that are assigned to patterns at once.
ASSIGNED = 256


@dataclass(frozen=True)
class Run:
    """What a run works on: the folders, its work, the settings, and what was done so far."""

    photos: Path
    out: Path
    work: Work
    settings: Settings
    output: Output
    state: State
    session: Session

    @property
    def craft(self) -> PatternSettings:
        """The settings of crafting."""
        settings = self.settings
        clusters = None if settings.clusters == "auto" else settings.clusters
        return PatternSettings(settings.poisoner, settings.surrogate, settings.epsilon, clusters, settings.seed)

    def sha256(self, found: Found) -> str:
        """Of the photo's file."""
        return self.work.sha256[str(found.path)]


def patterns_for(run: Run, given: Path | None) -> CraftedPatterns:
    """The patterns of the folder of copies, which has them afterwards: :func:`existing_patterns`, or new ones.

    Raises:
        UsageError: as :func:`existing_patterns`, or if there are more photos than one craft takes and the poisoner has
            no change for the others.
        DataError: as :func:`existing_patterns`, or if no photo can be read.
    """
    patterns = existing_patterns(run, given) or _crafted(run)
    if not (run.out / PATTERNS).exists():
        write_patterns(run.out / PATTERNS, patterns)
    return patterns


def existing_patterns(run: Run, given: Path | None) -> CraftedPatterns | None:
    """The patterns that the folder of copies has, or else those in the file ``given``; None if there are none yet.

    Raises:
        UsageError: if the folder has others than ``given``.
        DataError: if they are damaged, missing or of other settings.
        StoreError: if they cannot be read.
    """
    path, manifest = run.out / PATTERNS, run.state.manifest
    if path.exists():
        if manifest is not None:
            check_unaltered(path, run.out / MANIFEST, manifest.patterns.sha256)
        with reporting(path):
            differ = given is not None and digest_of(path) != digest_of(given)
        if differ:
            raise UsageError(f"{run.out} has other patterns than {given}. Choose another folder with --out.")
        patterns = read_patterns(path)
        if patterns.settings != run.settings:
            raise DataError(f"{path} has other settings than this run. Restore it from a backup.")
        return patterns
    if manifest is not None:
        raise DataError(f"{path} is missing: without it, later photos would get other patterns. Restore it.")
    return None if given is None else read_patterns(given)


def photos_to_craft_on(run: Run) -> list[Found]:
    """The different files, or some of very many, on which new patterns would be crafted.

    Raises:
        UsageError: if they are too few for the poisoner, or more than one craft takes and it has no change for others.
        DataError: if there are none.
    """
    different = list({run.sha256(found): found for found in reversed(run.work.photos)}.values())[::-1]
    if not different:
        raise _nothing_left(run)
    rows = crafted_on(len(different), run.settings.seed)
    if len(rows) < len(different):
        check_assigns(run.craft, len(rows), run.session)
    else:
        craft_of(run.craft, len(rows), run.session.registry)
    return [different[row] for row in rows]


def _nothing_left(run: Run) -> DataError:
    left = left_out(run.work, run.state)
    shown = [f"{one.path}: {one.reason}" for one in left[:NAMED]]
    shown += [f"and {len(left) - NAMED} more"] if len(left) > NAMED else []
    return DataError("\n  ".join([f"No file in {run.photos} can be protected{':' if shown else '.'}", *shown]))


def _crafted(run: Run) -> CraftedPatterns:
    """Patterns crafted on the different files, or on some of very many."""
    entries = photos_to_craft_on(run)
    advance = run.session.progress.bar("reading photos", len(entries))
    images, read = _working_images(entries, run, advance)
    if images is None:
        raise _nothing_left(run)
    release = craft_patterns(images, run.craft, run.session)
    return crafted(release, [run.sha256(found) for found in read], run.settings)


def _working_images(
    entries: Sequence[Found], run: Run, advance: Callable[[int], None]
) -> tuple[ImageSet | None, list[Found]]:
    """Working images of the photos that can be read, None without any; and these photos. Others are left."""
    read: list[Found] = []

    def pixels() -> Iterator[Pixels]:
        for found in entries:
            file = run.photos / found.path
            try:
                photo = read_photo(file)
            except DataError as error:
                sha256 = run.sha256(found)
                for same in run.work.todo:  # the same file may be there under several names
                    if run.sha256(same) == sha256:
                        run.state.add(LeftOut(path=str(same.path), reason=reason_of(error, file), sha256=sha256))
            else:
                read.append(found)
                yield photo.pixels
            advance(1)

    stream = pixels()
    if (first := next(stream, None)) is None:  # a set without images is an error
        return None, []
    return working_images(chain([first], stream), run.settings.size), read


def photos_to_assign(run: Run, patterns: CraftedPatterns) -> list[Found]:
    """The different files that are to get a pattern and have none yet: those that were not crafted on.

    Where the poisoner has no pattern for them, they are left out instead.
    """
    numbers = _known_numbers(run, patterns)
    unreadable = damaged(run.work, run.state)
    new = {run.sha256(found): found for found in run.work.todo if str(found.path) not in unreadable}
    unknown = {sha256: found for sha256, found in new.items() if sha256 not in numbers}
    if not unknown:
        return []
    try:
        check_assigns(run.craft, len(patterns.release.index), run.session)
    except UsageError as error:
        for found in run.work.todo:
            if (sha256 := run.sha256(found)) in unknown:
                run.state.add(LeftOut(path=str(found.path), reason=str(error), sha256=sha256))
        return []
    return list(unknown.values())


def _known_numbers(run: Run, patterns: CraftedPatterns) -> dict[str, int]:
    return {**run.state.numbers, **patterns.number_of}


def _numbers(run: Run, patterns: CraftedPatterns, log: Journal) -> dict[str, int]:
    """The pattern of every file, by its SHA-256. Files that were not crafted on get that of the nearest group."""
    numbers, unknown = _known_numbers(run, patterns), photos_to_assign(run, patterns)
    if not unknown:
        return numbers
    advance = run.session.progress.bar("finding the groups of photos", len(unknown))
    for start in range(0, len(unknown), ASSIGNED):
        images, read = _working_images(unknown[start : start + ASSIGNED], run, advance)
        if images is None:
            continue
        rows = assign_patterns(patterns.release, images, run.craft, run.session)
        assigned = {run.sha256(found): int(row) for found, row in zip(read, rows.tolist(), strict=True)}
        # A run that continues has another block, and features may depend on the block in their last digits.
        log.write("assigned", assigned)
        numbers |= assigned
    return numbers


def write_copies(run: Run, patterns: CraftedPatterns, log: Journal, jobs: int) -> None:
    """Write the copies that are missing, by ``jobs`` processes, and note each in state and journal.

    Raises:
        StoreError: if a file cannot be written.
        DataError: if a process ended early.
    """
    numbers = _numbers(run, patterns, log)
    unreadable = damaged(run.work, run.state)
    tasks = []
    for found in run.work.todo:
        path, sha256 = str(found.path), run.sha256(found)
        if path not in unreadable and sha256 in numbers:
            changes = patterns.release.changes[numbers[sha256]]
            target = str(run.work.names[found.path])
            tasks.append(
                Task(run.photos, run.out, path, target, sha256, found.type, numbers[sha256], changes, run.output)
            )
    log.write("plan", sorted(task.target for task in tasks))
    advance = run.session.progress.bar("writing copies", len(tasks))
    results = _results(tasks, jobs)
    try:
        for result in results:
            run.state.add(result)
            log.done(result)
            advance(1)
    finally:
        results.close()


def _results(tasks: Sequence[Task], jobs: int) -> Generator[ProtectedPhoto | LeftOut, None, None]:
    """What :func:`protect_photo` returns for the tasks, in any order, from ``jobs`` processes."""
    if jobs <= 1 or len(tasks) <= 1:
        yield from map(protect_photo, tasks)
        return
    # Forks of a process with torch's threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context, initializer=start_worker)
    try:
        for future in as_completed([pool.submit(protect_photo, task) for task in tasks]):
            yield future.result()
    except (BrokenProcessPool, MemoryError) as error:
        raise DataError(
            "A process that writes copies was ended, perhaps for lack of memory. Finished copies are kept; the same"
            " command with --jobs 1 needs less."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
