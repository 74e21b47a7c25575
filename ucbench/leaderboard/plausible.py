"""Whether the numbers of records can be true: shares of a number of images, equal to each other where they must be.

A record cannot prove an accuracy; only computing its cell again can. These checks find numbers that no run writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ucbench.plugins.builtin import CLEAN, NO_DEFENSE
from ucbench.results.columns import EXPLOITER
from ucbench.results.records import Record
from ucbench.results.table import grouped, measured, rows
from ucbench.store.keys import canonical

#: Accuracies over the test images, and those over the training images.
_OF_TEST = (
    "test_accuracy", "matched_accuracy", "test_accuracy_best", "perturbed_test_accuracy", "linear_probe", "chance",
)  # fmt: skip
_OF_TRAIN = ("train_accuracy",)
#: Largest distance of a share times the number of images from an integer.
_ROUNDING = 1e-4


def implausible(record: Record) -> list[str]:
    """What cannot be true in the record of a measured cell, in words."""
    if record["status"] != "ok":
        return []
    return [*_shares(record), *_history(record), *_sizes(record)]


def sizes_by_images(records: Iterable[Record]) -> Iterator[str]:
    """Images whose records state different numbers of them."""
    counts: dict[str, set[int]] = defaultdict(set)
    for record in records:
        for split in ("train", "test"):
            if (count := record["data"].get(f"{split}_images")) is not None:
                counts[record["data"][split]].add(count)
    for fingerprint, distinct in sorted(counts.items()):
        if len(distinct) > 1:
            numbers = " and ".join(map(str, sorted(distinct)))
            yield f"Records of the images {fingerprint[:12]} state {numbers} of them."


def chances(records: Iterable[Record]) -> Iterator[str]:
    """Labels, those of the same images and release, whose records state different chance accuracies."""
    stated: dict[tuple[Any, ...], set[float]] = defaultdict(set)
    for record in records:
        if record["status"] == "ok":
            labels = (record["data"]["test"], record["request"]["labeling"], record["release"])
            stated[labels].add(record["metrics"]["chance"])
    for (_, labeling, _), distinct in stated.items():
        if len(distinct) > 1:
            values = " and ".join(f"{value:g}" for value in sorted(distinct))
            yield f"Records with the same labels ({labeling}) state the chance accuracies {values} %."


def sizes_by_release(records: Iterable[Record]) -> Iterator[str]:
    """Releases whose records state different sizes of the perturbation, which is measured once per release."""
    stated: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if record["status"] == "ok" and record["release"] is not None:
            stated[record["release"]].add(canonical(record["budget"]))
    for release, distinct in sorted(stated.items()):
        if len(distinct) > 1:
            yield f"Records of the release {release[:12]} state {len(distinct)} different sizes of its perturbation."


def unlearned(records: Sequence[Record]) -> tuple[list[str], int]:
    """Exploiters whose clean accuracy is not above chance by its interval, in words, and the number of all exploiters.

    Only those without defense count, by which the gate is judged.
    """
    table = measured(rows(records))
    clean = table[(table["poisoner"] == CLEAN) & (table["defense"] == NO_DEFENSE)]
    texts, count = [], 0
    for shared, cells in grouped(clean, EXPLOITER):
        count += 1
        if cells["gap_removed"].isna().any():
            texts.append(f"{shared['victim']} on {shared['dataset']}, labels {shared['labeling']}")
    return texts, count


def _shares(record: Record) -> Iterator[str]:
    """Accuracies that are no share of the images."""
    metrics = record["metrics"]
    named = [(name, metrics.get(name)) for name in (*_OF_TEST, *_OF_TRAIN)]
    named += [("history", point.get("test_accuracy")) for point in record["history"]]
    for name, value in named:
        split = "train" if name in _OF_TRAIN else "test"
        images = record["data"].get(f"{split}_images")
        if value is not None and images and abs(value * images / 100 - round(value * images / 100)) > _ROUNDING:
            yield f"{name} {value:g} % is no share of {images} {split} images"
    if (matched := metrics.get("matched_accuracy")) is not None and matched < metrics["test_accuracy"]:
        yield f"matched_accuracy {matched:g} is below test_accuracy {metrics['test_accuracy']:g}"


def _history(record: Record) -> Iterator[str]:
    """A history that does not end at the headline, or whose best is not the stated one."""
    points: list[Mapping[str, Any]] = [p for p in record["history"] if p.get("test_accuracy") is not None]
    if not points:
        if record.get("epochs"):  # a victim that trains itself states none
            yield "it has no accuracy after its last epoch"
        return
    accuracy, best = record["metrics"]["test_accuracy"], record["metrics"].get("test_accuracy_best")
    last = points[-1]
    selected = record.get("notes", {}).get("selected_epoch")
    if selected is not None and record["request"]["trusted"] and record["request"]["defense"] != NO_DEFENSE:
        # A defense went back to this epoch, which may not have been evaluated.
        last = next((point for point in points if point.get("epoch") == selected), {"test_accuracy": accuracy})
    elif last.get("epoch", record.get("epochs")) != record.get("epochs"):
        yield f"its history ends at epoch {last['epoch']} of {record.get('epochs')}"
    # Epochs are evaluated on the images alone, the trained victim on the average of its views.
    averaged = record["components"]["victim"]["params"].get("test_views", 1) > 1
    if last["test_accuracy"] != accuracy and not averaged:
        yield f"test_accuracy {accuracy:g} is not that of its last epoch, {last['test_accuracy']:g}"
    highest = max(point["test_accuracy"] for point in points)
    if best is not None and best != highest:
        yield f"test_accuracy_best {best:g} is not the highest of its history, {highest:g}"


def _sizes(record: Record) -> Iterator[str]:
    """Measured sizes of a perturbation that are missing, out of place, or contradict each other."""
    norm, budget = record["request"]["norm"], record["budget"]
    if record["release"] is None:
        if budget:
            yield "it states the size of a perturbation, but is of clean images"
        return
    if norm != "unbounded" and f"{norm}_max" not in budget:
        yield f"it lacks the largest change in {norm}"
    for name in ("linf", "l2", "l0"):
        mean, largest = budget.get(f"{name}_mean", 0.0), budget.get(f"{name}_max", 0.0)
        if not 0 <= mean <= largest * (1 + 1e-6):
            yield f"its mean change in {name}, {mean:g}, is not between 0 and the largest, {largest:g}"
