"""``ucbench leaderboard victims``: whether the victims of a leaderboard agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from ucbench.cli.leaderboard import SHOW, judged_rows
from ucbench.cli.options import AsJson, BoardFolder, with_layout
from ucbench.cli.output import TableLayout, json_fields, print_json, print_notes, print_table
from ucbench.results.text import TextColumn

if TYPE_CHECKING:
    from ucbench.leaderboard.victims import Victims

app = typer.Typer()


@app.command("victims", no_args_is_help=True, rich_help_panel=SHOW)
@with_layout
def victims_command(folder: BoardFolder, layout: TableLayout, as_json: AsJson = False) -> None:
    """Print how far the victims of the leaderboard in FOLDER put its releases in the same order.

    Accuracies without defense, and Kendall's tau-b of every two victims with a 95 % bootstrap interval over crafts.
    All releases count, of any budget and label access, references among them.
    """
    from ucbench.leaderboard.victims import by_victim

    table, verdicts, _ = judged_rows(folder)
    settings = by_victim(table, verdicts)
    if as_json:
        print_json([_as_json(setting) for setting in settings])
        return
    if not settings:
        print_notes("No data set and labeling has two victims.")
    for place, setting in enumerate(settings):
        shared = "{dataset}, labels: {labeling}, {trusted} trusted images:".format(**setting.shared)
        print_notes(f"{'' if place == 0 else chr(10)}{shared}")
        _print(setting, layout)


def _print(setting: Victims, layout: TableLayout) -> None:
    from ucbench.results.statistics import BOTH

    victims = list(dict.fromkeys(victim for pair in setting.pairs for victim in pair))
    columns = [
        TextColumn(victim, [by[victim].text() if victim in by else "" for by in setting.releases.values()], "number")
        for victim in victims
    ]
    print_table([TextColumn("release", list(setting.releases)), *columns], layout, "--json")
    if any(mean.n == 2 for by in setting.releases.values() for mean in by.values()):
        print_notes(BOTH)
    print_notes("")
    pairs, agreements = list(setting.pairs), list(setting.pairs.values())
    print_table(
        [
            TextColumn("victim", [one for one, _ in pairs]),
            TextColumn("other victim", [other for _, other in pairs]),
            TextColumn("releases", [str(one.items) for one in agreements], "number", rank=3),
            TextColumn("tau-b", [one.tau_text for one in agreements], "number"),
            TextColumn("95 %", [one.interval_text for one in agreements], "number", rank=1),
            TextColumn("fewest seeds", [str(one.seeds) for one in agreements], "number", rank=2),
        ],
        TableLayout(wide=layout.wide),
        "--json",
    )
    states = "; ".join(f"{victim} {', '.join(of)}" for victim, of in setting.gates.items())
    print_notes(f"Gate: {states}. Where it is not passed, an order says nothing about releases.")


def _as_json(setting: Victims) -> dict[str, Any]:
    return {
        **setting.shared,
        "releases": [
            {"release": release, "accuracies": {victim: json_fields(mean) for victim, mean in by.items()}}
            for release, by in setting.releases.items()
        ],
        "gates": {victim: list(states) for victim, states in setting.gates.items()},
        "pairs": [{"victims": list(pair), **json_fields(agreed)} for pair, agreed in setting.pairs.items()],
    }
