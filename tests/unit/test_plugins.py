"""Plugins: a broken one is named and left out; the others never notice."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
import string
import sys
import textwrap
import types
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ucbench
from ucbench.errors import UsageError
from ucbench.plugins import hookspecs
from ucbench.plugins import manager as plugins
from ucbench.plugins.specs import SPEC_KINDS, CellEvent, EpochEvent

EVENT = CellEvent({"metrics": {}})
GOOD = """
import ucbench

@ucbench.hookimpl
def ucbench_poisoners():
    yield ucbench.PoisonerSpec(name="good", summary="", load="m:C")
"""


class Site:
    """A folder of installed distributions, as pip leaves them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def install(
        self, distribution: str, version: str, module: str, source: str, entry_point: str | None = None
    ) -> None:
        info = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[ucbench]\n{entry_point or module} = {module}\n")
        (self.path / f"{module}.py").write_text(textwrap.dedent(source))

    def entry_points(self) -> list[importlib.metadata.EntryPoint]:
        found = importlib.metadata.distributions(path=[str(self.path)])
        return [entry_point for distribution in found for entry_point in distribution.entry_points]

    def load(self) -> dict[str, plugins.LoadedPlugin]:
        return {plugin.distribution: plugin for plugin in plugins.load_entry_points(self.entry_points())}


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    yield Site(tmp_path)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def hooks(**functions):
    """A plugin at hand: an object whose attributes implement the hooks."""
    return types.SimpleNamespace(**{name: ucbench.hookimpl(function) for name, function in functions.items()})


def poisoner(**changes):
    return ucbench.PoisonerSpec(**{"name": "stripes", "summary": "", "load": "m:C"} | changes)


BROKEN_SOURCES = {
    "syntax": ("def", "cannot be imported: SyntaxError"),
    "import": ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
    "exit": ("import sys; sys.exit(3)", "cannot be imported: SystemExit: 3"),
    "raises": (
        GOOD.replace('"good"', '"first"') + "    raise ValueError('half\\nway')\n",
        "hook ucbench_poisoners raised: ValueError: half way",
    ),
    "exits": (GOOD.replace("yield", "exit(); yield"), "hook ucbench_poisoners raised: SystemExit"),
    "misspelt": (
        GOOD.replace("ucbench_poisoners", "ucbench_poisners"),
        "implements 'ucbench_poisners', which is not a hook; perhaps 'ucbench_poisoners'",
    ),
    "argument": (GOOD.replace("poisoners()", "poisoners(nonsense)"), "nonsense"),
}


@pytest.mark.parametrize("case", BROKEN_SOURCES)
def test_broken_distribution_is_reported_and_others_load(site, case):
    source, reason = BROKEN_SOURCES[case]
    site.install("ucbench-good", "1.0", "ucbench_good_one", GOOD)
    site.install("ucbench-bad", "2.5", "ucbench_bad_one", source)

    loaded = site.load()

    bad = loaded["ucbench-bad"]
    assert reason in bad.problem
    assert "\n" not in bad.problem
    assert (bad.name, bad.version, bad.module) == ("ucbench_bad_one", "2.5", "ucbench_bad_one")
    assert bad.specs == ()
    assert loaded["ucbench-good"].problem is None
    assert [record.name for record in loaded["ucbench-good"].specs] == ["good"]


