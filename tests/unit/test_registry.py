"""The registry: names mean one thing or are an error, and references become definite."""

from __future__ import annotations

import itertools
import re
import types

import pytest
from pydantic import Field

import ucbench
from ucbench import PluginError, UsageError
from ucbench.plugins.manager import LoadedPlugin, load_module
from ucbench.plugins.registry import Registry

HERE = __name__


class StripesParams(ucbench.Params):
    period: int = Field(4, ge=1)
    angle: float = 0.0
    where: str = ""

    presets = {"paper": {"period": 8}}  # noqa: RUF012
    argument = "where"


class QuickParams(StripesParams):
    presets = {"quick": {"period": 2}}  # noqa: RUF012


class NeedyParams(StripesParams):
    rate: float


class Stripes:
    def __init__(self, params):
        self.params = params


NO_CLASS = "text"


def poisoner(name="stripes", **changes):
    values = {"summary": "", "load": f"{HERE}:Stripes", "params": f"{HERE}:StripesParams"} | changes
    return ucbench.PoisonerSpec(name=name, **values)


def plugin(distribution, *records) -> LoadedPlugin:
    def hook(kind):
        return ucbench.hookimpl(lambda: [record for record in records if record.kind == kind])

    module = types.SimpleNamespace(**{f"ucbench_{r.kind}s": hook(r.kind) for r in records})
    loaded = load_module(distribution.replace("-", "_"), module, distribution, "1.0")
    assert loaded.problem is None
    return loaded


@pytest.fixture
def registry():
    return Registry([plugin("ucbench-stripes", poisoner(aliases=("bars",)), poisoner("dots"))])


def test_registry_finds_components_by_name_alias_and_kind_spelling(registry):
    record = registry.find("poisoner", "stripes")
    assert record.name == "stripes"
    assert registry.find("poisoners", "bars") is record
    assert registry.origin("poisoner", "bars").distribution == "ucbench-stripes"


def test_unknown_name_error_suggests_names_and_failed_plugins(registry):
    broken = LoadedPlugin("sick", "ucbench-sick", "0.3", "sick", problem="it broke")
    with pytest.raises(UsageError) as caught:
        Registry([*registry.plugins, broken]).find("poisoner", "strips")
    text = str(caught.value)
    assert "'stripes'" in text
    assert "ucbench list poisoner" in text
    assert "ucbench-sick 0.3" in text
    assert caught.value.exit_code == 2


def test_unknown_name_error_names_the_kind_that_has_it(registry):
    with pytest.raises(UsageError, match=r"^Unknown defense 'stripes' \(there is a poisoner of this name\)\."):
        registry.find("defense", "stripes")


def test_unknown_kind_error_lists_the_kinds(registry):
    with pytest.raises(UsageError, match=r"'poisonr'.*'poisoner'"):
        registry.names("poisonr")


def test_names_match_aliases_and_are_sorted(registry):
    assert registry.names("poisoner") == ("dots", "stripes")
    assert registry.names("poisoner", "b*") == ("stripes",)
    assert registry.names("poisoner", "B*") == ()


