"""Plots of an analysis, each as SVG and PNG; the same rows give the same bytes."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ucbench.analysis.features import Map
from ucbench.analysis.measures import BY_LAYER, COVARIANCE, INFORMATION
from ucbench.analysis.table import spearman
from ucbench.leaderboard.marks import PALETTE, SHAPES, marks
from ucbench.leaderboard.plots import marker
from ucbench.leaderboard.scene import need_matplotlib, save
from ucbench.matrix.axes import GROUP_COLUMNS
from ucbench.matrix.names import poisoner_text
from ucbench.plugins.builtin import ADDED_REFERENCES
from ucbench.results.columns import column
from ucbench.results.statistics import Interval
from ucbench.results.summary import Summary

#: The estimator that plots show.
SHOWN = "ksg"
#: Most classes that a map's legend names.
_NAMED = 20


def draw_all(groups: Sequence[Summary], maps: Mapping[str, Map], out: Path) -> dict[str, str]:
    """Draw what the groups have measures for, and maps by their titles, into ``out``.

    Returns:
        Captions by file name, without ending.

    Raises:
        UsageError: if matplotlib is missing; the text has the install line.
    """
    need_matplotlib()
    captions = {}
    settings = {f"{group.shared['dataset']}, {group.shared['victim']}" for group in groups}
    title = settings.pop() if len(settings) == 1 else ""
    for name, (caption, draw) in _drawings(groups, title).items():
        figure, axes = _figure(6.4, 4.4)
        draw(axes)
        _save(figure, out, name)
        captions[name] = caption
    for name, one in maps.items():
        path = f"map-{re.sub('[^A-Za-z0-9.@=-]+', '-', name)}"
        _save(_drawn_map(one, name), out, path)
        captions[path] = f"Features of the same images without and with the perturbation of {name}, by class."
    return captions


def _drawings(groups: Sequence[Summary], title: str) -> dict[str, tuple[str, Callable[[Any], None]]]:
    drawings: dict[str, tuple[str, Callable[[Any], None]]] = {}
    gap = _first(groups, rf"{INFORMATION}(:.*)?\.{SHOWN}_gap")
    if gap:
        drawings["information-accuracy"] = (
            f"Lost mutual information against lost accuracy, {_means(groups)}.",
            lambda axes: _scatter(axes, groups, gap, "drop", "clean minus perturbed information, nats",
                                  "clean minus attacker accuracy, points", title),
        )  # fmt: skip
    spread = _first(groups, rf"{COVARIANCE}(:.*)?\.log_det_perturbed")
    if spread:
        drawings["covariance-accuracy"] = (
            f"Within-class covariance of perturbed features against accuracy, {_means(groups)}.",
            lambda axes: _scatter(axes, groups, spread, "test_accuracy", "log-determinant per feature, nats",
                                  "attacker accuracy, %", title),
        )  # fmt: skip
    if any(_layers(group) for group in groups):
        drawings["information-layer"] = (
            "Mutual information at every layer of the victim, from the input (0) to the scores, means over crafts.",
            lambda axes: _by_layer(axes, groups, title),
        )
    return drawings


def _means(groups: Sequence[Summary]) -> str:
    """What marks and bars are."""
    return "means over crafts" + (" with 95 % intervals" if any(g.accuracy.interval.is_shown for g in groups) else "")


def _first(groups: Sequence[Summary], pattern: str) -> str:
    """The first measure of this name that any group has; empty for none."""
    names = (name for group in groups for name, mean in group.means.items() if not math.isnan(mean.mean))
    return next((name for name in names if re.fullmatch(pattern, name)), "")


def _layers(group: Summary) -> list[tuple[int, Interval]]:
    """Number and information of each layer."""
    pattern = re.compile(rf"{BY_LAYER}(?::.*)?\.layer_(\d+)")
    numbered = ((pattern.fullmatch(name), mean) for name, mean in group.means.items())
    return sorted((int(match[1]), mean) for match, mean in numbered if match and not math.isnan(mean.mean))


def _name(group: Summary, groups: Sequence[Summary]) -> str:
    """What a group's mark is called: its poisoner, and in what it differs from the poisoner's other groups."""
    shared = group.shared
    alike = [one.shared for one in groups if all(one.shared[name] == shared[name] for name in ("poisoner", "preset"))]
    differing = [
        column(name).text(shared[name])
        for name in GROUP_COLUMNS
        if len({str(one[name]) for one in alike}) > 1
        or (name == "victim" and len({one.shared[name] for one in groups}) > 1)
    ]
    return ", ".join([poisoner_text(shared), *differing])


def _style(groups: Sequence[Summary]) -> dict[str, tuple[str, Any]]:
    """Colour and matplotlib's marker by name: a poisoner's own; groups of one poisoner differ in their shape."""
    looks = marks(dict.fromkeys(group.shared["poisoner"] for group in groups))
    shapes, used = list(SHAPES), Counter[str]()
    styles: dict[str, tuple[str, Any]] = {}
    for group in groups:
        if (name := _name(group, groups)) not in styles:
            look, variant = looks[group.shared["poisoner"]], used[group.shared["poisoner"]]
            styles[name] = (look.colour, marker(shapes[(shapes.index(look.shape) + variant) % len(shapes)]))
            used[group.shared["poisoner"]] += 1
    return styles


def _scatter(axes: Any, groups: Sequence[Summary], x: str, y: str, across: str, up: str, title: str) -> None:
    styles = _style(groups)
    points = [(group, group.means[x], group.means[y]) for group in groups]
    points = [point for point in points if not math.isnan(point[1].mean + point[2].mean)]
    for group, a, b in points:
        colour, mark = styles[_name(group, groups)]
        axes.errorbar(
            a.mean, b.mean, xerr=a.drawn_half, yerr=b.drawn_half, color=colour, marker=mark, markersize=6, capsize=2,
            linewidth=1, linestyle="none", label=_name(group, groups),
        )  # fmt: skip
    rho, low, high, count = spearman([a.mean for _, a, _ in points], [b.mean for _, _, b in points])
    if not math.isnan(rho):
        interval = "" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]"
        text = f"Spearman {rho:.2f}{interval}, n = {count}"
        axes.text(0.02, 0.98, text, transform=axes.transAxes, va="top", fontsize=8)
    # Intervals of three crafts are far wider than all means together; they are cut rather than the view widened.
    axes.set(
        xlabel=across, ylabel=up, xlim=_ends([a.mean for _, a, _ in points]), ylim=_ends([b.mean for *_, b in points])
    )
    axes.locator_params(nbins=6)
    _finish(axes, title)


def _ends(means: Sequence[float]) -> tuple[float, float]:
    margin = 0.3 * (max(means) - min(means)) or 1.0
    return min(means) - margin, max(means) + margin


def _by_layer(axes: Any, groups: Sequence[Summary], title: str) -> None:
    styles = _style(groups)
    for group in groups:
        if layers := _layers(group):
            colour, mark = styles[_name(group, groups)]
            axes.plot(
                [number for number, _ in layers], [mean.mean for _, mean in layers], color=colour, marker=mark,
                markersize=4, linewidth=1.2, label=_name(group, groups),
                linestyle="--" if group.shared["poisoner"] in ADDED_REFERENCES else "-",
            )  # fmt: skip
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="layer, 0: input", ylabel="sliced mutual information, nats")
    _finish(axes, title)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _finish(axes: Any, title: str) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=10, loc="left")
    axes.figure.legend(loc="outside right upper", frameon=False, fontsize=8)


def _drawn_map(one: Map, title: str) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.3 * len(one.points)), layout="constrained")
    grid = figure.subplots(len(one.points), 2, squeeze=False)
    count = len(one.labels)
    for row, (method, points) in zip(grid, one.points.items(), strict=True):
        low, high = points.min(0), points.max(0)
        margin = 0.04 * np.maximum(high - low, 1e-9)
        for axes, side, part in zip(row, ("clean", "perturbed"), (points[:count], points[count:]), strict=True):
            for label, name in enumerate(one.classes):
                mark = marker(list(SHAPES)[label // len(PALETTE) % len(SHAPES)])
                colour, members = PALETTE[label % len(PALETTE)], part[one.labels == label]
                axes.scatter(*members.T, color=colour, marker=mark, s=9, alpha=0.7, linewidths=0, label=name)
            axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
            axes.set_title(f"{method}, {side}", fontsize=9, loc="left")
            axes.set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize=10)
    if len(one.classes) <= _NAMED:
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return figure


def _save(figure: Any, out: Path, name: str) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "ucbench", "font.size": 9}):
        for ending in ("png", "svg"):
            save(figure, out / f"{name}.{ending}")
