"""benchmarks/performance: scripts that measure ucbench alone, at tiny size."""

from __future__ import annotations

import json
import os

import pytest
from benchmark_scripts import script

pytestmark = pytest.mark.slow


def test_growth_measures_every_stage_of_small_sizes(capsys):
    with script("performance/growth") as module:
        assert module.main(["images", "cells", "--start", "0.1", "--repeats", "1"]) == 0
    lines = [line.split(" | ")[:3] for line in capsys.readouterr().out.splitlines()[2:]]
    stages = ["loading", "crafting", "training", "measuring"]
    assert lines[:4] == [["| images", stage, "25, 50, 100, 200"] for stage in stages]
    assert lines[4:] == [["| cells", stage, "30, 60, 120, 240"] for stage in ("expanding", "planning")]


def test_runner_measures_overhead_and_the_gain_of_workers(tmp_path):
    with script("performance/runner") as module:
        found = module.measure(6, 2, tmp_path)
    assert (found["cells"], found["workers"]) == (6, 2)
    assert found["overhead_milliseconds_a_cell"] > 0
    assert found["speed_up_of_workers"] > 0


def test_operators_divide_the_time_of_a_work_by_kind(tmp_path):
    with script("performance/operators") as module:
        found = module.shares(
            [("aten::mkldnn_convolution", 2.0), ("aten::convolution_backward", 4.0), ("aten::copy_", 1.0),
             ("aten::gelu", 1.0), ("aten::index_select", 1.0)], 10.0,
        )  # fmt: skip
        assert found == {
            "convolution, backward": 0.4, "convolution, forward": 0.2, "moving, converting, gathering": 0.2,
            module.OTHER: 0.1, module.OUTSIDE: 0.1,
        }  # fmt: skip
        path = tmp_path / "found.json"
        assert module.main(["training airbench@small", "--images", "2", "--json", str(path)]) == 0
    (row,) = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert sum(row["shares"].values()) == pytest.approx(1, abs=0.02)
    assert row["shares"]["convolution, backward"] > 0


def test_processes_compare_each_group_with_its_first(monkeypatch, tmp_path, capsys):
    library = tmp_path / "libfast.so"
    library.touch()
    with script("performance/processes") as module:
        given = []

        def speed(arrangement, victim, images, side):
            given.append(arrangement)
            return {"processes": 100, "allocator": 50}[arrangement.group] * (1 + len(arrangement.cores)) / 2

        monkeypatch.setattr(module, "speed", speed)
        path = tmp_path / "found.json"
        assert module.main(["--cores", "1", "--repeats", "2", "--preload", str(library), "--json", str(path)]) == 0
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert [row["ratio"] for row in rows] == [1.0] * len(rows)
    assert [row["name"] for row in rows][-1] == "libfast.so"
    assert given[len(rows) - 1].environment == {"LD_PRELOAD": str(library)}
    # Arrangements take turns in alternating order.
    assert given[: len(rows)] == given[len(rows) :][::-1]
    assert capsys.readouterr().out.count("| 1.00 |") == len(rows)


def test_processes_of_an_arrangement_train_together():
    with script("performance/processes") as module:
        core = min(os.sched_getaffinity(0))
        pinned = module.Arrangement("processes", "two", 1, (core, core))
        assert module.speed(pinned, "lenet5", 20, 8) > 0
        with pytest.raises(RuntimeError, match="ended early"):
            module.speed(pinned, "absent", 20, 8)
