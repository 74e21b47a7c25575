"""Every reader of records, suites, boards and releases meets mutated inputs: it works or says why not, and no more.

A reader may return or raise an error that the command line reports (:class:`ucbench.errors.UcbenchError`); anything
else would be a traceback. Nothing may be written outside its folder. 500 inputs by default; with
``UCBENCH_TEST_NIGHTLY`` set, 10,000.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small_board
import tiny_components as tiny
from mutations import VALUES, fresh, mutated, replaced, spoiled
from trials import NIGHTLY, Trials

from ucbench.cli.app import main
from ucbench.crafting.release import Release
from ucbench.leaderboard.board import judged_in
from ucbench.leaderboard.check import audit
from ucbench.leaderboard.compare import compare_boards, read_board
from ucbench.leaderboard.formats.html import Html
from ucbench.leaderboard.formats.latex import Latex
from ucbench.leaderboard.merge import merge
from ucbench.leaderboard.site import BoardRules, build_site
from ucbench.leaderboard.submission import FINGERPRINTS, SUMS, pack, verify, write
from ucbench.leaderboard.tables import build, differences
from ucbench.leaderboard.tiers import by_tier, to_markdown
from ucbench.matrix import requests
from ucbench.matrix.from_record import cell_of
from ucbench.matrix.suite import Suite, load_suite
from ucbench.plugins.params import Params
from ucbench.results.frame import read
from ucbench.results.records import read_record, record_files, records_in
from ucbench.results.table import rows
from ucbench.running.tasks import finished, task_of
from ucbench.store.keys import canonical
from ucbench.store.objects import MANIFEST, _text_hash

SUITE = small_board.suite_text(
    'poisoner = ["stripes", "positive", "badge"]',
    'poisoner = "badge"\ndefense = "dim"',
    rest='[[exclude]]\npoisoner = "badge*"\ndefense = "nothing*"\n\n[gate]\nconverged = 99.8\nof = "other/v1"',
)
COUNT = 10_000 if NIGHTLY else 500
#: Records that are mutated together before a board is read, since most are refused one by one.
TOGETHER = 15
RECORDS, SUBMISSIONS, SUITES, RELEASES = (COUNT * share // 100 for share in (60, 10, 20, 10))


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A suite, its packed board with a history of all kinds of records, and a store with releases."""
    home = tmp_path_factory.mktemp("world")
    suite = small_board.make_board(home, SUITE)
    write(pack(home / "board", suite, records_in(home / "board")), home / "sent", "small")
    return home


@pytest.fixture(autouse=True)
def tiny_world(monkeypatch):
    small_board.install(monkeypatch)


class Readers:
    """All readers of a board, in a folder of their own."""

    def __init__(self, world: Path, home: Path) -> None:
        self.home, self.suite, self.session = (
            home,
            load_suite(world / "small.toml"),
            tiny.session(world / "store", tiny.registry()),
        )
        self.cells = requests.suite_cells(self.suite, self.session.registry)
        self.defenses, self.rules = self.suite.file.ranking.defenses, self.suite.file.gate

    def of(self, board: Path) -> Iterator[Callable[[], Any]]:
        yield lambda: (repr(read(board)), read(board)._repr_html_())
        yield lambda: self.check(board)
        yield lambda: self.build(board)
        yield lambda: merge(self.home / "merged", [board], self.cells)
        yield lambda: [
            e.export(judged_in(board, self.rules).leaderboard(self.defenses), "x")
            for e in (Latex(Params()), Html(Params()))
        ]
        yield lambda: compare_boards(read_board(board, self.defenses), read_board(board, self.defenses))
        yield lambda: to_markdown(by_tier(rows(records_in(board)), lambda defense: "T0", ()))
        yield lambda: [finished(task_of(cell, self.session), self.session, board) for cell in self.cells]
        yield lambda: self.site(board)

    def build(self, board: Path) -> None:
        build(board, self.defenses, self.suite.title, self.rules)
        read(board / "results.csv")

    def check(self, board: Path) -> None:
        found = audit(board, self.cells, self.session.with_numerics, threads=1)
        differences(board, self.defenses, self.suite.title, self.rules)
        verify(board, self.suite, found.records)
        pack(board, self.suite, found.records)

    def site(self, board: Path) -> None:
        build_site(board, self.home / "site", rules_of=lambda _: BoardRules("x", self.defenses, self.rules))


def outside(home: Path) -> set[str]:
    return {path.name for path in home.iterdir()} | {path.name for path in home.parent.iterdir()}


