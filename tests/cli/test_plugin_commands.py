"""``check-plugin``, ``new-plugin`` and ``--plugin``: what they say of good, broken and edited plugins."""

from __future__ import annotations

import importlib
import json
import textwrap
import types
from pathlib import Path

import pytest

import ucbench
from ucbench import steps
from ucbench.cli.app import main
from ucbench.plugins import registry
from ucbench.plugins.manager import LoadedPlugin, load_module
from ucbench.plugins.registry import Registry, installed
from ucbench.testing import RULES
from ucbench.testing.subject import CALLS

HEAD = """
import itertools

import numpy as np
import torch
from torch import nn

import ucbench
from ucbench import Params

CALLS = itertools.count()
"""

#: A small component of every kind that keeps its contract, as a plugin in one file.
GOOD = {
    "poisoner": """
        class Thing:
            def __init__(self, params):
                self.params = params

            def craft(self, train, run):
                noise = torch.rand((1, 3, *train.size), generator=run.generator("noise")).numpy()
                delta = np.float32(run.budget.radius) * (2 * noise - 1)
                return ucbench.Perturbation(delta, np.zeros(len(train), np.int64))

            def assign(self, images, labels, state, run):
                return np.zeros(len(images), np.int64)

        @ucbench.hookimpl
        def ucbench_poisoners():
            yield ucbench.PoisonerSpec(
                name="thing", summary="A thing", load=f"{__name__}:Thing", granularity="universal", native_epsilon=8
            )
    """,
    "labeling": """
        class Thing:
            def __init__(self, params):
                self.params = params

            def apply(self, clean, published, test, run):
                names = ("even", "odd")
                return published.with_labels(clean.known_labels % 2, names), test.with_labels(
                    test.known_labels % 2, names
                )

        @ucbench.hookimpl
        def ucbench_labelings():
            yield ucbench.LabelingSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "defense": """
        class Thing:
            def __init__(self, params):
                self.params = params

            def augment(self, x, run, generator):
                return x * torch.rand((len(x), 1, 1, 1), generator=generator)

        @ucbench.hookimpl
        def ucbench_defenses():
            yield ucbench.DefenseSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "victim": """
        class Thing:
            def __init__(self, params):
                self.recipe = ucbench.Recipe(epochs=1)

            def build(self, classes, size):
                return nn.Sequential(nn.Flatten(), nn.Linear(3 * size[0] * size[1], classes))

        @ucbench.hookimpl
        def ucbench_victims():
            yield ucbench.VictimSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "surrogate": """
        class Thing:
            def __init__(self, params):
                with torch.random.fork_rng():
                    torch.manual_seed(0)
                    self.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
                self.network.requires_grad_(False)

            def module(self, seed, train=None):
                return self.network

            def features(self, x):
                return self.network(x)

            def logits(self, x):
                raise ucbench.UsageError("It has none.")

            def to(self, device, dtype):
                self.network.to(device)

        @ucbench.hookimpl
        def ucbench_surrogates():
            yield ucbench.SurrogateSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "dataset": """
        class Thing:
            def __init__(self, params):
                self.params = params

            def load(self, split):
                rng = np.random.default_rng(len(split))
                images = rng.integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
                return ucbench.ImageSet(images, np.arange(6) % 2, ("a", "b"), name=split)

        @ucbench.hookimpl
        def ucbench_datasets():
            yield ucbench.DatasetSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "metric": """
        class Thing:
            def __init__(self, params):
                self.params = params

            def compute(self, context):
                x = torch.from_numpy(context.test.images.copy()).float() / 255
                with torch.no_grad():
                    return {"mean": float(context.model(x).mean())}

        @ucbench.hookimpl
        def ucbench_metrics():
            yield ucbench.MetricSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "executor": """
        from ucbench import compute

        class Thing:
            def __init__(self, params):
                self.params = params

            def run(self, tasks, session, on_done):
                for task in tasks:
                    on_done(task, compute(task, session))

        @ucbench.hookimpl
        def ucbench_executors():
            yield ucbench.ExecutorSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "exporter": """
        class Thing:
            def __init__(self, params):
                self.params = params

            def export(self, entries, title):
                return "".join(f"{entry.name[0]} {entry.undefended.interval.mean}\\n" for entry in entries)

        @ucbench.hookimpl
        def ucbench_exporters():
            yield ucbench.ExporterSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
}

