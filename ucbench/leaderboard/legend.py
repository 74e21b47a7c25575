"""Words that explain the tables of a leaderboard: what its gate says, and what its terms mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from ucbench.leaderboard.entries import Block, Entry, Leaderboard, Unprotected
from ucbench.leaderboard.finding import NO_POISONER
from ucbench.leaderboard.layout import sections
from ucbench.plugins.builtin import CLEAN, POSITIVE, SHAM
from ucbench.plugins.grammar import base_name
from ucbench.results.statistics import BOTH, ENOUGH_CRAFTS

#: Explanations by term; those of columns by heading without the unit.
MEANINGS = {
    "Gate": (
        "checks with controls whether a setting can show an effect at all; where it failed or was not judged, the"
        " numbers say nothing about any method"
    ),
    "Label access": "what crafting knew of the labels: none, the names of the classes, or full",
    "Mixture": "the share of the training images that are perturbed",
    "Trusted images": "clean labelled images that the exploiter has in addition",
    "Rank": (
        "the places that paired t tests over crafts leave open, with Holm's correction over all pairs of a table; pairs"
        f" with fewer than {ENOUGH_CRAFTS} common crafts are not tested and stay open"
    ),
    "Label knowledge": "the labels that the poisoner was given, its craft labels",
    "Worst case": "the highest mean accuracy an exploiter reaches over the ranked defenses and without defense",
    "Bias": (
        "points by which choosing the highest mean is estimated to raise it: that mean minus the accuracy of a defense"
        " chosen on half of the crafts and scored on the other"
    ),
    "Effect": "the share of the gap between clean accuracy under the best defense and chance that is gone",
    "Guess": "held-out accuracy of a linear classifier that guesses the label from the perturbation alone",
    "Purity": (
        "where groups of images share a perturbation, the share of images with the most frequent label of their group:"
        " all that such noise can tell of the labels"
    ),
}
#: Explanations of rows, by base name.
_ROWS = {
    CLEAN: "unperturbed images",
    SHAM: "uniform random noise within the same budget",
    POSITIVE: "a pattern made from the exploiter's own labels, a control of the gate",
}
#: Terms above every table.
_ALWAYS = {"Gate", "Label access"}


def figure_sentence(blocks: Sequence[Block]) -> str:
    """What the leaderboard's figure shows."""
    several = len({block.setting for block in blocks}) > 1
    where = "the setting with the most poisoners: " if several else ""
    return (
        f"The figure shows {where}the accuracy on clean test images of victims trained on each release, without"
        " defense. Low is good protection."
    )


def gate_sentence(blocks: Sequence[Block]) -> str:
    """What the gates of the blocks' settings allow, or that there are no blocks."""
    if not blocks:
        return NO_POISONER
    states = list({block.setting: block.gate.state for block in blocks}.values())
    passed, nothing = states.count("passed"), "the numbers say nothing about any method"
    if len(states) == 1:
        return {
            "passed": "The gate is passed.",
            "failed": f"The gate is not passed: {nothing}.",
            "not judged": f"The gate was not judged: {nothing}.",
        }[states[0]]
    others = Counter(state for state in states if state != "passed")
    listed = ", ".join(f"{count} {state}" for state, count in sorted(others.items()))
    if not passed:
        return f"No setting passed the gate ({listed}): {nothing}."
    if not others:
        return f"The gate is passed in all {len(states)} settings."
    return (
        f"The gate is passed in {passed} of {len(states)} settings ({listed}): only the tables of passed settings say"
        " something about methods."
    )


def _versions_text(versions: Mapping[tuple[str, str], Collection[int]]) -> str:
    """Which versions of components the numbers are of, and how a reader sees whether there are later ones, as Markdown.

    Args:
        versions: of :func:`ucbench.leaderboard.earlier.stated_versions`.
    """
    raised = [
        f"{kind} `{' '.join(name.split())}` {' and '.join(map(str, sorted(of)))}"
        for (kind, name), of in sorted(versions.items())
        if set(of) != {1}
    ]
    first = f"all{' other' if raised else ''} poisoners, surrogates, labelings, defenses and victims 1"
    texts = [", ".join(raised), first if len(raised) < len(versions) else ""]
    return (
        f"Versions: {'; '.join(filter(None, texts))}. Where `ucbench show KIND NAME --full` states a later one, numbers"
        " of the component have changed since."
    )


def legend(leaderboard: Leaderboard) -> tuple[str, ...]:
    """Explanations of what a leaderboard's tables have, as items of a list in Markdown; none without blocks."""
    blocks = leaderboard.blocks
    entries = [entry for block in blocks for entry in block.entries]
    clean = [block.unprotected for block in blocks if block.unprotected]
    if not entries:
        return ()
    rows: list[Entry | Unprotected] = [*entries, *clean]
    means = [one for row in rows for one in (row.undefended.interval, row.worst)]
    intervals = [one for one in (*means, *(entry.effect for entry in entries)) if one is not None]
    headers = {header for section in sections(leaderboard) for header in section.headers}
    terms = _ALWAYS | {header.removesuffix(" %").capitalize() for header in headers}
    terms |= {"Mixture"} if any(block.values["mixture"] != 1 for block in blocks) else set()
    terms |= {"Trusted images"} if any(block.values["trusted"] for block in blocks) else set()
    ranks = [entry.rank for entry in entries] + [""] * len(clean)
    bases = {base_name(entry.values["poisoner"]) for entry in entries} | ({CLEAN} if clean else set())
    has_few = any(entry.seeds < ENOUGH_CRAFTS for entry in entries)
    few = f"; * marks fewer than {ENOUGH_CRAFTS} crafts, which are exploratory" if has_few else ""
    of_clean = "; of clean rows, {}trainings" if clean else ""
    items = {
        **{f"{term}: {meaning}.": term in terms for term, meaning in MEANINGS.items()},
        f"±: half-width of the 95 % t interval of a mean over crafts{of_clean.format('over ')}.": any(
            one.is_shown for one in intervals
        ),
        BOTH: any(one.n == 2 for one in intervals),
        f"n: crafts x trainings on each{few}{of_clean.format('')}.": True,
        "SD: standard deviations of the accuracy without defense, over crafts and over trainings on one release.": any(
            entry.undefended.deviations for entry in entries
        ),
        **{f"{name}: {meaning}.": name in bases for name, meaning in _ROWS.items()},
        "References, oracles and poisoners without all ranked defenses have no rank; where one poisoner is left, it has"
        " none either.": any(ranks) and not all(ranks),
        "Without a passed gate there are no ranks and no effects, and the order is by name.": any(
            block.gate.state != "passed" for block in blocks
        ),
    }
    versions = leaderboard.versions
    return (*(item for item, occurs in items.items() if occurs), *([_versions_text(versions)] if versions else []))
