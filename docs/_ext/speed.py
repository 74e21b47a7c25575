"""What ucbench costs, alone and beside official code, from records of ``benchmarks/performance``.

Replaces, in a page, each of these by a table after a sentence about the machine: ``<!-- speed official -->``
(``compare.py --official``; ``effect`` is a sentence on UC alone), ``<!-- speed plain -->`` (``compare.py``), ``<!--
speed board -->`` and ``<!-- speed scripts -->`` (``board.py``), ``<!-- speed scale -->`` (``scale.py``), ``<!-- speed
growth -->`` (``growth.py``), ``<!-- speed operators -->`` (``operators.py``), ``<!-- speed processes -->``
(``processes.py``), ``<!-- speed defenses -->`` (``defenses.py``; ``unmeasured`` lists the defenses that it lacks) and
``<!-- speed ideas -->`` (``ideas.py``).
A record's ``note``, written by hand, is shown with its table.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from _ext.markdown import code, replace_markers, table
from _ext.methods import specs
from _ext.paths import DOCS

#: A file per width and sizes of the work, all of one kind of machine.
OFFICIAL = DOCS / "_data" / "official"
#: Files of the other scripts.
SPEED = DOCS / "_data" / "speed"


def _official() -> list[Path]:
    """The records: those of ResNet-18 by its width, then those of UC."""
    return sorted(OFFICIAL.glob("*.json"), key=lambda path: (path.name.startswith("uc"), path.name))


def official() -> str:
    """Images per second of official step functions and ours."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in _official()]
    machine, flags = records[0]["machine"], records[0]["flags"]
    if any(_kind(record["machine"]) != _kind(machine) for record in records):
        raise ValueError(f"{OFFICIAL.name}: records of several kinds of machine are no table")
    how = (
        f"{machine['processor']} ({', '.join(map(code, flags))}), {machine['threads']} threads, torch"
        f" {machine['versions']['torch']}; ours in {machine['dtype']}, theirs in float32. Images of"
        f" {records[0]['sizes']['side']} pixels; ResNet-18 of the width given, 64 in the literature. The best of the"
        " repeats of each side, in turn. *Peak*: operations a second of a large product of matrices in our precision."
    )
    header = [
        "what", "width", "official, images/s", "ours, images/s", "ratio", "goal", "ours, % of peak", "ratio at peak",
        "largest difference",
    ]  # fmt: skip
    _, _, other = _effect()
    rows = [
        line(row, record["sizes"]["width"], other if row["subject"] == "uc" else None)
        for record in records
        for row in record["rows"]
    ]
    return f"{how}\n\n{table(header, rows)}"


def _kind(machine: dict[str, Any]) -> dict[str, Any]:
    """A machine without its build of the operating system."""
    return {name: value for name, value in machine.items() if name != "platform"}


def line(row: dict[str, Any], width: int, other: float | None = None) -> list[str]:
    """A row of the table.

    Args:
        other: the ratio at the speed that the official side has in another row.
    """
    if "problem" in row:
        raise ValueError(f"{row['title']} failed: {row['problem']}")
    sides = [row[side] for side in ("plain", "ucbench")]
    notes = sides[1]["notes"]
    goal = f"{row['target']['at_least']:g}: {'met' if row['met'] else 'not met'}" if row["target"] else ""
    if goal and _is_open(row, other):
        goal = f"{row['target']['at_least']:g}: not decided (see below)"
    elif goal and notes.get("at_least"):  # the official side had less effect than ours, and would need longer
        goal += " (lower bound, see below)"
    difference = f"{row['agrees']['largest_difference']:.0e}" + ("" if row["agrees"]["yes"] else ", too large")
    if not notes.get("reached", True):
        raise ValueError(f"{row['title']}: ours had no effect")
    equal = sides[0]["images"] == sides[1]["images"]
    speeds = [f"{side['images_per_second']:,.0f}" if equal else f"{side['seconds']:.1f} s" for side in sides]
    least = "at least " if notes.get("at_least") else ""
    # The network of UC is no ResNet-18.
    shown = "" if row["subject"].startswith("uc") else str(width)
    share = notes.get("share_of_matmul_peak")
    peak = [f"{100 * share:.0f}", f"{row['ratio'] / share:.1f}"] if share else ["", ""]
    return [row["title"], shown, *speeds, f"{least}{row['ratio']:.2f}", goal, *peak, difference]


def _is_open(row: dict[str, Any], other: float | None) -> bool:
    """Whether a goal is met at one measured speed of the official side, and not at the other."""
    return other is not None and (other >= row["target"]["at_least"]) != row["met"]


def _read(name: str) -> Any:
    return json.loads((SPEED / f"{name}.json").read_text(encoding="utf-8"))


def _where(machine: dict[str, Any]) -> str:
    torch, usual = machine["versions"]["torch"], json.loads(_official()[0].read_text(encoding="utf-8"))["machine"]
    others = "" if torch == usual["versions"]["torch"] else f" (the first table: {usual['versions']['torch']})"
    return f"{machine['processor']}, torch {torch}{others}"


