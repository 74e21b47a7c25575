"""What someone may do to a board before sending it: ``leaderboard check`` notices it, or computing cells again does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_board
from PIL import Image
from trials import Trials

from ucbench.cli.app import main
from ucbench.leaderboard.site import build_site
from ucbench.leaderboard.tables import build
from ucbench.matrix.suite import load_suite
from ucbench.results.records import records_in

Record = dict[str, Any]
Attack = Callable[[Path], object]
SUITE = small_board.suite_text(
    'poisoner = ["stripes", "badge"]\ndefense = ["none", "dim"]\nmetric = "change"', rest="[gate]\nconverged = 99.8"
)


tiny_world, board = small_board.tiny_world, small_board.board


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("world")
    small_board.make_board(home, SUITE)
    shutil.copy(home / "small.toml", home / "board" / "suite.toml")
    return home


def checked(capsys, world: Path, board: Path) -> dict[str, list[str]]:
    """Errors, warnings and notes of the check, after the tables were built anew as an attacker would."""
    suite = load_suite(world / "small.toml")
    build(board, suite.file.ranking.defenses, suite.title, suite.file.gate)
    capsys.readouterr()
    code = main(["leaderboard", "check", str(world / "small.toml"), str(board), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == bool(found["errors"])
    return found


def to_one(change: Callable[[Record], object]) -> Attack:
    """Change one record of a poisoner."""
    return lambda board: small_board.edit_records(
        board, change, lambda record: record["request"]["poisoner"] == "badge", most=1
    )


def to_all(change: Callable[[Record], object]) -> Attack:
    """Change all records."""
    return lambda board: small_board.edit_records(board, change)


def invent(record: Record) -> None:
    """Another accuracy of as many images, everywhere where a record states it."""
    accuracy = 100 / 36 * (3 if record["metrics"]["test_accuracy"] > 50 else 33)
    record["history"][-1]["test_accuracy"] = accuracy
    best = max(point["test_accuracy"] for point in record["history"])
    record["metrics"] |= {"test_accuracy": accuracy, "matched_accuracy": accuracy, "test_accuracy_best": best}


def invent_without_history(record: Record) -> None:
    invent(record)
    record["history"] = []


def edit(old: str, new: str) -> Attack:
    def attack(board: Path) -> None:
        text = (board / "suite.toml").read_text()
        assert old in text
        (board / "suite.toml").write_text(text.replace(old, new))

    return attack


def link_a_record(board: Path) -> None:
    path = next((board / "records").iterdir())
    path.symlink_to(path.rename(board.parent / path.name))


def link_the_records(board: Path) -> None:
    (board / "records").symlink_to((board / "records").rename(board.parent / "elsewhere"))


def state_twice(board: Path) -> None:
    path = next((board / "records").iterdir())
    path.write_text('{"status": "failed",' + path.read_text().removeprefix("{"))


def add(name: str) -> Attack:
    return lambda board: (board / name).write_text("")


#: The attack, the level of what is found, and a part of its text.
ATTACKS: dict[str, tuple[Attack, str, str]] = {
    "accuracy without a history": (to_one(invent_without_history), "errors", "no accuracy after its last epoch"),
    "fewer classes": (to_one(lambda r: r["data"].update(classes=2)), "errors", "data.classes 2 for 3"),
    "larger images": (to_one(lambda r: r["data"].update(size=[32, 32])), "errors", "data.size [32, 32] for [8, 8]"),
    "other data of the same name": (
        to_all(lambda r: r["data"].update(train=r["data"]["train"][::-1])), "errors", "contradicts its key: data.train",
    ),
    "a weaker gate": (edit("converged = 99.8", "converged = 20"), "errors", "small.toml, which was named as the suite"),
    "fewer ranked defenses": (edit('["none", "dim"]\n\n[gate]', '["none"]\n\n[gate]'), "errors", "suite.toml differs"),
    "a link for a record": (link_a_record, "errors", "Links instead of records"),
    "a link for all records": (link_the_records, "errors", "Links instead of records"),
    "an entry twice": (state_twice, "errors", "it has two entries 'status'"),
    "a smaller change": (
        to_one(lambda r: r["budget"].update(l2_mean=r["budget"]["l2_mean"] / 2)), "warnings", "2 different sizes",
    ),
    "a value of another metric": (
        to_one(lambda r: r["measured_by"].update(change="0" * 32)), "warnings", "1 record without a value",
    ),
    "another machine": (to_one(lambda r: r["environment"].update(processor="X")), "warnings", "different processor"),
    "a page beside the tables": (add("index.html"), "notes", "Not checked: index.html."),
}  # fmt: skip


def test_check_of_the_board_as_it_was_finds_nothing(capsys, world, board):
    found = checked(capsys, world, board)
    assert (found["errors"], found["warnings"]) == ([], [])
    assert not any("Not checked" in note for note in found["notes"])


def test_check_notices_every_attack_and_names_it(capsys, world, tmp_path):
    trials = Trials("attacks on a board")
    for name, (attack, level, text) in ATTACKS.items():
        board = shutil.copytree(world / "board", tmp_path / name / "board")
        attack(board)
        found = checked(capsys, world, board)[level]
        trials.tried, trials.refused = trials.tried + 1, trials.refused + (level == "errors")
        trials.wrong += [] if any(text in one for one in found) else [f"{name}: {found}"]
    trials.end()


def test_check_passes_an_invented_accuracy_and_computing_again_notices_it(capsys, caplog, world, board):
    """What a record says was measured follows from nothing else in it."""
    to_one(invent)(board)
    assert checked(capsys, world, board)["errors"] == []
    main(["run", "--suite", str(world / "small.toml"), "--out", str(board), "--rerun", "all", "--device", "cpu",
          "--dtype", "float32"])  # fmt: skip
    reported = [text for text in caplog.messages if "differs from before" in text]
    assert len(reported) == 1
    assert "badge" in reported[0]
    assert "test_accuracy" in reported[0]


def test_site_publishes_no_sheet_from_behind_a_link(board, tmp_path):
    record = next(one for one in records_in(board) if one["request"]["poisoner"] == "badge")
    Image.new("RGB", (4, 4)).save(tmp_path / "private.png")
    (board / "sheets").mkdir()
    (board / "sheets" / f"badge-{record['release'][:12]}.png").symlink_to(tmp_path / "private.png")
    build_site(board, tmp_path / "site")
    assert not list((tmp_path / "site").rglob("*.png"))
