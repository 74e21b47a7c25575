"""What is computed again: missing cells, failed cells, or all; and the message about numbers that changed."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest
import tiny_components as tiny
from filelock import Timeout

from ucbench.matrix.matrix import Request, expand
from ucbench.results.records import read_record, record_path, write_record
from ucbench.running import compute
from ucbench.running.metric_values import metric_key, training_of
from ucbench.running.runner import run_cells
from ucbench.running.tasks import task_of
from ucbench.steps import plan_session
from ucbench.store.store import Store

pytestmark = pytest.mark.usefixtures("tiny_log")


class Listening:
    """A progress that remembers its messages."""

    def __init__(self, progress) -> None:
        self.said = []
        self._progress = progress

    def say(self, text: str) -> None:
        self.said.append(text)

    def __getattr__(self, name):
        return getattr(self._progress, name)


def run(tmp_path, *poisoners: str, out: str = "out", **options):
    registry = tiny.registry()
    session = tiny.session(tmp_path / "store")
    session.progress = Listening(session.progress)
    cells = expand(Request(["spots"], poisoners, ["tiny"], ["original"]), registry)
    return run_cells(cells, session, out=tmp_path / out, **options), session.progress.said


def test_rerun_retries_failures_unless_only_missing_is_requested(tmp_path):
    run(tmp_path, "bad:raises", "stripes")
    assert tiny.work_done()["craft bad raises"] == 1
    records, _ = run(tmp_path, "bad:raises", "badge", rerun="missing")
    assert [record["status"] for record in records] == ["ok", "ok", "failed", "ok"]
    assert tiny.work_done()["craft bad raises"] == 1
    assert tiny.work_done()["craft badge"] == 1
    run(tmp_path, "bad:raises")
    assert tiny.work_done()["craft bad raises"] == 2


def test_rerun_all_retrains_on_the_same_releases_with_equal_results(tmp_path, caplog):
    first, _ = run(tmp_path, "stripes", "badge")
    trained = tiny.work_done()["train TinyNet"]
    again, said = run(tmp_path, "stripes", "badge", rerun="all")
    assert tiny.work_done()["train TinyNet"] == 2 * trained
    assert tiny.work_done()["craft stripes"] == 1
    assert [record["metrics"] for record in again] == [record["metrics"] for record in first]
    assert "differs from before" not in caplog.text
    assert "4 of 4 cells have the metrics of before." in said
    assert [read_record(record_path(tmp_path / "out", r["cell"])) for r in again] == again
    # What was computed anew is what the store has from now on.
    assert run(tmp_path, "stripes", "badge")[0] == again


def test_cells_recorded_with_other_threads_are_named_in_one_warning(tmp_path, caplog):
    run(tmp_path, "stripes")
    registry = tiny.registry()
    session = tiny.session(tmp_path / "store")
    session = session.with_numerics(replace(session.numerics, threads=session.numerics.threads + 1))
    cells = expand(Request(["spots"], ["stripes", "badge"], ["tiny"], ["original"]), registry)
    threads = session.numerics.threads - 1
    hint = (
        f"3 cells have records with threads = {threads}; give --threads {threads} (in Python threads={threads}) to use"
        " them."
    )
    assert [cell.done for cell in plan_session(cells, session, out=tmp_path / "out")] == [False] * 4
    assert caplog.messages.count(hint) == 1
    run_cells(cells, session, out=tmp_path / "out")
    assert caplog.messages.count(hint) == 2
    run_cells(cells, session, out=tmp_path / "out")
    assert caplog.messages.count(hint) == 2


def test_rerun_reports_a_changed_number(tmp_path, caplog):
    records, _ = run(tmp_path, "stripes")
    altered = json.loads(json.dumps(records[2]))
    altered["metrics"]["test_accuracy"] = 1.25
    write_record(tmp_path / "out", altered)
    again, said = run(tmp_path, "stripes", rerun="all")
    assert again[2]["metrics"] == records[2]["metrics"]
    (message,) = [text for text in caplog.messages if "differs from before" in text]
    assert "2 of 3 cells have the metrics of before." in said
    assert "stripes" in message
    assert f"test_accuracy 1.25 -> {records[2]['metrics']['test_accuracy']}" in message


def test_rerun_measures_requested_metrics_again(tmp_path):
    registry = tiny.registry()
    cells = expand(Request(["spots"], ["stripes"], ["tiny"], ["original"], metrics=["change"]), registry)
    for rerun, measured in (("failed", 3), ("failed", 3), ("all", 6)):
        records = run_cells(cells, tiny.session(tmp_path / "store", registry), out=tmp_path / "out", rerun=rerun)
        assert tiny.work_done()["measure change"] == measured
    assert "change.mean" in records[2]["metrics"]


def test_rerun_all_retrains_cells_that_lack_a_requested_metric(tmp_path, caplog):
    registry = tiny.registry()
    before, _ = run(tmp_path, "stripes")
    altered = {**before[2], "metrics": {**before[2]["metrics"], "test_accuracy": 1.25}}
    write_record(tmp_path / "out", altered)
    trained = tiny.work_done()["train TinyNet"]
    session = tiny.session(tmp_path / "store", registry)
    cells = expand(Request(["spots"], ["stripes"], ["tiny"], ["original"], metrics=["change"]), registry)
    records = run_cells(cells, session, out=tmp_path / "out", rerun="all")
    assert tiny.work_done()["train TinyNet"] == 2 * trained
    assert "change.mean" in records[2]["metrics"]
    assert len([text for text in caplog.messages if "differs from before" in text]) == 1


def test_rerun_failure_keeps_the_previous_record(tmp_path, monkeypatch):
    first, _ = run(tmp_path, "stripes")
    with monkeypatch.context() as patch:
        patch.setattr(tiny.exploiter.TinyNet, "build", lambda *_: 1 / 0)
        again, said = run(tmp_path, "stripes", rerun="all")
    assert {record["status"] for record in again} == {"failed"}
    assert len([text for text in said if "the earlier record stays" in text]) == 3
    assert [read_record(record_path(tmp_path / "out", r["cell"])) for r in first] == first
    assert run(tmp_path, "stripes")[0] == first


def test_rerun_failure_is_written_to_a_folder_without_the_previous_record(tmp_path, monkeypatch):
    first, _ = run(tmp_path, "stripes")
    with monkeypatch.context() as patch:
        patch.setattr(tiny.exploiter.TinyNet, "build", lambda *_: 1 / 0)
        again, said = run(tmp_path, "stripes", out="new", rerun="all")
    assert {record["status"] for record in again} == {"failed"}
    assert not [text for text in said if "the earlier record stays" in text]
    assert [read_record(record_path(tmp_path / "new", r["cell"])) for r in first] == again
    assert run(tmp_path, "stripes", out="new")[0] == first


def test_rerun_of_missing_cells_takes_a_success_from_the_store_before_a_failure(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tiny.exploiter.TinyNet, "build", lambda *_: 1 / 0)
        run(tmp_path, "stripes")
    succeeded, _ = run(tmp_path, "stripes", out="other")
    records, _ = run(tmp_path, "stripes", rerun="missing")
    assert records == succeeded
    assert [read_record(record_path(tmp_path / "out", r["cell"])) for r in records] == records


def test_every_training_of_a_cell_holds_its_lock(tmp_path, monkeypatch):
    registry = tiny.registry()
    session, evaluate, trained = tiny.session(tmp_path, registry), compute.evaluate, []

    def locked(cell, *given):
        trained.append(cell)
        with pytest.raises(Timeout):
            session.store.lock("cell", task_of(cell, session).key).acquire(blocking=False)
        return evaluate(cell, *given)

    monkeypatch.setattr(compute, "evaluate", locked)
    for metrics, rerun in (((), "failed"), (("sharpness",), "failed"), ((), "all")):
        (*_, cell) = expand(Request(["spots"], ["stripes"], ["tiny"], ["original"], metrics=metrics), registry)
        assert run_cells([cell], session, rerun=rerun)[0]["status"] == "ok"
    assert len(trained) == 3


def test_metric_that_another_process_measures_is_waited_for(tmp_path):
    registry, began = tiny.registry(), threading.Event()

    @contextmanager
    def waiting(text):
        began.set()
        yield

    (*_, cell) = expand(Request(["spots"], ["stripes"], ["tiny"], ["original"], metrics=["sharpness"]), registry)
    (plain,) = run_cells([replace(cell, metrics=())], tiny.session(tmp_path, registry))
    session, records = tiny.session(tmp_path, registry), []
    session.store = Store(tmp_path, waiting)
    with session.store.lock("cell", plain["cell"]):
        thread = threading.Thread(target=lambda: records.extend(run_cells([cell], session)))
        thread.start()
        assert began.wait(60)
        meta = {"values": {"share": 12.5}, "training": training_of(plain)}
        session.store.put("metric", metric_key(plain["cell"], cell.metrics[0]), {}, meta)
    thread.join(60)
    assert records[0]["metrics"]["sharpness.share"] == 12.5
    assert tiny.work_done()["train TinyNet"] == 1