@pytest.mark.parametrize(
    ("yielded", "reason"),
    [
        ({"name": "stripes"}, "type dict, which is not a PoisonerSpec"),
        (
            ucbench.VictimSpec(name="net", summary="", load="m:C"),
            "VictimSpec, which is not a PoisonerSpec",
        ),
        (poisoner(aliases="em"), "aliases='em', which is not a tuple"),
        (poisoner(aliases=("Em",)), "invalid name 'Em'"),
        (poisoner(aliases=("14",)), "invalid name '14'"),
        (poisoner(name=None), "invalid name None"),
        (poisoner(load="m.C"), "load='m.C', which is not of the form 'module:Class'"),
        (poisoner(params="m:"), "params='m:', which is not of the form 'module:Class'"),
        (poisoner(version=0), "version=0"),
        (poisoner(version="2"), "version='2'"),
        (poisoner(requires=("ray",)), "requires but no extra"),
        (poisoner(label_access="labels"), "label_access='labels', which is none of none, names, full"),
        (poisoner(granularity="samplewise"), "granularity='samplewise', which is none of sample, class"),
        (poisoner(budget="Linf"), "budget='Linf', which is none of linf, l2, l0, unbounded"),
        (poisoner(aliases=("stripes",)), "claims the poisoner name 'stripes' 2 times"),
    ],
)
def test_invalid_spec_excludes_the_whole_plugin(yielded, reason):
    plugin = plugins.load_module("p", hooks(ucbench_poisoners=lambda: [poisoner(name="fine"), yielded]))
    assert reason in plugin.problem
    assert plugin.specs == ()


@pytest.mark.parametrize(
    ("reads", "reason"),
    [
        (("model", "clean"), "reads='clean', which is none of source, published"),
        ("model", "reads='model', which is not a tuple"),
    ],
)
def test_metric_that_reads_what_no_context_has_is_invalid(reads, reason):
    spec = ucbench.MetricSpec(name="mean", summary="", load="m:C", reads=reads)
    assert reason in plugins.load_module("p", hooks(ucbench_metrics=lambda: [spec])).problem


def test_optional_hook_may_be_one_of_another_version():
    @ucbench.hookimpl(optionalhook=True)
    def later():
        return ()

    assert plugins.load_module("p", types.SimpleNamespace(ucbench_later=later)).problem is None


def test_hook_that_returns_instead_of_yielding_is_reported():
    plugin = plugins.load_module("p", hooks(ucbench_poisoners=lambda: poisoner()))
    assert "hook ucbench_poisoners raised: TypeError" in plugin.problem


def is_kebab(text: str) -> bool:
    alphabet = string.ascii_lowercase + string.digits
    parts = text.split("-")
    return text[:1] in tuple(string.ascii_lowercase) and all(p and set(p) <= set(alphabet) for p in parts)


@given(st.text("ab9-_A.é\n", max_size=6))
@example("a\n")
@example("")
def test_names_must_be_lower_kebab(name):
    plugin = plugins.load_module("p", hooks(ucbench_poisoners=lambda: [poisoner(name=name)]))
    assert (plugin.problem is None) == is_kebab(name)


def test_duplicate_entry_point_names_are_both_reported(site):
    site.install("ucbench-a", "1.0", "ucbench_mod_a", GOOD, entry_point="same")
    site.install("ucbench-b", "2.0", "ucbench_mod_b", GOOD.replace("good", "other"), entry_point="same")
    site.install("ucbench-c", "3.0", "ucbench_mod_c", GOOD.replace("good", "third"))

    loaded = site.load()

    for name in ("ucbench-a", "ucbench-b"):
        assert "ucbench-a 1.0" in loaded[name].problem
        assert "ucbench-b 2.0" in loaded[name].problem
        assert loaded[name].specs == ()
    assert loaded["ucbench-c"].problem is None


def test_plugins_cannot_wrap_hooks_of_others(site):
    site.install("ucbench-good", "1.0", "ucbench_good_two", GOOD)
    site.install(
        "ucbench-greedy",
        "1.0",
        "ucbench_greedy",
        """
        import ucbench

        @ucbench.hookimpl(wrapper=True)
        def ucbench_poisoners():
            yield
            return []
        """,
    )
    assert [record.name for record in site.load()["ucbench-good"].specs] == ["good"]


