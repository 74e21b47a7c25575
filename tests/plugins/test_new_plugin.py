"""What ``ucbench new-plugin`` writes can be installed, keeps its contract and runs, for every kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pip_installed import environment_with, install, output

from ucbench.plugins.registry import installed
from ucbench.plugins.specs import SPEC_KINDS
from ucbench.scaffold.naming import names_for
from ucbench.scaffold.writing import write_plugin

KINDS = tuple(SPEC_KINDS)


def name_of(kind: str) -> str:
    return f"fresh-{kind}"


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    """The folder of a new plugin of every kind."""
    parent = tmp_path_factory.mktemp("sources")
    return {kind: write_plugin(names_for(name_of(kind), kind, installed()), parent) for kind in KINDS}


@pytest.fixture(scope="module")
def environment(sources, tmp_path_factory) -> dict[str, str]:
    """The environment of a process in which all of them are installed."""
    site = tmp_path_factory.mktemp("site")
    install(site, sources.values())
    return {**environment_with(site), "UCBENCH_HOME": str(tmp_path_factory.mktemp("store"))}


def test_new_plugins_are_listed_with_distribution(environment):
    listed = {(r["kind"], r["name"]): r for r in json.loads(output(environment, "ucbench", "list", "--json"))}
    for kind in KINDS:
        assert listed[kind, name_of(kind)]["distribution"] == f"ucbench-fresh-{kind}"


def test_new_plugins_pass_their_own_tests(environment, sources, tmp_path):
    folders = [str(source / "tests") for source in sources.values()]
    options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    report = tmp_path / "report.xml"
    output(environment, "pytest", *options, f"--junit-xml={report}", *folders)
    text = report.read_text()
    assert text.count("test_component_keeps_its_contract") == len(KINDS)
    assert {kind for kind in KINDS if f"test_{kind}" in text} == set(KINDS)


def test_new_plugins_pass_check_plugin(environment):
    names = [f"ucbench-fresh-{kind}" for kind in KINDS]
    report = json.loads(output(environment, "ucbench", "check-plugin", *names, "--json"))
    assert report["passed"]
    assert [entry["distribution"] for entry in report["components"]] == names
    for kind, entry in zip(KINDS, report["components"], strict=True):
        verdicts = {line["rule"]: line["verdict"] for line in entry["rules"]}
        assert entry["component"].startswith(f"{kind} {name_of(kind)}")
        assert "failed" not in verdicts.values()
        assert verdicts["spec/light"] == "ok"
        assert verdicts[f"{kind}/runs"] == "ok"


def test_new_plugins_run_together(environment):
    request = {
        "dataset": "fresh-dataset:per_class=4,size=8",
        "poisoner": "fresh-poisoner:4",
        "labeling": "fresh-labeling",
        "defense": "fresh-defense",
        "victim": "fresh-victim:width=2,epochs=1",
        "metric": "fresh-metric",
        "executor": "fresh-executor",
    }
    axes = [text for axis, value in request.items() for text in (f"--{axis}", value)]
    axes += ["--poisoner", "lsp", "--craft-labels", "clusters:k=2,model=fresh-surrogate", "--epsilon", "8"]
    rows = json.loads(output(environment, "ucbench", "run", *axes, "--device", "cpu", "--threads", "1", "--json"))
    assert {row["status"] for row in rows} == {"ok"}
    assert [row["poisoner"] for row in rows] == ["clean", "sham", "fresh-poisoner:4", "lsp"]
    patches = rows[2]
    assert patches["measured_linf"] == 8
    assert patches["label_access"] == "none"  # its craft labels are clusters
    assert all(0 < row["fresh-metric.mean"] <= 1 for row in rows)
