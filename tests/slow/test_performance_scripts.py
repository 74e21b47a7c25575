"""benchmarks/performance: scripts that measure ucbench alone, at tiny size."""

from __future__ import annotations

import json
import os
import statistics

import pytest
from benchmark_scripts import FOLDER, script

pytestmark = pytest.mark.slow
SMALL = ["--images", "20", "--size", "8", "--device", "cpu", "--dtype", "float32"]


@pytest.fixture
def defenses():
    with script("performance/defenses") as module:
        yield module


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


def test_defenses_alternate_with_no_defense(defenses, monkeypatch, tmp_path, capsys):
    trained = []

    def speed(self, chain, images):
        trained.append("none" if (images.images == self._train.images).all() else "grayscale")
        return float(len(trained))

    monkeypatch.setattr(defenses.Trainings, "speed", speed)
    found = tmp_path / "found.json"
    assert defenses.main(["grayscale", "diffusion-purify", *SMALL, "--repeats", "3", "--json", str(found)]) == 0
    assert trained == ["none", "grayscale"] * 4
    gray, purify = json.loads(found.read_text(encoding="utf-8"))["rows"]
    # The first of each is not counted.
    assert (gray["none"], gray["speeds"]) == ([3, 5, 7], [4, 6, 8])
    assert gray["ratio"] == pytest.approx(statistics.median([4, 6, 8]) / statistics.median([3, 5, 7]), abs=1e-3)
    assert "denoiser" in purify["problem"]
    lines = capsys.readouterr().out.splitlines()
    assert {line.count("|") for line in lines[:4]} == {7}


def test_defenses_measure_a_defense_that_owns_the_loss(defenses, tmp_path):
    found = tmp_path / "found.json"
    chosen = ["adv-train@fast", "early-stopping", "--victim", "resnet18:width=16", "--repeats", "1"]
    assert defenses.main([*chosen, *SMALL, "--json", str(found)]) == 0
    rows = json.loads(found.read_text(encoding="utf-8"))["rows"]
    assert [row["defense"] for row in rows] == ["adv-train@fast", "early-stopping"]
    assert all(row["ratio"] > 0 and row["preparing"] >= 0 for row in rows)


def test_pages_counts_the_bytes_of_the_heaviest_page_of_each_type(tmp_path):
    pytest.importorskip("playwright", reason="needs playwright: pip install playwright")
    with script("performance/pages") as module:
        if module.CHROMIUM is None:
            pytest.skip("needs Chromium")
        site = tmp_path / "site"
        for number, pattern in enumerate(module.TYPES.values()):
            for name, filler in (("a", ""), ("b", "x" * number)):
                page = site / pattern.replace("*", name)
                page.parent.mkdir(parents=True, exist_ok=True)
                up = "../" * (len(page.relative_to(site).parts) - 1)
                page.write_text(f'<link rel="icon" href="data:,"><script src="{up}x.js"></script>{filler}')
        (site / "x.js").write_text("//" + "x" * 98)
        assert module.main([str(site), "--repeats", "1", "--json", str(tmp_path / "record.json")]) == 0
        types = module.TYPES
    rows = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))["rows"]
    assert [row["type"] for row in rows] == ["an empty page", *types]
    for row in rows[1:]:
        expected = (site / row["page"]).stat().st_size + 100
        assert [row[way]["bytes"]["median"] for way in ("file", "http")] == [expected, expected]
        assert row["page"] == types[row["type"]].replace("*", "b")


def test_scale_measures_each_step_on_the_cells_it_prepared(tmp_path):
    with script("performance/scale") as module:
        module.prepare(tmp_path, 30)
        counts = {name: step.run(tmp_path, 30) for name, step in module.STEPS.items()}
    assert counts == {"plan": 30, "walk": 30, "check": 30, "site": 24}


def test_growth_fits_the_exponent_of_a_power_and_takes_the_best_repeat():
    with script("performance/growth") as module:
        assert module.exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)
        assert module.exponent([10, 20, 40, 80], [5, 5, 5, 5]) == pytest.approx(0)
        slow = iter([1.0, 8.0, 1.0, 2.0])
        module.AXES["cells"] = lambda size: {"planning": size * next(slow)}
        (row,) = module.grown("cells", [3, 6], 2)
        assert row["seconds"] == [3.0, 12.0]
        assert row["exponent"] == pytest.approx(2)
        del module.AXES["cells"]


def test_board_multiplies_every_kind_by_the_plans_counts(tmp_path, capsys):
    """Two poisoners, sham and clean with two seeds under two defenses: 6 crafts of 3 kinds, 16 trainings of 2.

    What a release adds to measuring counts in the 4 cells of each kind of craft.
    """
    axes = {
        "dataset": "digits:train_per_class=20", "poisoner": ["lsp", "rand-sample"], "victim": "lenet5:epochs=1",
        "defense": ["none", "jpeg"], "seed": "0-1", "trainings": 1,
    }  # fmt: skip
    fixed = ["--axes", json.dumps(axes), "--dtype", "float32", "--script-width", "16", "--script-batch", "4"]
    with script("performance/board") as module:
        assert module.main([*fixed, "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    counts = {kind["name"]: kind["count"] for kind in found["kinds"]}
    trainings = {"lenet5:epochs=1 + none": 8, "lenet5:epochs=1 + jpeg": 8}
    crafts = {"sham": 2, "lsp": 2, "rand-sample": 2}
    assert counts == {**crafts, **trainings, **{f"release of {name}": 4 for name in crafts}}
    assert all(kind["seconds"].keys() == {"measuring"} for kind in found["kinds"] if kind["name"].startswith("release"))
    for stage in ("crafting", "training", "measuring"):
        total = sum(kind["count"] * kind["seconds"].get(stage, 0) for kind in found["kinds"])
        assert found["core_seconds"][stage] == pytest.approx(total, abs=0.01)
    (script_row,) = found["scripts"]  # these poisoners need no network
    per_image = script_row["per_image"]["train"]
    assert script_row["seconds"] == pytest.approx(16 * 200 * 200 * per_image)
    assert found["script_seconds"] == pytest.approx(script_row["seconds"] / 2, abs=0.1)


def test_board_ranking_reports_the_agreement_of_two_boards(capsys):
    board = str(FOLDER.parent / "leaderboards" / "photos-core" / "v1")
    with script("performance/board") as module:
        assert module.main(["--ranking", board, board]) == 0
    assert "tau-b 1.00 [1.00, 1.00]" in capsys.readouterr().out