_RETURN = "return ucbench.Perturbation"
_OWN = (
    "delta = delta.repeat(len(train), 0); delta[1:] /= 2; return ucbench.Perturbation(delta, np.arange(len(train))) #"
)
_ASSIGNED = "return np.zeros(len(images), np.int64)"
_RESUMED = "run.checkpoint.save(1, {}); delta *= 1 - bool(run.checkpoint.load())"
_DONE = "on_done(task, compute(task, session))"
_LOAD = 'load=f"{__name__}:Thing")'
_MEAN = "float(context.model(x).mean())"


def other(fields: str, body: str) -> str:
    """The end of a file whose spec has ``fields`` too and loads a class with ``body``, instead of :data:`_LOAD`."""
    return f'{fields}load=f"{{__name__}}:Other")\n\nclass Other(Thing):\n{textwrap.indent(body, "    ")}'


def defended(signature: str, value: str) -> str:
    """A further stage that returns ``value``, before ``def augment``."""
    return f"def {signature}:\n        return {value}\n\n    def augment"


def trainer(predicted: str) -> str:
    return other(
        "opaque=True, ",
        f"def fit(self, train, trusted, run):\n    pass\n\ndef predict(self, images):\n    return {predicted}\n",
    )


def fitted(state: str) -> str:
    """Features depend on the fit, of which nothing is restored."""
    return other(
        "",
        "shift = 0\n\n"
        "def features(self, x):\n    return super().features(x) + self.shift\n\n"
        f"def fit(self, train, run):\n    self.shift = 1\n    return {state}\n\n"
        "def restore(self, state, train, run):\n    pass\n",
    )


def untrained(network: str) -> str:
    """Features without weights are not refused."""
    return other(
        "untrained=True, ",
        "def module(self, seed, train=None):\n"
        f"    with ucbench.seeded(seed):\n        network = {network}\n"
        "    network.features = nn.Flatten()\n    return network\n",
    )


