"""Scripts of benchmarks/ as modules."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"


@contextmanager
def script(path):
    """A script as a module; it, and what it imports from its folder, are forgotten afterwards.

    Args:
        path: in benchmarks/, without ending.
    """
    before, folder = set(sys.modules), str((FOLDER / path).parent)
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module(Path(path).name)
    finally:
        sys.path.remove(folder)
        for name in set(sys.modules) - before:
            own = vars(sys.modules[name])  # torch.classes makes up whatever attribute it is asked for
            files = [own.get("__file__"), *own.get("__path__", ())]
            if any(file and file.startswith(folder) for file in files):
                del sys.modules[name]
