"""``ucbench check-plugin``: every rule of the contract, its verdict, and how to fix the component."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ucbench.cli.completion import plugin_or_name
from ucbench.cli.options import AsJson, argument, is_quiet, plugin_files
from ucbench.cli.output import print_json, print_table
from ucbench.errors import PluginError, UsageError, did_you_mean
from ucbench.plugins.grammar import parse
from ucbench.plugins.manager import LoadedPlugin
from ucbench.plugins.registry import Registry, installed, kind_named
from ucbench.plugins.specs import SPEC_KINDS
from ucbench.results.text import TextColumn

if TYPE_CHECKING:
    from ucbench.testing import Examination


@dataclasses.dataclass(frozen=True)
class _Line:
    """One rule in a report."""

    rule: str
    verdict: str
    states: str
    evidence: str = ""
    fix: str = ""


@dataclasses.dataclass(frozen=True)
class _Report:
    """The verdicts on one component, or on a plugin without components."""

    title: str
    plugin: LoadedPlugin
    lines: tuple[_Line, ...]
    not_checked_because: str | None = None

    @property
    def failed(self) -> int:
        return sum(line.verdict == "failed" for line in self.lines)


app = typer.Typer()


@app.command("check-plugin", rich_help_panel="Components")
@plugin_files
def check_plugin_command(
    names: Annotated[
        list[str] | None, argument("NAME", "Components, or plugins.", plugin_or_name, "those of --plugin")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check installed components against the contract.

    NAME is a component, optionally with parameters (`quilt`, `poisoner/quilt:grid=4`), or a plugin by the name of
    its distribution or module, for all its components. With --plugin FILE.py and no NAME: the components of the file.
    Exit code 1: a rule is broken, or a component could not be checked.

        ucbench check-plugin quilt
        ucbench check-plugin defense/soften ucbench-quilt
        ucbench check-plugin --plugin ./quilt.py
    """
    registry = installed()
    reports = []
    for target in _targets(names or [], registry):
        reports.append(_report(target, registry))
        if not as_json:
            _print(reports[-1])
    passed = not any(report.failed or report.not_checked_because for report in reports)
    if as_json:
        print_json({"components": [_as_json(report) for report in reports], "passed": passed})
    return 0 if passed else 1


_LOADS = "a plugin can be imported, and its hooks yield valid specs"

#: Kind and reference of a component, or a plugin without components: left out, or with other hooks only.
_Target = tuple[str, str] | LoadedPlugin


def _targets(names: Sequence[str], registry: Registry) -> list[_Target]:
    targets: list[_Target] = []
    if not names:
        files = [plugin for plugin in registry.plugins if plugin.digest]
        if not files:
            raise UsageError("Nothing to check: name a component or a plugin, or give a file with --plugin FILE.py.")
        targets = [target for plugin in files for target in _of_plugin(plugin)]
    for name in names:
        targets += _named(name, registry)
    return list(dict.fromkeys(targets))


def _named(name: str, registry: Registry) -> list[_Target]:
    kind, slash, reference = name.partition("/")
    if slash:
        with contextlib.suppress(UsageError):  # a path has slashes too
            return [(kind_named(kind), reference)]
    plugins = [plugin for plugin in registry.plugins if _plain(name) in map(_plain, _names_of(plugin))]
    if plugins:
        return [target for plugin in plugins for target in _of_plugin(plugin)]
    bare = parse(name).name
    if kinds := registry.kinds(bare):
        return [(kind, name) for kind in kinds]
    known = [known for kind in SPEC_KINDS for known in registry.names(kind)]
    known += [known for plugin in registry.plugins for known in _names_of(plugin)]
    if (folder := Path(name)).joinpath("pyproject.toml").is_file():
        raise UsageError(
            f"{name} is a folder, and no plugin is installed under that name. Install it and check it by its own name:"
            f" pip install -e {name} && ucbench check-plugin {folder.resolve().name}"
        )
    raise UsageError(
        f"There is no component or plugin {name!r}.{did_you_mean(bare, known)} `ucbench list` shows all components,"
        " `ucbench plugins` all plugins."
    )


