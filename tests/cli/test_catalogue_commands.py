"""``list``, ``show`` and ``plugins`` over a registry made for the purpose."""

from __future__ import annotations

import json
import logging
import re
import sys
import types
from typing import Literal

import pytest
from pydantic import Field

import ucbench
from ucbench.cli.app import main
from ucbench.cli.output import print_facts, print_json, print_table
from ucbench.plugins.manager import LoadedPlugin, load_module
from ucbench.plugins.registry import Registry

SUMMARY = "stripes that [bold]run[/bold] on " + "and on " * 30


class StripesParams(ucbench.Params):
    steps: tuple[int, ...] = Field((75, 90), description="where the angle changes")
    shape: Literal["flat", "sine"] = "flat"
    strength: float | None = Field(None, gt=0, le=1)
    path: str
    angle: tuple[float, ...] | float | tuple[float, float] = 1.0

    presets = {"paper": {"shape": "sine", "steps": (1,)}}  # noqa: RUF012
    argument = "path"


class ShapedParams(ucbench.Params):
    shape: Literal["flat", "sine"]
    argument = "shape"


def poisoner(name, **changes):
    values = {"summary": SUMMARY, "load": "absent:Stripes", "params": f"{__name__}:StripesParams"} | changes
    return ucbench.PoisonerSpec(name=name, **values)


def plugin(distribution, *records):
    module = types.SimpleNamespace(ucbench_poisoners=ucbench.hookimpl(lambda: records))
    return load_module(distribution.replace("-", "_"), module, distribution, "1.0")


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    registry = Registry(
        [
            plugin(
                "ucbench-stripes",
                poisoner("stripes", aliases=("bars",), paper="A. Author 2024"),
                poisoner("fast", requires=("no_such_module_anywhere",), extra="ucbench-stripes[fast]"),
                poisoner("twice"),
            ),
            plugin("ucbench-rival", poisoner("twice")),
            LoadedPlugin("sick", "ucbench-sick", "0.3", "sick", problem="cannot be imported: ImportError: it"),
        ]
    )
    for module in ("catalogue", "plugins"):
        monkeypatch.setattr(f"ucbench.cli.{module}.installed", lambda: registry)
    yield
    logging.getLogger("ucbench").setLevel(logging.NOTSET)


def output(capsys, *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_list_is_complete_when_piped(capsys):
    lines = output(capsys, "list", "poisoners").splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "fast", "stripes"]
    assert all(SUMMARY.strip() in line for line in lines[1:])
    assert 'pip install "ucbench-stripes[fast]"' in lines[1]
    assert "pip install" not in lines[2]


def test_list_json_has_origin_and_missing_requirements(capsys):
    fast, stripes = json.loads(output(capsys, "list", "--json"))
    assert (stripes["kind"], stripes["name"], stripes["aliases"]) == ("poisoner", "stripes", ["bars"])
    assert (stripes["distribution"], stripes["distribution_version"]) == ("ucbench-stripes", "1.0")
    assert stripes["missing"] == []
    assert fast["missing"] == ["no_such_module_anywhere"]


def test_list_filters_by_glob_on_name_or_alias(capsys):
    assert [r["name"] for r in json.loads(output(capsys, "list", "poisoner", "b*", "--json"))] == ["stripes"]


def test_list_with_a_colon_in_the_glob_lists_known_arguments(monkeypatch, capsys):
    shaped = Registry([plugin("ucbench-shaped", poisoner("shaped", params=f"{__name__}:ShapedParams"))])
    monkeypatch.setattr("ucbench.cli.catalogue.installed", lambda: shaped)
    assert output(capsys, "list", "poisoner", "shaped:*").split() == ["shaped:flat", "shaped:sine"]
    assert output(capsys, "list", "poisoner", "shap*:s*").split() == ["shaped:sine"]
    assert main(["list", "poisoner", "shaped:round"]) == 0
    assert "No component has a known argument 'shaped:round'." in capsys.readouterr().err


def test_list_warns_of_excluded_plugins_unless_quiet(capsys, caplog):
    main(["list"])
    text = caplog.text
    assert "ucbench-sick 0.3" in text
    assert "ucbench-stripes 1.0" in text
    assert "ucbench-rival 1.0" in text
    caplog.clear()
    main(["list", "-q"])
    assert caplog.text == ""


