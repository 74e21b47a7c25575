"""The page on plugins: its files keep their contracts, and what it says of hooks and reports is so."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import doc_pages
import pytest
from doc_world import file_of

from ucbench.cli.app import main
from ucbench.plugins import hookspecs
from ucbench.plugins.specs import SPEC_KINDS
from ucbench.testing import CHECKS

PAGE = doc_pages.DOCS / "plugins.md"
BLOCKS = list(doc_pages.blocks(PAGE))
FILES = {name: block.text for block in BLOCKS if (name := file_of(block))}
(TINY,) = (block.text for block in BLOCKS if 'Path("tiny")' in block.text)
COLUMNS = 80


def test_page_has_a_file_for_every_hook():
    shown = {hook for text in FILES.values() for hook in re.findall(r"def (ucbench_\w+)\(", text)}
    assert shown == {name for name in vars(hookspecs) if name.startswith("ucbench_")}


@pytest.mark.parametrize("name", FILES)
def test_file_passes_check_plugin(capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    if '"tiny"' in FILES[name]:
        exec(TINY, {})
    Path(name).write_text(FILES[name])
    assert main(["check-plugin", "--plugin", name, "--json"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", FILES)
def test_file_is_used_by_a_command_of_the_page(name):
    used = {word for block in BLOCKS if block.language == "indented" for word in block.text.split()}
    assert f"./{name}" in used or name in ("my_suites.py", "tsv.py")


def test_code_fits_80_columns():
    assert [line for block in BLOCKS for line in block.text.splitlines() if len(line) > COLUMNS] == []


def test_report_of_a_broken_rule_is_what_check_plugin_prints(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    Path("quilt.py").write_text(FILES["quilt.py"].replace("run.budget.radius", "2 * run.budget.radius"))
    assert main(["check-plugin", "--plugin", "quilt.py"]) == 1
    (shown,) = (block.text for block in BLOCKS if block.text.startswith("poisoner/budget\n"))
    assert f"\n\n{shown}\n" in capsys.readouterr().out


def test_table_lists_every_hook_with_arguments():
    table = dict(re.findall(r"^\| `(ucbench_\w+)` \| `?(\w+)`? \|", PAGE.read_text("utf-8"), re.MULTILINE))
    specified = {name: value for name, value in vars(hookspecs).items() if hasattr(value, "ucbench_spec")}
    arguments = {name: ", ".join(inspect.signature(hook).parameters) for name, hook in specified.items()}
    assert table == {name: listed or "none" for name, listed in arguments.items()}


def test_page_names_every_rule_that_a_check_reports(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quilt.py").write_text(FILES["quilt.py"])
    main(["check-plugin", "--plugin", "quilt.py", "--json"])
    (entry,) = json.loads(capsys.readouterr().out)["components"]
    rules = doc_pages.section(doc_pages.rendered(PAGE), "## Rules")
    for line in entry["rules"]:
        assert f"| `{line['rule']}` | {line['states']} |" in rules
    assert rules.count("### ") == len(CHECKS) + 1 == len(SPEC_KINDS) + 1
