"""benchmarks/performance: both sides compute the same and work as much, and what is reported."""

from __future__ import annotations

import importlib
import json
import statistics
import sys

import numpy as np
import pytest
import torch
from benchmark_scripts import FOLDER, script

#: The figures of commands and of memory start processes of their own; one of them stands for all.
FIGURES = ("second-load", "help")
#: Reaching a loss takes ucbench fewer updates: that is what the subject measures.
FEWER = ("uc",)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def compare():
    with script("performance/compare") as module:
        yield module


@pytest.fixture
def defenses():
    with script("performance/defenses") as module:
        yield module


@pytest.fixture
def ideas():
    with script("performance/ideas") as module:
        yield module


@pytest.fixture(scope="module")
def reported(compare, tmp_path_factory):
    """What a run at the smallest sizes writes, by subject, and the rest of it."""
    path = tmp_path_factory.mktemp("compare") / "found.json"
    names = [name for name, subject in compare.SUBJECTS.items() if isinstance(subject, compare.Comparison)]
    fixed = ["--tiny", "--repeats", "1", "--device", "cpu", "--dtype", "float32", "--threads", "1"]
    status = compare.main([*names, *FIGURES, *fixed, "--json", str(path)])
    found = json.loads(path.read_text(encoding="utf-8"))
    return status, {row["subject"]: row for row in found["rows"]}, found


def test_compare_sides_agree_on_every_subject(compare, reported):
    status, rows, _ = reported
    assert not [row["problem"] for row in rows.values() if "problem" in row]
    differing = {name: row["agrees"] for name, row in rows.items() if "agrees" in row and not row["agrees"]["yes"]}
    assert not differing
    assert status == 0


def test_compare_sides_do_equal_updates_and_images(reported):
    for name, row in reported[1].items():
        if "plain" in row and name not in FEWER:
            assert row["plain"]["updates"] == row["ucbench"]["updates"], name
            assert row["plain"]["images"] == row["ucbench"]["images"], name
    trained = [name for name, row in reported[1].items() if row.get("plain", {}).get("updates")]
    assert {"victim", "uc-steps", "eminn", "mi-ue", "adv-poison", "adversarial"} <= set(trained)


def test_passes_count_the_products_of_a_linear_layer(compare):
    from subjects.peak import Passes

    network, batch = torch.nn.Linear(30, 10, bias=False), torch.zeros(4, 30)
    forward = 2 * 30 * 10
    assert Passes(predicted=3).operations(network, batch) == 3 * forward
    assert Passes(attacked=3).operations(network, batch) == 3 * 2 * forward
    assert Passes(trained=3).operations(network, batch) == 3 * 2 * forward
    deep = torch.nn.Sequential(network, torch.nn.ReLU(), torch.nn.Linear(10, 10, bias=False))
    # The first layer's gradient of the images is not needed to train, that of the weights not to attack.
    assert Passes(trained=1).operations(deep, batch) == 2 * forward + 3 * 2 * 10 * 10
    assert Passes(attacked=1).operations(deep, batch) == 2 * forward + 2 * 2 * 10 * 10


def test_compare_steps_of_the_resnet_stand_beside_the_peak(reported):
    beside = {
        name for name, row in reported[1].items() if "share_of_matmul_peak" in row.get("ucbench", {}).get("notes", {})
    }
    assert beside == {"victim", "evaluation", "adversarial", "eminn", "mi-ue", "adv-poison"}


def test_compare_row_holds_the_values_of_the_table(compare, reported):
    for name, row in reported[1].items():
        if isinstance(compare.SUBJECTS[name], compare.Figure):
            assert row["value"] > 0
            assert row["target"]["at_most"] == compare.SUBJECTS[name].limit
            assert row["met"] is (row["value"] <= row["target"]["at_most"])
            continue
        for side in ("plain", "ucbench"):
            assert row[side]["seconds"] > 0, name
            assert len(row[side]["all_seconds"]) == 1
            speed = row[side]["images"] / row[side]["seconds"]
            assert row[side]["images_per_second"] == pytest.approx(speed, abs=0.1)
        assert row["ratio"] == pytest.approx(row["plain"]["seconds"] / row["ucbench"]["seconds"], abs=1e-3)
        if row["target"] is None:
            assert row["met"] is None
        else:
            reached = row["ucbench"]["notes"].get("reached", True)
            assert row["met"] is (row["ratio"] >= row["target"]["at_least"] and reached)
        assert compare.line(row).count("|") == compare.HEAD.splitlines()[0].count("|")


