"""What a board shows, in sentences with their conditions, generated from its entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ucbench.leaderboard.entries import Entry
from ucbench.leaderboard.site.charts import percent
from ucbench.leaderboard.site.data import Block, Board, Setting
from ucbench.leaderboard.site.table import number
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.results.gate import State
from ucbench.results.statistics import ENOUGH_CRAFTS

#: Most names that a sentence lists.
_FEW = 3


@dataclass(frozen=True)
class Finding:
    """What a board shows.

    Attributes:
        state: of the gate of ``setting``; ``empty`` where every cell failed or only clean images were run.
        sentences: the finding, or why there is none.
        conditions: what it holds for.
        setting: the one it is about; None for an empty board.
        passed, settings: settings with a passed gate, and all.
    """

    state: State | Literal["empty"]
    sentences: tuple[str, ...]
    conditions: str = ""
    setting: Setting | None = None
    passed: int = 0
    settings: int = 0


def finding(board: Board) -> Finding:
    """The finding in the setting with the most competing poisoners, of a passed gate, or why there is none."""
    known = [setting for setting in board.settings if setting.blocks]
    if not known:
        return Finding("empty", ("No poisoner was measured: there are clean or failed cells only.",))
    setting = max(known, key=lambda one: (one.passed, sum(len(_competing(block)) for block in one.blocks)))
    counts = (sum(one.passed for one in board.settings), len(board.settings))
    if not setting.passed:
        text = f"Inconclusive, so the numbers say nothing about any method: {_why(setting)}."
        return Finding(setting.judgement.state, (text,), _conditions(setting), setting, *counts)
    sentences = [text for block in setting.blocks if (text := _sentence(block, board.ranked))]
    if sentences:
        sentences.append(f"Clean images give {percent(setting.clean())} %, chance is {percent(setting.chance)} %.")
    return Finding(
        "passed",
        tuple(sentences) or ("The gate was passed; every poisoner here is a reference or lacks a ranked defense.",),
        _conditions(setting),
        setting,
        *counts,
    )


def _why(setting: Setting) -> str:
    """Why the gate was not passed, in its own words."""
    if not setting.gates:
        return "the gate was not judged, because positive was not run"
    verdict = "failed" if setting.judgement.state == "failed" else "was not judged in full"
    return f"the gate {verdict} ({'; '.join(setting.gates[0].reasons)})"


def _competing(block: Block) -> list[Entry]:
    groups = block.undefended
    return [e for e in block.entries if e.name in groups and not groups[e.name].kind and not e.missing]


def _sentence(block: Block, ranked: Sequence[str] | None) -> str:
    """Which poisoner of the block stands first, and what an attacker still reaches; empty without any."""
    entries = _competing(block)
    if not entries:
        return ""
    if ranked is None:
        entries = sorted(entries, key=lambda entry: entry.undefended.interval.mean)
    best = entries[0]
    crafts = "1 craft" if best.seeds == 1 else f"{best.seeds} crafts"
    few = f" Exploratory: {crafts}." if best.seeds < ENOUGH_CRAFTS else ""
    known = "Knowing labels" if block.access == "full" else "Without knowing labels"
    return (
        f"{known}, {block.undefended[best.name].label} {_place(entries, block, ranked)}: {_reached(best, ranked)}.{few}"
    )


def _reached(best: Entry, ranked: Sequence[str] | None) -> str:
    if best.worst is None or tuple(ranked or ()) == (NO_DEFENSE,):
        return f"an attacker without defense reaches {number(best.undefended.interval, 1).text} %"
    defense = "none at all" if best.defense == NO_DEFENSE else best.defense
    tried = len(ranked or ()) - (NO_DEFENSE in (ranked or ()))
    return f"with the strongest of {tried} defenses, {defense}, an attacker reaches {number(best.worst, 1).text} %"


def _place(entries: Sequence[Entry], block: Block, ranked: Sequence[str] | None) -> str:
    """Where the first entry stands among the others, no stronger than the separations allow."""
    if len(entries) == 1:
        return "is the only poisoner"
    if ranked is not None and entries[0].rank == "1":
        return f"protects best of {len(entries)}"
    equal = [entry for entry in entries[1:] if entry.rank.partition("-")[0] == "1"]
    names = ", ".join(block.undefended[entry.name].label for entry in equal[:_FEW])
    more = f" and {len(equal) - _FEW} more" if len(equal) > _FEW else ""
    return f"leaves the lowest accuracy of {len(entries)}" + (f", not separated from {names}{more}" if equal else "")


def _conditions(setting: Setting) -> str:
    axes = setting.axes
    parts = [axes["dataset"], axes["budget"], axes["victim"]]
    parts += [] if axes["labeling"] == "original" else [f"labels {axes['labeling']}"]
    parts += [] if axes["mixture"] == "1" else [f"mixture {axes['mixture']}"]
    parts += [] if axes["trusted"] == "0" else [f"{axes['trusted']} trusted images"]
    return ", ".join(parts)
