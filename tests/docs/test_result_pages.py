"""Pages of boards follow from the records, and conclude no more than the gate allows."""

from __future__ import annotations

import dataclasses
import shutil

import boards
import pytest
from doc_pages import result_pages, results

from ucbench import installed, read_results
from ucbench.leaderboard.finding import finding
from ucbench.matrix.suite import load_suite, shipped_suites
from ucbench.results.gate import Judgement


@pytest.fixture
def first_run() -> results.Board:
    (board,) = (board for board in results.boards() if board.name == "first-run/v2")
    return board


def test_every_board_has_a_page_with_one_title_and_its_tables():
    assert {f"{board.name.replace('/', '-')}.md" for board in results.boards()} == set(result_pages())
    for text in result_pages().values():
        assert text.startswith("# ")
        assert text.count("<details>") == text.count("</details>") > 0


def test_readme_of_the_folder_follows_from_the_records():
    assert results.FOLDER_README.read_text(encoding="utf-8") == results.folder_readme(), (
        "run: python docs/_ext/results.py"
    )


def test_each_published_suite_has_one_board_that_of_its_current_version():
    published = [tuple(board.name.split("/v")) for board in results.boards()]
    current = {name: str(load_suite(path).file.version) for name, path in shipped_suites().items()}
    assert [(name, version) for name, version in published if current[name] != version] == []
    assert len(dict(published)) == len(published)
    assert [board.name for board in results.boards() if not (board.folder / "suite.toml").is_file()] == []


def test_page_states_the_mean_of_the_clean_rows_and_its_conditions(first_run):
    table = read_results(first_run.folder)
    clean = table[table["poisoner"] == "clean"]["test_accuracy"].mean()
    text = results.page(first_run)
    assert f"reaches {clean:.1f}\N{NO-BREAK SPACE}±" in text
    assert f"`{table['dataset'].iloc[0]}`, linf" in text.partition("<details>")[0]


def test_page_of_a_regime_without_passed_gate_ranks_no_method():
    (board,) = (board for board in results.boards() if board.name == "uc-cifar10/v1")
    text = results.page(board).partition("<details>")[0]
    assert "The [gate](../gate.md) failed" in text
    assert "say nothing about any method" in text
    assert "rank" not in text


def test_page_names_components_that_have_a_later_version_now():
    boards_by_name = {board.name: board for board in results.boards()}
    later = installed().find("poisoner", "uc").version
    text = results.page(boards_by_name["uc-cifar10/v1"]).partition("<details>")[0]
    assert f"Measured with `uc` version 2 (now {later})." in text
    assert "Measured with" not in results.page(boards_by_name["first-run/v2"]).partition("<details>")[0]


def test_finding_of_a_passed_gate_names_the_first_and_its_worst_case(first_run):
    of = results.part(first_run, first_run.folder)
    (block,) = (block for block in of.leaderboard.blocks if block.values["label_access"] == "none")
    entries = [
        dataclasses.replace(entry, rank="1" if entry.values["poisoner"] == "uc" else "") for entry in block.entries
    ]
    passed = dataclasses.replace(block, gate=Judgement("passed", ""), entries=entries)
    found = finding(of.groups, [passed], of.gates, ("none",), "[{}]".format)
    (worst,) = (entry.worst for entry in entries if entry.rank)
    assert any(
        text.startswith("Without knowing labels, [uc] ") and f"{worst.mean:.1f}" in text for text in found.accuracies
    )
    assert "was passed" in found.verdict


def test_finding_of_a_board_of_references_alone_compares_nothing(first_run):
    of = results.part(first_run, first_run.folder)
    shams = [
        dataclasses.replace(block, entries=[entry for entry in block.entries if entry.values["poisoner"] == "sham"])
        for block in of.leaderboard.blocks
    ]
    assert finding(of.groups, shams, of.gates, None).accuracies == ()


def test_board_that_is_added_gets_a_page_and_a_link(first_run, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "LEADERBOARDS", tmp_path)
    for version in ("v2", "v10"):
        shutil.copytree(first_run.folder / "records", tmp_path / "new-board" / version / "records")
    found = results.boards.__wrapped__()
    assert [board.page for board in found] == ["results/new-board-v10.md", "results/new-board-v2.md"]
    monkeypatch.setattr(results, "boards", lambda: found)
    assert results.inserted("<!-- result new-board -->") == "[`new-board`](results/new-board-v10.md)"
    assert results.inserted("<!-- result other -->") == "`other` (not published yet)"


def test_accuracies_by_defense_have_a_column_for_every_defense_that_was_run():
    for board in results.boards():
        of = results.part(board, board.parts[0])
        defenses = {group.shared["defense"] for group in of.groups if group.done}
        text = result_pages()[f"{board.name.replace('/', '-')}.md"]
        assert len(defenses) == 1 or all(f"| `{name}` |" in text for name in defenses), board.name


def test_tables_name_what_the_poisoners_of_each_block_were_given(tmp_path):
    made = boards.rows_of({"clean": [90, 92], "uc": [40, 44]})
    made += boards.rows_of({"one-for-all": [60, 62]}, access="names")
    made += boards.rows_of({"lsp": [20, 24]}, access="full", craft_labels="original")
    folder = boards.folder(tmp_path, made)
    blocks = "\n".join(results._tables(results.part(results.Board(folder, None, (folder,)), folder)))
    found = [line for line in blocks.splitlines() if line.startswith("<summary>")]
    assert [line.partition("; ")[2].removesuffix("</summary>") for line in found] == [
        "poisoners given labels", "poisoners given class names", "poisoners given no labels",
    ]  # fmt: skip
