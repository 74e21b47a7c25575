"""Tables that pages take from records: which lines and columns they show."""

from __future__ import annotations

import ast
import csv
import json
import re

import doc_pages
import pytest
from _ext import analyses, boards, measured, methods, page_loads, photo_effect, reproduced, results, speed
from scipy import stats

from ucbench import installed, read_results
from ucbench.leaderboard.gates import RULES, gates_of
from ucbench.plugins.grammar import parse
from ucbench.results.records import read_records
from ucbench.results.statistics import t_interval
from ucbench.results.table import rows

BOARD = "mi-by-poisoner/v1"
PERFORMANCE = doc_pages.ROOT / "benchmarks" / "performance"


def test_correlations_are_over_the_budget_whose_gate_was_judged():
    names = {group.shared["base"] for group in analyses.judged(BOARD)}
    assert {"clean", "sham", "uc", "eminn"} <= names
    assert not {"ar", "ops"} & names
    assert len(analyses.judged(BOARD)) < len(analyses.analysed(BOARD).groups)


def test_correlation_is_that_of_lost_accuracy():
    groups, measure = analyses.judged(BOARD), "uniformity.alignment"
    lost = [-group.means["test_accuracy"].mean for group in groups]
    expected = stats.spearmanr([group.means[measure].mean for group in groups], lost).statistic
    assert expected > 0
    assert analyses.inserted(f"<!-- analysis {BOARD}: rho {measure} -->").startswith(f"{expected:.2f} [")


def test_victims_table_has_a_line_for_each_victim_and_a_column_for_each_poisoner():
    made, *notes = analyses.inserted(f"<!-- analysis {BOARD}: victims test_accuracy -->").rsplit("\n\n", 1)
    how, _, header, _, *lines = made.splitlines()
    assert notes == [f"`{BOARD}`: {analyses.earlier(BOARD)}"]
    assert how.startswith("Means, ± half of the 95 % interval, over n = ")
    groups = analyses.judged(BOARD)
    assert len(lines) == len({group.shared["victim"] for group in groups})
    assert header.count("|") == lines[0].count("|") == len(groups) + 2
    shown = [cell.strip() for cell in lines[0].split("|")]
    for group in groups:
        assert shown[header.split("|").index(f" {boards.named(group)} ")] == group.means["test_accuracy"].text()


def test_row_measures_a_metric_whatever_its_parameters_and_the_names_of_its_values():
    for column in ("change.top.5", "change:share=4.5.mean", "change@few.mean", 'change:"a.b".mean'):
        assert measured.measures("metric", "change")({column: "1.0"})
        assert not measured.measures("metric", "change")({column: ""})
        assert not measured.measures("metric", "changes")({column: "1.0"})


def test_reproduced_figures_are_of_passed_gates_and_the_others_are_counted():
    folder = doc_pages.ROOT / "leaderboards" / "fast-surrogates" / "v1"
    verdicts = {gate.shared["victim"]: gate.state for gate in gates_of(rows(read_records(folder)), RULES, folder)}
    lines = [line.split("|") for line in measured.undefended("mi-ue").splitlines()]
    shown = {cells[6].rpartition(" on ")[2].strip(" `") for cells in lines if "fast-surrogates / v1" in cells[-2:][0]}
    assert set(verdicts.values()) == {"passed", "failed"}
    assert shown == {victim for victim, state in verdicts.items() if state == "passed"}
    assert measured.undefended("ops").startswith("2 rows whose gate was not passed: on [its page]")


@pytest.mark.parametrize("poisoner", ["lsp", "uc"])
def test_figures_under_a_defense_stand_beside_those_without_of_the_same_board(poisoner):
    folder = doc_pages.ROOT / "leaderboards" / "cifar10-defenses" / "v5"
    means = read_results(folder).groupby(["poisoner", "defense"])["test_accuracy"].mean()
    (shown,) = measured.defended("jpeg", poisoner)
    assert shown.plain.startswith(f"{means[poisoner, 'none']:.1f}")
    assert shown.defended.startswith(f"{means[poisoner, 'jpeg']:.1f}")
    assert (shown.clean, shown.crafts) == (f"{means['clean', 'jpeg']:.1f}", 3)


