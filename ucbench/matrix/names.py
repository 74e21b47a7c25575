"""How a cell, or a row of cells that differ only in seeds, is named in texts and figures."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ucbench.matrix.axes import AXIS
from ucbench.plugins.params import DEFAULT_PRESET


def poisoner_text(values: Mapping[str, Any]) -> str:
    """The poisoner, with its preset unless that is the default one.

    It begins with the text of the column ``poisoner``; a request names it as
    :func:`ucbench.matrix.from_record.poisoner_of` does.
    """
    preset = "" if values["preset"] == DEFAULT_PRESET else f" @{values['preset']}"
    return f"{values['poisoner']}{preset}"


def entry_text(values: Mapping[str, Any], *more: str, stating: Sequence[str] = ("surrogate", "craft_labels")) -> str:
    """The poisoner, and in brackets its surrogate, its craft labels (unless they go without saying), and ``more``.

    Args:
        stating: which of the two are named at all.
    """
    stated = [name for name in stating if _is_remarkable(values, name)]
    details = [f"labels {values[name]}" if name == "craft_labels" else str(values[name]) for name in stated]
    brackets = ", ".join([*details, *more])
    return poisoner_text(values) + (f" ({brackets})" if brackets else "")


def distinguished(rows: Iterable[Mapping[str, Any]], also: Sequence[str] = ()) -> list[str]:
    """The name of each row among the others: its poisoner and :func:`differences`."""
    rows = list(rows)
    each = zip(rows, differences(rows, also), strict=True)
    return [", ".join([poisoner_text(row), *differing.values()]) for row, differing in each]


def differences(rows: Iterable[Mapping[str, Any]], also: Sequence[str] = ()) -> list[dict[str, str]]:
    """For each row, what tells it from others of the same poisoner, by what it is.

    Those are ``labels``, the craft labels, which are left out only where there are no others and they go without
    saying; the ``surrogate``; and the columns in ``also``. Craft labels have no model, unless two differ only in it.
    """
    rows = list(rows)
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        for name in ("craft_labels", "surrogate", *also):
            values[row["poisoner"], name].add(str(row[name]))
    brief = _brief({str(row["craft_labels"]) for row in rows})
    differing = []
    for row in rows:
        several = [name for name in ("craft_labels", "surrogate", *also) if len(values[row["poisoner"], name]) > 1]
        stated = "craft_labels" in several or _is_remarkable(row, "craft_labels")
        labels = {"labels": brief[str(row["craft_labels"])]} if stated else {}
        differing.append(labels | {name: str(row[name]) for name in several if name != "craft_labels"})
    return differing


def unusual(values: Mapping[str, Any], mark: Callable[[str], str] = str) -> list[str]:
    """What few settings have, in words: other labels than the data set's (marked), and :func:`extras`."""
    labels = [] if values["labeling"] == AXIS["labeling"].default else [f"labels {mark(values['labeling'])}"]
    return [*labels, *extras(values)]


def extras(values: Mapping[str, Any]) -> list[str]:
    """A mixture and trusted images in words, where there are any."""
    return [
        *([] if values["mixture"] == 1 else [f"mixture {values['mixture']:g}"]),
        *([f"{values['trusted']} trusted images"] if values.get("trusted") else []),
    ]


def _is_remarkable(values: Mapping[str, Any], name: str) -> bool:
    return values[name] not in AXIS[name].unremarkable


def _brief(labels: set[str]) -> dict[str, str]:
    brief = {text: re.split("[:,]model=", text)[0] for text in labels}
    return brief if len(set(brief.values())) == len(labels) else {text: text for text in labels}


def titled(values: Mapping[str, Any], poisoner: str) -> str:
    """A cell with these columns in one line; what few cells have (craft labels, a mixture ...) is named where it is.

    Args:
        poisoner: its reference, as a request names it.
    """
    craft, train = values["craft_seed"], values["train_seed"]
    seeds = f"seed {train}" if craft in (None, train) else f"craft seed {craft}, train seed {train}"
    budget = "" if values["epsilon"] is None else f" {values['norm']} {values['epsilon']:g}"
    labels = f", craft labels {values['craft_labels']}" if _is_remarkable(values, "craft_labels") else ""
    setting = [
        *extras(values),
        *([f"labeling {values['labeling']}"] if _is_remarkable(values, "labeling") else []),
    ]
    defense = f" + {values['defense']}" if _is_remarkable(values, "defense") else ""
    parts = [
        values["dataset"],
        f"{poisoner}{budget}{labels}",
        ", ".join(setting),
        f"{values['victim']}{defense}",
        seeds,
    ]
    return " | ".join(part for part in parts if part)
