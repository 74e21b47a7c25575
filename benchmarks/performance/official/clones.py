"""Find a clone of an official repository, and import functions from it without leaving its modules behind."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import inspect
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch


class CloneError(RuntimeError):
    """A clone is missing or has another layout; the text is one line."""


def clone(folder: Path | None, repository: str, files: Sequence[str]) -> Path:
    """The folder below ``folder``, or ``folder`` itself, that has all ``files``.

    Args:
        repository: ``owner/name``, for the message.

    Raises:
        CloneError: if there is none.
    """
    candidates = [] if folder is None else [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]
    for candidate in candidates:
        if all((candidate / name).is_file() for name in files):
            return candidate
    raise CloneError(f"no clone of {repository} in {folder} (a folder with {', '.join(files)})")


class _StandIn(ModuleType):
    """A package that is not installed: every name is a function that returns its argument."""

    __path__ = ()  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "packaging":  # which pkg_resources had
            return importlib.import_module("packaging.version") and sys.modules[name]
        return lambda value=None, *_, **__: value


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last finder: scripts import at their top what their steps do not use, such as readers of settings.

    It answers the clone alone: other packages ask for what they can do without.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder.resolve())

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        frame = sys._getframe(1)
        while frame.f_back and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        if not frame.f_code.co_filename.startswith(self._folder):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """A stand-in has no code."""


def imported(folder: Path, name: str, needed: Sequence[str]) -> ModuleType:
    """The module ``name`` of a clone, with its functions or classes ``needed``.

    Scripts share names such as ``utils``: afterwards none of the clone's modules is in ``sys.modules``.

    Raises:
        CloneError: if it cannot be imported, or lacks one of them.
    """
    own = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    folder = folder.resolve()
    hidden = {key: sys.modules.pop(key) for key in list(sys.modules) if key.split(".")[0] in own}
    before, finder = set(sys.modules), _StandIns(folder)
    sys.path.insert(0, str(folder))
    sys.meta_path.append(finder)
    importlib.invalidate_caches()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            module = importlib.import_module(name)
        for part in needed:
            source = inspect.getsourcefile(getattr(module, part))
            if not Path(source or "/").is_relative_to(folder):
                raise CloneError(f"{part} of {name} in {folder} is not the clone's")
        return module
    except CloneError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise CloneError(f"{folder} has another layout: {name}: {type(error).__name__}: {text}") from error
    finally:
        sys.meta_path.remove(finder)
        sys.path.remove(str(folder))
        for key in set(sys.modules) - before:
            file = getattr(sys.modules[key], "__file__", None)
            if isinstance(sys.modules[key], _StandIn) or (file and Path(file).is_relative_to(folder)):
                del sys.modules[key]
        sys.modules.update(hidden)


@contextlib.contextmanager
def running(device: torch.device) -> Iterator[None]:
    """Keep what scripts print, and let ``.cuda()`` do nothing on a machine that computes on its processor."""
    originals = {kind: kind.cuda for kind in (torch.Tensor, torch.nn.Module)}
    try:
        if device.type == "cpu":
            for kind in originals:
                kind.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        for kind, original in originals.items():
            kind.cuda = original  # type: ignore[method-assign]
