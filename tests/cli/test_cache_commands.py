"""The store on the command line."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from ucbench.cli.app import main
from ucbench.cli.output import age_text, size_text
from ucbench.store.keys import key
from ucbench.store.store import Store


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> Store:
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "home"))
    made = Store()
    for kind, name in (("release", "a"), ("release", "b"), ("cell", "c")):
        path = made.put(kind, key(kind, name), {"values": np.zeros(2000, np.uint8)}, {}).path
        if name == "a":
            os.utime(path, (1e9, 1e9))
    return made


def listed(capsys, *arguments: str) -> list[dict]:
    capsys.readouterr()
    assert main(["cache", "ls", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_cache_lists_objects_by_kind(capsys):
    assert main(["cache", "ls"]) == 0
    printed = capsys.readouterr()
    assert [line.split()[:2] for line in printed.out.splitlines()[2:]] == [["cell", "1"], ["release", "2"]]
    assert "3 objects" in printed.err
    assert {entry["key"] for entry in listed(capsys, "release")} == {key("release", "a"), key("release", "b")}
    assert main(["cache", "ls", "release"]) == 0


def test_gc_removes_old_objects_unless_dry_run(capsys):
    assert main(["cache", "gc", "--older-than", "30d", "--dry-run"]) == 0
    assert "Would remove 1 objects" in capsys.readouterr().out
    assert len(listed(capsys)) == 3
    assert main(["cache", "gc", "--older-than", "30d"]) == 0
    assert "Removed 1 objects" in capsys.readouterr().out
    assert {entry["key"] for entry in listed(capsys)} == {key("release", "b"), key("cell", "c")}


def test_gc_removes_objects_only_beyond_a_given_size(capsys):
    assert main(["cache", "gc"]) == 0
    assert len(listed(capsys)) == 3
    assert main(["cache", "gc", "--kind", "release", "--keep", "3kB"]) == 0
    assert {entry["key"] for entry in listed(capsys)} == {key("release", "b"), key("cell", "c")}
    assert main(["cache", "gc", "--keep", "0"]) == 0
    assert listed(capsys) == []


def test_verify_reports_damage_by_exit_code(capsys, store):
    assert main(["cache", "verify"]) == 0
    (store.get("cell", key("cell", "c")).path / "values.npy").write_bytes(b"damaged")
    capsys.readouterr()
    assert main(["cache", "verify", "release"]) == 0
    assert main(["cache", "verify"]) == 1
    assert "3 objects, 1 damaged" in capsys.readouterr().out
    assert main(["cache", "verify"]) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["gc", "--older-than", "soon"], "not an age such as"), (["gc", "--keep", "10XB"], "not a size such as")],
)
def test_cache_usage_errors_exit_with_2(capsys, arguments, text):
    assert main(["cache", *arguments]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["ls", "realease"], ["verify", "realease"], ["gc", "--kind", "realease"]])
def test_cache_refuses_a_kind_that_does_not_exist_but_takes_empty_and_foreign_ones(capsys, store, arguments):
    assert main(["cache", *arguments]) == 2
    assert "Unknown kind of object 'realease'. Did you mean 'release'" in capsys.readouterr().err
    store.put("realease", key("realease", "x"), {}, {})
    assert main(["cache", *arguments]) == 0
    assert main(["cache", *arguments[:-1], "surrogate"]) == 0


def test_cache_prints_readable_sizes_and_ages():
    assert [size_text(n) for n in (0, 999, 1500, 2_000_000, 3 * 10**12)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.0 MB",
        "3000.0 GB",
    ]
    assert [age_text(s) for s in (0, 59, 60, 7200, 90000)] == ["0 s", "59 s", "1 m", "2 h", "1 d"]
