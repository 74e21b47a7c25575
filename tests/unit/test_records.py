"""Records: one file a cell, whole or not at all, and errors that name the file."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path

import boards
import pytest

from ucbench.errors import DataError
from ucbench.results import records
from ucbench.results.records import SCHEMA, faults, read_record, read_records, record_path, write_record
from ucbench.store.untrusted import only_text

CELL = "00ff" * 8
RECORD = {**boards.record("uc", 0, 12.5), "cell": CELL, "note": "é"}
PUBLISHED = Path(__file__).parents[2] / "leaderboards" / "photos-core" / "v1"


def test_record_round_trips_through_its_file(tmp_path):
    path = write_record(tmp_path, RECORD)
    assert path == record_path(tmp_path, CELL) == tmp_path / "records" / f"{CELL}.json"
    assert read_record(path) == RECORD


def test_record_files_are_equal_for_equal_records(tmp_path):
    one = write_record(tmp_path / "one", RECORD).read_bytes()
    two = write_record(tmp_path / "two", dict(reversed(RECORD.items()))).read_bytes()
    assert one == two
    assert one.endswith(b"}\n")


def test_texts_that_are_no_utf8_become_escapes_wherever_they_are():
    value = {"d\udce9ta": ["\ud800", ("é", 1, None)], "plain": 2.5}
    assert only_text(value) == {"d\\udce9ta": ["\\ud800", ["é", 1, None]], "plain": 2.5}


def test_record_write_replaces_and_leaves_no_temporary_file(tmp_path):
    write_record(tmp_path, boards.failed(RECORD))
    write_record(tmp_path, RECORD)
    assert [path.name for path in (tmp_path / "records").iterdir()] == [f"{CELL}.json"]
    assert list(read_records(tmp_path)) == [RECORD]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda r: r["metrics"].update(test_accuracy=100.5), "metrics.test_accuracy: Input should be less than"),
        (lambda r: r["metrics"].update(train_accuracy=-1), "metrics.train_accuracy: Input should be greater than"),
        (lambda r: r["metrics"].update({"sharpness.share": float("nan")}), "metrics.sharpness.share is not finite"),
        (lambda r: r["crafting"]["notes"].update(loss=[1.0, float("inf")]), "crafting.notes.loss[1] is not finite"),
        (lambda r: r["history"][0].update(test_accuracy=101), "history.0.test_accuracy"),
        (lambda r: r["metrics"].pop("test_accuracy"), "metrics.test_accuracy: Field required"),
        (lambda r: r.pop("numerics"), "numerics: Field required"),
        (lambda r: r["request"].pop("victim"), "request.victim: Field required"),
        (lambda r: r["request"].update(mixture=0), "request.mixture"),
        (lambda r: r["request"].update(train_seed="0"), "request.train_seed"),
        (lambda r: r["budget"].update(linf_max=8.5), "its largest change is 8.5 in linf, over the budget of 8"),
        (lambda r: r.update(schema=99), "schema 99"),
        (lambda r: r.update(status="fine"), "status"),
        (lambda r: r.update(status="failed"), "error: Field required"),
    ],
)
def test_faults_name_what_is_malformed(change, text):
    record = {**copy.deepcopy(RECORD), "history": [{"epoch": 1, "test_accuracy": 12.5}], "crafting": {"notes": {}}}
    assert faults(record) == []
    change(record)
    assert text in "; ".join(faults(record))


def test_full_percentages_and_failures_are_no_faults():
    assert faults({**RECORD, "metrics": {**RECORD["metrics"], "test_accuracy": 100.0}}) == []
    opaque = {"images_per_second": None, "train_gflops": None}
    assert faults({**RECORD, "cost": opaque}) == [], "a trainer's own affair"
    assert faults({**boards.failed(RECORD), "error": {"type": "X", "text": ""}}) == []
    assert faults([]) == ["it has no schema number"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"metrics": {"test_accuracy": float("nan")}}, "metrics.test_accuracy is not finite"),
        ({"data": {}}, "data.test"),
        ({"data": {**RECORD["data"], "size": [32, 0]}}, "data.size"),
        ({"metrics": {**RECORD["metrics"], "probe.share": "half"}}, "metrics.probe.share"),
        ({"metrics": {**RECORD["metrics"], "probe.images": 2**70}}, "metrics.probe.images"),
        ({"epochs": 1.5}, "epochs"),
    ],
)
def test_malformed_record_is_not_written_and_the_old_one_stays(tmp_path, change, text):
    path = write_record(tmp_path, RECORD)
    with pytest.raises(DataError, match=f"The record of cell {CELL} is not well-formed: .*{text}"):
        write_record(tmp_path, RECORD | change)
    assert read_record(path) == RECORD


def test_read_records_sorts_by_file_name_and_allows_an_empty_folder(tmp_path):
    assert list(read_records(tmp_path)) == []
    for digit in "bac":
        write_record(tmp_path, RECORD | {"cell": digit * 32})
    assert [record["cell"][0] for record in read_records(tmp_path)] == ["a", "b", "c"]


TEXTS = [
    "",
    "{",
    "null",
    "[1]",
    '"text"',
    "{}",
    '{"schema": 1}',
    '{"cell": "00ff"}',
    "\x00",
    '{"a":' * 5000,
    "[" * 10**6,
]


@pytest.mark.parametrize("text", [*TEXTS, '{"schema": "\\ud800"}', "9" * 5000], ids=range(len(TEXTS) + 2))
def test_read_records_warns_of_a_file_that_is_no_record_in_one_line_and_leaves_it_out(tmp_path, caplog, text):
    kept = write_record(tmp_path, RECORD | {"cell": "0" * 32})
    (tmp_path / "records" / f"{CELL}.json").write_text(text)
    (tmp_path / "records" / "._hidden.json").write_text(text)
    assert [record["cell"] for record in read_records(tmp_path)] == [kept.stem]
    (message,) = caplog.messages
    assert f"{CELL}.json is not a record of ucbench: " in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
)
def test_read_record_opens_regular_files_only(tmp_path, make):
    path = tmp_path / f"{CELL}.json"
    make(path)
    with pytest.raises(DataError, match="is not a record of ucbench"):
        read_record(path)


def test_read_record_stops_at_the_largest_size(tmp_path):
    path = write_record(tmp_path, RECORD)
    with path.open("r+b") as file:
        file.truncate(10**10)  # without blocks on the disk
    with pytest.raises(DataError, match="it has more than 16,777,216 bytes"):
        read_record(path)


def test_read_record_refuses_a_record_under_the_name_of_another(tmp_path):
    path = write_record(tmp_path, RECORD)
    copy = path.with_name(f"{'0' * 32}.json")
    copy.write_bytes(path.read_bytes())
    with pytest.raises(DataError, match=f"{copy.name} is not a record of ucbench: it contains another cell, {CELL}"):
        read_record(copy)


@pytest.mark.parametrize("cell", ["../../elsewhere", "/tmp/x", "", "00ff", CELL.upper(), f"{CELL}\n"])
def test_a_record_whose_cell_or_release_is_no_key_is_neither_written_nor_read(tmp_path, cell):
    for name in ("cell", "release"):
        with pytest.raises(DataError, match="String should match pattern"):
            write_record(tmp_path / "out", RECORD | {name: cell})
    assert list(tmp_path.iterdir()) == []


def test_record_write_moves_a_file_aside_that_is_no_record(tmp_path):
    path = write_record(tmp_path, RECORD)
    path.write_text("of a later version")
    write_record(tmp_path, RECORD)
    assert read_record(path) == RECORD
    assert [aside.read_text() for aside in (tmp_path / "quarantine").iterdir()] == ["of a later version"]


def test_read_records_raises_on_bytes_that_are_not_text(tmp_path):
    path = tmp_path / f"{CELL}.json"
    path.write_bytes(json.dumps(RECORD).encode("utf-16"))
    with pytest.raises(DataError, match="is not a record"):
        read_record(path)


def test_record_that_lacks_a_field_is_refused_with_its_name(tmp_path):
    path = write_record(tmp_path, RECORD)
    path.write_text(json.dumps({name: value for name, value in RECORD.items() if name != "numerics"}))
    with pytest.raises(DataError, match=r"00ff\.json is not a record of ucbench: numerics: Field required"):
        read_record(path)


def test_read_record_names_both_versions_of_a_schema(tmp_path):
    path = write_record(tmp_path, RECORD)
    path.write_text(json.dumps(RECORD | {"schema": SCHEMA + 1}))
    with pytest.raises(DataError, match=rf"schema {SCHEMA + 1}; this version of ucbench reads schema {SCHEMA}"):
        read_record(path)


def test_record_of_an_older_schema_is_migrated_step_by_step(monkeypatch):
    steps = {
        SCHEMA: lambda record: {**record, "schema": SCHEMA + 1, "steps": [1]},
        SCHEMA + 1: lambda record: {**record, "schema": SCHEMA + 2, "steps": [*record["steps"], 2]},
    }
    path = sorted((PUBLISHED / "records").glob("*.json"))[0]
    before = json.loads(path.read_text(encoding="utf-8"))
    monkeypatch.setattr(records, "SCHEMA", SCHEMA + 2)
    monkeypatch.setattr(records, "MIGRATIONS", steps)
    assert read_record(path) == {**before, "schema": SCHEMA + 2, "steps": [1, 2]}


def test_published_records_are_written_as_they_were_read(tmp_path):
    for path in sorted((PUBLISHED / "records").glob("*.json"))[:20]:
        assert write_record(tmp_path, read_record(path)).read_bytes() == path.read_bytes()
