"""``ucbench list``: the installed components."""

from __future__ import annotations

from fnmatch import fnmatchcase

import click

from ucbench.cli.catalogue import describe, needed, open_registry
from ucbench.cli.options import as_json, plugin_files, verbosity
from ucbench.cli.output import print_json, print_table
from ucbench.components import RECORD_KINDS
from ucbench.registry import kind_named

#: Fields that tell the components of one kind apart at a glance.
_FACTS = {
    "surrogate": ("label_access",),
    "poisoner": ("label_access", "granularity", "budget", "oracle"),
    "labeling": ("source",),
    "defense": ("tier", "oracle"),
}


@click.command("list")
@click.argument("kind", required=False)
@click.argument("glob", required=False)
@plugin_files
@as_json
@verbosity
def command(kind: str | None, glob: str | None, as_json: bool) -> None:
    """List installed components.

    KIND is dataset, surrogate, poisoner, labeling, defense, victim, metric, executor or exporter (or a plural), or
    suite; all components without it.
    GLOB keeps the components whose name or alias it matches: `ucbench list poisoner 'uc*'`.
    """
    if kind in ("suite", "suites"):
        _list_suites(glob, as_json)
        return
    registry = open_registry()
    kinds = (kind_named(kind),) if kind else tuple(RECORD_KINDS)
    records = [registry.find(k, name) for k in kinds for name in registry.names(k, glob)]
    if as_json:
        print_json([describe(record, registry) for record in records])
        return
    facts = _FACTS.get(kinds[0], ()) if kind else ()
    print_table(
        [
            "kind",
            "name",
            "aliases",
            *(fact.replace("_", " ") for fact in facts),
            "summary",
            "from",
            "install",
        ],
        [
            [
                "" if kind else record.kind,
                record.name,
                ", ".join(record.aliases),
                *(_fact(getattr(record, fact)) for fact in facts),
                record.summary,
                registry.origin(record.kind, record.name).distribution,
                needed(record),
            ]
            for record in records
        ],
    )
    if not records:
        what = f"{kinds[0]} named {glob!r}" if kind and glob else kinds[0] if kind else "component"
        click.echo(f"There is no {what}.", err=True)


def _list_suites(glob: str | None, as_json: bool) -> None:
    from ucbench.api import suites
    from ucbench.suite import load_suite

    paths, problems = suites()
    for problem in problems:
        click.echo(f"Warning: {problem}", err=True)
    found = [load_suite(path) for name, path in sorted(paths.items()) if glob is None or fnmatchcase(name, glob)]
    if as_json:
        print_json(
            [{**suite.file.model_dump(mode="json", exclude_none=True), "path": str(suite.path)} for suite in found]
        )
        return
    print_table(
        ["name", "version", "title", "file"],
        [[suite.file.name, str(suite.file.version), suite.file.title, str(suite.path)] for suite in found],
    )


def _fact(value: str | bool) -> str:
    return value if isinstance(value, str) else "yes" if value else ""