@pytest.mark.parametrize(
    ("first", "second", "contested", "usable"),
    [
        (poisoner("em"), poisoner("em"), "em", ()),
        (poisoner("em", aliases=("a",)), poisoner("b", aliases=("em",)), "em", ("b",)),
        (poisoner("a", aliases=("em",)), poisoner("b", aliases=("em",)), "em", ("a", "b")),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_contested_name_error_names_both_plugins_in_any_order(first, second, contested, usable, swapped):
    pair = [
        plugin("ucbench-one", first, poisoner("own-one")),
        plugin("ucbench-two", second, poisoner("own-two")),
    ]
    registry = Registry(reversed(pair) if swapped else pair)

    with pytest.raises(PluginError) as caught:
        registry.find("poisoner", contested)

    assert "ucbench-one 1.0" in str(caught.value)
    assert "ucbench-two 1.0" in str(caught.value)
    assert registry.names("poisoner") == tuple(sorted([*usable, "own-one", "own-two"]))
    assert len(registry.conflicts) == 1
    for name in registry.names("poisoner"):
        assert registry.find("poisoner", name).name == name


def test_alias_of_a_contested_component_is_contested():
    registry = Registry([plugin("ucbench-one", poisoner("em", aliases=("a",))), plugin("ucbench-two", poisoner("em"))])
    with pytest.raises(PluginError, match=r"ucbench-one 1\.0.*ucbench-two 1\.0"):
        registry.find("poisoner", "a")


def test_kinds_may_share_a_name():
    victim = ucbench.VictimSpec(name="stripes", summary="", load="m:C")
    registry = Registry([plugin("ucbench-one", poisoner()), plugin("ucbench-two", victim)])
    assert registry.conflicts == ()
    assert registry.find("victim", "stripes") is victim


def test_resolve_fills_in_version_and_parameters(registry):
    resolved = registry.resolve("poisoner", "bars@paper:angle=30")
    assert resolved.params == StripesParams(period=8, angle=30.0)
    assert resolved.preset == "paper"
    assert registry.resolve("poisoner", "bars").preset == "standard"
    assert resolved.origin.distribution == "ucbench-stripes"
    built = resolved.build()
    assert isinstance(built, Stripes)
    assert built.params == resolved.params


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("bars", "stripes"),
        ("stripes@standard", "stripes"),
        ("bars@paper:angle=30", "stripes@paper:angle=30"),
        ("stripes:period=3,angle=2", "stripes:angle=2,period=3"),
        ("stripes:here:period=3", "stripes:here:period=3"),
    ],
)
def test_equal_references_print_alike_and_resolve_back(registry, written, canonical):
    resolved = registry.resolve("poisoner", written)
    assert str(resolved) == canonical
    assert registry.resolve("poisoner", canonical) == resolved


def test_identity_is_independent_of_spelling(registry):
    def identity(text):
        return registry.resolve("poisoner", text).identity()

    same = [identity(text) for text in ("stripes", "bars", "stripes@standard", "stripes:period=4", "stripes:angle=0")]
    assert all(each == same[0] for each in same)
    assert same[0] == {
        "name": "stripes",
        "version": 1,
        "params": {"period": 4, "angle": 0.0, "where": ""},
    }
    different = [identity(text) for text in ("stripes", "dots", "stripes@paper", "stripes:period=5", "stripes:x")]
    assert all(a != b for a, b in itertools.combinations(different, 2))


def test_identity_changes_with_the_version():
    first, second = (
        Registry([plugin("ucbench-one", poisoner(version=v))]).resolve("poisoner", "stripes") for v in (1, 2)
    )
    assert first.identity() != second.identity()


def test_identity_does_not_change_with_what_describes_the_component():
    described = poisoner(fidelity="as published", paper="A. Author 2024", equation="x", summary="Stripes")
    first, second = (
        Registry([plugin("ucbench-one", spec)]).resolve("poisoner", "stripes") for spec in (poisoner(), described)
    )
    assert first.identity() == second.identity()


@pytest.mark.parametrize("text", ["stripes@papre", "stripes:perod=3", "stripes:period=0", "dots:period=x"])
def test_invalid_parameters_raise_usage_error_naming_the_component(registry, text):
    with pytest.raises(UsageError, match=f"poisoner '{text.split('@')[0].split(':')[0]}'"):
        registry.resolve("poisoner", text)


@pytest.mark.parametrize(
    ("params", "sample", "reference"),
    [
        ("StripesParams", "", "stripes"),
        ("QuickParams", "", "stripes@quick"),
        ("QuickParams", "period=3", "stripes:period=3"),
        ("NeedyParams", "left:rate=0.5", "stripes:left:rate=0.5"),
    ],
)
def test_sample_is_that_of_the_spec_or_else_the_quick_preset(params, sample, reference):
    known = Registry([plugin("ucbench-stripes", poisoner(params=f"{HERE}:{params}", sample=sample, aliases=("bars",)))])
    assert str(known.sample("poisoner", "bars")) == reference