_IDLE = "type('Idle', (nn.Linear,), {'forward': lambda self, x: x})(1, 1)"
_FEW = "type('Few', (nn.Module,), {'forward': lambda self, x: x[:3]})()"
_NETWORK = "nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, len(train.classes)))"
#: What is exchanged in the good component, and the rule that is broken then.
BROKEN = [
    ("poisoner", "(2 * noise - 1)", "(3 * noise - 1)", "budget"),
    ("poisoner", "run.budget.radius", "8 / 255", "budget"),
    ("poisoner", 'generator=run.generator("noise")', "", "generators"),
    ("poisoner", _RETURN, "torch.from_numpy(train.images)[0, 0, 0, 0] ^= 1; return ucbench.Perturbation", "inputs"),
    ("poisoner", _RETURN, "delta[0, 0, 0, 0] = np.nan; return ucbench.Perturbation", "perturbation"),
    ("poisoner", "np.zeros(len(train), np.int64)", "np.zeros(len(train))", "perturbation"),
    ("poisoner", _RETURN, "delta *= len(train.label_sets) or 0.5; return ucbench.Perturbation", "label-free"),
    ("poisoner", 'native_epsilon=8', 'budget="l2"', "native-budget"),
    ("poisoner", _RETURN, "assert len(train) > 3; return ucbench.Perturbation", "few-images"),
    ("poisoner", _RETURN, f"delta *= next(CALLS) % 2; {_RETURN}", "same-seed"),
    ("poisoner", _RETURN, _OWN, "granularity"),
    ("poisoner", _RETURN, f"{_RESUMED}; {_RETURN}", "checkpoint"),
    ("poisoner", _ASSIGNED, "return np.ones(len(images), np.int64)", "assign"),
    ("poisoner", _ASSIGNED, "return np.zeros(len(images), np.int64) + (len(images) == 1)", "assign-each"),
    (
        "poisoner", _ASSIGNED, f"{_ASSIGNED}\n\n    def transform(self, x, index, state):\n        return 2 + x",
        "transform",
    ),
    ("poisoner", "run.budget.radius", "run.budget.radios", "runs"),
    ("poisoner", "self.params = params", "self.params = param", "runs"),
    ("labeling", "clean.known_labels % 2, names", "published.images[:, 0, 0, 0] % np.int64(2), names", "semantic"),
    ("labeling", "test.known_labels % 2", "(test.known_labels + published.images[0, 0, 0, 0]) % 2", "scoring"),
    ("labeling", "return published.with", "return clean.with", "images"),
    ("labeling", "test.known_labels % 2, names", "test.known_labels % 2, names[::-1]", "classes"),
    ("labeling", "clean.known_labels % 2, names", "None", "labelled"),
    ("labeling", "clean.known_labels % 2", "(clean.known_labels + next(CALLS)) % 2", "same-seed"),
    ("defense", "torch.rand((len(x), 1, 1, 1)", "torch.rand((1, 1, 1, 1)", "per-image"),
    ("defense", "generator=generator", "", "generators"),
    ("defense", "return x *", "return 2 - x *", "batch"),
    ("defense", "return x *", "return x.mul_(0.5) *", "inputs"),
    ("defense", 'summary="A thing"', 'summary="A thing", static=True', "static"),
    ("defense", "def augment", "def agument", "stages"),
    ("defense", "return x *", "return x * (next(CALLS) % 2) *", "same-seed"),
    ("defense", "def augment", defended("prepare(self, train, run)", "train.with_labels(None)"), "prepared"),
    ("defense", "def augment", defended("mix(self, x, targets, *_)", "x, 2 * targets"), "targets"),
    ("defense", "def augment", defended("loss(self, *_)", "torch.tensor(1.0)"), "loss"),
    ("defense", "def augment", defended("rates(self, *_)", "{'weights': 0.5}"), "rates"),
    ("defense", "def augment", defended("rates(self, model, run)", "{} if model.eval() else {}"), "model"),
    ("defense", "def augment", defended("at_test(self, x)", "x * x.mean()"), "test-each"),
    ("defense", "def augment", defended("select(self, scores)", "len(scores)"), "select"),
    ("victim", "self.recipe =", "self.recipes =", "recipe"),
    ("victim", "return nn.Sequential", "torch.manual_seed(0); return nn.Sequential", "initialisation"),
    ("victim", "size[1], classes)", "size[1], classes + 1)", "logits"),
    ("victim", "* size[1], classes)", "* size[0], classes)", "runs"),
    ("victim", "nn.Flatten(),", "nn.BatchNorm2d(3, track_running_stats=False), nn.Flatten(),", "each-image"),
    ("victim", 'summary="A thing"', 'summary="A thing", opaque=True', "opaque"),
    ("victim", "return nn.Sequential", "return lambda x: nn.Sequential", "module"),
    ("victim", "nn.Flatten(),", f"nn.Flatten(), {_IDLE},", "gradients"),
    ("victim", "nn.Flatten(),", f"nn.Flatten(), {_FEW},", "trains"),
    ("victim", _LOAD, trainer("np.zeros(3, np.int64)"), "predictions"),
    ("victim", _LOAD, trainer("np.full(len(images), next(CALLS) % 2)"), "same-seed"),
    ("surrogate", "self.network.requires_grad_(False)", "", "frozen"),
    ("surrogate", "return self.network(x)", "return self.network(x).detach()", "differentiable"),
    ("surrogate", "return self.network(x)", "return self.network(x - x.mean(0))", "each-image"),
    ("surrogate", "def to(", "def move(", "methods"),
    ("surrogate", "return self.network\n", "return None\n", "network"),
    ("surrogate", "return self.network(x)", "return self.network(x).double()", "outputs"),
    ("surrogate", _LOAD, fitted("{'shift': 1}"), "state"),
    ("surrogate", _LOAD, fitted("{'calls': np.array(next(CALLS))}"), "same-seed"),
    ("surrogate", _LOAD, fitted("{'classes': np.unique(train.known_labels)}"), "label-free"),
    ("surrogate", _LOAD, fitted("{}"), "restored"),
    ("surrogate", _LOAD, untrained(f"{_NETWORK}.requires_grad_(False)"), "fresh"),
    ("surrogate", _LOAD, untrained(_NETWORK), "no-weights"),
    ("dataset", "np.random.default_rng(len(split))", "np.random.default_rng()", "same-load"),
    ("dataset", '("a", "b")', '("a", split)', "splits"),
    ("dataset", "rng.integers(", "rng.integer(", "runs"),
    ("dataset", "return ucbench", "return dict(name=split) or ucbench", "image-set"),
    ("dataset", "class Thing:", "class Thing(ucbench.FramedDataset):\n    find = lambda self, split: split\n", "split"),
    ("dataset", "class Thing:", "class Thing:\n    note = 3\n", "note"),
    ("metric", _MEAN, 'float("nan")', "finite"),
    ("metric", _MEAN, '"much"', "finite"),
    ("metric", _MEAN, "float(torch.rand(()))", "generators"),
    ("metric", _MEAN, "next(CALLS)", "same-seed"),
    ("metric", "return {", "return {} and {", "values"),
    ("metric", "with torch.no_grad():", "with torch.set_grad_enabled(not context.model.train()):", "model"),
    ("executor", "for task in tasks:", "for task in tasks[1:]:", "once"),
    ("executor", _DONE, "on_done(task, {**compute(task, session), 'status': 'ok'})", "failures"),
    ("executor", _DONE, "on_done(task, {**compute(task, session), 'cell': ''})", "same-records"),
    ("exporter", "return ", "return f'{np.random.default_rng().random()}' + ", "repeatable"),
    ("exporter", "for entry in entries)", "for entry in entries if entry.rank)", "complete"),
    ("exporter", "return ", "return list(entries) or ", "text"),
]  # fmt: skip


