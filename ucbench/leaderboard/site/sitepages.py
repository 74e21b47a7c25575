"""The pages over all boards: home, a page per method, comparing two, and how to submit."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from ucbench.leaderboard.site import methods
from ucbench.leaderboard.site.across import Digest
from ucbench.leaderboard.site.output import Content
from ucbench.leaderboard.site.render import ASSETS, Templates, asset
from ucbench.leaderboard.site.table import filters
from ucbench.leaderboard.site.terms import PAGE, TERMS
from ucbench.plugins.registry import installed


def site_files(digests: Sequence[Digest], templates: Templates) -> dict[str, Content]:
    """The files beside those of boards, by path, each with a function that renders it."""
    # The conclusive first; sorting keeps the order of paths.
    boards = sorted(digests, key=lambda board: board.finding.state != "passed")
    known = methods.methods(boards, installed())

    def home() -> bytes:
        return templates.page("home.html.j2", "index.html", boards=boards, methods=known)

    def compare() -> bytes:
        table, data = methods.pairs(boards), methods.comparison_data(boards)
        return templates.page("compare.html.j2", "compare.html", table=table, data=data)

    def submit() -> bytes:
        return templates.page("submit.html.j2", "submit.html")

    def read() -> bytes:
        return templates.page("read.html.j2", PAGE, terms=TERMS)

    def method(one: methods.Method) -> bytes:
        table = methods.results_table(one, boards)
        return templates.page(
            "method.html.j2",
            one.page,
            method=one,
            table=table,
            filters=filters(table, table.columns) if table.rows else [],
            images=methods.images(one, boards),
            costs=methods.costs(one, boards),
            bibliography={one.name: one.bibtex} if one.bibtex else {},
        )

    return {
        "index.html": home,
        "compare.html": compare,
        PAGE: read,
        "submit.html": submit,
        **{one.page: functools.partial(method, one) for one in known},
        **{f"assets/{name}": functools.partial(asset, name) for name in ASSETS},
    }