def test_compare_report_names_machine_and_sizes(compare, reported):
    found = reported[2]
    assert found["machine"]["processor"]
    assert found["machine"]["device"] == "cpu"
    assert (found["machine"]["dtype"], found["machine"]["threads"]) == ("float32", 1)
    assert found["machine"]["versions"]["torch"]
    assert found["sizes"]["batch"] == compare.TINY.batch


def test_compare_target_is_unmet_when_the_craft_misses_its_loss(compare):
    class Host:
        def __init__(self, seconds, **notes):
            self.seconds, self.notes = seconds, notes

        def call(self, load, method, *given):
            from subjects.base import Evidence, Measured

            if method == "check":
                return Evidence({"loss": 1.0}) if given else (None, Evidence({"loss": 1.0}))
            return Measured(self.seconds, 10, 1, self.notes) if method == "measure" else None

        def forget(self, load):
            pass

    for reached in (True, False):
        hosts = {"plain": Host(100.0), "ucbench": Host(1.0, reached=reached)}
        assert compare.compared(compare.SUBJECTS["uc"], hosts, 2, 40.0)["met"] is reached


def test_agreement_rejects_differing_evidence(compare):
    from subjects.base import Evidence, agreement

    values = np.linspace(-1, 1, 1000)
    assert agreement(Evidence({"a": values}), Evidence({"a": values * (1 + 1e-6)})).agrees
    assert not agreement(Evidence({"a": values}), Evidence({"a": values * 1.01})).agrees
    assert not agreement(Evidence({"a": values}), Evidence({"a": values[:-1]})).agrees
    assert not agreement(Evidence({"a": values}), Evidence({"a": np.full(1000, np.nan)})).agrees
    few, many = values.copy(), values.copy()
    few[:3], many[:30] = 1, 1
    assert agreement(Evidence(mostly={"a": values}), Evidence(mostly={"a": few})).agrees
    assert not agreement(Evidence(mostly={"a": values}), Evidence(mostly={"a": many})).agrees
    with pytest.raises(ValueError, match="different numbers"):
        agreement(Evidence({"a": values}), Evidence({"b": values}))


def test_agreement_compares_decided_values_only_where_the_distance_is_clear(compare):
    from subjects.base import Evidence, agreement

    def agree(here, there):
        return agreement(*(Evidence(decided={"sign": (np.sign(g), g)}) for g in (here, there))).agrees

    gradient = np.random.default_rng(0).normal(size=(10, 100))
    gradient[:2] *= 1e-6
    rounded = gradient.copy()
    rounded[:2] *= -1
    assert agree(gradient, rounded)
    flipped = gradient.copy()
    flipped[5, :10] *= -1
    assert not agree(gradient, flipped)
    # Nearly all of the gradient is next to nothing: its signs say nothing.
    vanishing = np.full(1000, 1e-9)
    vanishing[0] = 1
    assert not agree(vanishing, vanishing)


def test_compare_rejects_an_unknown_subject(compare, capsys):
    with pytest.raises(SystemExit) as left:
        compare.main(["victims"])
    assert left.value.code == 2
    assert "victims" in capsys.readouterr().err


@pytest.fixture
def clones(compare):
    from official import clones

    return clones


