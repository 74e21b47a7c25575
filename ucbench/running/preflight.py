"""What would make a run fail for reasons other than its cells, found before anything is read or trained."""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ucbench.errors import StoreError, UsageError
from ucbench.matrix.cell import Cell
from ucbench.matrix.compatibility import check_count, check_size
from ucbench.numerics import Numerics
from ucbench.plugins.registry import Component
from ucbench.running.tasks import Task
from ucbench.session import Session
from ucbench.store.files import existing_part, reporting, scratch, sync
from ucbench.store.locks import locks_work
from ucbench.store.store import DRAFTS

_log = logging.getLogger("ucbench")
#: Bytes of one value of a release.
_VALUE = 2


def preflight(session: Session, out: Path | None, *, device: bool = True) -> None:
    """Check device and folders; log warnings about the store.

    Args:
        device: whether this process or its children compute.

    Raises:
        UsageError: if the device does not exist.
        StoreError: if store or result folder cannot be written.
    """
    if device:
        check_device(session.numerics)
    for folder in (session.store.root / DRAFTS, *([out] if out is not None else [])):
        with suppress(OSError):  # what is wrong is found below
            folder.mkdir(parents=True, exist_ok=True)
    if problem := store_problem(session.store.root):
        raise StoreError(problem)
    if out is not None:
        check_folder(out, out / "records", out / "sheets")
    for warning in store_warnings(session.store.root):
        _log.warning(warning)


def check_folder(out: Path, *others: Path) -> None:
    """Check that results can be written to the folder, and to ``others`` that exist.

    Raises:
        StoreError: if not.
    """
    if problem := folder_problem(out, *others):
        raise StoreError(f"Results cannot be written to {out}: {problem}. Name another folder with --out.")


def check_device(numerics: Numerics) -> None:
    """Check that this machine can compute on the device.

    Raises:
        UsageError: if not.
    """
    if problem := device_problem(numerics):
        raise UsageError(problem)


def device_problem(numerics: Numerics) -> str:
    """Why this machine cannot compute on the device, as a sentence; empty if it can."""
    if numerics.device == "cpu":
        return ""  # known without the seconds that importing torch takes
    import torch

    try:
        device = torch.device(numerics.device)
    except RuntimeError:
        return f"Unknown device {numerics.device!r}. Use auto, cpu, cuda, cuda:N or mps."
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            return f"torch {torch.__version__} finds no NVIDIA GPU here. Use --device cpu, or auto."
        if (device.index or 0) >= count:
            return f"There is no GPU {numerics.device}: this machine has cuda:0 to cuda:{count - 1}."
    if device.type == "mps" and not torch.backends.mps.is_available():
        return f"torch {torch.__version__} finds no Metal GPU here. Use --device cpu, or auto."
    return ""


def store_problem(root: Path) -> str:
    """Why the store cannot be written, as a sentence; empty if it can."""
    parts = (root / name for name in ("objects", "locks", "checkpoints"))
    problem = folder_problem(root / DRAFTS, root, *parts)
    return problem and f"The store {root} cannot be written: {problem}. Set UCBENCH_HOME to a folder of yours."


def folder_problem(folder: Path, *others: Path) -> str:
    """Why a file cannot be made in the folder, which need not exist yet, or in others that exist; empty if it can."""
    for path in others:
        if path.exists() and not path.is_dir():
            return f"{path} is a file"
        if path.exists() and not os.access(path, os.W_OK | os.X_OK):
            return f"no permission for {path}"
    try:
        with scratch(folder) as inside:
            with (inside / "draft").open("wb") as file:
                file.write(b"0")
                sync(file)
            (inside / "draft").replace(inside / "file")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def store_warnings(root: Path) -> Iterator[str]:
    """What a user should know about a store that can be written, as sentences. Raises StoreError if it cannot."""
    with reporting(root, "UCBENCH_HOME"):
        works = locks_work(root / DRAFTS)
    if not works:
        yield (
            f"File locks do not work in {root}. Files stand for them, which a killed process leaves behind: if runs"
            f" wait for nothing, end them and remove {root / 'locks'}."
        )
    if root.exists() and _is_writable_by_others(root):
        yield (
            f"Other users can write to the store {root}, and its hashes do not show who made an object. Remove their"
            " permission, or set UCBENCH_HOME to a folder of yours."
        )


