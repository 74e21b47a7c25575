"""Records: one file a cell, whole or not at all, and errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path

import boards
import pytest

from ucbench.errors import DataError
from ucbench.results import records
from ucbench.results.records import SCHEMA, read_record, read_records, record_path, write_record

RECORD = {**boards.record("uc", 0, 12.5), "cell": "00ff", "note": "é"}
PUBLISHED = Path(__file__).parents[2] / "leaderboards" / "digits-core" / "v1"


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
    write_record(tmp_path, boards.failed(RECORD))
    write_record(tmp_path, RECORD)
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["00ff.json"]
    assert list(read_records(tmp_path)) == [RECORD]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"metrics": {"test_accuracy": float("nan")}}, "metrics.test_accuracy is not finite"),
        ({"data": {}}, "data.test"),
        ({"metrics": {**RECORD["metrics"], "probe.share": "half"}}, "metrics.probe.share"),
        ({"metrics": {**RECORD["metrics"], "probe.images": 2**70}}, "metrics.probe.images"),
        ({"epochs": 1.5}, "epochs"),
    ],
)
def test_malformed_record_is_not_written_and_the_old_one_stays(tmp_path, change, text):
    path = write_record(tmp_path, RECORD)
    with pytest.raises(DataError, match=f"The record of cell 00ff is not well-formed: .*{text}"):
        write_record(tmp_path, RECORD | change)
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


def test_record_that_lacks_a_field_is_refused_with_its_name(tmp_path):
    path = write_record(tmp_path, RECORD)
    path.write_text(json.dumps({name: value for name, value in RECORD.items() if name != "numerics"}))
    with pytest.raises(DataError, match=r"00ff\.json is not a record of ucbench: numerics: Field required"):
        read_record(path)


def test_read_records_raises_on_another_schema_with_both_versions(tmp_path):
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
