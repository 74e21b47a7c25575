"""benchmarks/performance: both sides compute the same and work as much, and what is reported."""

from __future__ import annotations

import importlib
import json
import sys

import numpy as np
import pytest
import torch
from benchmark_scripts import script

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
