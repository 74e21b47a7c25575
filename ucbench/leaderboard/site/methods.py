"""Pages of poisoners and defenses: what their specs say, and all their results over all boards."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from markupsafe import Markup, escape

from ucbench.errors import UsageError
from ucbench.leaderboard.marks import mark_of
from ucbench.leaderboard.site import svg
from ucbench.leaderboard.site.across import Digest, Result, Sheet
from ucbench.leaderboard.site.addresses import method_page
from ucbench.leaderboard.site.charts import Candidate, tradeoff
from ucbench.leaderboard.site.listings import BADGES, seeds_field
from ucbench.leaderboard.site.table import (
    AXIS_COLUMN,
    AXIS_COLUMNS,
    Table,
    TableColumn,
    TableField,
    TableRow,
    compact,
    number,
    single,
)
from ucbench.matrix.compatibility import is_static
from ucbench.plugins.citations import Citation, bibtex, citations
from ucbench.plugins.registry import Registry
from ucbench.plugins.specs import TIERS, ComponentSpec, DefenseSpec, PoisonerSpec
from ucbench.plugins.texts import blocks, plain, sentences, unicode
from ucbench.results.columns import column
from ucbench.results.statistics import Interval

KINDS = ("poisoner", "defense")
_ACCESS = {"none": "none", "names": "names of the classes", "full": "labels"}


@dataclass(frozen=True)
class Method:
    """One poisoner or defense with results.

    Attributes:
        spec: None where the plugin that registers it is not installed.
        kind: ``poisoner`` or ``defense``.
        results: with the place of their board.
        static: whether a defense only prepares images, with its default parameters.
    """

    kind: str
    name: str
    spec: ComponentSpec | None
    results: tuple[tuple[int, Result], ...]
    static: bool = False

    @property
    def page(self) -> str:
        return method_page(self.kind, self.name)

    @property
    def summary(self) -> str:
        return self.spec.summary if self.spec else ""

    @property
    def symbol(self) -> Markup:
        return svg.symbol(mark_of(self.name)) if self.kind == "poisoner" else Markup("")

    @property
    def is_unranked(self) -> bool:
        return self.kind == "poisoner" and all(result.kind for _, result in self.results)

    @property
    def boards(self) -> int:
        return len({place for place, _ in self.results})

    @property
    def papers(self) -> list[Citation]:
        return citations(self.spec.paper) if self.spec else []

    @property
    def bibtex(self) -> list[str]:
        return bibtex(self.name, self.spec.paper) if self.spec else []

    @property
    def equation(self) -> list[tuple[Markup, bool]]:
        """Formulas (True) and sentences (False) with Unicode for TeX."""
        parts = blocks(self.spec.equation) if self.spec else []
        return [
            (_with_indices(unicode(str(escape(text)))) if displayed else _html(text), displayed)
            for text, displayed in parts
        ]

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What the spec says beside formula, citation and fidelity."""
        spec = self.spec
        if isinstance(spec, PoisonerSpec):
            radius = "" if spec.native_epsilon is None else _radius(spec.budget, spec.native_epsilon)
            facts = [
                ("labels it needs", _ACCESS[spec.label_access]),
                ("one perturbation per", spec.granularity),
                ("published budget", radius or spec.budget),
                ("surrogate", spec.surrogate),
            ]
        elif isinstance(spec, DefenseSpec):
            facts = [
                ("tier", f"{spec.tier}, {TIERS[spec.tier]}"),
                ("acts", "once, before training" if self.static else "during training"),
                ("trusted images", "needed" if spec.needs_trusted else ""),
                ("pairs before and after protection", "needed; never ranked" if spec.leaked else ""),
            ]
        else:
            return []
        return [(name, text) for name, text in facts if text] + [("version of its numbers", str(spec.version))]

    @property
    def fidelity(self) -> list[Markup]:
        """The spec's deviations, one sentence each."""
        return list(map(_html, sentences(self.spec.fidelity))) if self.spec else []


