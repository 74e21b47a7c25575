"""Requested metrics: measured once, also of finished cells, and part of no key."""

from __future__ import annotations

import csv

import pytest
import tiny_components as tiny
import torch

from ucbench.matrix.matrix import Request, expand
from ucbench.results.records import read_records
from ucbench.results.table import rows, to_csv
from ucbench.running.runner import run_cells

pytestmark = pytest.mark.usefixtures("tiny_log")


def run(home, *metrics: str, out=None, rerun="failed", registry=None, **changes) -> list[dict]:
    request = {"datasets": ["spots"], "poisoners": ["stripes"], "victims": ["tiny"], "labelings": ["original"]}
    registry = registry or tiny.registry()
    cells = expand(Request(**{**request, **changes}, metrics=metrics), registry)
    return run_cells(cells, tiny.session(home, registry), out=out, rerun=rerun)


def test_metrics_are_recorded_under_the_requested_spelling(tmp_path):
    records = run(tmp_path, "change", "sharpness:scale=0.5")
    assert [record["status"] for record in records] == ["ok"] * 3
    clean, _, stripes = (record["metrics"] for record in records)
    assert (clean["change.mean"], stripes["change.mean"]) == (0, 24)
    assert 0 <= stripes["sharpness:scale=0.5.share"] <= 50
    assert stripes["sharpness:scale=0.5.undefined"] is None


@pytest.mark.parametrize(
    "order", [("sharpness:scale=4", "sharpness:scale=4.5"), ("sharpness:scale=4.5", "sharpness:scale=4")]
)
def test_metric_measured_later_keeps_columns_of_one_whose_reference_begins_alike(tmp_path, order):
    first, second = order
    run(tmp_path, first)
    metrics = run(tmp_path, first, second)[2]["metrics"]
    assert {f"{first}.share", f"{second}.share"} <= metrics.keys()
    assert metrics == run(tmp_path, second, first)[2]["metrics"]


def test_metrics_change_neither_keys_nor_other_numbers(tmp_path):
    plain, measured = run(tmp_path / "plain"), run(tmp_path / "asked", "sharpness", "change")
    for before, after in zip(plain, measured, strict=True):
        assert (before["cell"], before["release"]) == (after["cell"], after["release"])
        assert before["metrics"].items() <= after["metrics"].items()


def test_finished_cell_retrains_only_for_metrics_of_its_victim(tmp_path):
    run(tmp_path)
    assert tiny.work_done()["train TinyNet"] == 3
    run(tmp_path, "change")
    assert tiny.work_done()["train TinyNet"] == 3
    first = run(tmp_path, "change", "sharpness")
    assert tiny.work_done() == tiny.work_done() | {"train TinyNet": 6, "measure change": 3, "measure sharpness": 3}
    assert run(tmp_path, "sharpness", "change") == first
    assert tiny.work_done()["measure sharpness"] == 3
    assert run(tmp_path / "fresh", "change", "sharpness")[2]["metrics"] == first[2]["metrics"]


def test_record_lacking_a_metric_is_not_done(tmp_path):
    run(tmp_path / "one", out=tmp_path / "out")
    measured = run(tmp_path / "two", "change", out=tmp_path / "out")
    assert measured[2]["metrics"]["change.mean"] == 24
    trained = tiny.work_done()["train TinyNet"]
    assert run(tmp_path / "three", "change", out=tmp_path / "out") == measured
    assert tiny.work_done()["train TinyNet"] == trained


@pytest.mark.parametrize("second", ["one", "two"], ids=["same-store", "other-store"])
def test_run_with_another_metric_keeps_the_values_of_the_record_in_the_folder(tmp_path, second):
    out = tmp_path / "out"
    first = run(tmp_path / "one", "change", out=out)[2]
    records = run(tmp_path / second, "sharpness", out=out)
    assert sorted(read_records(out), key=str) == sorted(records, key=str)
    assert records[2]["measured_by"].items() >= first["measured_by"].items()
    assert set(records[2]["measured_by"]) == {"change", "sharpness"}
    assert records[2]["metrics"]["change.mean"] == 24


def test_run_keeps_no_values_of_an_earlier_version_of_a_metric(tmp_path):
    run(tmp_path / "store", "change", out=tmp_path / "out")
    record = run(tmp_path / "store", "sharpness", out=tmp_path / "out", registry=tiny.registry(("change", 2)))[2]
    assert set(record["measured_by"]) == {"sharpness"}
    assert "change.mean" not in record["metrics"]


