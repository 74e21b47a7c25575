"""``ucbench check-plugin``: what it checks by which name, and what its report says beside the rules of each kind."""

from __future__ import annotations

import importlib
import json
import re
import textwrap
import types

import pytest
from plugin_sources import GOOD, HEAD, checked, checked_source, failed, source, verdicts

import ucbench
from ucbench.cli.app import main
from ucbench.plugins.manager import LoadedPlugin, load_module
from ucbench.plugins.registry import Registry


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('summary="A thing"', 'summary="A\\nthing"', "summary"),
        (":Thing", ":Missing", "class"),
        (":Thing", ":torch", "class"),
        ('name="thing"', 'name="thing", params=f"{__name__}:Thing"', "parameters"),
        ('name="thing"', 'name="thing", params=f"{__name__}:Few"', "presets"),
        ('name="thing"', 'name="thing", params=f"{__name__}:Odd"', "keys"),
    ],
)
def test_spec_fields_are_checked(capsys, tmp_path, old, new, rule):
    kinds_of_params = """
        class Few(Params):
            presets = {"quick": {"steps": 3}}

        class Odd(Params):
            def identity(self):
                return {"when": {1, 2}}
    """
    text = source("defense", old, new) + textwrap.dedent(kinds_of_params)
    code, entry = checked_source(capsys, tmp_path, text)
    assert code == 1
    assert failed(entry) >= {f"spec/{rule}"}


@pytest.mark.parametrize(
    ("fields", "verdict", "evidence"),
    [
        ("", "skipped", "it names none"),
        (', surrogate="resnet18:width=16", trains_surrogate=True', "ok", ""),
        (', surrogate="efficientnet-lite0"', "ok", ""),
        (', surrogate="resnet18:width=16"', "failed", "has no weights, and trains_surrogate is False"),
        (
            ', surrogate="efficientnet-lite0", trains_surrogate=True',
            "failed",
            "has weights, and trains_surrogate is True",
        ),
        (", trains_surrogate=True", "failed", "surrogate names no architecture"),
        (', surrogate="resnet-18"', "failed", "Unknown surrogate 'resnet-18'. Did you mean 'resnet18'"),
        (', surrogate="resnet18:depth=3"', "failed", "no parameter 'depth'"),
        (
            ', surrogate="resnet18", trains_surrogate=True, params=f"{__name__}:Several"',
            "failed",
            "Unknown surrogate 'elsewhere'",
        ),
    ],
)
def test_named_surrogate_must_be_installed_and_fit_the_poisoner(capsys, tmp_path, fields, verdict, evidence):
    several = "class Several(Params):\n    presets = {'far': {}}\n    surrogates = {'far': 'elsewhere'}\n"
    text = source("poisoner", "native_epsilon=8", f"native_epsilon=8{fields}") + several
    _, entry = checked_source(capsys, tmp_path, text)
    (line,) = (line for line in entry["rules"] if line["rule"] == "spec/surrogate")
    assert line["verdict"] == verdict
    assert evidence in line["evidence"]


def test_component_that_exits_fails_the_check(capsys, tmp_path):
    text = source("defense", "return x * torch", "raise SystemExit(0)\n        return x * torch")
    code, entry = checked_source(capsys, tmp_path, text)
    assert code == 1
    assert "SystemExit" in str(entry)


def test_broken_preset_is_named_once(capsys, tmp_path):
    """The sample is the preset ``quick``, so it fails for the same reason."""
    quick = "class Few(Params):\n    presets = {'quick': {'steps': 3}}\n"
    text = source("defense", 'name="thing"', 'name="thing", params=f"{__name__}:Few"') + quick
    _, entry = checked_source(capsys, tmp_path, text)
    assert failed(entry) == {"spec/presets"}


@pytest.mark.parametrize(
    ("sample", "verdict"), [('sample=""', "failed"), ('sample="much"', "failed"), ('sample="0.5"', "ok")]
)
def test_required_parameter_needs_a_valid_sample(capsys, tmp_path, sample, verdict):
    needy = """
        class Needy(Params):
            argument = "rate"
            presets = {"half": {"rate": 0.5}}
            rate: float
    """
    spec = f'name="thing", params=f"{{__name__}}:Needy", {sample}'
    text = source("defense", 'name="thing"', spec) + textwrap.dedent(needy)
    code, entry = checked_source(capsys, tmp_path, text)
    found = verdicts(entry)
    assert found["spec/sample"] == verdict
    assert (code, found["spec/presets"], found["defense/runs"]) == (
        (0, "ok", "ok") if verdict == "ok" else (1, "ok", "skipped")
    )
    code, entry = checked_source(capsys, tmp_path, text, "defense/thing:0.5")
    assert (code, verdicts(entry)["spec/sample"]) == (0, "skipped")