def test_no_mutated_record_ends_in_a_traceback_or_writes_elsewhere(tmp_path, world):
    (tmp_path / "a" / "b").mkdir(parents=True)
    readers, before = Readers(world, tmp_path / "a" / "b"), outside(tmp_path / "a")
    trials, boards = Trials("records"), Trials("boards of such records")
    for round_ in range(RECORDS // TOGETHER):
        draw = random.Random(round_)
        board = fresh(world / "sent", tmp_path / "a" / "b" / "board")
        changed = draw.sample(paths := record_files(board), min(TOGETHER, len(paths)))
        for path in changed:
            match draw.randrange(10):
                case 0:
                    path.write_bytes(spoiled(path.read_bytes(), draw))
                case 1:
                    replaced(path, draw)
                case _:
                    path.write_text(json.dumps(mutated(json.loads(path.read_text()), draw)))
        # Each reads all records, so that one a round, in turn, is enough.
        all_readers = list(readers.of(board))
        boards.meets(all_readers[round_ % len(all_readers)], f"reader {round_ % len(all_readers)} of round {round_}")
        for path in changed:
            trials.meets(
                lambda path=path: cell_of(read_record(path), readers.session.registry), f"{path} of round {round_}"
            )
    assert outside(tmp_path / "a") == before
    trials.end()
    boards.end()


def test_no_mutated_submission_ends_in_a_traceback(tmp_path, world):
    readers, trials = Readers(world, tmp_path), Trials("submissions")
    records = records_in(world / "sent")
    for number in range(SUBMISSIONS):
        draw = random.Random(number)
        board = fresh(world / "sent", tmp_path / "board") if not number % 10 else tmp_path / "board"
        path = board / draw.choice((FINGERPRINTS, SUMS, SUMS, "suite.toml", "README.md", "results.csv"))
        kept = path.read_bytes()
        match draw.randrange(4):
            case 0 if path.name == FINGERPRINTS:
                path.write_text(json.dumps(mutated(json.loads(kept), draw)))
            case 0 | 1 if path.name == SUMS:
                name = draw.choice(
                    ("/etc/passwd", "../board/suite.toml", "records/../suite.toml", "\x1b", "records", "a b", "\0")
                )
                path.write_bytes(kept + f"{'0' * 64}  {name}\n".encode())
            case 3:
                replaced(path, draw)
            case _:
                path.write_bytes(spoiled(kept, draw))

        def read_all(board: Path = board, tables: bool = path.suffix in (".md", ".csv")) -> None:
            verify(board, readers.suite, records)
            if tables:  # the other files it does not read
                differences(board, ["none"], readers.suite.title)

        trials.meets(read_all, f"{path.name}, {number}")
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
        path.write_bytes(kept)
    trials.end()


def test_no_mutated_suite_ends_in_a_traceback(tmp_path, world):
    session = tiny.session(world / "store", tiny.registry())
    path, trials = tmp_path / "suite.toml", Trials("suites")

    def cells() -> None:
        suite: Suite = load_suite(path)
        requests.suite_cells(suite, session.registry)

    for number in range(SUITES):
        draw = random.Random(number)
        lines = SUITE.splitlines()
        for _ in range(draw.randrange(1, 4)):
            place = draw.randrange(len(lines))
            key = lines[place].partition("=")[0].strip() or "x"
            value = draw.choice((*VALUES[:-4], ["a", 1], "0-3", "0-99999999999", "1e999", "16/255", "0,0,1"))
            text = (
                json.dumps(value).replace("null", "nan")
                if value is not None
                else draw.choice(("1979-05-27", "inf", "0x1"))
            )
            match draw.randrange(4):
                case 0:
                    del lines[place]
                    lines.append("")
                case 1:
                    lines[place] = f"{key} = {text}"
                case 2:
                    lines.insert(place, draw.choice(lines))
                case _:
                    lines.insert(
                        place, f"{draw.choice(('seed', 'epsilon', 'mixture', 'trusted', 'metric', 'x'))} = {text}"
                    )
        data = "\n".join(lines).encode()
        path.write_bytes(spoiled(data, draw) if number % 5 == 0 else data)
        trials.meets(cells, f"suite {number}")
    trials.end()


def test_no_mutated_release_in_the_store_ends_in_a_traceback(tmp_path, world):
    """Also where the list of hashes was computed anew."""
    store = tiny.session(fresh(world / "store", tmp_path / "store"), tiny.registry()).store
    manifests = sorted((tmp_path / "store" / "objects" / "release").rglob(MANIFEST))
    trials = Trials("releases in the store")

    def opened() -> None:
        if stored := store.get("release", folder.name):
            Release.from_arrays(stored.arrays, stored.meta)

    for number in range(RELEASES):
        draw = random.Random(number)
        folder = manifests[number % len(manifests)].parent
        fresh(world / "store" / folder.relative_to(tmp_path / "store"), folder)
        content = json.loads((folder / MANIFEST).read_text())
        match draw.randrange(3):
            case 0:
                array = draw.choice(sorted(folder.glob("*.npy")))
                array.write_bytes(data := spoiled(array.read_bytes(), draw))
                content["files"][array.name] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            case 1:
                content = mutated(content, draw)
            case _:
                target = folder / draw.choice(sorted(path.name for path in folder.iterdir()))
                replaced(target, draw) if draw.randrange(2) else target.write_bytes(spoiled(target.read_bytes(), draw))
        if isinstance(content, dict) and (folder / MANIFEST).is_file():
            content.pop("sha256", None)
            try:
                (folder / MANIFEST).write_text(json.dumps({**content, "sha256": _text_hash(canonical(content))}))
            except Exception:
                (folder / MANIFEST).write_text(json.dumps(content))
        trials.meets(opened, f"release {number}")
    trials.end()


@pytest.mark.parametrize("number", range(2))
def test_commands_exit_as_documented_on_a_mutated_board(tmp_path, world, capsys, monkeypatch, number):
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "store"))
    draw = random.Random(number)
    board = fresh(world / "sent", tmp_path / "board")
    for path in draw.sample(record_files(board), 8):
        path.write_text(json.dumps(mutated(json.loads(path.read_text()), draw)))
    suite = str(world / "small.toml")
    for arguments in (
        ("check", suite, str(board)),
        ("submit", suite, str(board), "--out", str(tmp_path / "out")),
        ("build", suite, "--records", str(board), "--out", str(tmp_path / "built")),
        ("diff", str(board), str(world / "sent")),
        ("export", str(board), "--to", "html"),
    ):
        code = main(["leaderboard", *arguments])
        printed = capsys.readouterr()
        assert code in (0, 1, 2), arguments
        assert "Traceback" not in printed.out + printed.err
        assert "\x1b" not in printed.out + printed.err
