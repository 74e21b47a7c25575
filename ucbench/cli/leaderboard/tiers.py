"""``ucbench leaderboard tiers``: the most that exploiters get, by what they have at hand."""

from __future__ import annotations

from pathlib import Path

import click

from ucbench.cli.options import verbosity


@click.command("tiers")
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@verbosity
def command(folder: str) -> None:
    """Print, as Markdown, the worst case of every poisoner in FOLDER within each tier of defenses.

    T0 augments, T1 squeezes, T2 trains adversarially, T3 removes by the release alone, T4 has external data or weights.
    A chain has the highest tier of its parts; what sees more than exploiters do is left out.
    """
    from ucbench import api
    from ucbench.compatibility import sees_the_clean
    from ucbench.grammar import parse_chain
    from ucbench.leaderboards.tables import records_in
    from ucbench.leaderboards.tiers import by_tier, to_markdown
    from ucbench.results import rows

    registry = api.session().registry

    def tier_of(defense: str) -> str:
        return max(getattr(registry.find("defense", part.name), "tier", "T0") for part in parse_chain(defense))

    table = [row for row in rows(records_in(Path(folder))) if not sees_the_clean(row["defense"], registry)]
    click.echo(to_markdown(by_tier(table, tier_of)), nl=False)
