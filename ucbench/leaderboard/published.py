"""Published accuracies from a CSV, one figure per line, under the names of installed components.

The file's columns are :data:`COLUMNS`, in any order; others are ignored. Lines that cannot be compared are counted by
reason and left out: measures other than clean test accuracy, bounds (``>87``), budgets and mixtures that are not plain
numbers. Nothing is guessed.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ucbench.data.budget import LEVELS
from ucbench.errors import DataError, UcbenchError
from ucbench.plugins.builtin import CLEAN
from ucbench.plugins.registry import Registry
from ucbench.store.untrusted import read_regular

COLUMNS = (
    "paper", "table", "dataset", "train_fraction_poisoned", "eps", "poisoner", "surrogate", "labeling", "defense",
    "victim", "metric", "value", "source",
)  # fmt: skip
METRIC = "clean_test_acc"

#: From the kind of a component and its name in a paper to the name of the installed component.
NameOf = Callable[[str, str], str]


class Figure(NamedTuple):
    """One published accuracy, in percent; names are those of installed components where there are such.

    ``source`` is paper and table. ``epsilon`` is in 8-bit levels for linf, on the [0, 1] scale for l2, in pixels for
    l0, and None where the budget is unbounded or the data are clean.
    """

    source: str
    dataset: str
    labeling: str
    victim: str
    norm: str
    epsilon: float | None
    mixture: float
    poisoner: str
    defense: str
    accuracy: float

    @property
    def name(self) -> tuple[str | float | None, ...]:
        """Everything but the source and the accuracy."""
        return self[1:-1]


class Published(NamedTuple):
    """The figures of a file, and the number of lines left out by reason."""

    figures: tuple[Figure, ...]
    left_out: Mapping[str, int]


def read_published(path: Path, name_of: NameOf) -> Published:
    """Read a file.

    Raises:
        DataError: if it cannot be read, or lacks columns.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_regular(path).decode("utf-8-sig"), newline=""))
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(f"{path} is not a file of published figures: its header lacks {', '.join(missing)}.")
        lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    figures = []
    left_out: Counter[str] = Counter()
    for line in lines:
        # A short line has None in its last columns.
        figure = _figure({name: (line[name] or "").strip() for name in COLUMNS}, name_of)
        if isinstance(figure, Figure):
            figures.append(figure)
        else:
            left_out[figure] += 1
    distinct = dict.fromkeys(figures)
    values = Counter(figure[:-1] for figure in distinct)
    unique = [figure for figure in distinct if values[figure[:-1]] == 1]
    if len(unique) < len(distinct):
        left_out["table has two values for one setting"] = len(distinct) - len(unique)
    return Published(tuple(unique), dict(sorted(left_out.items())))


def namer(registry: Registry, same: Mapping[str, str]) -> NameOf:
    """Look published names up in ``same``, then among the names and aliases of installed components.

    Ignores case, spaces and punctuation: ``CIFAR-10`` is ``cifar10``, and ``RN18`` the alias ``rn18``.
    """
    synonyms = {_slug(theirs): ours for theirs, ours in same.items()}

    def name_of(kind: str, text: str) -> str:
        slug = _slug(text)
        if slug in synonyms:
            return synonyms[slug]
        for name in (slug, slug.replace("-", "")):
            try:
                return registry.find(kind, name).name
            except UcbenchError:
                continue
        return slug

    return name_of


def _figure(line: Mapping[str, str], name_of: NameOf) -> Figure | str:
    """The figure of a line, or the reason to leave it out."""
    if line["metric"] != METRIC:
        return f"no {METRIC}"
    accuracy = _accuracy(line["value"])
    if accuracy is None:
        return "no plain accuracy"
    if not line["victim"] or not line["defense"]:
        return "no victim or defense"
    clean = line["poisoner"].lower() in ("none (clean)", "none", "clean")
    budget = ("unbounded", None) if clean else _budget(line["eps"])
    mixture = 1.0 if clean else _number(line["train_fraction_poisoned"])
    if budget is None:
        return "budget no plain number"
    if mixture is None or not 0 < mixture <= 1:
        return "poisoned fraction no plain number"
    chain = line["defense"].split("+")
    return Figure(
        f"{line['paper']}, {line['table']}",
        name_of("dataset", line["dataset"]),
        # "Label-agnostic" describes the poisoner; the exploiters of these papers use the data set's labels.
        name_of("labeling", "original" if line["labeling"].startswith("label-agnostic") else line["labeling"]),
        name_of("victim", line["victim"]),
        *budget,
        mixture,
        CLEAN if clean else name_of("poisoner", line["poisoner"]),
        "+".join("none" if part.strip() == "none" else name_of("defense", part) for part in chain),
        accuracy,
    )


def _accuracy(text: str) -> float | None:
    """``91.5``, or the mean of ``91.5±0.3``; None for bounds and anything else that is not a percentage."""
    value = _number(text.partition("±")[0])
    return value if value is not None and 0 <= value <= 100 else None


def _budget(text: str) -> tuple[str, float | None] | None:
    """Norm and radius of ``Linf 8/255``, ``L2 1.0``, ``L0 1`` or ``unbounded``, ignoring a remark in brackets."""
    plain = re.sub(r"\(.*\)", "", text).strip().lower()
    if plain == "unbounded":
        return "unbounded", None
    match = re.fullmatch(r"(linf|l2|l0)\s+([0-9.]+)(/255)?", plain)
    radius = _number(match[2]) if match else None
    if match is None or radius is None or (match[3] and match[1] == "l0"):
        return None
    if match[1] == "linf" and not match[3] and radius < 1:
        radius *= LEVELS  # on the [0, 1] scale
    return match[1], radius / LEVELS if match[1] == "l2" and match[3] else radius


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
