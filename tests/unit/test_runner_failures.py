"""No component is trusted: each broken promise fails its own cell, says which one it was, and harms no other."""

from __future__ import annotations

import re

import pytest
import tiny_components as tiny

from ucbench.errors import UsageError
from ucbench.matrix.matrix import Request, expand
from ucbench.results.records import read_records
from ucbench.running.runner import run_cells

pytestmark = pytest.mark.usefixtures("tiny_log")


def run(home, *poisoners: str, out=None, session=None, **changes) -> list[dict]:
    registry = tiny.registry()
    defaults = {"datasets": ["spots"], "poisoners": poisoners, "victims": ["tiny"], "labelings": ["original"]}
    cells = expand(Request(**{**defaults, **changes}), registry)
    return run_cells(cells, session or tiny.session(home, registry), out=out)


BROKEN = {
    "shape": ("ContractError", r"float32 \[M, 3, 8, 8\] with M at least 1, got shape \[36, 3, 8, 7\]"),
    "nan": ("ContractError", r"nan at delta\[3, 1, 2, 0\]"),
    "budget": ("ContractError", r"exceeds its budget \(linf 24\): projection moved 100\.0%"),
    "index": ("ContractError", r"int64 \[36\], one entry per image; got \[35\]"),
    "range": ("ContractError", r"index\[2\] is 2, but the 2 perturbations"),
    "twice": ("ContractError", r"72 perturbations for 36 images"),
    "release": ("ContractError", r"must return a ucbench\.Perturbation, got numpy\.ndarray"),
    "overwrites": ("ValueError", r"read-only"),
    "overwrites-with-torch": ("ContractError", r"Poisoner bad:overwrites-with-torch modified its input images"),
    "relabels": ("ContractError", r"modified its input images or labels"),
    "patches": ("ContractError", r"Poisoner bad:patches changed torch\.nn\.functional\.cross_entropy,"),
    "resets": ("ContractError", r"Poisoner bad:resets changed torch\.set_default_dtype, torch\.backends\.mkldnn"),
    "gibberish": ("ValueError", r"\\ud800bad"),
    "raises": ("RuntimeError", r"the optimiser gave up"),
    "exits": ("SystemExit", r"done"),
}


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_contract_violation_fails_its_cell_only(tmp_path):
    bad = [f"bad:{how}" for how in BROKEN]
    records = run(tmp_path / "store", *bad, "stripes", out=tmp_path / "out")
    by_poisoner = {record["request"]["poisoner"]: record for record in records}
    for how, (kind, text) in BROKEN.items():
        record = by_poisoner[f"bad:{how}"]
        assert record["status"] == "failed"
        assert record["error"]["type"] == kind, how
        assert re.search(text, record["error"]["text"]), record["error"]["text"]
        assert "metrics" not in record
    assert {by_poisoner[name]["status"] for name in ("clean", "sham", "stripes")} == {"ok"}
    assert sorted(r["cell"] for r in read_records(tmp_path / "out")) == sorted(r["cell"] for r in records)


def test_failure_holds_text_of_known_errors_and_trace_of_bugs(tmp_path):
    broken = {record["request"]["poisoner"]: record for record in run(tmp_path, "bad:shape", "bad:raises")}
    assert "Traceback" not in broken["bad:shape"]["error"]["text"]
    assert "Traceback" in broken["bad:raises"]["error"]["text"]
    assert "tiny_protector.py" in broken["bad:raises"]["error"]["text"]


@pytest.mark.parametrize(
    ("poisoner", "again", "text"),
    [
        ("bad:raises", False, "1 of 3 cells failed; their records have the errors."),
        ("bad:raises", True, "Nothing was measured."),
        ("stripes", False, ""),
    ],
)
def test_run_says_how_many_cells_failed(poisoner, again, text, tmp_path):
    said: list[str] = []
    session = tiny.session(tmp_path, tiny.registry())
    if again:
        run(tmp_path, poisoner, session=session)
    session.progress.say = said.append
    run(tmp_path, poisoner, session=session)
    failures = [line for line in said if "cells failed" in line]
    assert len(failures) == bool(text)
    assert not text or failures[0].endswith(text)


def test_craft_that_failed_is_not_repeated_for_other_cells_of_a_run(tmp_path):
    session = tiny.session(tmp_path, tiny.registry())
    for attempt in (1, 2):
        records = run(tmp_path, "bad:raises", defenses=["dim", "fog", "none"], session=session)
        errors = [record["error"] for record in records if record["request"]["poisoner"] == "bad:raises"]
        assert len(errors) == 3
        assert errors[1] == errors[2]
        assert all("Traceback" in error["text"] and "tiny_protector.py" in error["text"] for error in errors)
        assert tiny.work_done()["craft bad raises"] == attempt