@pytest.mark.parametrize(
    ("choice", "names"),
    [("", {"one_plugin", "two_plugin"}), ("none", set()), (" two_plugin , ", {"two_plugin"})],
)
def test_environment_restricts_plugins_but_not_the_core(site, monkeypatch, choice, names):
    site.install("ucbench-one", "1.0", "one_plugin", GOOD)
    site.install("ucbench-two", "1.0", "two_plugin", GOOD.replace("good", "other"))
    monkeypatch.setattr(plugins, "entry_points", lambda group: site.entry_points())
    monkeypatch.setenv(plugins.RESTRICT_VARIABLE, choice)

    loaded = plugins.load_plugins.__wrapped__()

    assert {plugin.name for plugin in loaded} == {"ucbench"} | names
    assert {record.name for record in loaded[0].specs} >= {"clean", "sham"}


def test_environment_naming_an_uninstalled_plugin_raises(site, monkeypatch):
    site.install("ucbench-one", "1.0", "one_plugin", GOOD)
    monkeypatch.setattr(plugins, "entry_points", lambda group: site.entry_points())
    monkeypatch.setenv(plugins.RESTRICT_VARIABLE, "one_plugn")
    with pytest.raises(UsageError, match=r"'one_plugn'.*Did you mean 'one_plugin'"):
        plugins.load_plugins.__wrapped__()


def test_notify_reports_failing_observers_and_calls_the_rest():
    heard = []

    def shout(event):
        raise RuntimeError("no")

    def leave(event):
        sys.exit(1)

    observers = [
        plugins.load_module("loud", hooks(ucbench_cell_finished=shout), "ucbench-loud", "1.2"),
        plugins.load_module("leaver", hooks(ucbench_cell_finished=leave), "ucbench-leaver", "1.3"),
        plugins.load_module("calm", hooks(ucbench_cell_finished=lambda event: heard.append(event))),
        plugins.load_module("deaf", hooks(ucbench_cell_failed=shout)),
    ]
    problems = plugins.notify("ucbench_cell_finished", EVENT, observers)

    assert heard == [EVENT]
    assert problems == [
        "Plugin loud (ucbench-loud 1.2): hook ucbench_cell_finished raised: RuntimeError: no.",
        "Plugin leaver (ucbench-leaver 1.3): hook ucbench_cell_finished raised: SystemExit: 1.",
    ]


def test_excluded_plugin_observes_nothing():
    heard = []
    broken = plugins.load_module(
        "p", hooks(ucbench_poisoners=lambda: [None], ucbench_cell_finished=lambda event: heard.append(event))
    )
    assert plugins.notify("ucbench_cell_finished", EVENT, [broken]) == []
    assert heard == []


@pytest.mark.parametrize("hook", [name for name in vars(hookspecs) if name.startswith("ucbench_")])
def test_example_of_a_hook_is_a_complete_plugin(hook, tmp_path, capsys):
    """What documentation and contract show loads as it stands, and registers what the hook is for."""
    (code,) = re.findall(r"```python\n(.*?)```", inspect.getdoc(getattr(hookspecs, hook)), re.DOTALL)
    module = types.ModuleType("example")
    module.__file__ = str(tmp_path / "my_plugin.py")
    exec(code, vars(module))
    plugin = plugins.load_module("example", module)

    assert plugin.problem is None
    kind = hook.removeprefix("ucbench_").removesuffix("s")
    assert [spec.kind for spec in plugin.specs] == ([kind] if kind in SPEC_KINDS else [])
    if hook == "ucbench_suites":
        assert plugins.suite_paths([plugin]) == ({"my-suite": tmp_path / "my-suite.toml"}, [])
    if hook == "ucbench_epoch_finished":
        event = EpochEvent("0123456789", {"poisoner": "uc"}, 2, 20, {"loss": 1.25, "lr": 0.1})
        assert plugins.notify(hook, event, [plugin]) == []
        assert capsys.readouterr().out == "01234567 2/20: 1.250\n"
    if hook.startswith("ucbench_cell_"):
        error = {"type": "DataError", "text": "gone"}
        record = {"request": {"poisoner": "uc"}, "metrics": {"test_accuracy": 9.5}, "error": error}
        assert plugins.notify(hook, CellEvent(record), [plugin]) == []
        assert capsys.readouterr().out.startswith("uc: ")
