"""What is packed can be checked by whoever gets it, and is the same wherever it is packed."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import boards
import pytest

from ucbench.errors import UsageError
from ucbench.leaderboard.submission import pack, verify, write
from ucbench.leaderboard.tables import build
from ucbench.matrix.suite import Suite, load_suite

SUITE = """
name = "trial"
version = 2
[[table]]
poisoner = "uc"
"""


@pytest.fixture
def suite(tmp_path) -> Suite:
    path = tmp_path / "trial.toml"
    path.write_text(SUITE)
    return load_suite(path)


@pytest.fixture
def records() -> list[dict]:
    made = boards.rows_of({"clean": [90, 91], "uc": [40, 41]})
    made[0]["environment"]["versions"]["torch"] = "2.5.0"
    return made


@pytest.fixture
def board(tmp_path, suite, records) -> Path:
    folder = tmp_path / "board"
    (folder / "records").mkdir(parents=True)
    for place, record in enumerate(records):
        record["cell"] = f"{place:032x}"
        (folder / "records" / f"{record['cell']}.json").write_text(json.dumps(record))
    build(folder, ["none"], suite.title)
    (folder / "notes.txt").write_text("not part of it")
    return folder


def texts(findings) -> str:
    assert all(finding.severity == "error" for finding in findings)
    return " ".join(finding.text for finding in findings)


@pytest.fixture
def submitted(tmp_path, board, suite, records) -> Path:
    return write(pack(board, suite, records), tmp_path / "out" / "sent", "trial/v2")


def test_submission_holds_records_tables_suite_and_sha256sum_hashes(submitted, board, records):
    files = {path.relative_to(submitted).as_posix() for path in submitted.rglob("*") if path.is_file()}
    assert files == {f"records/{record['cell']}.json" for record in records} | {
        "results.csv", "leaderboard.csv", "README.md", "accuracy.svg", "suite.toml", "fingerprints.json", "SHA256SUMS",
    }  # fmt: skip
    assert (submitted / "suite.toml").read_text() == SUITE
    assert (submitted / "results.csv").read_bytes() == (board / "results.csv").read_bytes()
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=submitted, check=True)
    assert len((submitted / "SHA256SUMS").read_text().splitlines()) == len(files) - 1


def test_submission_fingerprints_describe_the_results(submitted, records):
    stated = json.loads((submitted / "fingerprints.json").read_text())
    assert stated["suite"] == {"name": "trial", "version": 2, "title": ""}
    assert stated["records"] == len(records)
    assert stated["distributions"] == {"ucbench": ["0.1.0"]}
    assert stated["data"] == [
        {"dataset": "digits", "trusted": 0, "train": "a" * 64, "test": "b" * 64, "test_images": 1000}
    ]
    assert stated["numerics"] == [{"dtype": "float32", "threads": 1, "deterministic": True}]
    assert stated["environments"]["torch"] == {"2.4.0": 3, "2.5.0": 1}
    assert "suite.toml" in stated["files"]


def test_submission_is_byte_identical_at_any_time(tmp_path, board, suite, records, monkeypatch):
    one = write(pack(board, suite, records), tmp_path / "one.zip", "trial/v2").read_bytes()
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *seconds: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    for path in (board / "records").iterdir():
        path.touch()
    assert write(pack(board, suite, records[::-1]), tmp_path / "two.zip", "trial/v2").read_bytes() == one


def test_submission_archive_unpacks_into_one_valid_folder(tmp_path, board, suite, records):
    path = write(pack(board, suite, records), tmp_path / "sent.zip", "trial/v2")
    with zipfile.ZipFile(path) as archive:
        assert {Path(name).parts[:2] for name in archive.namelist()} == {("trial", "v2")}
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unpacked")
    assert verify(tmp_path / "unpacked" / "trial" / "v2", suite, records) == []


def test_submission_does_not_overwrite(tmp_path, board, suite, records, submitted):
    with pytest.raises(UsageError, match="exists already"):
        write(pack(board, suite, records), submitted, "trial/v2")
    (tmp_path / "taken.zip").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write(pack(board, suite, records), tmp_path / "taken.zip", "trial/v2")
    assert (tmp_path / "taken.zip").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert verify(write(pack(board, suite, records), tmp_path / "empty", "trial/v2"), suite, records) == []


def test_verify_raises_on_a_folder_that_is_not_a_submission(board, suite, records):
    assert verify(board, suite, records) == []


def test_verify_detects_every_change(submitted, suite, records):
    assert verify(submitted, suite, records) == []

    def after(change, name: str) -> str:
        path, kept = submitted / name, (submitted / name).read_bytes() if (submitted / name).exists() else None
        change(path)
        found = texts(verify(submitted, suite, records))
        path.unlink(missing_ok=True)
        if kept is not None:
            path.write_bytes(kept)
        return found

    record = f"records/{records[0]['cell']}.json"
    assert "is not what SHA256SUMS says" in after(lambda path: path.write_text("{}"), record)
    assert "is missing; SHA256SUMS lists it" in after(Path.unlink, "leaderboard.csv")
    assert "is not listed in SHA256SUMS" in after(lambda path: path.write_text("{}"), "records/more.json")
    assert "SHA256SUMS cannot be read" in after(Path.unlink, "SHA256SUMS")
    assert "fingerprints.json cannot be read" in after(Path.unlink, "fingerprints.json")
    assert "fingerprints.json cannot be read" in after(lambda path: path.write_text("[]"), "fingerprints.json")
    assert "schema 9" in after(lambda path: path.write_text('{"schema": 9}'), "fingerprints.json")
    assert verify(submitted, suite, records) == []


def test_verify_detects_fingerprints_of_other_records(submitted, suite, records):
    """Whoever edits both the records and the list of hashes still has to make the summary agree."""
    for record in records:
        record["environment"]["versions"]["torch"] = "9.9"
    assert "does not follow from the records beside it: environments" in texts(verify(submitted, suite, records))


def test_verify_detects_another_version_of_the_suite(submitted, suite, records, tmp_path):
    (tmp_path / "trial.toml").write_text(SUITE.replace("version = 2", "version = 3"))
    found = texts(verify(submitted, load_suite(tmp_path / "trial.toml"), records))
    assert f"suite.toml differs from {tmp_path / 'trial.toml'}" in found
    assert "does not follow from the records beside it: suite" in found
    (tmp_path / "trial.toml").write_text(f"# a remark\n{SUITE}")
    assert verify(submitted, load_suite(tmp_path / "trial.toml"), records) == []


@pytest.mark.parametrize("name", ["/etc/passwd", "../board/suite.toml", "records/../suite.toml", "notes.txt", "linked"])
def test_verify_reads_no_file_but_those_of_a_submission(submitted, suite, records, name):
    if name == "linked":
        name = "README.md"
        (submitted / name).unlink()
        (submitted / name).symlink_to("/etc/passwd")
    else:
        with (submitted / "SHA256SUMS").open("a") as file:
            file.write(f"{'0' * 64}  {name}\n")
    assert f"SHA256SUMS lists {name!r}, which is no file of a submission" in texts(verify(submitted, suite, records))


def test_verify_refuses_hashes_that_list_a_file_twice(submitted, suite, records):
    """Whether the first or the last line counts is up to who reads them."""
    sums = submitted / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  README.md\n{sums.read_text()}")
    assert "lists a file twice" in texts(verify(submitted, suite, records))


def test_verify_compares_the_suite_of_a_folder_without_hashes(board, suite, records):
    (board / "suite.toml").write_text(f"{SUITE}\n[gate]\nconverged = 20\n")
    assert f"suite.toml differs from {suite.path}" in texts(verify(board, suite, records))
    (board / "suite.toml").write_text(f"# a comment\n{SUITE}")
    assert verify(board, suite, records) == []