def test_failed_cell_is_retried_and_its_record_replaced(tmp_path, monkeypatch):
    store, out = tmp_path / "store", tmp_path / "out"
    run(store, "bad:raises", out=out)
    run(store, "bad:raises", out=out)
    assert tiny.work_done()["craft bad raises"] == 2
    assert tiny.work_done()["train TinyNet"] == 2  # clean and sham, once each
    monkeypatch.setattr(tiny.protector.Bad, "craft", tiny.protector.Badge.craft)
    (*_, record) = run(store, "bad:raises", out=out)
    assert record["status"] == "ok"
    assert [r["status"] for r in read_records(out)] == ["ok"] * 3


@pytest.mark.parametrize("how", ["patches", "resets", "draws"])
def test_component_that_changes_global_state_changes_no_number_of_the_next(tmp_path, how):
    after = run(tmp_path / "one", f"bad:{how}", "badge")
    alone = run(tmp_path / "two", "badge")
    assert after[-1]["request"]["poisoner"] == "badge"
    assert after[-1]["metrics"] == alone[-1]["metrics"]


def test_images_modified_before_an_error_never_reach_another_cell(tmp_path):
    session = tiny.session(tmp_path / "one")
    (*_, failed) = run(tmp_path, "bad:spoils-and-raises", session=session)
    assert failed["error"]["type"] == "ContractError"
    assert run(tmp_path, "badge", session=session)[-1]["metrics"] == run(tmp_path / "two", "badge")[-1]["metrics"]


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_images_modified_by_a_component_never_reach_another_cell(tmp_path):
    """Keys name the images as they were loaded, so a number computed on others would be kept under a wrong key."""
    session = tiny.session(tmp_path / "one")
    run(tmp_path, "bad:overwrites-with-torch", session=session)
    after = run(tmp_path, "badge", session=session)
    alone = run(tmp_path / "two", "badge")
    assert after[-1]["status"] == "ok"
    assert after[-1]["metrics"] == alone[-1]["metrics"]


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_cell_fails_when_the_exploiter_modifies_test_images(tmp_path):
    (clean, *_) = run(tmp_path, "stripes", labelings=["clumsy"])
    assert clean["status"] == "failed"
    assert re.search(r"labeling, defense or victim modified its input images", clean["error"]["text"])
    (clean, *_) = run(tmp_path, "stripes")
    assert clean["status"] == "ok"


def test_diverging_victim_fails_its_cell(tmp_path):
    records = run(tmp_path, "stripes", victims=["tiny:lr=1e30,momentum=0", "tiny"])
    assert [record["status"] for record in records] == ["failed"] * 3 + ["ok"] * 3
    assert {record["error"]["type"] for record in records[:3]} == {"DivergedError"}


def test_defense_that_refuses_its_values_stops_the_run_before_any_cell(tmp_path, monkeypatch):
    def refuse(self, params):
        raise UsageError("no such dimming")

    monkeypatch.setattr(tiny.exploiter.Dim, "__init__", refuse)
    with pytest.raises(UsageError, match=r"Defense fog\+dim: no such dimming"):
        run(tmp_path, "stripes", defenses=["none", "fog+dim"])
    assert not tiny.work_done()


def test_defense_that_crashes_when_built_fails_its_cells_only(tmp_path, monkeypatch):
    def crash(self, params):
        raise RuntimeError("out of order")

    monkeypatch.setattr(tiny.exploiter.Dim, "__init__", crash)
    records = run(tmp_path, "stripes", defenses=["none", "dim"])
    assert {record["request"]["defense"]: record["status"] for record in records} == {"none": "ok", "dim": "failed"}


def test_victim_whose_network_cannot_be_built_fails_before_crafting(tmp_path, monkeypatch):
    def refuse(self, classes, size):
        raise UsageError(f"{classes} classes of {size} pixels are too much")

    monkeypatch.setattr(tiny.exploiter.TinyNet, "build", refuse)
    records = run(tmp_path, "stripes")
    assert {record["error"]["type"] for record in records} == {"UsageError"}
    assert not tiny.work_done()


def test_failure_names_the_line_of_the_plugin_and_logs_the_trace(tmp_path, caplog):
    said: list[str] = []
    session = tiny.session(tmp_path, tiny.registry())
    session.progress.say = said.append
    with caplog.at_level("DEBUG", logger="ucbench"):
        records = run(tmp_path, "bad:misuses", "bad:raises", "bad:shape", session=session)
    failures = [line for line in said if line.startswith("failed: ")]
    misuses, raises, shape = sorted(failures, key=lambda line: re.findall("bad:([a-z]+)", line))
    assert re.search(r"RuntimeError: the optimiser gave up \(tiny_protector.py, line \d+\)$", raises)
    # The core's words for users come from what the plugin called.
    assert re.search(r"ContractError: resize takes .* got .* \(tiny_protector.py, line \d+\)$", misuses)
    assert "tiny_protector.py" not in shape  # the core found it in what the plugin returned
    places = {record["request"]["poisoner"]: record["error"].get("place") for record in records[-3:]}
    assert places["bad:shape"] is None
    assert all(f"({places[f'bad:{how}']})" in line for how, line in (("misuses", misuses), ("raises", raises)))
    assert "Traceback" in caplog.text
    assert "in craft" in caplog.text