def test_show_prints_types_defaults_and_presets(capsys):
    shown = json.loads(output(capsys, "show", "poisoner", "bars", "--json"))
    rows = {row["name"]: row for row in shown["parameters"]}
    assert shown["name"] == "stripes"
    assert shown["presets"] == ["standard", "paper"]
    assert shown["written"] == "stripes[@PRESET]:PATH[:key=value,...]"
    assert {name: row["type"] for name, row in rows.items()} == {
        "steps": "int/...",
        "shape": "flat | sine",
        "strength": "float | none > 0, <= 1",
        "path": "str",
        "angle": "float/... | float",
    }
    assert rows["steps"]["default"] == [75, 90]
    assert rows["steps"]["presets"] == {"paper": [1]}
    assert rows["strength"]["presets"] == {}
    assert [name for name, row in rows.items() if row["required"]] == ["path"]
    assert not any("value" in row for row in rows.values())


def test_show_resolves_a_reference_with_parameters(capsys):
    shown = json.loads(output(capsys, "show", "poisoner", "bars@paper:here:strength=0.5", "--json"))
    assert shown["reference"] == "stripes@paper:here:strength=0.5"
    assert {row["name"]: row["value"] for row in shown["parameters"]} == {
        "steps": [1],
        "shape": "sine",
        "strength": 0.5,
        "path": "here",
        "angle": 1.0,
    }


def test_show_finds_the_kind_of_a_name_or_alias(capsys):
    for reference in ("bars", "stripes@paper:here"):
        assert output(capsys, "show", reference) == output(capsys, "show", "poisoner", reference)


def test_show_prints_values_in_reference_syntax(capsys):
    text = output(capsys, "show", "poisoner", "stripes@paper:here")
    assert "A. Author 2024" in text
    steps = next(line for line in text.splitlines() if line.startswith("steps"))
    assert steps.split() == ["steps", "int/...", "75/90", "1", "1", "where", "the", "angle", "changes"]


def test_plugins_lists_components_failures_and_clashes(capsys):
    report = json.loads(output(capsys, "plugins", "--json"))
    by_name = {entry["distribution"]: entry for entry in report["plugins"]}
    assert by_name["ucbench-stripes"]["components"] == {"poisoner": ["stripes", "fast", "twice"]}
    assert by_name["ucbench-sick"]["problem"] == "cannot be imported: ImportError: it"
    assert len(report["conflicts"]) == 1
    text = output(capsys, "plugins")
    assert "cannot be imported: ImportError: it" in text
    assert report["conflicts"][0] in text


def test_terminal_output_is_complete_and_keeps_brackets(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    print_table(["name", "summary"], [["stripes", SUMMARY]])
    print_facts([("summary", SUMMARY)])
    words = capsys.readouterr().out.split()
    assert words.count("[bold]run[/bold]") == 2
    assert words.count("and") == 60


@pytest.mark.parametrize("width", [60, 80])
def test_table_on_narrow_terminal_wraps_prose_only_and_leaves_out_optional_columns(capsys, monkeypatch, width):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    row = ["a-component-of-long-name", SUMMARY, "a-distribution-of-long-name"]
    assert print_table(["name", "summary", "from"], [row], optional=["from"], prose="summary")
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, text.splitlines())) <= width
    assert row[0] in text.split()
    assert row[2] not in text
    assert text.split().count("and") == 30


def test_table_on_wide_terminal_has_optional_columns(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "90")
    assert not print_table(["name", "summary", "from"], [["uc", SUMMARY, "here"]], optional=["from"], prose="summary")
    assert "here" in capsys.readouterr().out.split()


def test_empty_table_prints_nothing(capsys):
    print_table(["name"], [])
    assert capsys.readouterr().out == ""


def test_print_json_writes_floats_with_ten_significant_digits_at_any_depth(capsys):
    print_json({"drop": [90.0 - 59.4, {"lr": 1e-12 + 0.1}], "n": 3, "none": None, "done": True})
    assert json.loads(capsys.readouterr().out) == {"drop": [30.6, {"lr": 0.1}], "n": 3, "none": None, "done": True}