def _board() -> tuple[dict[str, Any], str]:
    """The record of a board, and what was run where."""
    record = _read("board")
    machine = record["machine"]
    how = (
        f"{record['suite'].partition(': ')[2]} (`benchmarks/performance/board.toml`; no published board):"
        f" {record['cells']} cells, {record['images']:,} images; {record['how']}. {_where(machine)},"
        f" {machine['threads']} thread, {machine['dtype']}."
    )
    return record, " ".join(filter(None, (how, record.get("note"))))


def board() -> str:
    """Core seconds of a board by stage, and by kind of craft and training."""
    record, how = _board()
    spent = record["core_seconds"]
    total = sum(spent.values())
    stages = [[stage, f"{seconds:,.0f}", f"{100 * seconds / total:.0f}"] for stage, seconds in spent.items()]
    kinds = [
        [code(kind["name"]), str(kind["count"]), *(f"{kind['seconds'].get(stage, 0):.0f}" for stage in PARTS)]
        for kind in sorted(record["kinds"], key=lambda kind: -kind["count"] * sum(kind["seconds"].values()))
    ]
    return (
        f"{how} On {record['workers']} cores that are both busy it would take {record['seconds'] / 3600:.1f} hours.\n\n"
        f"{table(['stage', 'core seconds', '%'], stages)}\n\n"
        f"{table(['craft, training or release', 'times', *(f'{part}, s' for part in PARTS)], kinds)}"
    )


#: What the seconds of one craft or training are divided into.
PARTS = ("crafting", "training", "measuring")


def scripts() -> str:
    """What the official scripts would take for the crafts and trainings of the board."""
    record, _ = _board()
    rows = [
        [script["name"], ", ".join(f"{count:,.0f} {step}" for step, count in script["passes"].items()),
         str(script["count"]), f"{script['seconds'] / 3600:,.1f}"]
        for script in record["scripts"]
    ]  # fmt: skip
    hours, ratio = record["script_seconds"] / 3600, record["script_seconds"] / record["seconds"]
    return (
        f"{table(['craft, or training', 'passes of every image', 'times', 'core hours'], rows)}\n\nOn"
        f" {record['workers']} cores {hours:,.0f} hours, {ratio:,.0f} times as long."
    )


def plain() -> str:
    """Ratios to the usual ways of doing what is no step of a network, and figures of ucbench alone."""
    record = _read("plain")
    rows = []
    for row in record["rows"]:
        limit = row["target"]
        if "value" in row:
            least = f"<= {limit['at_most']:g} {row['unit']}: {'met' if row['met'] else 'not met'}"
            rows.append([row["title"], "", f"{row['value']:.2f} {row['unit']}", "", least])
            continue
        least = f">= {limit['at_least']:g}: {'met' if row['met'] else 'not met'}" if limit else ""
        speeds = [f"{row[side]['images_per_second']:,.0f}" for side in ("plain", "ucbench")]
        rows.append([row["title"], *speeds, f"{row['ratio']:.2f}", least])
    machine = record["machine"]
    how = f"{_where(machine)}, {machine['threads']} threads; medians of {record['repeats']} repeats or more."
    slower = [f"{row['title']} ({row['ratio']:.2f})" for row in record["rows"] if row.get("ratio", 1.0) < 1.0]
    if slower:
        how += f" Slower than the usual way: {'; '.join(slower)}."
    return f"{how}\n\n{table(['what', 'the usual way, images/s', 'ours', 'ratio', 'goal'], rows)}"


def scale() -> str:
    """Seconds and peak memory of what handles many cells."""
    record = _read("scale")
    header = ["what", "cells or records", "s", "of them computing", "peak memory, MiB", "limits", "met"]
    rows = [
        [row["step"], f"{row['items']:,}", f"{row['seconds']:.1f}", f"{row['cpu_seconds']:.1f}", str(row["peak_mib"]),
         f"{row['limit_seconds']:g} s" + (f", {row['limit_mib']} MiB" if row["limit_mib"] else ""),
         "yes" if row["met"] else "no"]
        for row in record["rows"]
    ]  # fmt: skip
    return f"{record['processor']}.\n\n{table(header, rows)}"


def growth() -> str:
    """Seconds at four sizes and the exponent, by what grows."""
    record = _read("growth")
    header = ["what grows", "sizes", "stage", "seconds", "exponent"]
    rows = [
        [row["axis"], ", ".join(f"{size:,}" for size in row["sizes"]), row["stage"],
         ", ".join(f"{value:.3g}" for value in row["seconds"]), f"{row['exponent']:.2f}"]
        for row in record["rows"]
    ]  # fmt: skip
    return f"{record['processor']}, one thread, float32; the best of the repeats.\n\n{table(header, rows)}"


