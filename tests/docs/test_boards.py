"""Figures of published boards in prose: they come from the records, and an unknown one is an error."""

from __future__ import annotations

import doc_pages
import pytest
from _ext import boards, protection

from ucbench import read_results

BOARD = "first-run/v2"


def test_mean_of_a_board_is_that_of_its_rows():
    table = read_results(boards.LEADERBOARDS / BOARD)
    group = boards.summaries(BOARD)[0]
    shared = {name: group.shared[name] for name in ("poisoner", "victim", "defense")}
    chosen = table[(table[list(shared)] == list(shared.values())).all(axis=1)]
    assert group.means["test_accuracy"].text().startswith(f"{chosen['test_accuracy'].mean():.1f}")


def test_mean_of_a_board_of_several_victims_is_that_of_the_one_named():
    board = "cifar10-platforms/v4"
    table = read_results(boards.LEADERBOARDS / board)
    chosen = table[(table["poisoner"] == "uc") & (table["victim"] == "keras") & (table["epsilon"] == 16)]
    assert boards.mean(board, "uc|keras|16").startswith(f"{chosen['test_accuracy'].mean():.1f} ±")
    with pytest.raises(ValueError, match="has 2 means"):
        boards.mean(board, "uc|keras")


def test_mean_of_two_crafts_has_both_values_instead_of_an_interval():
    board, asked = "photos-defenses/v1", ("uc", "grayscale")
    table = read_results(boards.LEADERBOARDS / board)
    found = sorted(table.loc[(table[["poisoner", "defense"]] == [*asked]).all(axis=1), "test_accuracy"])
    text = f"{sum(found) / 2:.1f} ({found[0]:.1f}, {found[1]:.1f})"
    assert boards.mean(board, "|".join(asked)) == text
    assert f"| {text} |" in boards.across("defense", board).replace("\N{NO-BREAK SPACE}", " ")


def test_rows_of_one_poisoner_are_told_apart_by_the_network_behind_them():
    board = "cifar10-clip/v1"
    networks = ["efficientnet-lite0@auto", "openclip:checkpoint=clip-cifar10/open_clip_model.safetensors"]
    table = read_results(boards.LEADERBOARDS / board)
    for poisoner, labels, column in (
        ("uc", "", "surrogate"),
        ("rand-class:pattern=sign", "|clusters:k=20", "craft_labels"),
    ):
        rows = table[table["poisoner"] == poisoner]
        with pytest.raises(ValueError, match="has 2 means"):
            boards.mean(board, poisoner + labels)
        for network in networks:
            chosen = rows.loc[rows[column].str.contains(network, regex=False), "test_accuracy"]
            assert boards.mean(board, f"{poisoner}{labels}|{network}").startswith(f"{chosen.mean():.1f} ±")
    lines = [line.split(" | ")[0] for line in boards.board_table(board).splitlines()]
    assert [line for line in lines if line.startswith("| `uc`")] == [f"| `uc` from `{network}`" for network in networks]


@pytest.mark.parametrize("preset", ["standard", "multiscale"])
def test_mean_and_table_of_a_board_of_several_presets_are_those_of_the_one_named(preset):
    board, victim = "uc-choice/v4", "airbench@small"
    table = read_results(boards.LEADERBOARDS / board)
    asked = ["uc", preset, victim]
    chosen = table[(table[["poisoner", "preset", "victim"]] == asked).all(axis=1)]
    figure = f"{chosen['test_accuracy'].mean():.1f}"
    assert boards.mean(board, "|".join(asked)).startswith(figure)
    _, _, header, _, *lines = boards.across("victim", board).splitlines()
    name = "uc" if preset == "standard" else f"uc@{preset}"
    (line,) = (line for line in lines if line.startswith(f"| `{name}` |"))
    assert line.split("|")[header.split("|").index(f" `{victim}` ")].strip().startswith(figure)
    with pytest.raises(ValueError, match="has 2 means"):
        boards.mean(board, f"uc|{victim}")


def test_marker_of_an_unknown_poisoner_raises():
    with pytest.raises(KeyError, match="no-such"):
        boards.inserted(f"<!-- mean {BOARD} no-such -->")


@pytest.mark.parametrize("marker", ["mean fast-surrogates/v1 sham", "across norm fast-surrogates/v1"])
def test_marker_that_fits_several_rows_raises(marker):
    with pytest.raises(ValueError, match="fast-surrogates/v1 has"):
        boards.inserted(f"<!-- {marker} -->")


