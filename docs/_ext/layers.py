"""The rooms of the core, as the import contract in ``pyproject.toml`` orders them.

Replaces ``<!-- layers -->`` in a page by a table: every room with the first sentence of its docstring.
"""

from __future__ import annotations

import ast
import re
import tomllib
from typing import Any

from _ext.markdown import code, first_sentence, replace_markers, table
from _ext.paths import ROOT

MARKER = "<!-- layers -->"


def layers() -> list[list[str]]:
    """Full names of the rooms, the highest layer first; those of one layer do not import each other."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = (contract for contract in linter["contracts"] if contract["type"] == "layers")
    (core,) = contract["containers"]
    return [[f"{core}.{name.strip()}" for name in re.split("[|:]", layer)] for layer in contract["layers"]]


def purpose(module: str) -> str:
    """The first sentence of a room's docstring."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return first_sentence(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "")


def overview() -> str:
    """The layers as a table in Markdown, the highest first."""
    rows = [
        (code(room.partition(".")[2]), str(place), purpose(room))
        for place, layer in enumerate(layers(), 1)
        for room in layer
    ]
    return table(["room", "layer", "what it holds"], rows)


def inserted(text: str) -> str:
    return text.replace(MARKER, overview()) if MARKER in text else text


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
