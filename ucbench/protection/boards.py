"""What the published boards measured for the method and strength of a run; ``boards.json`` is made from their records.

``python docs/_ext/protection.py`` writes the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ucbench.plugins.grammar import base_name
from ucbench.protection.manifest import Settings
from ucbench.results.statistics import ENOUGH_CRAFTS


@dataclass(frozen=True)
class Measured:
    """What is measured.

    Attributes:
        photographs: accuracies of an exploiter on a board of photographs, see ``boards.json``.
        accuracy: of an exploiter who trains on photographs protected by this method, or None if it was not measured.
        defended: the board that tried defenses against this method, if one raised the exploiter's accuracy.
        differences: in what the run differs from what was measured, as parts of a sentence.
    """

    photographs: dict[str, Any]
    accuracy: dict[str, Any] | None
    defended: dict[str, Any] | None
    differences: tuple[str, ...]


def measured(settings: Settings) -> Measured:
    """What the boards say about the poisoner of these settings, whatever its parameters."""
    known = json.loads(files("ucbench.protection").joinpath("boards.json").read_text(encoding="utf-8"))
    photographs, name = known["photographs"], base_name(settings.poisoner)
    found = {base_name(reference): (reference, value) for reference, value in photographs["poisoners"].items()}
    reference, accuracy = found.get(name, (name, None))
    differences = []
    if settings.poisoner != reference:
        differences.append(f"the settings ({settings.poisoner}, measured: {reference})")
    if settings.epsilon != photographs["epsilon"]:
        differences.append(f"the strength ({settings.epsilon:g} levels, measured: {photographs['epsilon']:g})")
    if settings.size != photographs["side"]:
        differences.append(f"the size of the pattern ({settings.size} pixels, measured: {photographs['side']})")
    tried = known["defended"]
    defended = tried if tried["poisoner"] == name and tried["restoring"] else None
    return Measured(photographs, accuracy, defended, tuple(differences))


def is_exploratory(value: dict[str, Any]) -> bool:
    """Whether fewer crafts are behind the mean than its interval should have."""
    return int(value["n"]) < ENOUGH_CRAFTS