def test_published_figures_under_defenses_are_of_poisoners_and_defenses_here():
    plugins, lines = installed(), reproduced.defended().splitlines()
    rows = [row for row in reproduced.published("eminn") + reproduced.published("uc") if row["here"]]
    assert rows == []
    with reproduced.PUBLISHED.open(encoding="utf-8", newline="") as file:
        used = [(name, row["method"]) for row in csv.DictReader(file) for name in row["here"].split()]
    for defense, poisoner in used:
        assert plugins.find("defense", parse(defense).name)
        assert plugins.find("poisoner", poisoner)
    assert len(lines) > 20
    assert any("bridge-pure" in line and "Stanford Cars" in line for line in lines)


def test_reproduced_figures_name_the_preset_and_show_cells_of_several_boards_once():
    lines = measured.undefended("uc").splitlines()
    resnet = [line for line in lines if "`linf 16`" in line and "on `resnet18:epochs=60,width=16`" in line]
    assert sorted(re.findall(r"\| `(uc.*?)`", "".join(resnet))) == ["uc", "uc:coarseness=8", "uc@multiscale"]
    (shared,) = (line for line in lines if "cifar10-defenses / v5" in line)
    assert "cifar10-platforms / v4" in shared


@pytest.mark.parametrize("board", ["cifar10-more-defenses/v5", "cifar10-platforms/v4"])
def test_means_half_way_between_two_digits_are_those_of_the_board(board):
    on_board = {
        frozenset(one.members.loc[one.members["status"] == "ok", "cell"]): one.means["test_accuracy"]
        for one in boards.summaries(board)
    }
    ((_, found),) = [each for each in measured.results() if each[0].match(f"{board}/results.csv")]
    figures = measured.figures(found)
    ties = [one for one in figures if round(10 * t_interval(one.accuracy).mean, 6) % 1 == 0.5]
    assert len(ties) > 3
    assert all(t_interval(one.accuracy).text() == on_board[one.cells].text() for one in figures)


@pytest.mark.parametrize(("jpeg", "columns"), [((), 2), (("protected",), 2), (("protected", "sham", "clean"), 3)])
def test_photo_effect_shows_a_column_once_every_release_has_it(tmp_path, monkeypatch, jpeg, columns):
    record = json.loads(photo_effect.RECORD.read_text(encoding="utf-8"))
    plain = [row for row in record["trainings"] if not row["jpeg"]]
    more = [{**row, "jpeg": True} for row in plain if row["release"] in jpeg]
    (tmp_path / "record.json").write_text(json.dumps({**record, "trainings": plain + more}))
    monkeypatch.setattr(photo_effect, "RECORD", tmp_path / "record.json")
    header = photo_effect.described().splitlines()[2]
    assert header.count("|") - 1 == columns


def test_page_loads_say_how_many_boards_the_measured_site_had():
    record = json.loads(page_loads.RECORD.read_text(encoding="utf-8"))
    now = len(results.boards())
    how = page_loads.shown().partition("\n")[0]
    assert f"of a site of {record['boards']} boards" in how
    assert (f"now there are {now}" in how) == (now != record["boards"])


def test_page_loads_leave_out_pages_that_the_site_no_longer_has(tmp_path, monkeypatch):
    record = json.loads(page_loads.RECORD.read_text(encoding="utf-8"))
    pages = [
        "empty.html", "index.html", f"boards/{BOARD.replace('/', '-')}/cells.html", "poisoners/uc.html",
        "defenses/jpeg.html", "boards/gone-v1/index.html", f"boards/{BOARD.replace('/', '-')}/cells/0.html",
        "poisoners/gone.html", "defenses/none.html",
    ]  # fmt: skip
    rows = [{**record["rows"][0], "page": page} for page in pages]
    (tmp_path / "record.json").write_text(json.dumps({**record, "rows": rows}))
    monkeypatch.setattr(page_loads, "RECORD", tmp_path / "record.json")
    assert re.findall(r"`(.+?)`", page_loads.shown()) == pages[:5]