def test_clone_modules_are_imported_and_leave_nothing_behind(clones, tmp_path):
    """Scripts of several repositories have modules of one name, and import what their steps do not use."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "utils.py").write_text(f"NAME = {name!r}\n")
        (tmp_path / name / "script.py").write_text(
            "import absent_settings\nfrom utils import NAME\n\n"
            "@absent_settings.register\ndef step():\n    return NAME\n"
        )
    before, path = dict(sys.modules), list(sys.path)
    steps = [clones.imported(tmp_path / name, "script", ["step"]).step for name in ("one", "two")]
    assert [step() for step in steps] == ["one", "two"]
    assert sys.path == path
    assert {"utils", "script", "absent_settings"} & (sys.modules.keys() - before.keys()) == set()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("absent_settings")


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("def stride():\n    pass\n", "has another layout: script: AttributeError"),
        ("def step(:\n", "has another layout: script: SyntaxError"),
        ("from textwrap import dedent as step\n", "step of script in .* is not the clone's"),
    ],
)
def test_clone_of_another_layout_is_one_line(clones, tmp_path, script, text):
    (tmp_path / "script.py").write_text(script)
    with pytest.raises(clones.CloneError, match=text) as raised:
        clones.imported(tmp_path, "script", ["step"])
    assert "\n" not in str(raised.value)


def test_compare_official_names_missing_clones_and_fails(compare, tmp_path, capsys):
    assert compare.main(["eminn", "--official", str(tmp_path), "--tiny", "--repeats", "1", "--device", "cpu"]) == 1
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "EMinN" in line]
    assert "no clone of HanxunH/Unlearnable-Examples" in row


def test_stopwatch_adds_crafts_between_its_marks_and_other_bars_in_full(compare):
    from subjects.base import Stopwatch

    class Clock:
        times = iter([0.0, 1.0, 5.0, 10.0, 12.0, 18.0, 20.0, 27.0])

        def clock(self):
            return next(self.times)

    watch = Stopwatch(Clock(), stop=3, start=1)
    for _ in range(2):
        advance = watch.bar("crafting", 4)
        for _ in range(4):
            advance(1)
    assert watch.seconds == (5 - 1) + (18 - 12)
    advance = watch.bar("training student 1/3", 2)
    advance(1)
    advance(1)
    assert watch.seconds == 4 + 6 + (27 - 20)


SMALL = ["--images", "20", "--size", "8", "--device", "cpu", "--dtype", "float32"]


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


def test_ideas_agree_with_current_code_in_double(ideas, tmp_path, capsys):
    """Those that compile are left out: that takes a minute each."""
    path = tmp_path / "ideas.json"
    named = [name for name in ideas.IDEAS if "compiled" not in name and name != "fused-step"]
    status = ideas.main([*named, "--tiny", "--repeats", "1", "--device", "cpu", "--threads", "1", "--json", str(path)])
    report = json.loads(path.read_text(encoding="utf-8"))
    rows = report["rows"]
    assert report["machine"]["threads"] == 1
    assert {name: row["title"] for name, row in rows.items()} == {name: ideas.IDEAS[name][0] for name in named}
    assert list(rows) == named
    assert {name: row["agrees"] for name, row in rows.items() if not row["agrees"]["yes"]} == {}
    assert status == 0
    assert capsys.readouterr().out.count("x |") == len(named)


def test_ideas_disagree_when_folding_forgets_a_bias(ideas, monkeypatch):
    def folded(model):
        found = ideas.fuse_conv_bn_eval(model.conv1, model.bn1)
        with torch.no_grad():
            found.bias.zero_()
        model.conv1, model.bn1 = found, torch.nn.Identity()
        return model

    monkeypatch.setattr(ideas, "folded", folded)
    fixed = ["--tiny", "--repeats", "1", "--device", "cpu", "--threads", "1"]
    assert ideas.main(["folded-attack", *fixed]) == 1


def test_folded_network_has_no_batch_norm(ideas, tmp_path):
    from ucbench.numerics import resolve

    model = ideas.Bench(ideas.TINY, resolve("cpu", "float32", 1), tmp_path).frozen()
    before = sum(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    after = sum(isinstance(module, torch.nn.BatchNorm2d) for module in ideas.folded(model).modules())
    assert (before, after) == (20, 0)


def test_kornia_operations_agree_where_ucbench_uses_them(tmp_path):
    with script("performance/kornia_operations") as module:
        assert module.main(["--tiny", "--repeats", "1", "--json", str(tmp_path / "record.json")]) == 0
        names = [pair.name for pair in module.PAIRS]
    rows = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))["rows"]
    assert [row["name"] for row in rows] == names
    # A place half-way between two pixels may go to either.
    assert all(row["difference"] < 0.01 or row["differing"] < 0.001 for row in rows if row["used"] == "kornia")


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
