"""What is asked: axes given as values or text, a suite by its name, and the cells they mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ucbench.errors import UsageError, did_you_mean
from ucbench.matrix.axes import AXES, AXIS, DEFAULT_LABELER
from ucbench.matrix.cell import Cell
from ucbench.matrix.compatibility import is_unrankable
from ucbench.matrix.matrix import Request, dedup_key, expand
from ucbench.matrix.suite import Suite, find_suite, shipped_suites
from ucbench.matrix.suite import shard as part_of
from ucbench.plugins.manager import suite_paths
from ucbench.plugins.registry import Registry, installed

Texts = str | Sequence[str]
Numbers = str | float | Sequence[str | float]
Seeds = str | int | Sequence[int] | None


def axes(
    *,
    poisoner: Texts = AXIS["poisoner"].default,
    dataset: Texts = AXIS["dataset"].default,
    surrogate: Texts = AXIS["surrogate"].default,
    craft_labels: Texts = AXIS["craft_labels"].default,
    labeling: Texts = AXIS["labeling"].default,
    defense: Texts = AXIS["defense"].default,
    victim: Texts = AXIS["victim"].default,
    epsilon: Numbers = AXIS["epsilon"].default,
    mixture: Numbers = AXIS["mixture"].default,
    trusted: Numbers = AXIS["trusted"].default,
    metric: Texts = AXIS["metric"].default,
    seed: Seeds = None,
    trainings: str | int | None = None,
    craft_seed: Seeds = None,
    train_seed: Seeds = None,
    schedule: str | float = AXIS["schedule"].default,
) -> Request:
    """Build a request. Every axis takes one value or several; every metric is measured for every cell.

    ``seed`` ("0-2", "0,4", [0, 4]) sets craft seeds. Every craft seed C has ``trainings`` N of its own, with train
    seeds N*C to N*C+N-1: C itself where N is 1. ``craft_seed`` and ``train_seed`` cross instead. Epsilon is the linf
    radius in 8-bit units: ``8`` or ``"8/255"``. ``schedule`` multiplies the epochs of every victim. See
    :data:`ucbench.matrix.axes.AXES`.

    Raises:
        UsageError: for ``seed`` or ``trainings`` beside ``craft_seed`` or ``train_seed``, or unreadable values.
    """
    values = locals()
    nested, crossed = (seed, trainings), (craft_seed, train_seed)
    if any(value is not None for value in nested) and any(value is not None for value in crossed):
        raise UsageError(
            "Give either --seed and --trainings, where every craft seed has train seeds of its own, or --craft-seed and"
            " --train-seed, which cross."
        )
    if crossed == (None, None):
        count = AXIS["trainings"].read(1 if trainings is None else trainings)
        crafts = AXIS["seed"].read(0 if seed is None else seed)
        pairs = [(craft, count * craft + number) for craft in crafts for number in range(count)]
    else:
        crafts, trains = (AXIS["seed"].read(0 if text is None else text) for text in (craft_seed, train_seed))
        pairs = [(craft, train) for craft in crafts for train in trains]
    request = {axis.plural: values[axis.name] for axis in AXES if axis.plural}
    return Request(**request, labeler=DEFAULT_LABELER, seeds=pairs)


def axes_of(function: str, values: dict[str, Any]) -> Request:
    """As :func:`axes`; a name that is no axis, and no poisoner, are errors of ``function``."""
    if unknown := [name for name in values if name not in AXIS]:
        raise UsageError(
            f"{function}() has no argument {unknown[0]!r}.{did_you_mean(unknown[0], AXIS)} The axes: {', '.join(AXIS)}."
        )
    if not values.get("poisoner"):
        raise UsageError(f"{function}() needs a poisoner, such as poisoner='uc', or 'clean' for clean images alone.")
    return axes(**values)


def suite(name: str) -> Suite:
    """The suite of that name, from ucbench or a plugin, or the one in a file ``name.toml``.

    Raises:
        UsageError: if there is none, or its file is wrong.
    """
    return find_suite(name, suites()[0])


def suites() -> tuple[dict[str, Path], list[str]]:
    """The files of all suites by name, and one sentence for every plugin whose suites cannot be listed."""
    paths, problems = suite_paths(installed().plugins)
    return {**paths, **shipped_suites()}, problems


def suite_cells(suite: Suite, registry: Registry, *, shard: str | None = None, **axis: Any) -> list[Cell]:
    """The cells of a suite, references included; ``axis`` replaces axes in all its tables.

    They come by train seed, then in the order of the tables: a suite that is stopped has measured everything equally
    often, as far as it came. A cell of several tables has the metrics of all.

    Args:
        shard: one part of the cells, such as ``3/16``; cells that share a release are in the same part.

    Raises:
        UsageError: for names or values that do not exist or do not fit together.
    """
    for defense in suite.file.ranking.defenses:
        if is_unrankable(defense, registry):
            raise UsageError(
                f"Suite {suite.path}: ranking.defenses names {defense}, which sees more than exploiters do."
            )
    cells: dict[str, Cell] = {}
    for number, request in enumerate(suite.requests(axis), 1):
        try:
            expanded = expand(axes(**request), registry, suite.keeps)
        except UsageError as error:
            if axis:  # the error may be in these
                raise
            raise UsageError(f"Suite {suite.path}, table {number}: {error}") from error
        for cell in expanded:
            key = dedup_key(cell)
            cells[key] = cells[key].united(cell) if key in cells else cell
    run = {cell.defense_text for cell in cells.values()}
    if not axis and (missing := [defense for defense in suite.file.ranking.defenses if defense not in run]):
        raise UsageError(
            f"Suite {suite.path}: ranking.defenses names {missing[0]}, which no table runs, so no poisoner would have a"
            f" worst case.{did_you_mean(missing[0], run)} Add it to a table, or leave it out there."
        )
    ordered = sorted(cells.values(), key=lambda cell: cell.train_seed)
    return ordered if shard is None else part_of(ordered, shard)