@pytest.mark.parametrize(
    ("found", "rule"),
    [
        ("ucbench.Split(images, labels, ('a', 'b'))", None),
        ("ucbench.Split(images, labels.tolist(), ('a', 'b'))", "split"),
        ("ucbench.Split(images, labels[:5], ('a', 'b'))", "split"),
        ("ucbench.Split(images, labels + 1, ('a', 'b'))", "split"),
        ("ucbench.Split(list(labels), labels, ('a', 'b'))", "split"),
        ("(images, labels)", "split"),
    ],
)
def test_split_of_a_framed_dataset_is_checked(capsys, tmp_path, found, rule):
    thing = f"""
        class Thing(ucbench.FramedDataset):
            name, flip = "thing", True

            def find(self, split):
                rng = np.random.default_rng(len(split))
                pixels = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
                images, labels = [ucbench.LazyImage(one, split) for one in pixels], np.arange(6) % 2
                return {found}
    """
    _, mark, hook = textwrap.dedent(GOOD["dataset"]).partition("@ucbench")
    hook = hook.replace('name="thing"', 'name="thing", params="ucbench:DatasetParams"')
    _, entry = checked_source(capsys, tmp_path, f"{HEAD}{textwrap.dedent(thing)}\n{mark}{hook}")
    assert failed(entry) == ({f"dataset/{rule}"} if rule else set())


def test_text_report_has_evidence_and_fix_within_80_columns(capsys, tmp_path):
    file = tmp_path / "thing.py"
    file.write_text(source("metric", "float(context.model(x).mean())", 'float("nan")'))
    assert main(["check-plugin", "metric/thing", "--plugin", str(file)]) == 1
    text = capsys.readouterr().out
    assert text.startswith("metric thing, from thing.py ")
    assert (
        "\nmetric/finite\n"
        "  Rule:     values must be finite numbers between -2**63 and 2**63, or None\n"
        "            where undefined.\n"
        "  Evidence: Got 'mean': nan\n  Fix:      Convert with float(), and"
    ) in text
    assert max(map(len, text.splitlines())) <= 80
    assert ", 1 failed, " in text


def test_error_names_its_line(capsys, tmp_path):
    text = source("poisoner", "run.budget.radius", "run.budget.radios")
    _, entry = checked_source(capsys, tmp_path, text)
    evidence = {line["rule"]: line["evidence"] for line in entry["rules"]}["poisoner/runs"]
    line = next(i for i, part in enumerate(text.splitlines(), 1) if "radios" in part)
    assert evidence.endswith(f"AttributeError: 'Budget' object has no attribute 'radios' (thing.py, line {line}).")


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("victim", "nn.Flatten(), nn", "nn.Flatten(), type('Bad', (nn.Module,), {'forward': bad})(), nn"),
        ("dataset", "return ucbench.ImageSet(images,", "return ucbench.ImageSet(bad(),"),
        ("dataset", "return ucbench.ImageSet(images, np", "return ucbench.ImageSet(images, 0.5 * np"),
    ],
)
def test_error_inside_the_core_names_the_line_of_the_plugin(capsys, tmp_path, kind, old, new):
    """torch, or the core, is between the check and the plugin, or raises for it."""
    text = source(kind, old, new) + "\ndef bad(*x):\n    return ucbench.pgd(1)\n"
    code, entry = checked_source(capsys, tmp_path, text)
    assert code == 1
    line = next(i for i, part in enumerate(text.splitlines(), 1) if ("pgd(1)" if "bad" in new else new) in part)
    assert f"(thing.py, line {line})" in json.dumps(entry)


def test_names_may_be_references_distributions_or_modules(capsys):
    for name in ("cutout", "defense/cutout", "defenses/cutout"):
        assert [e["component"] for e in checked(capsys, name)[1]["components"]] == ["defense cutout"]
    code, report = checked(capsys, "executor/serial", "victim/resnet18:width=16,epochs=1")
    names = [entry["component"] for entry in report["components"]]
    assert (code, names) == (0, ["executor serial", "victim resnet18:epochs=1,width=16"])


