"""Records: one file a cell, whole or not at all, and errors that name the file."""

from __future__ import annotations

import json

import pytest

from ucbench.errors import DataError
from ucbench.results.records import SCHEMA, read_record, read_records, record_path, write_record

RECORD = {"schema": SCHEMA, "cell": "00ff", "status": "ok", "metrics": {"test_accuracy": 12.5}, "note": "é"}


def test_record_round_trips_through_its_file(tmp_path):
    path = write_record(tmp_path, RECORD)
    assert path == record_path(tmp_path, "00ff") == tmp_path / "records" / "00ff.json"
    assert read_record(path) == RECORD


def test_record_files_are_equal_for_equal_records(tmp_path):
    one = write_record(tmp_path / "one", RECORD).read_bytes()
    two = write_record(tmp_path / "two", dict(reversed(RECORD.items()))).read_bytes()
    assert one == two
    assert one.endswith(b"}\n")


def test_record_write_replaces_and_leaves_no_temporary_file(tmp_path):
    write_record(tmp_path, RECORD | {"status": "failed"})
    write_record(tmp_path, RECORD)
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["00ff.json"]
    assert list(read_records(tmp_path)) == [RECORD]


def test_record_write_raises_on_non_json_and_keeps_the_old_file(tmp_path):
    path = write_record(tmp_path, RECORD)
    with pytest.raises(ValueError, match="JSON"):
        write_record(tmp_path, RECORD | {"metrics": {"test_accuracy": float("nan")}})
    assert read_record(path) == RECORD


def test_read_records_sorts_by_file_name_and_allows_an_empty_folder(tmp_path):
    assert list(read_records(tmp_path)) == []
    for cell in ("b", "a", "c"):
        write_record(tmp_path, RECORD | {"cell": cell})
    assert [record["cell"] for record in read_records(tmp_path)] == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["", "{", "null", "[1]", '"text"', "{}", '{"schema": 1}', '{"cell": "00ff"}', "\x00"])
def test_read_records_names_a_file_that_is_not_a_record(tmp_path, text):
    path = tmp_path / "records" / "00ff.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(DataError, match=r"00ff\.json is not a record of ucbench: .*\. Move it away"):
        list(read_records(tmp_path))


def test_read_records_raises_on_bytes_that_are_not_text(tmp_path):
    path = tmp_path / "00ff.json"
    path.write_bytes(json.dumps(RECORD).encode("utf-16"))
    with pytest.raises(DataError, match="is not a record"):
        read_record(path)


def test_read_records_raises_on_another_schema_with_both_versions(tmp_path):
    path = write_record(tmp_path, RECORD | {"schema": SCHEMA + 1})
    with pytest.raises(DataError, match=rf"schema {SCHEMA + 1}; this version of ucbench reads schema {SCHEMA}"):
        read_record(path)
