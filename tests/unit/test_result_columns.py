"""Columns of results: described once, the same type with and without values, and text that is read back."""

from __future__ import annotations

import csv
import math

import pytest
from imports import imported_by
from result_records import record, row_of

from ucbench.results.columns import AVERAGED, BOARD, COLUMNS, REQUESTED, column
from ucbench.results.frame import read
from ucbench.results.table import dicts, rows, to_csv, write_csv


def test_columns_are_described_once_and_in_full():
    for described in (*map(column, COLUMNS), *BOARD):
        assert described.meaning, described.name
        assert described.heading, described.name
    assert len({described.name for described in BOARD}) == len(BOARD)
    assert len({number.priority for number in AVERAGED}) == len(AVERAGED)
    assert COLUMNS[: len(REQUESTED)] == tuple(described.name for described in REQUESTED)
    assert not any(described.priority for described in REQUESTED)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("epsilon", 8.0, "8"),
        ("epsilon", 0.5, "0.5"),
        ("mixture", None, ""),
        ("epochs", 12, "12"),
        ("test_accuracy", 100 / 3, "33.33"),
        ("test_accuracy", math.nan, ""),
        ("gap_removed", 2 / 3, "0.6667"),
        ("robust-accuracy.accuracy", 1 / 3, "0.3333"),
        ("robust-accuracy.images", 7, "7"),
        ("victim", "tiny", "tiny"),
    ],
)
def test_csv_text_of_a_value_follows_from_its_column(name, value, text):
    assert column(name).text(value) == text


def test_csv_writes_plain_numbers_and_empty_fields(tmp_path):
    path = write_csv(tmp_path, rows([record("clean", 90.0), record("uc", 100 / 3, mixture=0.4), record("lsp", None)]))
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames) == COLUMNS
        table = {row["poisoner"]: row for row in reader}
    uc = {name: table["uc"][name] for name in ("test_accuracy", "epsilon", "mixture", "gap_removed", "sham_accuracy")}
    assert uc == {
        "test_accuracy": "33.33", "epsilon": "8", "mixture": "0.4", "gap_removed": "0.7083", "sham_accuracy": ""
    }  # fmt: skip
    assert (table["uc"]["measured_l2"], table["uc"]["ssim"]) == ("0.0315", "0.9877")
    assert table["uc"]["measured_rms"] == "1.02"  # 255 * 0.024 / sqrt(3 * 3 * 4)
    assert (table["clean"]["craft_seed"], table["clean"]["epsilon"], table["clean"]["drop"]) == ("", "", "0.00")
    assert (table["lsp"]["status"], table["lsp"]["test_accuracy"]) == ("failed", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_csv_text_is_no_formula_and_is_read_back(tmp_path, start):
    name = f'{start}HYPERLINK("x.example")'
    forged = record("uc", 30.0, dataset=name, metrics={f"{name}.x": -1.5})
    path = write_csv(tmp_path, rows([forged]))
    header, line = csv.reader(path.read_text().splitlines())
    assert (line[0], header[-1], line[-1]) == (f"'{name}", f"'{name}.x", "-1.5000")
    assert read(path)["dataset"].tolist() == [name]


def test_control_characters_of_records_are_escaped_in_rows():
    hostile = record("uc", 30.0, dataset="a\x1b]0;b\x07\r\n\u202ec", metrics={"a\x1b.b": 1.0})
    (row,) = dicts(rows([hostile]))
    assert row["dataset"] == r"a\x1b]0;b\x07\r\n\u202ec"
    assert r"a\x1b.b" in row


def test_rows_take_nothing_but_the_fields_of_their_columns():
    """A metric or a further field of the request cannot pass for another column."""
    forged = record("uc", 30.0, metrics={"poisoner": 1.0, "drop": 99.0, "oracle": 1.0})
    forged["request"]["test_accuracy"] = 1.0
    assert row_of("uc", [forged]) == row_of("uc", [record("uc", 30.0)])


def test_rows_keep_counts_of_a_metric_as_integers():
    counted = {"probe.images": 7, "probe.share": 1.0}
    table = rows([record("uc", 50.0, metrics=counted), record("lsp", 60.0)])
    assert to_csv(table).splitlines()[0].endswith("cell,probe.images,probe.share")
    assert [line.split(",")[-2:] for line in to_csv(table).splitlines()[1:]] == [["", ""], ["7", "1.0000"]]


def test_row_has_the_platform_of_its_victim_and_older_records_that_of_this_package():
    older, other = record("uc", 30.0), record("uc", 40.0) | {"platform": "keras"}
    assert [row_of("uc", [each])["platform"] for each in (older, other)] == ["ucbench", "keras"]


def test_records_and_columns_load_without_pandas_and_tables_without_torch():
    found = imported_by("import ucbench.results.columns, ucbench.results.records")
    assert found & {"pandas", "scipy", "torch"} == set()
    assert "torch" not in imported_by("import ucbench.results.gate, ucbench.results.table")
