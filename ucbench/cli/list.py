"""``ucbench list``: the installed components."""

from __future__ import annotations

import click

from ucbench.cli.catalogue import describe, needed, open_registry
from ucbench.cli.options import as_json, verbosity
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
@as_json
@verbosity
def command(kind: str | None, glob: str | None, as_json: bool) -> None:
    """List installed components.

    KIND is dataset, surrogate, poisoner, labeling, defense, victim, metric or executor (or a plural); all without it.
    GLOB keeps the components whose name or alias it matches: `ucbench list poisoner 'uc*'`.
    """
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


def _fact(value: str | bool) -> str:
    return value if isinstance(value, str) else "yes" if value else ""