def operators() -> str:
    """Shares of kinds of operations in trainings and crafts."""
    record = _read("operators")
    spent: dict[str, float] = {}
    for row in record["rows"]:
        for kind, share in row["shares"].items():
            spent[kind] = spent.get(kind, 0.0) + share
    kinds = sorted(spent, key=lambda kind: -spent[kind])
    rows = [[row["work"], *(f"{100 * row['shares'].get(kind, 0.0):.0f}" for kind in kinds)] for row in record["rows"]]
    how = f"{_setting(record)} {record['images']} images of {record['side']} pixels; percent of the time of each work."
    return f"{how}\n\n{table(['work', *kinds], rows)}"


def processes() -> str:
    """Images per second of trainings in one process and in several, and with other allocators."""
    record = _read("processes")
    rows = [[row["name"], f"{statistics.median(row['speeds']):,.0f}", f"{row['ratio']:.2f}"] for row in record["rows"]]
    how = (
        f"{code(record['victim'])}, {record['images']:,} images of {record['side']} pixels, medians of"
        f" {record['repeats']} repeats. {_where(record['machine'])}, {record['machine']['dtype']}."
    )
    return f"{how}\n\n{table(['arrangement', 'images/s of all processes', 'ratio'], rows)}"


def defenses() -> str:
    """Images per second of training with each defense, and what its preparation takes."""
    record = _read("defenses")
    header = ["tier", "defense", "none, images/s", "defense, images/s", "ratio to none", "s to prepare 1,000"]
    measured = [row for row in record["rows"] if "problem" not in row]
    rows = [
        [row["tier"], code(row["defense"]),
         *(f"{statistics.median(row[side]):,.0f}" for side in ("none", "speeds")), f"{row['ratio']:.2f}",
         f"{row['preparing']:.2f}" if row["preparing"] >= 0.005 else ""]
        for row in sorted(measured, key=lambda row: (row["tier"], row["defense"]))
    ]  # fmt: skip
    none = [statistics.median(row["none"]) for row in measured]
    how = (
        f"{code(record['victim'])}, {record['images']} images of {record['size']} pixels, {record['repeats']} repeats"
        f" of each side. {_setting(record)} With no defense it trained at {min(none):,.0f} to {max(none):,.0f} images"
        " per second."
    )
    return f"{how}\n\n{table(header, rows)}"


def unmeasured() -> str:
    """The defenses that come with ucbench and are not in the table, as a list."""
    measured = {row["defense"] for row in _read("defenses")["rows"] if "problem" not in row}
    return ", ".join(code(spec.name) for spec in specs() if spec.kind == "defense" and spec.name not in measured)


def ideas() -> str:
    """Seconds of possible speed-ups beside those of the current code."""
    record = _read("ideas")
    header = ["idea", "today, s", "idea, s", "ratio", "first time, s", "differ, %"]
    rows = [
        [row["title"], *(f"{row['seconds'][side]:.3f}" for side in ("today", "idea")), f"{row['ratio']:.2f}",
         f"{row['first_seconds']['idea']:.1f}", f"{100 * row['apart']:.2f}"]
        for row in record["rows"].values()
    ]  # fmt: skip
    return f"{_setting(record)} Medians of {record['repeats']} repeats.\n\n{table(header, rows)}"


def _setting(record: dict[str, Any]) -> str:
    """Sentences on the machine, its precision and threads, and the record's note."""
    machine = record["machine"]
    threads = f"{machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"
    return " ".join(filter(None, (f"{_where(machine)}, {threads}, {machine['dtype']}.", record.get("note"))))


def _effect() -> tuple[dict[str, Any], dict[str, Any], float]:
    """The row of UC, its record's sizes, and the ratio at the speed of the official side's row of updates."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in _official()]
    found = {row["subject"]: (row, record["sizes"]) for record in records for row in record["rows"]}
    (row, sizes), updates = found["uc"], found["uc-steps"][0]["plain"]
    return row, sizes, row["plain"]["images"] / updates["images_per_second"] / row["ucbench"]["seconds"]


def effect() -> str:
    """What either side of UC does to held-out photographs."""
    row, sizes, other = _effect()
    theirs, ours = (row[side]["notes"]["share"] for side in ("plain", "ucbench"))
    goal = row["target"]["at_least"]
    decided = f", so whether it reaches the goal of {goal:g} is not decided" if _is_open(row, other) else ""
    return (
        f"UC is compared by its effect: held-out photographs that its perturbations move to their target. In"
        f" {sizes['uc_epochs']} passes over {sizes['uc_images']} photographs in {sizes['uc_clusters']} clusters, the"
        f" official procedure moves {100 * theirs:.0f} % of them, and ours, of `{row['ucbench']['notes']['craft']}`,"
        f" {100 * ours:.0f} %. Theirs would need longer for that, so the ratio is a lower bound. It was measured once;"
        f" at the speed that theirs has in the row of updates, it would be {other:.0f}{decided}."
    )


MARKERS = {
    f"<!-- speed {made.__name__} -->": made
    for made in (
        *(official, effect, plain, board, scripts, scale, growth, operators, processes, defenses, unmeasured, ideas),
    )
}


def inserted(text: str) -> str:
    for marker, made in MARKERS.items():
        if marker in text:
            text = text.replace(marker, made())
    return text


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
