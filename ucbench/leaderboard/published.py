"""Published accuracies from a CSV, one figure a line, under the names that installed components have.

The file's columns are :data:`COLUMNS`, in any order; others are ignored. Not every line can be compared: measures other
than clean test accuracy, bounds (``>87``), budgets and mixtures that are no plain numbers. Those are counted by reason
and left out, never guessed.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ucbench.data.budget import LEVELS
from ucbench.errors import DataError, UcbenchError
from ucbench.plugins.builtin import CLEAN
from ucbench.plugins.registry import Registry

COLUMNS = (
    "paper", "table", "dataset", "train_fraction_poisoned", "eps", "poisoner", "surrogate", "labeling", "defense",
    "victim", "metric", "value", "source",
)  # fmt: skip
METRIC = "clean_test_acc"

#: The name of an installed component for what a paper calls it, by kind.
NameOf = Callable[[str, str], str]


@dataclass(frozen=True)
class Figure:
    """One published accuracy.

    Attributes:
        source: paper and table.
        dataset: as all names here, of an installed component where one is known by it.
        epsilon: 8-bit units for linf, the [0, 1] scale for l2, pixels for l0; None where unbounded, or clean.
        accuracy: percent.
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


@dataclass(frozen=True)
class Published:
    """The figures of a file, and how many lines were left out for which reason."""

    figures: tuple[Figure, ...]
    left_out: Mapping[str, int]


def read_published(path: Path, name_of: NameOf) -> Published:
    """Read a file.

    Raises:
        DataError: if it cannot be read, or lacks columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path} holds no published figures: its header lacks {', '.join(missing)}.")
            lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    figures = []
    left_out: Counter[str] = Counter()
    for line in lines:
        # A short line lacks its last columns, which then are None.
        found = _figure({name: (line[name] or "").strip() for name in COLUMNS}, name_of)
        if isinstance(found, Figure):
            figures.append(found)
        else:
            left_out[found] += 1
    settings = Counter(replace(figure, accuracy=0.0) for figure in set(figures))
    unique = [figure for figure in dict.fromkeys(figures) if settings[replace(figure, accuracy=0.0)] == 1]
    if len(unique) < len(set(figures)):
        left_out["table says two things of one setting"] = len(set(figures)) - len(unique)
    return Published(tuple(unique), dict(sorted(left_out.items())))


def namer(registry: Registry, same: Mapping[str, str]) -> NameOf:
    """Names by what ``same`` says of a published name, else by the names and aliases of installed components.

    Case, spaces and punctuation do not count: ``CIFAR-10`` is ``cifar10``, and ``RN18`` the alias ``rn18``.
    """
    spelled = {_slug(theirs): ours for theirs, ours in same.items()}

    def name_of(kind: str, text: str) -> str:
        slug = _slug(text)
        if slug in spelled:
            return spelled[slug]
        for name in (slug, slug.replace("-", "")):
            try:
                return registry.find(kind, name).name
            except UcbenchError:
                continue
        return slug

    return name_of


def _figure(line: Mapping[str, str], name_of: NameOf) -> Figure | str:
    """The figure of a line, or why it is none."""
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
        # Label-agnostic is what the poisoner is; these papers' exploiters use the data set's labels.
        name_of("labeling", "original" if line["labeling"].startswith("label-agnostic") else line["labeling"]),
        name_of("victim", line["victim"]),
        *budget,
        mixture,
        CLEAN if clean else name_of("poisoner", line["poisoner"]),
        "+".join("none" if part.strip() == "none" else name_of("defense", part) for part in chain),
        accuracy,
    )


def _accuracy(text: str) -> float | None:
    """``91.5``, or the mean of ``91.5±0.3``; None for a bound, or what is no percentage."""
    value = _number(text.partition("±")[0])
    return value if value is not None and 0 <= value <= 100 else None


def _budget(text: str) -> tuple[str, float | None] | None:
    """Norm and radius of ``Linf 8/255``, ``L2 1.0``, ``L0 1`` or ``unbounded``; a remark in brackets is ignored."""
    plain = re.sub(r"\(.*\)", "", text).strip().lower()
    if plain == "unbounded":
        return "unbounded", None
    match = re.fullmatch(r"(linf|l2|l0)\s+([0-9.]+)(/255)?", plain)
    radius = _number(match[2]) if match else None
    if match is None or radius is None:
        return None
    if match[1] == "linf" and not match[3] and radius < 1:
        radius *= LEVELS  # on the [0, 1] scale
    return match[1], radius


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
