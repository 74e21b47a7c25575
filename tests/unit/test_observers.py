"""Plugins that observe a run: they get what is new, and cannot change it."""

from __future__ import annotations

import numpy as np
import tiny_components as tiny
import torch
from tiny_runs import run

import ucbench


def test_observers_receive_only_new_records_and_may_fail(tmp_path):
    plugin = tiny.Plugin()
    registry = tiny.registry(plugin=plugin)
    run(tmp_path, "stripes", "bad:raises", registry=registry)
    expected = [("finished", "clean"), ("finished", "sham"), ("finished", "stripes"), ("failed", "bad:raises")]
    assert plugin.seen == expected
    run(tmp_path, "stripes", registry=registry)
    assert plugin.seen == expected
    plugin.seen = None  # the observer now raises
    assert run(tmp_path, "badge", registry=registry)[-1]["status"] == "ok"


def test_epoch_observer_receives_every_epoch_of_new_records(tmp_path):
    plugin = tiny.Plugin()
    registry = tiny.registry(plugin=plugin)
    (*_, record) = run(tmp_path, "stripes", registry=registry)
    events = [event for event in plugin.epochs if event.cell == record["cell"]]
    assert [{"epoch": event.epoch, **event.values} for event in events] == record["history"]
    assert {(event.request["poisoner"], event.epochs) for event in events} == {("stripes", 2)}
    count = len(plugin.epochs)
    run(tmp_path, "stripes", registry=registry)
    assert len(plugin.epochs) == count


def test_epoch_observer_that_draws_and_raises_changes_no_number(tmp_path):
    class Disturbing(tiny.Plugin):
        @ucbench.hookimpl
        def ucbench_epoch_finished(self, event):
            self.epochs.append((np.random.rand(), torch.rand(1)))
            raise RuntimeError("no")

    (*_, expected) = run(tmp_path / "calm", "stripes")
    disturbing = Disturbing()
    (*_, record) = run(tmp_path / "loud", "stripes", registry=tiny.registry(plugin=disturbing))
    assert len(disturbing.epochs) == 6  # clean, sham and stripes
    assert record["history"] == expected["history"]
    assert record["metrics"] == expected["metrics"]