def _is_writable_by_others(folder: Path) -> bool:
    status = folder.stat()
    # A group with the number of its user is that user's own.
    shared = stat.S_IWOTH | (stat.S_IWGRP if status.st_gid != status.st_uid else 0)
    return bool(status.st_mode & shared) or status.st_uid not in (os.getuid(), 0)


def check_components(tasks: Iterable[Task], session: Session) -> None:
    """Check that libraries know the names in a request, and that components take images of its data's size and number.

    Raises:
        UsageError: if not.
    """
    cells = [task.cell for task in tasks]
    for part in _distinct(cells):
        with _unless_plugin_fails(f"{_named(part)}: "):
            part.params.check_names()
    for cell in cells:
        data, train = str(cell.dataset), session.data(cell).train
        check_size(cell.victim, data, train.size)
        for part in (cell.labeling, *cell.defense, cell.victim):
            check_count(_named(part), _least_images(part, train.size), data, len(train))
        craft = cell.craft.base or cell.craft
        needs = {f"Craft labels {craft.labels}": craft.labels.clusters}
        needs[_named(craft.poisoner)] = _least_images(craft.poisoner, train.size)
        if any(needs.values()):
            protected = len(session.protected(cell).indices)
            where = data if cell.mixture == 1 else f"the part of {data} that a mixture of {cell.mixture:g} protects"
            for who, least in needs.items():
                check_count(who, least, where, protected)


def check_defenses(tasks: Iterable[Task]) -> None:
    """Check that chains of defenses can be built, and that those which learn from leaked pairs can have them.

    Raises:
        UsageError: if not.
    """
    # Not at the top: planning, which builds nothing, needs no torch.
    from ucbench.exploit.defend import pipeline_of
    from ucbench.running.sets import check_pairs

    cells = [task.cell for task in tasks]
    # Each distinct chain once: some values, and whether parts fit together, only their classes know.
    for chain, defense in {cell.defense_text: cell.defense for cell in cells}.items():
        with _unless_plugin_fails(f"Defense {chain}: "):
            pipeline_of(defense)
    for cell in cells:
        with _unless_plugin_fails():
            check_pairs(cell)


def _distinct(cells: Iterable[Cell]) -> Iterator[Component[Any]]:
    """The components of cells, each once."""
    parts = {id(part): part for cell in cells for part in cell.components.values()}
    yield from {_named(part): part for part in parts.values()}.values()


def _named(part: Component[Any]) -> str:
    return f"{part.spec.kind.capitalize()} {part}"


def _least_images(part: Component[Any], size: tuple[int, int]) -> int:
    with _unless_plugin_fails():
        return part.params.least_images(size)
    return 0


@contextmanager
def _unless_plugin_fails(beginning: str = "") -> Iterator[None]:
    """Pass on a refusal. What else a plugin raises is not the request's fault: the cells that fail say so."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{beginning}{error}") from error
    except (Exception, SystemExit):
        _log.debug("A plugin's check failed.", exc_info=True)


def check_space(tasks: Iterable[Task], session: Session) -> None:
    """Check that the releases that are missing fit on the store's disk.

    Raises:
        StoreError: if not.
    """
    missing = {
        task.release_key: task.cell
        for task in tasks
        if task.release_key is not None and not session.store.contains("release", task.release_key)
    }
    needed = 0
    for cell in missing.values():
        if cell.craft.made_by.granularity == "sample":  # other releases are small
            needed += session.protected(cell).images.images.size * _VALUE
    free = shutil.disk_usage(existing_part(session.store.root)).free
    if needed > free:
        raise StoreError(
            f"The {len(missing)} releases to craft need {needed / 2**20:,.0f} MiB, but {session.store.root} has"
            f" only {free / 2**20:,.0f} MiB left. `ucbench cache gc` removes what is not needed; UCBENCH_HOME moves it."
        )