def test_plugin_name_checks_all_its_components(capsys, monkeypatch):
    two = [
        ucbench.DefenseSpec(name=name, summary="x", load="ucbench_augment.gaussian:Missing")
        for name in ("one", "other")
    ]
    module = types.SimpleNamespace(ucbench_defenses=ucbench.hookimpl(lambda: two))
    sick = LoadedPlugin("sick", "ucbench-sick", "0.3", "sick", problem="cannot be imported: ImportError: it")
    rival = load_module("rival", module, "ucbench-rival", "2")
    known = Registry([load_module("two", module, "UCBench.Two", "1"), sick])
    monkeypatch.setattr("ucbench.cli.check_plugin.installed", lambda: known)
    for name in ("two", "ucbench-two", "ucbench_two"):
        code, report = checked(capsys, name)
        assert code == 1
        assert [entry["component"] for entry in report["components"]] == ["defense one", "defense other"]
    code, report = checked(capsys, "ucbench-sick")
    assert code == 1
    assert failed(report["components"][0]) == {"plugin/loads"}
    assert "ImportError: it" in report["components"][0]["rules"][0]["evidence"]
    contested = Registry([*known.plugins, rival])
    monkeypatch.setattr("ucbench.cli.check_plugin.installed", lambda: contested)
    code, report = checked(capsys, "defense/one")
    assert code == 1
    assert failed(report["components"][0]) == {"spec/name"}


def test_torch_import_at_registration_is_found(capsys, tmp_path, monkeypatch):
    hook = HEAD.replace("from torch import nn", "") + textwrap.dedent(GOOD["metric"])
    (tmp_path / "heavy_plugin.py").write_text(hook)
    monkeypatch.syspath_prepend(tmp_path)
    known = Registry([load_module("heavy", importlib.import_module("heavy_plugin"), "ucbench-heavy", "1")])
    monkeypatch.setattr("ucbench.cli.check_plugin.installed", lambda: known)
    (tmp_path / "torch.py").touch()  # the other process need not import the real one
    code, report = checked(capsys, "metric/thing")
    assert code == 1
    assert failed(report["components"][0]) == {"spec/light"}
    assert "heavy_plugin does" in json.dumps(report)


def test_plugin_without_components_is_only_loaded(capsys, tmp_path):
    text = "import ucbench\n\n@ucbench.hookimpl\ndef ucbench_cell_failed(event):\n    print(event)\n"
    code, entry = checked_source(capsys, tmp_path, text)
    assert (code, verdicts(entry)) == (0, {"plugin/loads": "ok"})


def test_uncheckable_component_is_not_a_success(capsys):
    code, report = checked(capsys, "dataset/imagefolder")
    (entry,) = report["components"]
    assert (code, failed(entry)) == (1, {"spec/sample"})
    assert "path" in entry["not_checked_because"]
    assert verdicts(entry)["dataset/same-load"] == "skipped"


@pytest.mark.parametrize(
    ("labels", "evidence"),
    [
        ("clean.known_labels[1:] % 2", "sample: labels must be int64 [13], got int64 [12]"),
        ("clean.known_labels / 2", "sample: labels must be int64 [13], got float64 [13]"),
        ("list(clean.known_labels % 2)", "sample: labels must be int64 [13], got a list"),
        ("clean.known_labels + 5", "sample: labels run from 5 to 7, but there are 2 class names"),
    ],
)
def test_labeling_with_wrong_labels_breaks_a_rule(capsys, tmp_path, labels, evidence):
    code, entry = checked_source(capsys, tmp_path, source("labeling", "clean.known_labels % 2", labels))
    assert (code, failed(entry), entry["not_checked_because"]) == (1, {"labeling/labelled"}, None)
    (line,) = (line for line in entry["rules"] if line["verdict"] == "failed")
    assert line["evidence"].startswith(evidence)
    assert line["evidence"].endswith("(thing.py, line 19)")


def test_component_that_refuses_few_images_is_skipped_with_its_reason(capsys, tmp_path):
    text = source("poisoner", "noise = torch", "raise ucbench.UsageError('It needs 50 images.'); noise = torch")
    (tmp_path / "thing.py").write_text(text)
    assert main(["check-plugin", "--plugin", str(tmp_path / "thing.py")]) == 1
    shown = capsys.readouterr().out
    assert re.search(r"\n  Skipped:  It needs 50 images\. \(thing\.py, line \d+\)\n", shown)
    assert "0 failed" in shown


def test_unknown_name_is_a_usage_error(capsys):
    assert main(["check-plugin", "cutot"]) == 2
    assert "no component or plugin 'cutot'. Did you mean 'cutout'" in capsys.readouterr().err
    assert main(["check-plugin"]) == 2
    assert "Nothing to check" in capsys.readouterr().err


def test_folder_that_is_not_installed_is_a_usage_error_with_the_line_that_installs_it(capsys, tmp_path):
    folder = tmp_path / "ucbench-mine"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    assert main(["check-plugin", str(folder)]) == 2
    assert f"pip install -e {folder} && ucbench check-plugin ucbench-mine" in capsys.readouterr().err
