"""What published boards say about poisoners that can protect photos without labels, for the report of ``protect``.

``python docs/_ext/protection.py`` writes ``ucbench/protection/boards.json`` from the records; a test compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from _ext.boards import summaries
from _ext.paths import LEADERBOARDS, ROOT
from ucbench.matrix.from_record import poisoner_of
from ucbench.plugins.builtin import ADDED_REFERENCES, CLEAN, NO_DEFENSE, SHAM
from ucbench.plugins.grammar import base_name, parse_chain
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import DefenseSpec
from ucbench.results.records import read_records
from ucbench.results.summary import Summary

TARGET = ROOT / "ucbench" / "protection" / "boards.json"
#: The board of poisoners, and the one on which defenses were tried.
PHOTOGRAPHS = "photos-core/v1"
DEFENDED = "photos-defenses/v1"


def boards() -> dict[str, Any]:
    """Accuracies of the exploiter by poisoner, and under defenses."""
    return {"photographs": _photographs(), "defended": _defended()}


def _photographs() -> dict[str, Any]:
    found = summaries(PHOTOGRAPHS)
    clean = _only(found, CLEAN)
    return _conditions(PHOTOGRAPHS, found) | {
        "chance": round(clean.means["chance"].mean, 1),
        "clean": _accuracy(clean),
        "sham": _accuracy(_only(found, SHAM)),
        "poisoners": {poisoner_of(one.shared): _accuracy(one) for one in found if _is_unlabelled(one)},
    }


def _defended() -> dict[str, Any]:
    """Only ``uc``: which defenses raise its accuracy above that without defense, the strongest first."""
    groups = [one for one in summaries(DEFENDED) if one.done]
    (plain,) = (one for one in groups if one.shared["base"] == "uc" and one.shared["defense"] == NO_DEFENSE)
    undefended = plain.means["test_accuracy"].mean
    raised = [one for one in groups if one.shared["base"] == "uc" and one.means["test_accuracy"].mean > undefended]
    raised.sort(key=lambda one: -one.means["test_accuracy"].mean)
    tried = {str(one.shared["defense"]) for one in groups} - {NO_DEFENSE}
    return _conditions(DEFENDED, [plain]) | {
        "poisoner": "uc",
        "clean": _accuracy(_only(groups, CLEAN)),
        "undefended": _accuracy(plain),
        "defenses_tried": len(tried),
        "restoring": [
            {
                "defense": one.shared["defense"],
                "summary": _summary(one),
                "accuracy": _accuracy(one),
                "clean": _accuracy(_only(groups, CLEAN, one.shared["defense"])),
            }
            for one in raised
        ],
    }


def _conditions(board: str, groups: Iterable[Summary]) -> dict[str, Any]:
    """What all groups with a poisoner share."""
    record = next(iter(read_records(LEADERBOARDS / board)))
    shared = next(one for one in groups if one.shared["base"] not in ADDED_REFERENCES).shared
    return {
        "board": board,
        "images": record["data"]["train_images"],
        "side": record["data"]["size"][0],
        "epsilon": shared["epsilon"],
        "victim": shared["victim"],
    }


def _accuracy(summary: Summary) -> dict[str, float | int | str | None]:
    """Mean test accuracy in percent, half-width of its 95 % interval or None, the crafts behind it, and all as text.

    There is none of one craft, and that of two says little: the text has both values instead.
    """
    interval = summary.means["test_accuracy"]
    half = round(interval.half, 1) if interval.is_shown else None
    return {"mean": round(interval.mean, 1), "half": half, "n": interval.n, "text": interval.text()}


def _only(groups: Iterable[Summary], base: str, defense: str = NO_DEFENSE) -> Summary:
    (found,) = (one for one in groups if one.shared["base"] == base and one.shared["defense"] == defense)
    return found


def _is_unlabelled(summary: Summary) -> bool:
    labels = str(summary.shared["craft_labels"])
    return summary.shared["base"] not in ADDED_REFERENCES and labels.startswith(("none", "clusters"))


def _summary(summary: Summary) -> str:
    parts = parse_chain(str(summary.shared["defense"]))
    return "; ".join(installed().resolve(DefenseSpec, base_name(part.name)).spec.summary for part in parts)


def text() -> str:
    """The file."""
    return json.dumps(boards(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
