"""From records to a table: one row per cell with the differences to its references, and as CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ucbench.data.budget import LEVELS
from ucbench.errors import DataError, visible
from ucbench.matrix.axes import GROUP_COLUMNS
from ucbench.plugins.builtin import CLEAN, CLEAN_PART, NO_DEFENSE, POSITIVE, SHAM
from ucbench.plugins.grammar import base_name
from ucbench.results.columns import (
    BUDGET,
    COLUMNS,
    DTYPES,
    ENTRY,
    EXPLOITER,
    PART_ACCURACY,
    PART_GAIN,
    Column,
    column,
    inert,
)
from ucbench.results.records import (
    Metrics,
    Record,
    RecordedRequest,
    current,
    failure_text,
    platform_of,
    read_records,
)
from ucbench.results.statistics import accuracy_low, gap_removed
from ucbench.store.files import atomic_write_text
from ucbench.store.locks import exclusive

Row = dict[str, Any]

#: Columns in which a row equals its clean reference, and in addition its sham reference.
SAME_EXPLOITER = (*EXPLOITER, "defense", "train_seed")
SAME_BUDGET = (*BUDGET, "craft_seed")
#: Columns in which a row equals the control of its mixture. The craft seed alone decides which part is protected.
_SAME_PART = (*EXPLOITER, "train_seed", "mixture", "craft_seed")
#: Rows are only compared where images and numerics are the same.
SAME_WORLD = ("numerics", "fingerprints")
#: Columns in which rows that are averaged over seeds are equal.
GROUP = (*GROUP_COLUMNS, *SAME_WORLD)
#: The column of frames and JSON that says why a cell failed; files leave it to the records.
ERROR = "error"
#: Columns of the table only; see :func:`rows`.
_INTERNAL = {ERROR: "string", "oracle": "bool", "numerics": "object", "fingerprints": "object", "test_images": "Int64"}
#: Columns that decide the order of rows; :func:`_sorted` adds two of them.
_ORDER = (
    "dataset", "labeling", "defense", "victim", "budgeted", "norm", "epsilon", "mixture", "place", *ENTRY, "craft_seed",
    "train_seed", "cell",
)  # fmt: skip


def rows(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record, in a fixed order, with the differences to the clean and sham rows among the records.

    Records of earlier versions of components are left out where there are later ones
    (:func:`ucbench.results.records.current`).

    The columns are those of results.csv (see :func:`columns`), and:

    * ``error``: why the cell failed, as :func:`ucbench.results.records.failure_text` says it;
    * ``base``: the poisoner's name without parameters; ``oracle``: whether it sees more than a real one can;
    * ``unit``: the seed that is the unit of statistics: the craft seed, or the train seed where nothing is crafted;
    * ``numerics`` and ``fingerprints``: tuples; ``test_images``: their number.

    The images are a data set's identity: where records name the same images differently, as paths do, ``dataset`` is
    the shortest of their names. ``gap_removed`` is missing unless the :func:`lower end
    <ucbench.results.statistics.accuracy_low>` of clean accuracy is above chance.

    Columns have the dtypes of their descriptions (:attr:`ucbench.results.columns.Column.dtype`). A value is missing
    where its column does not apply: a clean row's craft seed, a failed cell's accuracy, a missing reference.
    """
    lines = [_row(record) for record in current(records)]
    metrics = sorted({name for line in lines for name in line if "." in name})
    table = pd.DataFrame(lines, columns=[*COLUMNS, *metrics, *_INTERNAL], dtype=object)
    dtypes = {**DTYPES, **{name: _metric_dtype(table[name]) for name in metrics}, **_INTERNAL}
    table = table.astype(dtypes)
    table["dataset"] = table.groupby("fingerprints", sort=False)["dataset"].transform(_shortest).astype("string")
    table = _sorted(with_units(table))
    accuracy, done = table["test_accuracy"], measured(table)
    clean, sham = done[done["poisoner"] == CLEAN], done[done["poisoner"] == SHAM]
    table["clean_accuracy"] = beside(table, clean, SAME_EXPLOITER)
    table["sham_accuracy"] = beside(table, sham, SAME_EXPLOITER + SAME_BUDGET)
    table["drop"] = table["clean_accuracy"] - accuracy
    table["drop_sham"] = table["sham_accuracy"] - accuracy
    removed = pd.Series(gap_removed(table["clean_accuracy"], accuracy, table["chance"]), table.index)
    table["gap_removed"] = removed.where(_clean_low(table, clean) > table["chance"])
    parts = done[(done["defense"] == CLEAN_PART) & (done["mixture"] < 1)]
    # Labels read from published pixels differ between releases, and so do controls: prefer that of the same poisoner.
    part = beside(table, parts, _SAME_PART + ENTRY + SAME_BUDGET)
    part = part.fillna(beside(table, parts, _SAME_PART))
    # The control has no defense, so it is not a reference for defended rows.
    part = part.where(table["defense"] == NO_DEFENSE)
    if part.notna().any():
        table[PART_ACCURACY], table[PART_GAIN] = part, accuracy - part
    return table