def test_table_across_victims_has_the_mean_of_its_rows_and_the_gate_of_every_victim():
    how, _, header, _, *lines = boards.inserted("<!-- across victim fast-surrogates/v1 -->").splitlines()
    assert how.startswith("Mean test accuracy in %, ± half of the 95 % interval, over n = 3 crafts")
    table = read_results(boards.LEADERBOARDS / "fast-surrogates/v1")
    asked = ["eminn", "airbench", "airbench@small"]
    chosen = table[(table[["poisoner", "surrogate", "victim"]] == asked).all(axis=1)]
    (line,) = (line for line in lines if line.startswith("| `eminn` from `airbench` |"))
    place = header.split("|").index(" `airbench@small` ")
    assert line.split("|")[place].strip().startswith(f"{chosen['test_accuracy'].mean():.1f}\N{NO-BREAK SPACE}±")
    assert len(lines) == len(table[["poisoner", "surrogate"]].drop_duplicates()) + 1
    assert lines[-1] == "| gate | passed | failed |"


def test_table_of_orders_has_a_line_for_every_other_victim():
    header, _, line = boards.inserted("<!-- orders airbench@small fast-surrogates/v1 -->").splitlines()
    _, victim, releases, tau, gate, _ = (cell.strip() for cell in line.split("|"))
    assert "tau-b with `airbench@small`" in header
    assert victim != "`airbench@small`"
    table = read_results(boards.LEADERBOARDS / "fast-surrogates/v1")
    poisoned = table[table["poisoner"] != "clean"]
    assert int(releases) == len(poisoned[["poisoner", "surrogate", "epsilon"]].drop_duplicates())
    assert -1 <= float(tau.partition(" ")[0]) <= 1
    assert gate == "failed"


def test_table_of_orders_raises_for_a_victim_that_the_board_lacks():
    with pytest.raises(KeyError, match="no-such"):
        boards.inserted("<!-- orders no-such fast-surrogates/v1 -->")


@pytest.mark.parametrize(
    ("axis", "board", "shown"),
    [
        ("victim", "cifar10-resnet/v2", {"`sham`", "`rand-class` on `clusters:k=20`"}),
        ("defense", "cifar10-trusted-defenses/v1", {"`sham` at 8", "`sham` (l0 1)", "`sham` (l2 1)", "`ops` (l0 1)"}),
    ],
)
def test_tables_name_labels_and_budgets_without_the_syntax_of_markers(axis, board, shown):
    made = boards.across(axis, board)
    assert "\\|" not in made
    assert shown <= {part.strip() for part in made.split("|")}


def test_table_across_many_defenses_has_a_line_for_each():
    how, _, header, _, *lines = boards.inserted("<!-- across defense photos-defenses/v1 -->").splitlines()
    assert "±" not in how
    assert "over n = 2 crafts" in how
    assert "both values in parentheses" in how
    table = read_results(boards.LEADERBOARDS / "photos-defenses/v1")
    assert [line.split("|")[1].strip(" `") for line in lines] == list(dict.fromkeys(table["defense"]))
    assert "| `uc` |" in header
    assert "gate" not in header


def test_readme_tables_of_boards_follow_from_the_records():
    text = (boards.ROOT / "README.md").read_text(encoding="utf-8")
    assert boards.readme(text) == text, "run: python docs/_ext/boards.py"


def test_figures_in_the_report_of_protected_photos_follow_from_the_records():
    assert protection.TARGET.read_text(encoding="utf-8") == protection.text(), "run: python docs/_ext/protection.py"


def test_report_of_protected_photos_tells_presets_of_a_poisoner_apart(monkeypatch):
    found = protection.summaries(protection.PHOTOGRAPHS)
    variants = [one._replace(shared={**one.shared, "preset": "paper"}) for one in found if one.shared["base"] == "uc"]
    monkeypatch.setattr(protection, "summaries", lambda board: [*found, *variants])
    assert {"uc", "uc@paper"} < protection._photographs()["poisoners"].keys()


def test_no_marker_is_left_in_a_page():
    for page in doc_pages.DOCS.glob("*.md"):
        text = boards.inserted(page.read_text(encoding="utf-8"))
        assert "<!-- board" not in text
        assert "<!-- mean" not in text
        assert "<!-- across" not in text
        assert "<!-- orders" not in text