def _html(text: str) -> Markup:
    """A text of a spec with its formulas in Unicode, and as code what is between backticks."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", plain(str(escape(text)), _with_indices)))


def _with_indices(formula: str) -> Markup:
    """A formula in Unicode, escaped, with ``_`` and ``^`` as indices; the innermost braces first."""
    tags, before = {"_": "sub", "^": "sup"}, ""
    while formula != before:
        before = formula
        formula = re.sub(
            r"([_^])(?:\{([^{}]*)\}|([^\s{}&<>]))",
            lambda match: f"<{tags[match[1]]}>{match[2] or match[3]}</{tags[match[1]]}>",
            formula,
        )
    return Markup(formula)


def _radius(norm: str, radius: float) -> str:
    return f"{norm} {radius:g}" + {"linf": "/255", "l0": " pixels"}.get(norm, "")


def methods(digests: Sequence[Digest], registry: Registry) -> list[Method]:
    """The poisoners and defenses with results, by kind and name; references last."""
    by_name: dict[tuple[str, str], list[tuple[int, Result]]] = defaultdict(list)
    for place, board in enumerate(digests):
        for result in board.results:
            by_name["poisoner", result.base].append((place, result))
            for defense in dict.fromkeys(result.defenses):
                by_name["defense", defense].append((place, result))
    specs = {(kind, spec.name): spec for kind in KINDS for spec in registry.specs(kind)}
    listed = [
        Method(kind, name, spec := specs.get((kind, name)), tuple(results), is_static_by_default(spec, registry))
        for (kind, name), results in by_name.items()
    ]
    return sorted(listed, key=lambda method: (KINDS.index(method.kind), method.is_unranked, method.name))


def is_static_by_default(spec: ComponentSpec | None, registry: Registry) -> bool:
    """Whether a defense with its default parameters only prepares images; False for poisoners."""
    if not isinstance(spec, DefenseSpec):
        return False
    try:
        return is_static(registry.resolve(DefenseSpec, spec.name))
    except UsageError:  # it has a parameter that must be given
        return spec.static


#: Axes with a column beside the numbers of a method's table; one column names what is rare in the others.
_LEADING = ("poisoner", "defense", "dataset", "budget", "victim")
_OTHERS = tuple(one for one in AXIS_COLUMNS if one.key not in (*_LEADING, "numerics"))


def results_table(method: Method, digests: Sequence[Digest]) -> Table:
    """All results of a method, those of passed gates first."""
    ordered = sorted(method.results, key=lambda one: one[1].state != "passed")
    rare = _rare([result for _, result in ordered])
    measures = [column(name) for name in ("test_accuracy", "clean_accuracy", "gap_removed")]
    heads = (
        TableColumn("board", "board", filtered=True),
        *(AXIS_COLUMN[key] for key in _LEADING),
        *([TableColumn("other", "other")] if any(rare) else []),
        *(TableColumn(measure.name, measure.heading, numeric=True) for measure in measures),
        TableColumn("seeds", "crafts", numeric=True),
        TableColumn("gate", "gate", filtered=True, constant=True),
        *(replace(one, optional=True) for one in _OTHERS),
        *(
            TableColumn(name, column(name).heading, numeric=True, optional=True)
            for name in ("craft_seconds", "seconds")
        ),
    )
    rows = tuple(
        _line(result, digests[place], [TableField(text)] if any(rare) else [])
        for (place, result), text in zip(ordered, rare, strict=True)
    )
    return compact(Table("results", "All results", heads, rows))


def _rare(results: Sequence[Result]) -> list[str]:
    """For each result, its values along the other axes that are not the most frequent ones."""
    usual = {a.key: Counter(one.axes[a.key] for one in results).most_common(1)[0][0] for a in _OTHERS}
    return [
        "; ".join(f"{a.title} {one.axes[a.key]}" for a in _OTHERS if one.axes[a.key] != usual[a.key]) for one in results
    ]


def _line(result: Result, board: Digest, other: Sequence[TableField]) -> TableRow:
    spoiled = result.spoiled and result.state == "passed"
    gap = TableField("–", hidden="clean accuracy lost more than half of its gap") if spoiled else None
    kind = (BADGES[result.kind],) if result.kind else ()
    fields = (
        TableField(board.path, href=board.settings[result.setting][1]),
        *(TableField(result.axes[key], badges=kind if key == "poisoner" else ()) for key in _LEADING),
        *other,
        number(result.accuracy, 1),
        single(result.clean, 1),
        gap or number(result.removed, 0, 100),
        seeds_field(result.accuracy.n),
        TableField(result.state),
        *(TableField(result.axes[one.key]) for one in _OTHERS),
        single(result.craft_seconds, 0),
        single(result.seconds, 0),
    )
    return TableRow(fields, result.kind)


def images(method: Method, digests: Sequence[Digest]) -> list[tuple[Digest, Sheet]]:
    """An image sheet of the poisoner from each board that has one."""
    if method.kind != "poisoner":
        return []
    return [(board, board.sheets[method.name]) for board in digests if method.name in board.sheets]


def costs(method: Method, digests: Sequence[Digest]) -> list[tuple[Digest, Markup]]:
    """Effect against cost in the lead setting of each board with a passed gate, the method among the others."""
    draw = _protectors if method.kind == "poisoner" else _exploiters
    return [(board, chart) for board in digests if board.lead is not None and (chart := draw(method.name, board))]


def _protectors(name: str, board: Digest) -> Markup | None:
    if name not in {candidate.name for candidate in board.poisoners}:
        return None
    return tradeoff(
        board.poisoners,
        "seconds to craft the release (logarithmic)",
        "effect, %",
        f"Effect against seconds of crafting on {board.title}; the table has the numbers.",
        name,
    )


def _exploiters(name: str, board: Digest) -> Markup | None:
    """Mean attacker accuracy of each defense over the poisoners that this one was tried on."""
    by_defense: dict[str, dict[str, Result]] = defaultdict(dict)
    for result in board.results:
        if result.setting == board.lead and not result.kind:
            by_defense[result.axes["defense"]][result.label] = result
    variants = [defense for defense in by_defense if re.split("[:@+]", defense)[0] == name]
    if not variants:
        return None
    tried = set.intersection(*(set(by_defense[defense]) for defense in variants))
    named = ", ".join(sorted(tried)) if len(tried) <= 3 else f"the same {len(tried)} poisoners"
    candidates = [
        Candidate(
            re.split("[:@+]", defense)[0],
            defense,
            Interval(fmean(results[label].accuracy.mean for label in tried), math.nan, len(tried)),
            fmean(results[label].seconds for label in tried),
        )
        for defense, results in by_defense.items()
        if tried and tried <= results.keys() and not board.is_spoiled(defense)
    ]
    return tradeoff(
        candidates,
        "seconds to defend, train and measure (logarithmic)",
        f"attacker accuracy, %, mean over {named}",
        f"Attacker accuracy against seconds of training on {board.title}; the table has the numbers.",
        name,
        factor=1.0,
    )
