"""What the records of a board say, in three sentences: the conditions, the accuracies, and what the gate allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from _ext.markdown import code
from ucbench.data.budget import Budget
from ucbench.leaderboard.entries import Entry
from ucbench.leaderboard.ranking import unranked
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE, SHAM
from ucbench.results.columns import BLOCK, EXPLOITER, SETTING
from ucbench.results.gate import Gate
from ucbench.results.statistics import ENOUGH_CRAFTS
from ucbench.results.summary import Summary
from ucbench.results.table import base_name

_GIVEN = {"full": "given labels", "none": "given no labels"}


def finding(groups: Sequence[Summary], entries: Sequence[Entry], gates: Sequence[Gate]) -> str:
    """Three sentences on the setting that has a passed gate, if there is one, and most poisoners.

    Args:
        groups: of :func:`ucbench.results.summary.summarise`.
        entries: of the same rows.
        gates: of the same rows, to name what was not met.
    """
    settings: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        settings.setdefault(setting(entry), []).append(entry)
    if not settings:
        return "No poisoner of this board has a finished cell."
    chosen = max(settings.values(), key=lambda members: (members[0].gate.state == "passed", len(members)))
    left_out = unranked(pd.DataFrame([group.shared for group in groups]))
    poisoners = [entry for entry in chosen if base_name(entry.named["poisoner"]) not in left_out]
    number = f"In the largest of {len(settings)} settings: on" if len(settings) > 1 else "On"
    return " ".join([_conditions(number, groups, chosen), _accuracies(poisoners), _verdict(chosen[0], gates)])


def setting(entry: Entry) -> tuple[Any, ...]:
    """The values of :data:`ucbench.results.columns.SETTING` of an entry."""
    values = dict(zip(BLOCK, entry.block, strict=True))
    return tuple(values[name] for name in SETTING)


def _conditions(on: str, groups: Sequence[Summary], entries: Sequence[Entry]) -> str:
    """Data, budget, victim, counts, and the accuracy on clean and sham releases without defense."""
    block = dict(zip(BLOCK, entries[0].block, strict=True))
    reached = {
        group.shared["base"]: f"{group.means['test_accuracy'].text()} %"
        for group in groups
        if group.shared["defense"] == NO_DEFENSE
        and group.shared["base"] in (CLEAN, SHAM)
        and all(group.shared[name] == block[name] for name in EXPLOITER)
        and (group.shared["base"] == CLEAN or all(group.shared[name] == block[name] for name in SETTING))
    }
    names = {CLEAN: "on clean images", SHAM: "after sham noise"}
    references = " and ".join(f"{reached[name]} {text}" for name, text in names.items() if name in reached)
    crafts = max(entry.seeds for entry in entries)
    trainings = entries[0].undefended.trainings_text
    counts = f"{crafts} craft{'s' * (crafts != 1)}" + (
        f", {trainings} training{'s' * (trainings != '1')} each" if trainings else ""
    )
    exploratory = "; exploratory" if crafts < ENOUGH_CRAFTS else ""
    labels = "" if block["labeling"] == "original" else f" under labels {code(block['labeling'])}"
    others = "".join(
        f", {name} {block[name]:g}" for name, usual in (("mixture", 1), ("trusted", 0)) if block[name] != usual
    )
    budget = Budget(block["norm"], block["epsilon"])
    return (
        f"{on} {code(block['dataset'])} at {budget}{labels}{others}, an attacker who trains {code(block['victim'])}"
        f" without defense reaches {references or 'an accuracy that has no reference'} ({counts}{exploratory})."
    )


def _accuracies(poisoners: Sequence[Entry]) -> str:
    """What the attacker reaches on poisoners given labels, and on others; ranks only where the gate was passed."""
    parts = []
    for access, given in _GIVEN.items():
        block = [entry for entry in poisoners if entry.block[-1] == access]
        ranked = [entry for entry in block if entry.rank]
        if ranked:
            first = ranked[0]
            effect = f" ({first.effect.text(0, 100)} % of the gap removed)" if first.effect else ""
            worst = first.worst.text() if first.worst else ""
            parts.append(
                f"on {len(ranked)} {given} the attacker's best defense reaches least on {_named(first)},"
                f" rank {first.rank}: {worst} % by {code(first.defense)}{effect}"
            )
            continue
        known = sorted(
            (entry for entry in block if entry.undefended.interval.n), key=lambda entry: entry.undefended.interval.mean
        )
        if known:
            ends = known if len(known) == 1 else [known[0], known[-1]]
            texts = " to ".join(f"{entry.undefended.interval.text()} % ({_named(entry)})" for entry in ends)
            parts.append(f"on {len(known)} {given} it reaches {texts}")
    if not parts:
        return "No poisoner is compared here: all rows are references or oracles."
    return f"Of the poisoners, {'; '.join(parts)}."


def _named(entry: Entry) -> str:
    labels = str(entry.named["craft_labels"])
    given = f", {labels.partition(',model=')[0]}" if labels.startswith(("clusters", "predicted")) else ""
    return f"{code(entry.named['poisoner'])}{given}"


def _verdict(entry: Entry, gates: Sequence[Gate]) -> str:
    """What the gate allows to conclude."""
    state = entry.gate.state
    if state == "passed":
        return "The [gate](../gate.md) is passed, so ranks and effects hold for this setting, and for no other."
    own = [gate for gate in gates if tuple(gate.shared[name] for name in SETTING) == setting(entry)]
    wanted = False if state == "failed" else None
    open_ = (
        [code(name) if ":" in name else name for name, check in own[0].checks.items() if check.met is wanted]
        if own
        else []
    )
    reasons = ", ".join(open_) or "`positive` was not run"
    verb = "failed" if state == "failed" else "was not judged"
    return f"The [gate](../gate.md) {verb} ({reasons}), so these figures describe the records and rank no method."