def test_rerun_of_all_keeps_no_values_that_it_did_not_measure(tmp_path):
    run(tmp_path / "store", "change", out=tmp_path / "out")
    record = run(tmp_path / "store", out=tmp_path / "out", rerun="all")[2]
    assert record.get("measured_by", {}) == {}
    assert "change.mean" not in record["metrics"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("nan", "returned value = nan"),
        ("-inf", "returned value = -inf"),
        (str(2**63), "returned value = 9.223372036854776e+18; values are finite numbers between"),
        (str(-(2**63)), "returned value = -9.22"),
        ("vast", "int too large to convert to float"),
    ],
)
def test_metric_without_a_number_that_records_hold_fails_its_cell(tmp_path, value, text):
    record = run(tmp_path, f"no-number:value={value}", out=tmp_path / "out")[2]
    assert record["status"] == "failed"
    assert text in record["error"]["text"]
    assert len(list(read_records(tmp_path / "out"))) == 3


def test_metric_that_fails_leaves_the_training_in_the_store(tmp_path):
    assert {record["status"] for record in run(tmp_path, "change", "no-number")} == {"failed"}
    assert tiny.work_done()["train TinyNet"] == 3
    assert {record["status"] for record in run(tmp_path, "change")} == {"ok"}
    assert tiny.work_done()["train TinyNet"] == 3
    assert tiny.work_done()["measure change"] == 3


def overwrite(metric, context):
    torch.from_numpy(context.source.images).fill_(0)
    return {"mean": 1.0}


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("later", [False, True], ids=["with-the-training", "later"])
def test_metric_that_writes_into_its_inputs_fails_alone(tmp_path, monkeypatch, later):
    registry = tiny.registry()
    request = {"datasets": ["spots"], "victims": ["tiny"], "labelings": ["original"]}
    session = tiny.session(tmp_path / "one", registry)

    def run_here(poisoner: str, *metrics: str) -> list[dict]:
        return run_cells(expand(Request(poisoners=[poisoner], metrics=metrics, **request), registry), session)

    if later:
        run_here("stripes")
    with monkeypatch.context() as patch:
        patch.setattr(tiny.exploiter.Change, "compute", overwrite)
        patch.setattr(tiny.exploiter.NoNumber, "compute", lambda self, context: {"value": mean(context)})
        failed = run_here("stripes", "change", "no-number")
        assert {record["error"]["text"] for record in failed} == {
            "Metric change modified its input images or labels. Work on a copy of them."
        }
        assert tiny.work_done()["train TinyNet"] == 3
        # The metric beside it did not measure the images as they were left.
        assert [record["metrics"]["no-number.value"] for record in run_here("stripes", "no-number")] == [
            record["metrics"]["no-number.value"] for record in run(tmp_path / "two", "no-number")
        ]
    done = run_here("badge")
    assert done[-1]["metrics"] == run(tmp_path / "two", poisoners=["badge"])[-1]["metrics"]


def mean(context) -> float:
    return float(context.published.images.mean())


def test_metric_that_fails_later_replaces_no_record_of_success(tmp_path):
    out = tmp_path / "out"
    before = run(tmp_path / "one", out=out)
    failed = run(tmp_path / "two", "no-number", out=out)
    assert {record["status"] for record in failed} == {"failed"}
    assert sorted(read_records(out), key=str) == sorted(before, key=str)


def test_table_has_a_column_per_metric(tmp_path):
    lines = list(csv.DictReader(to_csv(rows(run(tmp_path, "change"))).splitlines()))
    assert [line["change.mean"] for line in lines] == ["0.0000", lines[1]["change.mean"], "24.0000"]
    assert list(lines[0])[-1] == "change.mean"


def test_metric_of_an_earlier_version_is_not_reused(tmp_path):
    request = Request(["spots"], ["stripes"], ["tiny"], ["original"], metrics=["change"])
    for version, measured in ((1, 3), (1, 3), (2, 6), (2, 6)):
        registry = tiny.registry(("change", version))
        records = run_cells(expand(request, registry), tiny.session(tmp_path / "store", registry), out=tmp_path / "out")
        assert tiny.work_done()["measure change"] == measured
        assert records[2]["metrics"]["change.mean"] == 24
    assert tiny.work_done()["train TinyNet"] == 3
