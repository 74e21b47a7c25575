"""Scripts of benchmarks/performance as modules."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks" / "performance"


@contextmanager
def script(name):
    """A script of the folder as a module."""
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))
        for imported in set(sys.modules) - before:
            if imported.split(".")[0] in (name, "subjects", "plain", "official", "kornia_pairs", "formulas", "scripts"):
                del sys.modules[imported]
