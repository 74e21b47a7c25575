"""Trainings of one cell that differ, as on other hardware: metrics belong to the accuracies that they stand beside."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import tiny_components as tiny
import torch

from ucbench.errors import StoreError
from ucbench.matrix.matrix import Request, expand
from ucbench.results.records import read_records
from ucbench.running.runner import run_cells
from ucbench.running.stored_victims import is_kept
from ucbench.running.tasks import task_of

pytestmark = pytest.mark.usefixtures("tiny_log")


@pytest.fixture
def elsewhere(monkeypatch):
    """From the call on, trainings have other results than before."""

    def move() -> None:
        build = tiny.exploiter.TinyNet.build

        def rounded(self, *args):
            network = build(self, *args)
            with torch.no_grad():
                network[1].weight *= 1.01
            return network

        monkeypatch.setattr(tiny.exploiter.TinyNet, "build", rounded)

    return move


def clean(*metrics: str, keep: bool = False):
    request = {"datasets": ["spots"], "poisoners": ["clean"], "victims": ["tiny"], "labelings": ["original"]}
    (cell,) = expand(Request(**request, metrics=metrics), tiny.registry())
    return replace(cell, keep_victim=keep)


def run(home, *metrics: str, out=None, rerun="failed", keep=False) -> dict:
    session = tiny.session(home, tiny.registry())
    (record,) = run_cells([clean(*metrics, keep=keep)], session, out=out, rerun=rerun)
    assert record["status"] == "ok", record.get("error")
    if "last-loss.value" in record["metrics"]:
        assert record["metrics"]["last-loss.value"] == loss(record)
    return record


def victim_is_kept(home) -> bool:
    session = tiny.session(home, tiny.registry())
    return is_kept(task_of(clean(), session), session)


def loss(record: dict) -> float:
    return record["history"][-1]["loss"]


def without_cell(home) -> None:
    shutil.rmtree(home / "objects" / "cell")


@pytest.mark.parametrize("keep", [False, True])
def test_metric_of_a_lost_cell_is_measured_again_on_another_training(tmp_path, elsewhere, keep):
    before = run(tmp_path, "last-loss", keep=keep)
    without_cell(tmp_path)
    elsewhere()
    assert loss(run(tmp_path)) != loss(before)
    run(tmp_path, "last-loss")


def test_values_of_a_lost_cell_stand_beside_an_equal_training(tmp_path):
    before = run(tmp_path, "last-loss", keep=True)
    without_cell(tmp_path)
    assert loss(run(tmp_path)) == loss(before)
    run(tmp_path, "last-loss")
    assert tiny.work_done()["measure last-loss"] == 1
    assert victim_is_kept(tmp_path)


@pytest.mark.parametrize("keep", [False, True])
def test_metric_after_a_rerun_is_of_the_later_training(tmp_path, elsewhere, keep):
    before = run(tmp_path, "last-loss", keep=keep)
    elsewhere()
    assert loss(run(tmp_path, rerun="all")) != loss(before)
    assert not victim_is_kept(tmp_path)
    run(tmp_path, "last-loss")


def test_rerun_that_fails_after_its_training_leaves_no_victim_to_the_earlier_record(tmp_path, elsewhere):
    before = run(tmp_path, keep=True)
    session = tiny.session(tmp_path, tiny.registry())
    elsewhere()
    (failed,) = run_cells([clean("no-number", keep=True)], session, rerun="all")
    assert failed["status"] == "failed"
    assert run(tmp_path) == before
    run(tmp_path, "last-loss")


def test_record_of_a_victim_that_cannot_be_stored_has_its_metrics(tmp_path, monkeypatch):
    session = tiny.session(tmp_path / "store", tiny.registry())
    put = type(session.store).put

    def full(store, kind, *rest):
        if kind == "victim":
            raise StoreError("no space left")
        return put(store, kind, *rest)

    monkeypatch.setattr(type(session.store), "put", full)
    with pytest.raises(StoreError, match="no space left"):
        run_cells([clean("last-loss", keep=True)], session, out=tmp_path / "out")
    (record,) = read_records(tmp_path / "out")
    assert record["metrics"]["last-loss.value"] == loss(record)


def test_metric_that_needs_another_training_replaces_the_record_with_all_metrics(tmp_path, elsewhere):
    out = tmp_path / "out"
    before = run(tmp_path / "store", "last-loss", out=out)
    elsewhere()
    after = run(tmp_path / "store", "last-loss", "sharpness", out=out)
    assert loss(after) != loss(before)
    assert set(after["measured_by"]) == {"last-loss", "sharpness"}
    assert list(read_records(out)) == [after]
    trained = tiny.work_done()["train TinyNet"]
    assert run(tmp_path / "store", "sharpness", "last-loss") == after
    assert tiny.work_done()["train TinyNet"] == trained == 2


def test_metric_that_fails_on_another_training_leaves_record_and_values_of_the_earlier_one(tmp_path, elsewhere):
    before = run(tmp_path, "last-loss")
    elsewhere()
    cell = clean("last-loss", "sharpness", "no-number")
    (failed,) = run_cells([cell], tiny.session(tmp_path, tiny.registry()))
    assert failed["status"] == "failed"
    assert run(tmp_path, "last-loss") == before
    assert tiny.work_done()["train TinyNet"] == 2


def test_record_of_another_training_gives_no_metrics_to_the_one_that_replaces_it(tmp_path, elsewhere):
    out = tmp_path / "out"
    run(tmp_path / "here", "last-loss", out=out)
    elsewhere()
    assert set(run(tmp_path / "there", "sharpness", out=out)["measured_by"]) == {"sharpness"}
    (written,) = read_records(out)
    assert not any(name.startswith("last-loss") for name in written["metrics"])
