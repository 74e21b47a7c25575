"""A small suite of tiny components, its board, and the world in which commands find both."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_components as tiny

from ucbench import api
from ucbench.leaderboard.tables import build
from ucbench.matrix.suite import Suite, load_suite
from ucbench.results.records import write_record
from ucbench.running.compute import compute
from ucbench.running.tasks import task_of


def suite_text(*tables: str, title: str = "Spots", victim: str = "tiny:epochs=10", rest: str = "") -> str:
    """The suite ``small v3``, two seeds of its tables, ranked over ``none`` and ``dim``.

    Args:
        tables: the lines of each table.
        rest: sections that follow.
    """
    common = f'dataset = "spots"\nvictim = "{victim}"\nlabeling = "original"\nseed = "0-1"'
    sections = [f'name = "small"\nversion = 3\ntitle = "{title}"', f"[common]\n{common}"]
    sections += [f"[[table]]\n{lines}" for lines in tables]
    return "\n\n".join([*sections, '[ranking]\ndefenses = ["none", "dim"]', rest]) + "\n"


def make_board(home: Path, text: str) -> Suite:
    """Write ``small.toml``, run it with the store ``store``, and build its leaderboard in ``board``."""
    (home / "small.toml").write_text(text)
    suite, session = load_suite(home / "small.toml"), tiny.session(home / "store", tiny.registry())
    for cell in api.suite_cells(suite, session):
        write_record(home / "board", compute(task_of(cell, session), session))
    build(home / "board", suite.file.ranking.defenses, suite.title, suite.file.gate)
    return suite


def install(monkeypatch: pytest.MonkeyPatch, store: Path | None = None) -> None:
    """Let commands and functions find the tiny components alone, and this store."""
    registry = tiny.registry()
    monkeypatch.setattr(api, "installed", lambda: registry)
    if store is not None:
        monkeypatch.setenv("UCBENCH_HOME", str(store))
