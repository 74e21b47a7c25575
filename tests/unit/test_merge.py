"""Several results become one leaderboard: nothing is dropped silently, and contradictions are refused."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import boards
import pytest
import tiny_components as tiny

from ucbench.errors import DataError
from ucbench.leaderboard.merge import merge
from ucbench.matrix.matrix import Request, expand
from ucbench.results.frame import read
from ucbench.results.records import read_record, read_records, record_path, write_record
from ucbench.results.sheets import sheet_name
from ucbench.results.table import update_csv
from ucbench.store.keys import key
from ucbench.store.locks import exclusive

CELLS = expand(
    Request(datasets=["spots"], poisoners=["badge"], victims=["tiny"], labelings=["original"], seeds=[(0, 0), (1, 1)]),
    tiny.registry(),
)


def records() -> list[dict]:
    """A record of each cell."""
    return [
        {
            **boards.record(cell.craft.poisoner.spec.name, cell.train_seed, 50.0),
            "cell": key("cell", cell.describe()),
            "request": cell.describe(),
        }
        for cell in CELLS
    ]


def out(path: Path, some: list[dict]) -> Path:
    return boards.folder(path, copy.deepcopy(some))


def test_merge_takes_the_records_of_every_folder_and_counts_cells(tmp_path):
    made = records()
    one, two = out(tmp_path / "one", made[:3]), out(tmp_path / "two", made[2:])
    merged = merge(tmp_path / "board", [one, two], CELLS)
    assert merged.text == f"{len(CELLS)} of {len(CELLS)} cells have results."
    assert {one["cell"] for one in read_records(tmp_path / "board")} == {one["cell"] for one in made}
    partial = merge(tmp_path / "part", [one], CELLS)
    assert partial.text == f"3 of {len(CELLS)} cells have results."


def test_merge_leaves_records_of_other_cells_out_and_counts_them(tmp_path):
    foreign = boards.record("uc", 0, 50.0)
    merged = merge(tmp_path / "board", [out(tmp_path / "one", [*records(), foreign])], CELLS)
    assert merged.left_out == 1
    assert merged.text.endswith("; left out 1 records of other cells.")
    assert not record_path(tmp_path / "board", foreign["cell"]).exists()


def test_merge_refuses_a_board_with_records_of_other_cells(tmp_path):
    board = out(tmp_path / "board", [boards.record("uc", 0, 50.0)])
    with pytest.raises(DataError, match=r"is of no cell of the suite\. Choose another --out"):
        merge(board, [], CELLS)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["metrics"].update(test_accuracy=51.0),
        lambda r: r["budget"].update(linf_max=1.0),
        lambda r: r.update(cell="0" * 32),
    ],
    ids=["accuracy", "budget", "key"],
)
def test_merge_refuses_records_that_contradict_each_other_and_names_both(tmp_path, change):
    made = records()
    one = out(tmp_path / "one", made)
    change(made[0])
    two = out(tmp_path / "two", made)
    with pytest.raises(DataError) as caught:
        merge(tmp_path / "board", [one, two], CELLS)
    assert str(record_path(one, records()[0]["cell"])) in str(caught.value)
    assert str(record_path(two, made[0]["cell"])) in str(caught.value)
    assert not (tmp_path / "board").exists()


def test_merge_refuses_records_of_one_exploiter_with_other_numerics(tmp_path):
    made = records()
    one, two = out(tmp_path / "one", made[:2]), out(tmp_path / "two", [boards.elsewhere(made[2])])
    with pytest.raises(DataError, match=r"cannot be averaged: .*dtype bfloat16"):
        merge(tmp_path / "board", [one, two], CELLS)
    assert not (tmp_path / "board").exists()


def test_merge_prefers_measured_cells_then_more_metrics_then_the_first(tmp_path):
    made = records()
    first = [boards.failed(made[0]), made[1], {**made[2], "cost": {"seconds": 1.0}}]
    more = {**made[1], "metrics": {**made[1]["metrics"], "probe.share": 0.5}}
    second = [made[0], more, {**made[2], "cost": {"seconds": 2.0}}]
    board = tmp_path / "board"
    for sources in ([first, second], [second, first]):
        folders = [out(tmp_path / f"{len(list(tmp_path.iterdir()))}", some) for some in sources]
        board = tmp_path / f"board-{folders[0].name}"
        merge(board, folders, CELLS)
        kept = [read_record(record_path(board, one["cell"])) for one in made[:3]]
        assert kept[:2] == [made[0], more]
        assert kept[2]["cost"] == sources[0][2]["cost"]


def measured(made: dict, version: str = "1", **metrics: float) -> dict:
    """The record with these metrics of a version."""
    values = {f"{name}.share": value for name, value in metrics.items()}
    by = {name: f"{name} {version}" for name in metrics}
    return {**made, "metrics": {**made["metrics"], **values}, "measured_by": by}


@pytest.mark.parametrize("own", [True, False], ids=["in the board", "in a source"])
def test_merge_unites_the_metrics_of_equal_records(tmp_path, own):
    made = records()
    one, two = measured(made[0], probe=0.5, guess=0.1), measured(made[0], probe=0.5, shape=0.2, depth=0.3)
    folders = [out(tmp_path / name, [record]) for name, record in (("one", one), ("two", two))]
    board = folders.pop(0) if own else tmp_path / "board"
    merge(board, folders, CELLS)
    merged = read_record(record_path(board, made[0]["cell"]))
    assert merged == measured(made[0], probe=0.5, guess=0.1, shape=0.2, depth=0.3)


def test_merge_unites_no_metrics_of_different_versions(tmp_path):
    made = records()
    one, two = measured(made[0], probe=0.5, guess=0.1), measured(made[0], "2", probe=0.5, shape=0.2, depth=0.3)
    folders = [out(tmp_path / name, [record]) for name, record in (("one", one), ("two", two))]
    merge(tmp_path / "board", folders, CELLS)
    assert read_record(record_path(tmp_path / "board", made[0]["cell"])) == two


def test_merge_counts_a_cell_that_failed_with_other_numerics_only_as_measured(tmp_path):
    made = records()
    failed = out(tmp_path / "failed", [boards.failed(boards.elsewhere(made[0]))])
    merged = merge(tmp_path / "board", [out(tmp_path / "done", made), failed], CELLS)
    assert (merged.done, merged.failed) == (len(CELLS), 0)


def test_merge_copies_the_sheets_of_its_releases_only(tmp_path):
    made = records()
    source = out(tmp_path / "one", made)
    (source / "sheets").mkdir()
    sheet = next(sheet_name(one) for one in made if one["request"]["poisoner"] == "badge")
    for name in (sheet, "badge-000000000000.png"):
        (source / "sheets" / name).write_bytes(b"png")
    merge(tmp_path / "board", [source], CELLS)
    assert [path.name for path in (tmp_path / "board" / "sheets").iterdir()] == [sheet]


def test_results_csv_is_read_and_written_under_one_lock(tmp_path):
    """A driver that waits for another takes its records in; else the last to write could be the first that read."""
    write_record(tmp_path, boards.record("uc", 0, 50.0))
    update_csv(tmp_path)
    (lock,) = tmp_path.glob(".*.lock")
    with ThreadPoolExecutor(1) as pool:
        with exclusive(lock):
            update = pool.submit(update_csv, tmp_path)
            wait([update], timeout=0.5)  # long enough for an update that does not wait
            write_record(tmp_path, boards.record("uc", 1, 50.0))
        update.result()
    assert len(read(tmp_path / "results.csv")) == 2


def test_merge_takes_the_first_of_records_that_differ_in_time_alone(tmp_path):
    made = records()
    one = out(tmp_path / "one", [{**record, "cost": {"seconds": 1.0}} for record in made])
    two = out(tmp_path / "two", [{**record, "cost": {"seconds": 2.0}} for record in made])
    merge(tmp_path / "board", [two, one], CELLS)
    merge(tmp_path / "board", [one], CELLS)
    assert {record["cost"]["seconds"] for record in read_records(tmp_path / "board")} == {2.0}


def test_merge_copies_no_sheet_from_behind_a_link(tmp_path):
    made = records()
    source, (sheet, linked) = out(tmp_path / "one", made), [sheet_name(one) for one in made if one["release"]][:2]
    (source / "sheets").mkdir()
    (tmp_path / "private").write_text("private")
    (source / "sheets" / sheet).write_text("a sheet")
    (source / "sheets" / linked).symlink_to(tmp_path / "private")
    merge(tmp_path / "board", [source], CELLS)
    assert [path.name for path in (tmp_path / "board" / "sheets").iterdir()] == [sheet]