def goals() -> dict[str, str]:
    """The goal of every subject as the code states it; read, since its package loads from its folder alone."""
    found = {}
    for node in ast.walk(ast.parse((PERFORMANCE / "subjects" / "__init__.py").read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        values = [ast.literal_eval(argument) for argument in node.args]
        if node.func.id == "Figure":
            found[values[0]] = f"at most {values[4]:g} {values[3]}"
        elif node.func.id == "Comparison":
            given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
            found[values[0]] = f"{given['cpu']:g}" if "cpu" in given else ""
    return found


def test_performance_table_states_the_goals_of_the_subjects():
    part = doc_pages.section((PERFORMANCE / "README.md").read_text(encoding="utf-8"), "## Against plain loops")
    rows = re.findall(r"^\| (`.+?`) \| .+ \|([^|]*)\|$", part, re.MULTILINE)
    shown = {name: goal.strip() for names, goal in rows for name in re.findall(r"`([\w-]+)`", names)}
    assert len(shown) > 10
    assert shown == goals()


def test_goal_that_a_lower_bound_meets_is_marked_so():
    record = json.loads((speed.OFFICIAL / "uc-effect.json").read_text(encoding="utf-8"))
    (row,) = record["rows"]
    assert row["plain"]["notes"]["share"] < 0.5 <= row["ucbench"]["notes"]["share"]
    row |= {"ratio": 41.0, "target": {"at_least": 40.0}, "met": True}
    assert speed.line(row, 16)[4:6] == ["at least 41.00", "40: met (lower bound, see below)"]
    row["ucbench"]["notes"]["at_least"] = False
    assert speed.line(row, 16)[4:6] == ["41.00", "40: met"]


@pytest.mark.parametrize(
    ("other", "goal"), [(39.0, "40: not decided (see below)"), (42.0, "40: met (lower bound, see below)")]
)
def test_goal_that_one_measured_speed_meets_and_another_does_not_is_not_decided(other, goal):
    record = json.loads((speed.OFFICIAL / "uc-effect.json").read_text(encoding="utf-8"))
    row = record["rows"][0] | {"ratio": 41.0, "target": {"at_least": 40.0}, "met": True}
    assert speed.line(row, 16, other)[5] == goal


def test_speed_page_names_every_defense_that_was_not_measured():
    shown = set(re.findall(r"`([\w-]+)`", speed.unmeasured()))
    record = json.loads((speed.SPEED / "defenses.json").read_text(encoding="utf-8"))
    measured = {row["defense"] for row in record["rows"] if "problem" not in row}
    assert shown.isdisjoint(measured)
    assert shown | measured == {spec.name for spec in methods.specs() if spec.kind == "defense"}


def test_speed_page_says_what_is_slower_and_which_tables_have_another_torch():
    record = json.loads((speed.SPEED / "plain.json").read_text(encoding="utf-8"))
    ((title, ratio),) = [(row["title"], row["ratio"]) for row in record["rows"] if row.get("ratio", 1) < 1]
    assert f" Slower than the usual way: {title} ({ratio:.2f}).\n\n" in speed.plain()
    first = json.loads((speed.OFFICIAL / "width-16.json").read_text(encoding="utf-8"))["machine"]["versions"]["torch"]
    assert f" (the first table: {first})" in speed.defenses()
    for made in (speed.board(), speed.ideas()):
        assert "first table" not in made


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("## Where the time goes", "operators"),
        ("## One process or several", "processes"),
        ("## What a defense costs", "defenses"),
        ("## What would not be faster", "ideas"),
    ],
)
def test_speed_page_shows_every_row_of_a_record_and_its_note(heading, name):
    record = json.loads((doc_pages.DOCS / "_data" / "speed" / f"{name}.json").read_text(encoding="utf-8"))
    part = doc_pages.section(doc_pages.rendered(doc_pages.DOCS / "speed.md"), heading)
    assert record.get("note", "") in part
    measured = [row for row in record["rows"] if "problem" not in row]
    assert len(re.findall(r"^\|", part, re.MULTILINE)) == 2 + len(measured)


def test_speed_page_leaves_out_a_defense_that_was_not_measured(tmp_path, monkeypatch):
    speeds = {"none": [8.0, 20.0, 9.0], "speeds": [3.0], "ratio": 0.333}
    row = {"defense": "jpeg", "tier": "T1", "preparing": 0.001, **speeds}
    report = {
        "machine": {"processor": "P", "threads": 2, "dtype": "float32", "versions": {"torch": "1"}},
        "victim": "resnet18", "images": 8, "size": 4, "repeats": 3,
        "rows": [{"defense": "diffusion-purify", "problem": "it needs a model"}, row],
    }  # fmt: skip
    (tmp_path / "defenses.json").write_text(json.dumps(report))
    monkeypatch.setattr(speed, "SPEED", tmp_path)
    how, _, _, _, *lines = speed.defenses().splitlines()
    assert lines == ["| T1 | `jpeg` | 9 | 3 | 0.33 |  |"]
    assert how.endswith(" With no defense it trained at 9 to 9 images per second.")
    assert re.search(r"P, torch 1 \(the first table: [\d.]+\), 2 threads, float32\. With", how)
