"""Small multiples: the series of a plot in panels of at most eight, by what distinguishes them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ucbench.plugins.builtin import ADDED_REFERENCES
from ucbench.results.statistics import Interval

#: Most series of a panel.
MOST = 8
_POISONER = "poisoner"


class Series(NamedTuple):
    """Rows with the same mark, and the interval over seeds by value of the axis.

    Attributes:
        poisoner: empty where poisoners are along the axis.
        differences: what distinguishes it from series of the same poisoner, by what it is: a column, in words.
    """

    poisoner: str
    differences: Mapping[str, str]
    points: dict[Any, Interval]

    @property
    def name(self) -> str:
        return self.named_without(())

    def named_without(self, facets: Sequence[str]) -> str:
        """Its name where the title of a panel says the ``facets``."""
        parts = [] if _POISONER in facets or not self.poisoner else [self.poisoner]
        parts += [f"{what} {value}" for what, value in self.differences.items() if what not in facets]
        return ", ".join(parts) or self.poisoner or "all"

    def value(self, facet: str) -> str | None:
        """What a facet separates it by; None where it has no such value, as clean rows have no budget."""
        if facet == _POISONER:
            return None if self.poisoner in ADDED_REFERENCES else self.poisoner
        return self.differences.get(facet)


class Panel(NamedTuple):
    """A panel: its title, and its series by the names of its legend."""

    title: str
    series: dict[str, Series]


def panels(drawn: Sequence[Series]) -> list[Panel]:
    """Divide the series into panels of at most :data:`MOST`, by one or two differences if that takes few panels.

    Few are at most twice as many as the series need at least. References without the difference that separates the
    panels are in all of them.
    """
    whole = _split(Panel("", {one.name: one for one in drawn}))
    if len(whole) == 1:
        return whole
    facets = list(dict.fromkeys([*(what for one in drawn for what in one.differences), _POISONER]))
    facets = [facet for facet in facets if len({one.value(facet) for one in drawn} - {None}) > 1]
    choices = [
        [part for panel in divided for part in _split(panel)]
        for count in (1, 2)
        for separating in itertools.combinations(facets, count)
        if (divided := _by(drawn, separating))
    ]
    best = min(choices, key=len, default=whole)
    return best if len(best) <= 2 * len(whole) else whole


def _by(drawn: Sequence[Series], facets: Sequence[str]) -> list[Panel]:
    """The panels of each combination of values; none where a series other than a reference lacks one."""
    values: dict[tuple[str | None, ...], list[Series]] = defaultdict(list)
    shared = []
    for one in drawn:
        place = tuple(one.value(facet) for facet in facets)
        if None not in place:
            values[place].append(one)
        elif one.poisoner in ADDED_REFERENCES:
            shared.append((place, one))
        else:
            return []
    result = []
    for place, members in values.items():
        fitting = [one for known, one in shared if all(a in (None, b) for a, b in zip(known, place, strict=True))]
        title = ", ".join(
            str(value) if facet == _POISONER else f"{facet} {value}" for facet, value in zip(facets, place, strict=True)
        )
        named = {one.named_without(facets): one for one in (*fitting, *members)}
        if len(named) < len(fitting) + len(members):
            return []
        result.append(Panel(title, named))
    return result


def _split(panel: Panel) -> list[Panel]:
    """The panel, or several with its series in order, each with the references, if there are too many series."""
    if len(panel.series) <= MOST:
        return [panel]
    references = {name: one for name, one in panel.series.items() if one.poisoner in ADDED_REFERENCES}
    if len(references) > MOST // 2:
        references = {}
    others = [named for named in panel.series.items() if named[0] not in references]
    count = -(-len(others) // (MOST - len(references)))
    ends = [len(others) * part // count for part in range(count + 1)]
    return [Panel(panel.title, references | dict(others[a:b])) for a, b in itertools.pairwise(ends)]