def _names_of(plugin: LoadedPlugin) -> tuple[str, ...]:
    return plugin.name, plugin.distribution, plugin.module


def _plain(name: str) -> str:
    """The name without differences that do not count in names of distributions: case, and - _ ."""
    return re.sub("[-_.]+", "-", name).lower()


def _of_plugin(plugin: LoadedPlugin) -> list[_Target]:
    return [(spec.kind, spec.name) for spec in plugin.specs] or [plugin]


def _report(target: _Target, registry: Registry) -> _Report:
    if isinstance(target, LoadedPlugin):
        fix = "Fix the error in the evidence; `ucbench plugins -vv` shows where it was raised."
        verdict = ("failed", _LOADS, target.problem, fix) if target.problem else ("ok", _LOADS)
        return _Report(f"plugin {target.name}", target, (_Line("plugin/loads", *verdict),))
    from ucbench.testing import examine

    kind, reference = target
    bare = parse(reference).name
    try:
        examination = examine(registry, kind, reference)
    except PluginError as error:
        fix = "Choose another name or alias, or uninstall the other plugin."
        line = _Line("spec/name", "failed", "a name belongs to one plugin", str(error), fix)
        return _Report(f"{kind} {bare}", registry.claimants(kind, bare)[0], (line,))
    return _Report(
        f"{kind} {examination.reference}",
        registry.origin(kind, bare),
        _lines(examination),
        examination.not_checked_because,
    )


def _lines(examination: Examination) -> tuple[_Line, ...]:
    return tuple(
        _Line(
            name,
            finding.verdict,
            finding.rule.states,
            finding.evidence,
            finding.rule.fix if finding.verdict == "failed" else "",
        )
        for name, finding in examination.findings.items()
    )


def _as_json(report: _Report) -> dict[str, Any]:
    return {
        "component": report.title,
        "plugin": report.plugin.name,
        "distribution": report.plugin.distribution,
        "distribution_version": report.plugin.version,
        "rules": [dataclasses.asdict(line) for line in report.lines],
        "failed": report.failed,
        "not_checked_because": report.not_checked_because,
    }


def _print(report: _Report) -> None:
    typer.echo(f"{report.title}, from {report.plugin.distribution} {report.plugin.version}")
    if not is_quiet():
        reasons = ["see below" if line.verdict == "failed" else line.evidence for line in report.lines]
        print_table(
            [
                TextColumn("verdict", [line.verdict for line in report.lines]),
                TextColumn("rule", [line.rule for line in report.lines]),
                TextColumn("evidence", reasons, "prose"),
            ]
        )
    for line in report.lines:
        if line.verdict == "failed":
            typer.echo(f"\n{line.rule}")
            for label, text in (("Rule:", f"{line.states}."), ("Evidence:", line.evidence), ("Fix:", line.fix)):
                _print_wrapped(label, text)
    if report.not_checked_because and report.not_checked_because not in (line.evidence for line in report.lines):
        typer.echo()
        _print_wrapped("Skipped:", report.not_checked_because)
    counts = [sum(line.verdict == verdict for line in report.lines) for verdict in ("ok", "failed", "skipped")]
    typer.echo("\n{} ok, {} failed, {} skipped.\n".format(*counts))


def _print_wrapped(label: str, text: str) -> None:
    """Print text beside its label, every line of it wrapped between words at the width of the terminal, or 80."""
    width = min(max(shutil.get_terminal_size().columns, 60), 100)
    indent = " " * 12
    lines = [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(line, width - len(indent), break_long_words=False, break_on_hyphens=False)
    ]
    for head, line in zip_longest([f"  {label}"], lines, fillvalue=""):
        typer.echo(f"{head:{len(indent)}}{line}".rstrip())
