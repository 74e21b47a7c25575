"""The table that a run ends with: which columns it has, and where."""

from __future__ import annotations

import sys

import boards
import pytest

from ucbench.cli.summary import print_summary
from ucbench.results.table import rows


@pytest.fixture
def records() -> list[dict]:
    return boards.rows_of({"clean": [90, 92], "sham": [89, 91], "uc": [40, 44]})


@pytest.fixture
def printed(capsys, monkeypatch):
    def run(records: list[dict], width: int | None = None) -> str:
        if width is not None:
            monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
            monkeypatch.setenv("COLUMNS", str(width))
        print_summary(rows(records))
        return capsys.readouterr().out

    return run


def test_summary_shows_means_with_intervals_and_what_all_rows_share(printed, records):
    text = printed(records)
    assert "42.0 ± 25.4" in text
    assert "data set digits; preset standard; surrogate none; label knowledge none" in text
    assert "over 2 craft seeds. Fewer than 4: exploratory." in text
    assert "wider terminal" not in text


def test_summary_tells_crafts_from_trainings(printed, records):
    """Two releases with three trainings each: the means 42 and 48, and the trainings a point apart."""
    nested = [
        boards.record("lsp", 0, accuracy, craft_seed=craft, train_seed=3 * craft + place)
        for craft, accuracies in enumerate([(41, 42, 43), (47, 48, 49)])
        for place, accuracy in enumerate(accuracies)
    ]
    text = printed(records + nested)
    lsp = next(line for line in text.splitlines() if line.startswith("lsp"))
    assert "45.0 ± 38.1" in lsp
    assert "SD 4.2 crafts, 1.0 trainings" in lsp
    assert lsp.endswith("2 x 3")
    assert "n: crafts x trainings on each" in text


def test_summary_on_narrow_terminal_keeps_columns_of_highest_priority(printed, records):
    wide, narrow = printed(records, 200), printed(records, 60)
    assert "gap removed %" in wide
    assert "wider terminal" not in wide
    assert "test acc %" in narrow
    assert "gap removed %" not in narrow
    assert "A wider terminal shows more columns" in narrow


def test_summary_leaves_fields_empty_where_only_some_rows_have_a_metric(printed, records):
    """Rows of a mixture stand beside the control of their clean part, others have none."""
    mixed = [
        *boards.rows_of({"uc": [60, 61]}, mixture=0.5),
        *boards.rows_of({"uc": [55, 56]}, "clean-part", mixture=0.5),
    ]
    text = printed([*records, *mixed])
    assert "CLEAN-PART.GAIN" in text
    assert "5.00" in text
