"""A small suite of tiny components, its board, and the world in which commands find both."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_components as tiny

from ucbench.leaderboard.tables import build
from ucbench.matrix import requests
from ucbench.matrix.suite import Suite, load_suite
from ucbench.results.records import Record, write_record
from ucbench.running.compute import compute
from ucbench.running.tasks import task_of


def suite_text(*tables: str, title: str = "Spots", victim: str = "tiny:epochs=10", rest: str = "") -> str:
    """The suite ``small v3``, two seeds of its tables, ranked over ``none`` and ``dim``.

    Args:
        tables: the lines of each table.
        rest: sections that follow.
    """
    common = f'dataset = "spots"\nvictim = "{victim}"\nlabeling = "original"\nseed = "0-1"\ntrainings = 1'
    sections = [f'name = "small"\nversion = 3\ntitle = "{title}"', f"[common]\n{common}"]
    sections += [f"[[table]]\n{lines}" for lines in tables]
    return "\n\n".join([*sections, '[ranking]\ndefenses = ["none", "dim"]', rest]) + "\n"


def make_board(home: Path, text: str) -> Suite:
    """Write ``small.toml``, run it with the store ``store``, and build its leaderboard in ``board``."""
    (home / "small.toml").write_text(text)
    suite, session = load_suite(home / "small.toml"), tiny.session(home / "store", tiny.registry())
    for cell in requests.suite_cells(suite, session.registry):
        write_record(home / "board", compute(task_of(cell, session), session))
    build(home / "board", suite.file.ranking.defenses, suite.title, suite.file.gate)
    return suite


def install(monkeypatch: pytest.MonkeyPatch, store: Path | None = None) -> None:
    """Let commands and functions find the tiny components alone, and this store."""
    registry = tiny.registry()
    monkeypatch.setattr("ucbench.session.installed", lambda: registry)
    if store is not None:
        monkeypatch.setenv("UCBENCH_HOME", str(store))


@pytest.fixture(autouse=True)
def tiny_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands find the tiny components and a new store; a module assigns this fixture to have it in all tests."""
    install(monkeypatch, tmp_path / "store")
    yield
    logging.getLogger("ucbench").setLevel(logging.NOTSET)


def world_of(text: str) -> Any:
    """A fixture: the folder of a suite and its board, made once for the tests of a module."""

    @pytest.fixture(scope="module")
    def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
        home = tmp_path_factory.mktemp("world")
        make_board(home, text)
        return home

    return world


@pytest.fixture
def board(tmp_path: Path, world: Path) -> Path:
    """A copy of the board of ``world``, to spoil."""
    return shutil.copytree(world / "board", tmp_path / "board")


def edit_records(
    board: Path, edit: Callable[[Record], object], which: Callable[[Record], bool] = lambda record: True, most: int = -1
) -> None:
    """Edit the records for which ``which`` is true, in the order of their names, at most so many if not negative."""
    for path in sorted((board / "records").iterdir()):
        record = json.loads(path.read_text())
        if most != 0 and which(record):
            edit(record)
            path.write_text(json.dumps(record))
            most -= 1