def beside(
    table: pd.DataFrame, references: pd.DataFrame, same: Sequence[str], name: str = "test_accuracy"
) -> pd.Series:
    """For each row, the number ``name`` of the reference that equals it in the columns ``same``; NaN without one."""
    keys = list(dict.fromkeys((*same, *SAME_WORLD)))
    numbers = references.drop_duplicates(keys, keep="last")[[*keys, name]]
    return table[keys].merge(numbers, on=keys, how="left")[name]


def _clean_low(table: pd.DataFrame, clean: pd.DataFrame) -> pd.Series:
    """For each row, the lower end of the accuracy of all finished clean rows of its exploiter and defense, or NaN."""
    keys = [*EXPLOITER, "defense", *SAME_WORLD]
    lows = [
        {
            **shared,
            "low": accuracy_low(cells["test_accuracy"].tolist(), max(cells["test_images"].dropna(), default=None)),
        }
        for shared, cells in grouped(clean, keys)
    ]
    return table[keys].merge(pd.DataFrame(lows, columns=[*keys, "low"]), on=keys, how="left")["low"]


def _shortest(names: pd.Series) -> str:
    return str(min(names, key=lambda name: (len(name), name)))


def _row(record: Record) -> Row:
    """A record's values by column. Only columns' own fields are taken, so that others cannot stand in for them."""
    metrics, budget, cost = record.get("metrics", {}), record.get("budget", {}), record.get("cost", {})
    row = {
        **{name: record["request"][name] for name in RecordedRequest.model_fields},
        **{name: value for name, value in metrics.items() if name in Metrics.model_fields},
        **{visible(name): value for name, value in metrics.items() if "." in name},
        "purity": _purity(record),
        "label_access": record["label_access"],
        "granularity": record["granularity"],
        "platform": platform_of(record),
        "epochs": record.get("epochs"),
        "measured_linf": budget.get("linf_max"),
        "measured_l2": budget.get("l2_max"),
        "measured_rms": _root_mean_square(record),
        "measured_l0": budget.get("l0_max"),
        "psnr": budget.get("psnr"),
        "ssim": budget.get("ssim"),
        "seconds": cost.get("seconds"),
        "craft_seconds": cost.get("craft_seconds"),
        "images_per_second": cost.get("images_per_second"),
        "status": record["status"],
        "cell": record["cell"],
        ERROR: failure_text(record) if record["status"] == "failed" else None,
        "oracle": record["oracle"],
        "numerics": tuple(sorted(record["numerics"].items())),
        "fingerprints": (record["data"]["train"], record["data"]["test"]),
        "test_images": record["data"].get("test_images"),
    }
    return {name: visible(value) if isinstance(value, str) else value for name, value in row.items()}


def _purity(record: Record) -> float | None:
    """Purity in percent of the groups of images that share a perturbation; None where there are none.

    Of older records, which state only the relative purity, it is known where the exploiter's classes are the data's.
    """
    groups = record.get("notes", {}).get("exploiter_labels_in_groups")
    if not isinstance(groups, Mapping):
        return None
    share, relative = groups.get("purity"), groups.get("relative_purity")
    classes = record["data"].get("classes") if record["request"]["labeling"] == "original" else None
    if share is None and classes and isinstance(relative, float) and isinstance(groups.get("groups"), int):
        share = relative * min(1.0, groups["groups"] / classes)
    return 100 * share if isinstance(share, float | int) and 0 <= share <= 1 else None


def _root_mean_square(record: Record) -> float | None:
    """Of the perturbation in levels, the mean over images; None where the record does not hold what it follows from."""
    length, size = record.get("budget", {}).get("l2_mean"), record["data"].get("size")
    if length is None or size is None:
        return None
    return float(LEVELS * length / math.sqrt(3 * math.prod(size)))


