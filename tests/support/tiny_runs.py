"""Cells of the tiny components, and runs of them."""

from __future__ import annotations

from dataclasses import replace

import tiny_components as tiny

from ucbench.matrix.cell import Cell
from ucbench.matrix.matrix import Request, expand
from ucbench.running.runner import run_cells
from ucbench.session import Session


def axes(*poisoners: str, **changes) -> Request:
    defaults = {"datasets": ["spots"], "poisoners": poisoners, "victims": ["tiny"], "labelings": ["original"]}
    return Request(**{**defaults, **changes})


def run(home, *poisoners: str, out=None, registry=None, **changes) -> list[dict]:
    """Records of a request on the store at ``home``, references included."""
    registry = registry or tiny.registry()
    return run_cells(expand(axes(*poisoners, **changes), registry), tiny.session(home, registry), out=out)


def cell(poisoner: str = "stripes", **changes) -> Cell:
    """One cell of the poisoner."""
    return expand(axes(poisoner, **changes), tiny.registry())[-1]


def in_bfloat16(session: Session) -> Session:
    """Another session with the same store."""
    return Session(session.store, replace(tiny.CPU, dtype="bfloat16"), session.progress, tiny.registry())
