"""The pages over all boards: home, a page per method, comparing two, and how to submit."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from ucbench.leaderboard.site import comparison, methods
from ucbench.leaderboard.site.across import Digest
from ucbench.leaderboard.site.output import Content
from ucbench.leaderboard.site.render import ASSETS, Templates, asset
from ucbench.leaderboard.site.table import filters
from ucbench.leaderboard.site.terms import PAGE, TERMS
from ucbench.plugins.registry import installed


def site_files(digests: Sequence[Digest], templates: Templates) -> dict[str, Content]:
    """The files beside those of boards, by path, each with a function that renders it."""
    boards = sorted(digests, key=_weightiest_first)
    known = methods.methods(boards, installed())

    def home() -> bytes:
        return templates.page("home.html.j2", "index.html", boards=boards, methods=known)

    def compare() -> bytes:
        table, data = comparison.pairs(boards), comparison.data(boards)
        separable = comparison.can_separate(boards)
        return templates.page("compare.html.j2", "compare.html", table=table, data=data, separable=separable)

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


def _weightiest_first(board: Digest) -> tuple[bool, int, int]:
    """The conclusive first, of them those of more crafts, then of more poisoners; sorting keeps the order of paths."""
    competing = [result for result in board.results if not result.kind]
    crafts = min((result.accuracy.n for result in competing), default=0)
    return board.finding.state != "passed", -crafts, -len({result.base for result in competing})
