"""``list``, ``show`` and ``plugins`` over a registry made for the purpose."""

from __future__ import annotations

import io
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
from ucbench.results.text import TextColumn

SUMMARY = "stripes that [bold]run[/bold] on " + "and on " * 30


class StripesParams(ucbench.Params):
    steps: tuple[int, ...] = Field((75, 90), description="where the angle changes")
    shape: Literal["flat", "sine"] = "flat"
    strength: float | None = Field(None, gt=0, le=1)
    path: str
    angle: tuple[float, ...] | float | tuple[float, float] = 1.0

    presets = {"paper": {"shape": "sine", "steps": (1,)}}  # noqa: RUF012
    surrogates = {"paper": "eyes:width=64"}  # noqa: RUF012
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
    assert [line.split()[0] for line in (lines[0], *lines[2:])] == ["name", "fast", "stripes"]
    assert all(SUMMARY.strip() in line for line in lines[2:])
    assert '(needs pip install "ucbench-stripes[fast]")' in lines[2]
    assert "pip install" not in lines[3]


def test_list_fits_a_narrow_screen_with_a_component_to_install(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = output(capsys, "list").splitlines()
    assert max(map(len, lines)) <= 60
    assert "pip install" in " ".join(" ".join(lines).split())


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
    assert shown["preset_surrogates"] == {"paper": "eyes:width=64"}
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
    text = output(capsys, "show", "poisoner", "stripes@paper:here", "--full")
    assert "A. Author 2024" in text
    assert re.search(r"^surrogate @paper +eyes:width=64$", text, re.MULTILINE)
    steps = next(line for line in text.splitlines() if line.startswith("steps"))
    assert steps.split() == ["steps", "int/...", "75/90", "1", "1", "where", "the", "angle", "changes"]


def test_show_folds_each_parameter_to_one_line_unless_full(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    brief = output(capsys, "show", "poisoner", "stripes@paper:here").splitlines()
    full = output(capsys, "show", "poisoner", "stripes@paper:here", "--full").splitlines()
    head = next(place for place, line in enumerate(brief) if line.startswith("parameter"))
    assert [line.split()[0] for line in brief[head + 2 : head + 7]] == ["steps", "shape", "strength", "path", "angle"]
    assert brief[head + 7 :] == ["", "Formula, deviations, types, presets and whole texts: --full"]
    assert max(map(len, brief)) <= 60
    assert any(line.startswith("paper") for line in brief)
    labels = {line.split("  ")[0] for line in full} - {line.split("  ")[0] for line in brief}
    assert {"version", "from"} <= labels


def test_plugins_lists_components_failures_and_clashes(capsys):
    report = json.loads(output(capsys, "plugins", "--json"))
    by_name = {entry["distribution"]: entry for entry in report["plugins"]}
    assert by_name["ucbench-stripes"]["components"] == {"poisoner": ["stripes", "fast", "twice"]}
    assert by_name["ucbench-sick"]["problem"] == "cannot be imported: ImportError: it"
    assert len(report["conflicts"]) == 1
    text = output(capsys, "plugins")
    assert "cannot be imported: ImportError: it" in text
    assert report["conflicts"][0] in text


def test_facts_and_tables_for_a_width_are_complete_and_keep_brackets(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    print_table([TextColumn("name", ["stripes"]), TextColumn("summary", [SUMMARY], "prose")])
    print_facts([("summary", SUMMARY)])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 60
    words = text.split()
    assert words.count("[bold]run[/bold]") == 2
    assert words.count("and") == 60


def test_headings_are_styled_on_a_terminal_only(capsys, monkeypatch):
    column = TextColumn("name", ["stripes"])
    monkeypatch.setenv("TERM", "xterm")
    print_table([column])
    assert capsys.readouterr().out == "name\n───────\nstripes\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    print_table([column])
    assert capsys.readouterr().out == "\x1b[1mname\x1b[0m\n\x1b[2m───────\x1b[0m\nstripes\n"


def test_rule_is_ascii_where_the_output_is(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    print_table([TextColumn("name", ["stripes"])])
    stream.flush()
    assert stream.buffer.getvalue() == b"name\n-------\nstripes\n"


def test_empty_table_prints_nothing(capsys):
    print_table([TextColumn("name", [])])
    assert capsys.readouterr().out == ""


def test_list_and_show_take_columns_by_heading(capsys):
    lines = output(capsys, "list", "poisoner", "--columns", "summary,NAME").splitlines()
    assert re.split("  +", lines[0]) == ["summary", "name"]
    lines = output(capsys, "show", "stripes", "--columns", "default,parameter").splitlines()
    assert ["default", "parameter"] in [re.split("  +", line) for line in lines]
    assert main(["list", "--columns", "nam"]) == 2
    assert "Did you mean 'name'?" in capsys.readouterr().err


def test_print_json_writes_floats_with_ten_significant_digits_at_any_depth(capsys):
    print_json({"drop": [90.0 - 59.4, {"lr": 1e-12 + 0.1}], "n": 3, "none": None, "done": True})
    assert json.loads(capsys.readouterr().out) == {"drop": [30.6, {"lr": 0.1}], "n": 3, "none": None, "done": True}
