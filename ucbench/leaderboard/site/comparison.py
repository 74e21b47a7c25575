"""Two poisoners beside each other, wherever both were measured: a table of all pairs, and the data of a page."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence, Set
from urllib.parse import urlencode

from scipy import stats

from ucbench.leaderboard.site.across import Digest, Result
from ucbench.leaderboard.site.addresses import method_page
from ucbench.leaderboard.site.table import Table, TableColumn, TableField, TableRow
from ucbench.results.statistics import ENOUGH_CRAFTS, t_interval


def pairs(digests: Sequence[Digest]) -> Table:
    """Every two poisoners that were measured in the same place: where which one is lower, by paired intervals."""
    known = comparable(digests)
    names = list(known)
    lines = []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            shared = known[one].keys() & known[other].keys()
            signs = [_sign(known[one][where], known[other][where]) for where in sorted(shared)]
            if signs:
                counts = [signs.count(-1), signs.count(1), signs.count(0)]
                link = f"compare.html#{urlencode({'one': one, 'other': other})}"
                fields = [TableField(one, href=link), TableField(other), TableField(str(len(signs)), float(len(signs)))]
                lines.append(TableRow((*fields, *(TableField(str(count), float(count)) for count in counts))))
    heads = (
        TableColumn("one", "one poisoner", header=True),
        TableColumn("other", "the other"),
        TableColumn("places", "places", numeric=True),
        TableColumn("lower", "one lower", numeric=True),
        TableColumn("higher", "other lower", numeric=True),
        TableColumn("unclear", "not separated", numeric=True),
    )
    return Table("pairs", "Every two poisoners", heads, tuple(lines))


def can_separate(digests: Sequence[Digest]) -> bool:
    """Whether two poisoners have enough common crafts in some place to be separated there."""
    crafts: dict[tuple[int, int, str], list[Set[int]]] = {}
    for results in comparable(digests).values():
        for where, result in results.items():
            crafts.setdefault(where, []).append(result.by_craft.keys())
    pairs = itertools.chain.from_iterable(itertools.combinations(found, 2) for found in crafts.values())
    return any(len(one & other) >= ENOUGH_CRAFTS for one, other in pairs)


def _sign(one: Result, other: Result) -> int:
    """-1 or 1 where the 95 % interval of the difference over common crafts leaves out zero; else 0."""
    shared = one.by_craft.keys() & other.by_craft.keys()
    difference = t_interval(one.by_craft[craft] - other.by_craft[craft] for craft in sorted(shared))
    if difference.n < ENOUGH_CRAFTS:
        return 0
    return -1 if difference.high < 0 else 1 if difference.low > 0 else 0


def data(digests: Sequence[Digest]) -> Mapping[str, object]:
    """What the page that compares two poisoners computes with."""
    known = comparable(digests)
    places = sorted({where for results in known.values() for where in results})
    numbers = {where: number for number, where in enumerate(places)}
    return {
        "poisoners": list(known),
        "pages": [method_page("poisoner", next(iter(results.values())).base) for results in known.values()],
        "places": [
            [digests[board].path, digests[board].settings[setting][0], digests[board].settings[setting][1], defense]
            for board, setting, defense in places
        ],
        "accuracies": [
            [[numbers[where], {str(c): round(a, 3) for c, a in results[where].by_craft.items()}] for where in results]
            for results in known.values()
        ],
        "quantiles": [round(float(stats.t.ppf(0.975, freedom)), 4) for freedom in range(1, 31)],
        "enough": ENOUGH_CRAFTS,
    }


def comparable(digests: Sequence[Digest]) -> dict[str, dict[tuple[int, int, str], Result]]:
    """For each competing poisoner, its results by board, setting and defense, where the gate was passed."""
    results: dict[str, dict[tuple[int, int, str], Result]] = {}
    for place, board in enumerate(digests):
        for result in board.results:
            if not result.kind and result.state == "passed" and not result.spoiled:
                results.setdefault(result.label, {})[place, result.setting, result.axes["defense"]] = result
    return dict(sorted(results.items()))
