"""What a board shows, in sentences with their conditions, no stronger than gate and separations allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from ucbench.leaderboard.entries import Block, Entry
from ucbench.leaderboard.ranking import unranked
from ucbench.matrix.names import distinguished, unusual
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE, SHAM
from ucbench.plugins.grammar import base_name
from ucbench.results.axis_columns import budget_text
from ucbench.results.columns import EXPLOITER, SETTING, values_of
from ucbench.results.gate import Gate, State, gate_of
from ucbench.results.statistics import ENOUGH_CRAFTS, Interval
from ucbench.results.summary import Summary
from ucbench.results.text import counted

#: Said of a board without entries.
NO_POISONER = "No poisoner was measured: there are clean or failed cells only."
#: Most names that a sentence lists.
_FEW = 3
_KNOWING = {"none": "Without knowing labels", "names": "Knowing class names", "full": "Knowing labels"}

Mark = Callable[[str], str]


@dataclass(frozen=True)
class Finding:
    """What a board shows in one setting.

    Attributes:
        state: of the gate of ``setting``; ``empty`` where every cell failed or only clean images were run.
        verdict: what the gate allows to conclude, or why there is nothing.
        accuracies: a sentence for each label access with a competing poisoner: the first place if the gate was passed,
            else the range.
        references: the accuracies on clean and sham releases, and chance; empty without any.
        conditions: data set, budget, victim and counts, in words.
        setting: the values of :data:`ucbench.results.columns.SETTING`.
        passed, settings: settings with a passed gate, and all.
    """

    state: State | Literal["empty"]
    verdict: str
    accuracies: tuple[str, ...] = ()
    references: str = ""
    conditions: str = ""
    setting: tuple[Any, ...] = ()
    passed: int = 0
    settings: int = 0

    @property
    def sentences(self) -> tuple[str, ...]:
        """The conclusion alone; without a passed gate no number."""
        return (*self.accuracies, self.references) if self.state == "passed" and self.accuracies else (self.verdict,)


def finding(
    groups: Sequence[Summary],
    blocks: Sequence[Block],
    gates: Sequence[Gate],
    ranked: Sequence[str] | None,
    mark: Mark = str,
) -> Finding:
    """The finding in the setting with the most competing poisoners, of a passed gate if there is one.

    Args:
        groups: of :func:`ucbench.results.summary.summarise`.
        blocks: of the same rows.
        gates: of the same rows.
        ranked: the suite's ranked defenses; None for no ranking.
        mark: what is done to names of components.
    """
    settings: dict[tuple[Any, ...], list[Block]] = {}
    for block in blocks:
        settings.setdefault(block.setting, []).append(block)
    if not settings:
        return Finding("empty", NO_POISONER)
    left_out = unranked(pd.DataFrame([group.shared for group in groups]))

    def run(block: Block) -> list[Entry]:
        return [
            one
            for one in block.entries
            if base_name(one.values["poisoner"]) not in left_out and one.undefended.interval.n
        ]

    def competing(block: Block) -> list[Entry]:
        return [one for one in run(block) if not one.missing or block.gate.state != "passed"]

    setting, members = max(
        settings.items(),
        key=lambda item: (item[1][0].gate.state == "passed", sum(len(competing(block)) for block in item[1])),
    )
    entries = [entry for block in members for entry in block.entries]
    texts = distinguished(entry.values for entry in entries)
    names = {entry: mark(text) for entry, text in zip(entries, texts, strict=True)}
    by_access = {
        block.values["label_access"]: _accuracies(block, competing(block), len(run(block)), names, ranked, mark, groups)
        for block in members
    }
    accuracies = tuple(by_access[access] for access in _KNOWING if by_access.get(access))
    nothing = "" if accuracies else " Every poisoner here is a reference or lacks a ranked defense."
    gate = members[0].gate
    return Finding(
        gate.state,
        _verdict(gate.state, gate_of(gates, setting)) + nothing,
        accuracies,
        _references(setting, groups),
        _conditions(members[0].values, entries, mark),
        setting,
        sum(of_setting[0].gate.state == "passed" for of_setting in settings.values()),
        len({values_of(group.shared, SETTING) for group in groups if group.shared["base"] != CLEAN}),
    )


def _verdict(state: State, gate: Gate | None) -> str:
    if state == "passed":
        return "The gate was passed, so ranks and effects hold for this setting, and for no other."
    judged = "failed" if state == "failed" else "was not judged"
    why = "; ".join(gate.reasons) if gate else "positive was not run"
    return f"The gate {judged} ({why}). Inconclusive: the numbers say nothing about any method."


def _accuracies(
    block: Block,
    entries: Sequence[Entry],
    run: int,
    names: Mapping[Entry, str],
    ranked: Sequence[str] | None,
    mark: Mark,
    groups: Sequence[Summary],
) -> str:
    """Which poisoner stands first and what an exploiter still reaches; without a passed gate the range without defense.

    Args:
        entries: the block's competing ones.
        run: number of its poisoners, with those that lack a ranked defense.
    """
    if not entries:
        return ""
    by_accuracy = sorted(entries, key=lambda entry: entry.undefended.interval.mean)
    knowing = _KNOWING[block.values["label_access"]]
    if block.gate.state != "passed":
        ends = dict.fromkeys((by_accuracy[0], by_accuracy[-1]))
        texts = " to ".join(f"{_percent(one.undefended.interval)} ({names[one]})" for one in ends)
        return f"{knowing}, {counted(len(entries), 'poisoner')}: an exploiter without defense reaches {texts}."
    listed = by_accuracy if ranked is None else entries
    best = listed[0]
    few = f" Exploratory: {counted(best.seeds, 'craft')}" if best.seeds < ENOUGH_CRAFTS else ""
    few += (", too few to test for differences." if len(listed) > 1 and ranked is not None else ".") if few else ""
    place = _place(listed, run, names, ranked)
    beyond = "" if ranked is None else _beyond(best, block, groups, mark)
    return f"{knowing}, {names[best]} {place}: {_reached(best, block, ranked, mark)}{beyond}.{few}"


def _reached(best: Entry, block: Block, ranked: Sequence[str] | None, mark: Mark) -> str:
    removed = f" ({best.effect.text(0, 100)} % of the gap removed)" if best.effect and ranked is not None else ""
    undefended = f"an exploiter without defense reaches {_percent(best.undefended.interval)}{removed}"
    if best.worst is None or not (tried := set(block.ranked) - {NO_DEFENSE}):
        return undefended
    one = f"the one ranked defense, {mark(min(tried))}," if len(tried) == 1 else ""
    if best.defense == NO_DEFENSE:
        return f"{undefended}; {f'{one} does not help' if one else f'none of the {len(tried)} ranked defenses helps'}"
    strongest = one or f"the strongest of {len(tried)} defenses, {mark(best.defense)},"
    return f"with {strongest} an exploiter reaches {_percent(best.worst)}{removed}"


def _beyond(best: Entry, block: Block, groups: Sequence[Summary], mark: Mark) -> str:
    """The highest accuracy under a defense that is not ranked, where it is above that of the ranked ones."""
    reached = best.worst or best.undefended.interval
    found = [
        (group.means["test_accuracy"], str(group.shared["defense"]))
        for group in groups
        if group.shared.items() >= {**block.values, **best.values}.items()
        and group.shared["defense"] not in block.ranked
        and group.means["test_accuracy"].mean > reached.mean
    ]
    if not found:
        return ""
    accuracy, defense = max(found)
    return f"; with {mark(defense)}, not ranked: {_percent(accuracy)}"


def _place(entries: Sequence[Entry], run: int, names: Mapping[Entry, str], ranked: Sequence[str] | None) -> str:
    """Where the first entry stands among the others, no stronger than the separations allow."""
    if len(entries) == 1:
        return "is the only poisoner" + (" with every ranked defense" if run > 1 else "")
    if ranked is not None and entries[0].rank == "1":
        return f"protects best of {len(entries)}"
    equal = [entry for entry in entries[1:] if entry.rank.partition("-")[0] == "1"]
    listed = ", ".join(names[entry] for entry in equal[:_FEW])
    more = f" and {len(equal) - _FEW} more" if len(equal) > _FEW else ""
    return f"leaves the lowest accuracy of {len(entries)}" + (f", not separated from {listed}{more}" if equal else "")


def _references(setting: tuple[Any, ...], groups: Sequence[Summary]) -> str:
    """The accuracies without defense on clean images and after sham noise, and chance."""
    shared = dict(zip(SETTING, setting, strict=True))
    exploiter = values_of(shared, EXPLOITER)
    plain = [group for group in groups if group.shared["defense"] == NO_DEFENSE and group.done]
    clean = [g for g in plain if g.shared["base"] == CLEAN and values_of(g.shared, EXPLOITER) == exploiter][:1]
    sham = [g for g in plain if g.shared["base"] == SHAM and values_of(g.shared, SETTING) == setting][:1]
    texts = [f"{_percent(g.means['test_accuracy'])} on clean images" for g in clean]
    texts += [f"{_percent(g.means['test_accuracy'])} after sham noise" for g in sham]
    chance = "".join(f"; chance is {g.means['chance'].mean:.1f} %" for g in (clean or sham))
    return f"Without defense, an exploiter reaches {' and '.join(texts)}{chance}." if texts else ""


def _conditions(block: Mapping[str, Any], entries: Sequence[Entry], mark: Mark) -> str:
    crafts, trainings = max(entry.seeds for entry in entries), entries[0].undefended.trainings_text
    parts = [
        mark(block["dataset"]),
        budget_text(block),
        mark(block["victim"]),
        *unusual(block, mark),
        counted(crafts, "craft"),
        f"{trainings} training{'s' * (trainings != '1')} each" if trainings else "",
        "exploratory" if crafts < ENOUGH_CRAFTS else "",
    ]
    return ", ".join(filter(None, parts))


def _percent(interval: Interval) -> str:
    return f"{interval.text(constant=False)} %"