def with_units(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns ``base`` and ``unit`` of :func:`rows`."""
    base = table["poisoner"].map(base_name).astype("string")
    return table.assign(base=base, unit=table["craft_seed"].fillna(table["train_seed"]))


def _metric_dtype(values: pd.Series) -> str:
    """The dtype of a requested metric: counts stay integers, as they are written in files."""
    return "Int64" if pd.api.types.infer_dtype(values, skipna=True) == "integer" else "float64"


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    # Clean rows come before the releases of any budget.
    places = table["base"].map({CLEAN: 0, SHAM: 1, POSITIVE: 2}).fillna(3)
    ordered = table.assign(budgeted=table["epsilon"].notna(), place=places)
    return ordered.sort_values(list(_ORDER), na_position="first", ignore_index=True)[table.columns]


def columns(table: pd.DataFrame) -> list[str]:
    """The columns of files: :data:`COLUMNS`, then those of requested metrics (``<metric>.<name>``) by name."""
    return [*COLUMNS, *sorted(name for name in table.columns if "." in str(name))]


def columns_with_errors(table: pd.DataFrame) -> list[str]:
    """The :func:`columns` of the table of :func:`rows`, and ``error`` where a cell failed."""
    return columns(table) + [ERROR] * bool(table[ERROR].notna().any())


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """The table with Python's own values, and None for missing ones."""
    return table.astype(object).where(table.notna(), None)


def dicts(table: pd.DataFrame) -> list[Row]:
    """The rows as dicts of :func:`plain` values."""
    lines: list[Row] = plain(table).to_dict("records")
    return lines


def csv_text(table: pd.DataFrame, described: Iterable[Column]) -> str:
    """These columns as CSV, with numbers in a fixed format: the same values give the same bytes."""
    values = plain(table)
    texts = pd.DataFrame({inert(column.name): values[column.name].map(column.field) for column in described})
    return str(texts.to_csv(index=False, lineterminator="\n"))


def to_csv(table: pd.DataFrame) -> str:
    """The rows as CSV with their :func:`columns`."""
    return csv_text(table, map(column, columns(table)))


def write_csv(out: Path, table: pd.DataFrame) -> Path:
    """Write ``out/results.csv``, whole or not at all."""
    path = out / "results.csv"
    atomic_write_text(path, to_csv(table))
    return path


def update_csv(out: Path) -> Path:
    """Write ``out/results.csv`` from all records in ``out``; of several processes, one after another."""
    # Otherwise the one that read first could write last, without the records of the others.
    with exclusive(out / ".results.csv.lock"):
        return write_csv(out, rows(read_records(out)))


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of finished cells."""
    return table[(table["status"] == "ok") & table["test_accuracy"].notna()]


def several_worlds(table: pd.DataFrame) -> str:
    """Why the finished rows of one exploiter cannot be averaged: not all have the same images and numerics.

    Returns:
        A sentence with the first two worlds, and what to do; empty where all is comparable.
    """
    for shared, cells in grouped(measured(table), EXPLOITER):
        worlds = list(dict.fromkeys(zip(*(cells[name] for name in SAME_WORLD), strict=True)))
        if len(worlds) > 1:
            one, other = map(_world, worlds[:2])
            differing = [name for name in {**one, **other} if one.get(name) != other.get(name)]
            first, second = (", ".join(f"{name} {values.get(name)}" for name in differing) for values in (one, other))
            return (
                f"Records of {shared['dataset']} and {shared['victim']} cannot be averaged: some have {first},"
                f" others {second}. Move those of one kind to another folder, or compute them again."
            )
    return ""


def check_worlds(table: pd.DataFrame) -> None:
    """Raise DataError where rows cannot be averaged, with the text of :func:`several_worlds`."""
    if why := several_worlds(table):
        raise DataError(why)


def _world(world: tuple[Any, ...]) -> dict[str, Any]:
    numerics, fingerprints = world
    images = (fingerprint[:8] for fingerprint in fingerprints)
    return {**dict(numerics), **dict(zip(("training images", "test images"), images, strict=True))}


def grouped(table: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[Row, pd.DataFrame]]:
    """The rows grouped by these columns, in order of appearance: values of the columns (None if missing), rows."""
    for values, members in table.groupby(list(names), sort=False, dropna=False):
        yield {n: None if pd.isna(value) else value for n, value in zip(names, values, strict=True)}, members


def by_unit(table: pd.DataFrame, names: Sequence[str], keys: Sequence[str] = ()) -> pd.DataFrame:
    """Means of these numbers over the rows of each ``unit`` (and each value of ``keys``), in order of appearance.

    Trainings on one release are not independent draws, so they are averaged before any interval is computed.
    """
    # Means of integers with a missing value would hold pandas.NA, which is no number.
    return table.groupby([*keys, "unit"], sort=False, dropna=False)[list(names)].mean().astype(float)
