"""The table that a run ends with: which columns it has, and where."""

from __future__ import annotations

import re

import boards
import pytest

from ucbench.cli.output import TableLayout, print_summary
from ucbench.errors import UsageError
from ucbench.results.table import rows
from ucbench.results.view import check_columns


@pytest.fixture
def records() -> list[dict]:
    return boards.rows_of({"clean": [90, 92], "sham": [89, 91], "uc": [40, 44]})


@pytest.fixture
def printed(capsys, monkeypatch):
    def run(records: list[dict], width: int | None = None, **options) -> str:
        if width is not None:
            monkeypatch.setenv("COLUMNS", str(width))
        print_summary(rows(records), **options)
        return capsys.readouterr().out

    return run


def test_summary_shows_means_with_intervals_and_what_all_rows_share(printed, records):
    text = printed(records)
    assert "42.0 (40.0, 44.0)" in text
    assert "data set digits; preset standard; surrogate none; label knowledge none" in text
    assert "Mean over 2 craft seeds. Fewer than 4: exploratory. Parentheses: both values behind" in text
    assert "±" not in text
    assert "more column" not in text


def test_summary_does_not_call_a_budget_shared_beside_an_unbounded_poisoner(printed, records):
    assert "budget linf" in printed(records)
    text = printed([*records, boards.record("cuda", 0, 20, norm="unbounded", epsilon=None)])
    assert next(line for line in text.splitlines() if line.startswith("cuda")).split()[1] == "unbounded"
    assert "budget linf" not in text


def test_summary_of_the_clean_reference_alone_counts_its_train_seeds(printed):
    text = printed(boards.rows_of({"clean": [90, 92, 91, 90]}))
    assert "interval over 4 train seeds." in text
    assert "One train seed" in printed(boards.rows_of({"clean": [90]}))


def test_summary_counts_no_seed_where_every_cell_of_a_poisoner_failed(printed):
    failed = [boards.failed(one) for one in boards.rows_of({"uc": [40, 44]})]
    text = printed([*boards.rows_of({"clean": [90, 92]}), *failed])
    assert "0 (2 failed)" in text
    assert "One craft seed" not in text


def test_summary_tells_crafts_from_trainings(printed, records):
    """Two releases with three trainings each: the means 42 and 48, and the trainings a point apart."""
    nested = [
        boards.record("lsp", 0, accuracy, craft_seed=craft, train_seed=3 * craft + place)
        for craft, accuracies in enumerate([(41, 42, 43), (47, 48, 49)])
        for place, accuracy in enumerate(accuracies)
    ]
    text = printed(records + nested)
    assert "Mean over 2 craft seeds." in text
    assert "Mean ± half-width of the 95 % t interval over 2" in printed(
        [*boards.rows_of({"clean": [90, 92, 91]}), *nested]
    )
    lsp = next(line for line in text.splitlines() if line.startswith("lsp"))
    assert "45.0 (42.0, 48.0)" in lsp
    assert "  4.2 crafts, 1.0 trainings  " in lsp
    assert lsp.endswith("2 x 3")
    assert "n: crafts x trainings on each" in text


def test_summary_on_narrow_terminal_keeps_columns_of_highest_priority(printed):
    records = boards.rows_of({"clean": [90, 92, 91], "sham": [89, 91, 90], "uc": [40, 44, 42]})
    wide, narrow = printed(records, 200), printed(records, 50, elsewhere="results.csv")
    assert "train acc %" in wide
    assert "more column" not in wide
    assert "sham  removed %  n\n" in narrow
    assert "train acc %" not in narrow
    assert "2 more columns: --wide, results.csv\n" in narrow


def test_summary_of_chosen_columns_has_these_in_their_order(printed, records):
    text = printed(records, 80, layout=TableLayout("Test acc %,poisoner,clean_accuracy,victim"))
    head, _, *lines = text.splitlines()
    assert re.split("  +", head.strip()) == ["test acc %", "poisoner", "clean %", "victim"]
    assert re.split("  +", lines[2]) == ["42.0 (40.0, 44.0)", "uc", "91.0 (90.0, 92.0)", "resnet18:width=16"]
    assert "more column" not in text


def test_summary_refuses_an_unknown_column_and_suggests_the_nearest():
    check_columns(["poisoner", "gap removed %", "n", "sharpness.value"])
    with pytest.raises(UsageError, match=r"no column 'test_acuracy'\. Did you mean 'test_accuracy'"):
        check_columns(["test_acuracy"])


def test_summary_tells_rows_apart_on_any_screen(printed, records):
    """Two rows of one poisoner that differ in their defense, and everything that a screen might leave out instead."""
    text = printed([*records, *boards.rows_of({"uc": [70, 71]}, "jpeg:quality=10")], 50)
    assert "jpeg:quality=10" in text


def test_summary_states_no_effect_where_the_gate_failed(printed, records):
    def line(found: list[dict], name: str) -> str:
        text = printed([*records, *found], layout=TableLayout("poisoner,test_accuracy,drop_sham,gap_removed"))
        return next(line for line in text.splitlines() if line.startswith(name))

    assert line([], "uc").split()[1:] == ["42.0", "(40.0,", "44.0)", "48.0", "(47.0,", "49.0)", "61", "(59,", "62)"]
    positive = boards.rows_of({"positive": [80, 82]}, access="full", oracle=True)
    assert line(positive, "uc").split()[1:] == ["42.0", "(40.0,", "44.0)"]
    elsewhere = [*positive, *boards.rows_of({"lsp": [20, 21]}, epsilon=16.0)]
    assert line(elsewhere, "clean").split()[1] == "91.0"


def test_summary_tells_the_gates_of_two_labelings_apart(printed):
    found = [one for labeling in ("original", "kmeans:k=10") for one in boards.judging(labeling=labeling)]
    text = " ".join(printed(found).split())
    assert "Gate for digits at linf 8, resnet18:width=16: " in text
    assert "Gate for digits at linf 8, resnet18:width=16, labels kmeans:k=10: " in text


def test_summary_names_the_mixture_of_a_gate(printed):
    assert "Gate for digits at linf 8, resnet18:width=16, mixture 0.5: " in printed(boards.judging(mixture=0.5))


def test_summary_leaves_fields_empty_where_only_some_rows_have_a_metric(printed, records):
    """Rows of a mixture stand beside the control of their clean part, others have none."""
    mixed = [
        *boards.rows_of({"uc": [60, 61]}, mixture=0.5),
        *boards.rows_of({"uc": [55, 56]}, "clean-part", mixture=0.5),
    ]
    text = printed([*records, *mixed])
    assert "clean-part.gain" in text
    assert "5.00" in text
