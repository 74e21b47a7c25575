"""The frame of a run: what it shows, what stays of it in a selection, and that reading gives it back."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import boards
import pandas as pd
import pytest

import ucbench
from ucbench.cli.output import print_summary
from ucbench.errors import DataError
from ucbench.results.columns import COLUMNS, DTYPES
from ucbench.results.frame import Results, read, results
from ucbench.results.table import rows, to_csv, write_csv

PUBLISHED = sorted((Path(__file__).parents[2] / "leaderboards").rglob("results.csv"))
HOSTILE = "<img src=x onerror=alert(1)>"


def records(**request) -> list[dict]:
    return boards.rows_of({"clean": [90, 92], "sham": [89, 91], "uc": [40, 44]}, **request)


@pytest.fixture
def table() -> Results:
    return results(records())


def lines_of(table: pd.DataFrame) -> list[str]:
    return [line.split()[0] for line in repr(table).splitlines() if re.match("poisoner|clean|sham|uc", line)]


def test_repr_is_the_summary_of_a_run(table, capsys):
    print_summary(rows(records()))
    *summary, size = repr(table).splitlines()
    assert summary == capsys.readouterr().out.splitlines()
    assert "42.0 (40.0, 44.0)" in summary[4]
    assert size == f"6 cells; the frame has {len(COLUMNS)} columns."


def test_html_has_the_cells_and_notes_of_the_repr(table):
    html = table._repr_html_()
    assert re.findall("<tr><td>(.*?)</td>", html) == ["clean", "sham", "uc"]
    assert "<th>drop vs sham</th>" in html
    assert "42.0 (40.0, 44.0)" in html
    (caption,) = re.findall("<caption.*?>(.*)</caption>", html)
    assert caption.split("<br>") == repr(table).splitlines()[5:]


def test_html_escapes_names_of_components_and_metrics():
    hostile = boards.rows_of({HOSTILE: [40]}, victim=HOSTILE, surrogate=HOSTILE) + records()
    for record in hostile:
        record["metrics"][f"{HOSTILE}.accuracy"] = 50.0
    html = results(hostile)._repr_html_()
    assert "<img" not in html
    assert html.count("&lt;img") == 4  # poisoner, surrogate and victim, in which rows differ, and the metric


@pytest.mark.parametrize(
    "select",
    [
        lambda table: table[table["poisoner"] != "sham"],
        lambda table: table.query("poisoner != 'sham'"),
        lambda table: table.drop(index=table.index[table["poisoner"] == "sham"]),
        lambda table: pd.concat([table[table["poisoner"] == "clean"], table[table["poisoner"] == "uc"]]),
        lambda table: pickle.loads(pickle.dumps(table[table["poisoner"] != "sham"])),
        lambda table: table.assign(note="own")[table["poisoner"] != "sham"].copy(),
    ],
    ids=["mask", "query", "drop", "concat", "pickle", "assign"],
)
def test_rows_of_results_are_results_with_their_own_summary(table, select):
    chosen = select(table)
    assert isinstance(chosen, Results)
    assert lines_of(chosen) == ["poisoner", "clean", "uc"]


@pytest.mark.parametrize(
    "select",
    [
        lambda table: table[["poisoner", "drop"]],
        lambda table: table.drop(columns="cell"),
        lambda table: table.T,
        lambda table: table.describe(),
        lambda table: table.pivot_table("drop", "craft_seed", "poisoner"),
    ],
    ids=["columns", "drop", "transposed", "describe", "pivot"],
)
def test_results_without_a_column_are_a_plain_frame(table, select):
    assert type(select(table)) is pd.DataFrame


@pytest.mark.parametrize(
    "change",
    [
        lambda table: pd.concat([table, table]),
        lambda table: table.iloc[:0],
        lambda table: table.rename(columns={"drop": "lost"}),
        lambda table: table.astype(object),
        lambda table: table.where(table["poisoner"] == "uc"),
        lambda table: table.assign(**{"probe.kind": "text"}),
    ],
    ids=["twice", "empty", "renamed", "objects", "blanked", "text metric"],
)
def test_results_without_a_summary_are_shown_as_pandas_does(table, change):
    changed = change(table)
    assert repr(changed).replace("Empty Results", "Empty DataFrame") == repr(pd.DataFrame(changed))
    assert changed._repr_html_() == pd.DataFrame(changed)._repr_html_()


def test_repr_of_a_long_table_says_how_many_lines_are_left_out(table):
    with pd.option_context("display.max_rows", 2):
        assert lines_of(table) == ["poisoner", "clean", "sham"]
        assert "Not shown: 1 more lines." in repr(table)


def test_read_takes_a_board_its_records_and_its_csv(tmp_path, table):
    boards.folder(tmp_path, records())
    path = write_csv(tmp_path, rows(records()))
    for source in (tmp_path, tmp_path / "records", path, str(path)):
        found = ucbench.read_results(source)
        assert isinstance(found, Results)
        pd.testing.assert_frame_equal(found, table, rtol=0, atol=0.005)
        assert repr(found) == repr(table)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_read_csv_loses_nothing(path):
    found = read(path)
    assert to_csv(found) == path.read_text(encoding="utf-8")
    assert {name: found[name].dtype for name in COLUMNS} == DTYPES


def test_read_csv_ignores_a_byte_order_mark(tmp_path):
    path = write_csv(tmp_path, rows(records()))
    plain = read(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    pd.testing.assert_frame_equal(read(path), plain)


def test_read_csv_older_than_platform_purity_and_rms_is_read(tmp_path):
    made = records()
    path = write_csv(tmp_path, rows(made))
    older = pd.read_csv(path, dtype=str, keep_default_na=False)
    older.drop(columns=["platform", "purity", "measured_rms"]).to_csv(path, index=False)
    pd.testing.assert_frame_equal(read(path), results(made), rtol=0, atol=0.005)
    assert set(read(path)["platform"]) == {"ucbench"}
    assert read(path)[["purity", "measured_rms"]].isna().all(axis=None)


def test_read_csv_keeps_counts_of_a_metric_with_empty_fields(tmp_path):
    made = records()
    made[0]["metrics"] |= {"probe.images": 7, "probe.share": 0.5}
    path = write_csv(tmp_path, rows(made))
    assert to_csv(read(path)) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"poisoner,drop\nuc,3\n", "it lacks the columns dataset"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_read_raises_for_another_file(tmp_path, content, words):
    path = tmp_path / "results.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read(path)


def test_read_raises_for_text_in_a_column_of_numbers(tmp_path):
    path = write_csv(tmp_path, rows(records()))
    path.write_text(path.read_text().replace("42.00", "much").replace("44.00", "much"))
    with pytest.raises(DataError, match="cannot be read"):
        read(path)


def test_read_raises_for_a_missing_path(tmp_path):
    with pytest.raises(DataError, match="no records"):
        read(tmp_path / "nothing")