def source(kind: str, old: str = "", new: str = "") -> str:
    text = textwrap.dedent(GOOD[kind])
    assert old in text
    return HEAD + text.replace(old, new)


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "thing.py"


def checked(capsys, *arguments: str) -> tuple[int, dict]:
    """Exit code and report of a check."""
    code = main(["check-plugin", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def verdicts(entry: dict) -> dict[str, str]:
    return {line["rule"]: line["verdict"] for line in entry["rules"]}


def failed(entry: dict) -> set[str]:
    return {rule for rule, verdict in verdicts(entry).items() if verdict == "failed"}


class TestCheckPlugin:
    @pytest.mark.parametrize("kind", GOOD)
    def test_conforming_component_passes(self, capsys, file, kind):
        file.write_text(source(kind))
        code, report = checked(capsys, "--plugin", str(file))
        (entry,) = report["components"]
        assert entry["component"] == f"{kind} thing"
        assert (code, report["passed"], failed(entry), entry["not_checked_because"]) == (0, True, set(), None)
        assert verdicts(entry)[f"{kind}/runs"] == "ok"

    @pytest.mark.parametrize(("kind", "old", "new", "rule"), BROKEN, ids=[f"{k}-{r}" for k, _, _, r in BROKEN])
    def test_broken_rule_is_named_with_evidence_and_fix(self, capsys, file, kind, old, new, rule):
        file.write_text(source(kind, old, new))
        code, report = checked(capsys, "--plugin", str(file))
        (entry,) = report["components"]
        assert code == 1
        assert f"{kind}/{rule}" in failed(entry), entry
        line = next(line for line in entry["rules"] if line["rule"] == f"{kind}/{rule}")
        assert line["evidence"]
        assert line["fix"]

    def test_every_rule_is_broken_by_a_case(self):
        rules = {(kind, rule.name) for kind, of_kind in RULES.items() for rule in of_kind if rule not in CALLS}
        assert rules <= {(kind, rule) for kind, _, _, rule in BROKEN}

    def test_rules_are_judged_independently(self, capsys, file):
        """Two that are broken are both found, and those between them are not spoiled."""
        text = source("poisoner", _RETURN, "np.random.rand(); delta *= 2; return ucbench.Perturbation")
        file.write_text(text.replace('"A thing"', '""'))
        _, report = checked(capsys, "--plugin", str(file))
        (entry,) = report["components"]
        assert failed(entry) == {"spec/summary", "poisoner/generators", "poisoner/budget"}
        assert verdicts(entry)["poisoner/same-seed"] == "ok"
        assert verdicts(entry)["poisoner/checkpoint"] == "skipped"

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
    def test_spec_fields_are_checked(self, capsys, file, old, new, rule):
        kinds_of_params = """
            class Few(Params):
                presets = {"quick": {"steps": 3}}

            class Odd(Params):
                def identity(self):
                    return {"when": {1, 2}}
        """
        file.write_text(source("defense", old, new) + textwrap.dedent(kinds_of_params))
        code, report = checked(capsys, "--plugin", str(file))
        assert code == 1
        assert failed(report["components"][0]) >= {f"spec/{rule}"}

    @pytest.mark.parametrize(
        ("sample", "verdict"), [('sample=""', "failed"), ('sample="much"', "failed"), ('sample="0.5"', "ok")]
    )
    def test_required_parameter_needs_a_valid_sample(self, capsys, file, sample, verdict):
        needy = """
            class Needy(Params):
                argument = "rate"
                presets = {"half": {"rate": 0.5}}
                rate: float
        """
        spec = f'name="thing", params=f"{{__name__}}:Needy", {sample}'
        file.write_text(source("defense", 'name="thing"', spec) + textwrap.dedent(needy))
        code, report = checked(capsys, "--plugin", str(file))
        (entry,) = report["components"]
        found = verdicts(entry)
        assert found["spec/sample"] == verdict
        assert (code, found["spec/presets"], found["defense/runs"]) == (
            (0, "ok", "ok") if verdict == "ok" else (1, "ok", "skipped")
        )
        code, report = checked(capsys, "defense/thing:0.5", "--plugin", str(file))
        assert (code, verdicts(report["components"][0])["spec/sample"]) == (0, "skipped")

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
    def test_split_of_a_framed_dataset_is_checked(self, capsys, file, found, rule):
        thing = f"""
            class Thing(ucbench.FramedDataset):
                name, flip = "thing", True

                def find(self, split):
                    rng = np.random.default_rng(len(split))
                    pixels = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
                    images, labels = [ucbench.LazyImage(one, split) for one in pixels], np.arange(6) % 2
                    return {found}
        """
        hook = textwrap.dedent(GOOD["dataset"]).partition("@ucbench")
        file.write_text(
            HEAD
            + textwrap.dedent(thing)
            + "\n"
            + "".join(hook[1:]).replace('name="thing"', 'name="thing", params="ucbench:DatasetParams"')
        )
        _, report = checked(capsys, "--plugin", str(file))
        assert failed(report["components"][0]) == ({f"dataset/{rule}"} if rule else set())

    def test_text_report_has_evidence_and_fix_within_80_columns(self, capsys, file):
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

    def test_error_names_its_line(self, capsys, file):
        file.write_text(source("poisoner", "run.budget.radius", "run.budget.radios"))
        _, report = checked(capsys, "--plugin", str(file))
        evidence = {line["rule"]: line["evidence"] for line in report["components"][0]["rules"]}["poisoner/runs"]
        line = next(i for i, text in enumerate(file.read_text().splitlines(), 1) if "radios" in text)
        assert evidence.endswith(f"AttributeError: 'Budget' object has no attribute 'radios' (thing.py, line {line}).")

    @pytest.mark.parametrize(
        ("kind", "old", "new"),
        [
            ("victim", "nn.Flatten(), nn", "nn.Flatten(), type('Bad', (nn.Module,), {'forward': bad})(), nn"),
            ("dataset", "return ucbench.ImageSet(images,", "return ucbench.ImageSet(bad(),"),
            ("dataset", "return ucbench.ImageSet(images, np", "return ucbench.ImageSet(images, 0.5 * np"),
        ],
    )
    def test_error_inside_the_core_names_the_line_of_the_plugin(self, capsys, file, kind, old, new):
        """torch, or the core, is between the check and the plugin, or raises for it."""
        text = source(kind, old, new) + "\ndef bad(*x):\n    return ucbench.pgd(1)\n"
        file.write_text(text)
        code, report = checked(capsys, "--plugin", str(file))
        assert code == 1
        line = next(i for i, part in enumerate(text.splitlines(), 1) if ("pgd(1)" if "bad" in new else new) in part)
        assert f"(thing.py, line {line})" in json.dumps(report)

    def test_names_may_be_references_distributions_or_modules(self, capsys):
        for name in ("cutout", "defense/cutout", "defenses/cutout"):
            assert [e["component"] for e in checked(capsys, name)[1]["components"]] == ["defense cutout"]
        code, report = checked(capsys, "executor/serial", "victim/resnet18:width=16,epochs=1")
        names = [entry["component"] for entry in report["components"]]
        assert (code, names) == (0, ["executor serial", "victim resnet18:epochs=1,width=16"])

    def test_plugin_name_checks_all_its_components(self, capsys, monkeypatch):
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

    def test_torch_import_at_registration_is_found(self, capsys, tmp_path, monkeypatch):
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

    def test_plugin_without_components_is_only_loaded(self, capsys, file):
        file.write_text("import ucbench\n\n@ucbench.hookimpl\ndef ucbench_cell_failed(event):\n    print(event)\n")
        code, report = checked(capsys, "--plugin", str(file))
        assert (code, verdicts(report["components"][0])) == (0, {"plugin/loads": "ok"})

    def test_uncheckable_component_is_not_a_success(self, capsys):
        code, report = checked(capsys, "dataset/imagefolder")
        (entry,) = report["components"]
        assert (code, failed(entry)) == (1, {"spec/sample"})
        assert "path" in entry["not_checked_because"]
        assert verdicts(entry)["dataset/same-load"] == "skipped"

    def test_unknown_name_is_a_usage_error(self, capsys):
        assert main(["check-plugin", "cutot"]) == 2
        assert "no component or plugin 'cutot'. Did you mean 'cutout'" in capsys.readouterr().err
        assert main(["check-plugin"]) == 2
        assert "Nothing to check" in capsys.readouterr().err

    def test_folder_that_is_not_installed_is_a_usage_error_with_the_line_that_installs_it(self, capsys, tmp_path):
        folder = tmp_path / "ucbench-mine"
        folder.mkdir()
        (folder / "pyproject.toml").touch()
        assert main(["check-plugin", str(folder)]) == 2
        assert f"pip install -e {folder} && ucbench check-plugin ucbench-mine" in capsys.readouterr().err


TINY = """
class Data(Thing):
    def load(self, split):
        images = np.random.default_rng(len(split)).integers(0, 256, (12, 3, 8, 8), dtype=np.uint8)
        return ucbench.ImageSet(images, np.arange(12) % 2, ("a", "b"), name=split)

class Net(Thing):
    recipe = ucbench.Recipe(epochs=1, crop=0)

    def build(self, classes, size):
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * size[0] * size[1], classes))

@ucbench.hookimpl
def ucbench_datasets():
    yield ucbench.DatasetSpec(name="data", summary="Data", load=f"{__name__}:Data", epsilon=8)

@ucbench.hookimpl
def ucbench_victims():
    yield ucbench.VictimSpec(name="net", summary="Net", load=f"{__name__}:Net")
"""


WATCHING = """
@ucbench.hookimpl
def ucbench_epoch_finished(event):
    with open({seen!r}, "a") as file:
        print(event.cell, file=file)
"""


@pytest.fixture
def tiny(file, tmp_path, monkeypatch) -> Path:
    """A poisoner, a data set and a victim in a file."""
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "store"))
    file.write_text(source("poisoner") + TINY)
    return file


