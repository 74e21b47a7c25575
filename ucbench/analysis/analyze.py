"""An analysis from its records: table, correlations, plots and report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from ucbench.analysis.features import Map, feature_map
from ucbench.analysis.measures import AnalysisRequest
from ucbench.analysis.plots import draw_all
from ucbench.analysis.recorded import Recorded
from ucbench.analysis.report import markdown
from ucbench.analysis.table import analysis_columns, analysis_rows, correlations, measure_columns
from ucbench.errors import DataError
from ucbench.leaderboard.scene import EXTRA, have_matplotlib
from ucbench.matrix.cell import Cell
from ucbench.plugins.grammar import base_name
from ucbench.results.columns import column
from ucbench.results.records import Record, failure_text
from ucbench.results.summary import Summary, summarise
from ucbench.results.table import csv_text
from ucbench.running.metric_values import metric_of
from ucbench.store.files import atomic_write_text


@dataclass(frozen=True)
class Analysis:
    """The result of an analysis.

    Attributes:
        table: one row per cell: the request, accuracies, the size of the change, and every measure by name.
        correlations: Spearman's correlation of each measure with attacker accuracy over groups that differ in more than
            seeds, with its 95 % interval: ``victim``, ``measure``, ``rho``, ``low``, ``high``, ``n``.
        files: what was written.
        failed: the records of cells that failed, which are left out of all else.
    """

    table: pd.DataFrame
    correlations: pd.DataFrame
    groups: Sequence[Summary] = field(repr=False)
    files: Sequence[Path] = ()
    failed: Sequence[Record] = field(default=(), repr=False)


def analysis(records: Iterable[Record]) -> Analysis:
    """The analysis of records, some of which have measures.

    Raises:
        DataError: if no cell is finished.
    """
    records = list(records)
    done = [record for record in records if record["status"] == "ok"]
    failed = [record for record in records if record["status"] != "ok"]
    if not done:
        if failed:
            raise DataError(f"Nothing to analyze: every cell failed, the first with {failure_text(failed[0])}")
        raise DataError("Nothing to analyze: no cell is finished, or none of these records can be made again here.")
    table = analysis_rows(done)
    groups = summarise(table)
    correlated = correlations(groups, measure_columns(table))
    return Analysis(table[analysis_columns(table)], correlated, groups, failed=failed)


def analyzed(groups: Sequence[Recorded], request: AnalysisRequest, out: Path | None) -> Analysis:
    """The analysis of cells that were measured, written to ``out`` if there is one: analysis.csv, plots/, analysis.md.

    Raises:
        DataError: if no cell is finished.
    """
    asked = [str(ref) for ref in request.references()]
    result = analysis(_without_others(record, asked) for group in groups for record in group.records)
    if out is None:
        return result
    progress = groups[0].session.progress
    files = [_written(out, "analysis.csv", csv_text(result.table, map(column, result.table.columns)))]
    captions: dict[str, str] = {}
    # The report shows the plots, so it is last; the table is first, so that an error while drawing leaves it.
    if have_matplotlib():
        maps: dict[str, Map] = {}
        for group in groups if request.maps else ():
            maps |= _maps(group, request)
        captions = draw_all(result.groups, maps, out / "plots")
    else:
        progress.say(f'No plots: matplotlib is not installed. Run: pip install "{EXTRA}"')
    note = (
        f"{len(result.table)} cells. Features are those of layer {request.layer} of each victim, for up to"
        f" {request.pairs} of its training images, with and without perturbation. Intervals are Student's over crafts."
    )
    files.append(_written(out, "analysis.md", markdown(result.groups, result.correlations, captions, note)))
    plots = [out / "plots" / f"{name}.{ending}" for name in captions for ending in ("svg", "png")]
    return replace(result, files=[*files, *plots])


def _without_others(record: Record, asked: Sequence[str]) -> Record:
    """The record without values that an analysis of another layer, or of other pairs, has left in it."""
    if record["status"] != "ok":
        return record
    others = {base_name(name) for name in asked}

    def belongs(column: str) -> bool:
        metric = metric_of(column, record.get("measured_by", {}))
        return metric is None or metric in asked or base_name(metric) not in others

    return {**record, "metrics": {name: value for name, value in record["metrics"].items() if belongs(name)}}


def _maps(group: Recorded, request: AnalysisRequest) -> dict[str, Map]:
    """One map per poisoner and victim, of the first finished cell without defense; by a name for its title."""
    done = [
        cell
        for cell, record in zip(group.cells, group.records, strict=True)
        if record["status"] == "ok" and not cell.victim.spec.opaque and not cell.defense
    ]
    several = len({str(cell.victim) for cell in done}) > 1
    first: dict[str, Cell] = {}
    for cell in done:
        first.setdefault(str(cell.craft.poisoner) + (f", {cell.victim}" if several else ""), cell)
    advance = group.session.progress.bar("drawing maps", len(first))
    maps = {}
    for name, cell in first.items():
        maps[name] = feature_map(cell, group.session, request.layer, request.maps)
        advance(1)
    return maps


def _written(out: Path, name: str, text: str) -> Path:
    """Write a file of the analysis; returns its path."""
    atomic_write_text(out / name, text)
    return out / name