@pytest.mark.parametrize("sample", ["", "rate=much", "rate=1,,", "period=3"])
def test_sample_that_is_wrong_or_missing_raises_usage_error(sample):
    known = Registry([plugin("ucbench-stripes", poisoner(params=f"{HERE}:NeedyParams", sample=sample))])
    with pytest.raises(UsageError):
        known.sample("poisoner", "stripes")


def test_identity_does_not_depend_on_the_sample(registry):
    sampled = Registry([plugin("ucbench-stripes", poisoner(sample="period=3"))])
    first, second = (known.resolve("poisoner", "stripes").identity() for known in (registry, sampled))
    assert first == second


@pytest.mark.parametrize(
    ("presets", "fault"),
    [
        ({"paper": 8}, "The preset 'paper' maps parameters to values; it is 8."),
        (
            {"paper": {"period": 8}, "quick": ["period"]},
            "The preset 'quick' maps parameters to values; it is ['period'].",
        ),
        (["paper"], "presets maps names to mappings of parameters to values; it is ['paper']."),
        (None, "presets maps names to mappings of parameters to values; it is None."),
    ],
)
@pytest.mark.parametrize("reference", ["stripes", "stripes@paper"])
def test_presets_that_are_no_mappings_are_an_error_that_names_the_plugin(
    registry, monkeypatch, presets, fault, reference
):
    monkeypatch.setattr(StripesParams, "presets", presets)
    where = f"poisoner 'stripes' of plugin ucbench_stripes (ucbench-stripes 1.0): '{HERE}:StripesParams': "
    with pytest.raises(PluginError, match=f"^{re.escape(where + fault)}$"):
        registry.resolve("poisoner", reference)


def test_resolve_does_not_import_the_component():
    record = poisoner(load="no_such_module_anywhere:Stripes")
    resolved = Registry([plugin("ucbench-one", record)]).resolve("poisoner", "stripes")
    with pytest.raises(PluginError, match=r"ucbench-one 1\.0.*no_such_module_anywhere"):
        resolved.build()


def test_missing_requirement_raises_with_install_line_on_build():
    record = poisoner(
        load="no_such_module_anywhere:Stripes",
        requires=("json", "no_such_module_anywhere.part"),
        extra="ucbench-stripes[fast]",
    )
    resolved = Registry([plugin("ucbench-one", record)]).resolve("poisoner", "stripes")
    with pytest.raises(UsageError) as caught:
        resolved.build()
    assert 'pip install "ucbench-stripes[fast]"' in str(caught.value)
    assert "no_such_module_anywhere" in str(caught.value)
    assert "json" not in str(caught.value)


@pytest.mark.parametrize("path", [f"{HERE}:Stripes", f"{HERE}:Absent", f"{HERE}:NO_CLASS", "absent_module:P"])
def test_unimportable_parameters_raise_plugin_error_naming_the_distribution(path):
    registry = Registry([plugin("ucbench-one", poisoner(params=path))])
    with pytest.raises(PluginError, match=r"poisoner 'stripes'.*ucbench-one 1\.0"):
        registry.resolve("poisoner", "stripes")


def test_component_that_is_not_a_class_raises_plugin_error():
    registry = Registry([plugin("ucbench-one", poisoner(load=f"{HERE}:NO_CLASS"))])
    with pytest.raises(PluginError, match="is not a class"):
        registry.component_class(registry.find("poisoner", "stripes"))


def test_public_names_exist():
    for name in set(ucbench.__all__) - {"run", "craft", "plan"}:
        assert getattr(ucbench, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = ucbench.no_such_name