def request(file: Path, command: str = "plan") -> list[str]:
    axes = ["--dataset", "data", "--poisoner", "thing", "--victim", "net", "--device", "cpu", "--threads", "1"]
    return [command, *axes, "--plugin", str(file), "--json"]


def rows(capsys, *arguments: str) -> list[dict]:
    assert main(arguments) == 0
    return json.loads(capsys.readouterr().out)


class TestPluginFile:
    def test_plugin_file_is_loaded_for_one_command(self, capsys, tiny):
        before = installed()
        for command in (["list", "poisoner"], ["show", "poisoner", "thing", "--full"], ["plugins"]):
            assert main([*command, "--plugin", str(tiny)]) == 0
            assert "thing.py" in capsys.readouterr().out
        assert installed() is before
        assert main(["show", "poisoner", "thing"]) == 2

    def test_edit_changes_keys_and_undo_restores_them(self, capsys, tiny):
        (*_, first) = rows(capsys, *request(tiny))
        text = tiny.read_text()
        tiny.write_text(text.replace("2 * noise - 1", "1 - 2 * noise"))
        (*_, edited) = rows(capsys, *request(tiny))
        tiny.write_text(text)
        (*_, again) = rows(capsys, *request(tiny))
        assert first["poisoner"] == "thing"
        assert first["cell"] == again["cell"] != edited["cell"]

    def test_results_are_not_reused_after_an_edit(self, capsys, tiny):
        (*_, first) = rows(capsys, *request(tiny, "run"))
        assert {cell["done"] for cell in rows(capsys, *request(tiny))} == {True}
        # An edit of one class would change what the others of the file inherit or call: all are known by the file.
        tiny.write_text(tiny.read_text().replace("np.float32(run.budget.radius)", "np.float32(run.budget.radius / 2)"))
        planned = rows(capsys, *request(tiny))
        assert {(cell["done"], cell["release_done"]) for cell in planned if cell["poisoner"] == "thing"} == {
            (False, False)
        }
        (*_, second) = rows(capsys, *request(tiny, "run"))
        assert (first["measured_linf"], second["measured_linf"]) == (8.0, 4.0)

    def test_records_name_file_and_content_without_folder(self, capsys, tiny, tmp_path):
        out = tmp_path / "out"
        rows(capsys, *request(tiny, "run"), "--out", str(out))
        for path in (out / "records").iterdir():
            components = json.loads(path.read_text())["components"]
            assert components["victim"]["distribution"] == "thing.py"
            assert components["victim"]["file"].startswith(components["victim"]["distribution_version"])
            assert str(tmp_path) not in path.read_text()

    def test_workers_use_the_content_read_at_start(self, capsys, tiny, monkeypatch):
        prepare = steps.run_session

        def run_session(cells, here, **options):
            tiny.write_text("raise RuntimeError('edited too early')")
            return prepare(cells, here, **options)

        monkeypatch.setattr(steps, "run_session", run_session)
        found = rows(capsys, *request(tiny, "run"), "--executor", "process:workers=1")
        assert {row["status"] for row in found} == {"ok"}
        assert found[-1]["measured_linf"] == 8.0

    def test_workers_have_the_file_for_nested_references_and_hooks(self, capsys, tiny, tmp_path):
        seen = tmp_path / "seen"
        tiny.write_text(tiny.read_text() + WATCHING.format(seen=str(seen)))
        arguments = request(tiny, "run")
        arguments[arguments.index("thing")] = "shuffled:thing"
        found = rows(capsys, *arguments, "--executor", "process:workers=1")
        assert {row["status"] for row in found} == {"ok"}, found
        assert sorted(seen.read_text().split()) == sorted(row["cell"] for row in found)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("def", "cannot be imported: SyntaxError"),
            ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
            ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
            ("def ucbench_poisoners():\n    return []", "none of its functions is marked @ucbench.hookimpl"),
            (source("poisoner").replace("ucbench_poisoners", "ucbench_poisners"), "ucbench_poisners"),
            (source("poisoner").replace('"thing"', '"Thing"'), "invalid name 'Thing'"),
        ],
    )
    def test_broken_file_is_reported_like_a_broken_plugin(self, capsys, file, text, reason):
        file.write_text(text)
        plugins = rows(capsys, "plugins", "--plugin", str(file), "--json")["plugins"]
        (sick,) = [plugin for plugin in plugins if plugin["problem"]]
        assert sick["distribution"] == "thing.py"
        assert reason in sick["problem"]
        assert main(["run", "--poisoner", "thing", "--plugin", str(file)]) == 2
        error = capsys.readouterr().err
        assert "Unknown poisoner 'thing'" in error
        assert f"thing.py was left out: {sick['problem']}." in error
        code, report = checked(capsys, "--plugin", str(file))
        assert code == 1
        assert failed(report["components"][0]) == {"plugin/loads"}

    def test_name_of_an_installed_component_is_contested(self, capsys, file):
        file.write_text(source("poisoner").replace('"thing"', '"uc"'))
        assert main(["run", "--poisoner", "uc", "--plugin", str(file)]) == 1
        error = capsys.readouterr().err
        assert "ucbench_uc" in error
        assert "thing.py" in error

    def test_file_that_is_not_python_is_rejected(self, capsys, tmp_path):
        assert main(["list", "--plugin", str(tmp_path / "missing.py")]) == 2
        other = tmp_path / "notes.txt"
        other.touch()
        assert main(["list", "--plugin", str(other)]) == 2
        assert "must end in .py" in capsys.readouterr().err

    def test_same_file_given_twice_is_one_plugin(self, tiny):
        with registry.trying([tiny, str(tiny)]), registry.trying([tiny]):
            assert sum(plugin.distribution == "thing.py" for plugin in installed().plugins) == 1
            assert installed().find("poisoner", "thing").name == "thing"


class TestNewPlugin:
    def test_prints_the_folder_and_next_steps(self, capsys, tmp_path):
        assert main(["new-plugin", "my-noise", "--kind", "poisoner", "--out", str(tmp_path)]) == 0
        folder = tmp_path / "ucbench-my-noise"
        text = capsys.readouterr().out
        assert f"pip install -e {folder}" in text
        assert (folder / "src" / "ucbench_my_noise" / "poisoner.py").exists()

    def test_taken_name_is_rejected_with_its_owner_without_writing(self, capsys, tmp_path):
        assert main(["new-plugin", "uc", "--kind", "poisoner", "--out", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert "The poisoner name 'uc' is taken: ucbench_uc (ucbench " in error
        assert "'my-uc'" in error
        assert list(tmp_path.iterdir()) == []

    def test_kind_is_required(self, capsys, tmp_path):
        assert main(["new-plugin", "x", "--out", str(tmp_path)]) == 2
        assert main(["new-plugin", "x", "--kind", "poisner", "--out", str(tmp_path)]) == 2
        assert "'poisner'" in capsys.readouterr().err
