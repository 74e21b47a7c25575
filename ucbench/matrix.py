"""Cells: what one row of a table is made of, and the cross product of the axes that gives them.

A cell names everything that can change its numbers. Its keys are computed here from the components' identities and the
fingerprints of the data, without torch and without the components' own dependencies.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ucbench.budget import Budget
from ucbench.builtin import CLEAN, SHAM
from ucbench.components import PoisonerRecord
from ucbench.errors import UsageError
from ucbench.grammar import ComponentRef, parse, parse_chain
from ucbench.identity import key
from ucbench.numerics import Numerics
from ucbench.registry import Registry, Resolved

#: Raised when the core's own training, evaluation or projection changes numbers.
CORE_VERSION = 1
#: Radius in 8-bit units where neither the request, the data set nor the poisoner names one.
FALLBACK_EPSILON = 8.0
NO_DEFENSE = "none"


@dataclass(frozen=True)
class CraftLabels:
    """What a label-based poisoner is told.

    ``source`` is ``none``, ``original``, ``clusters`` (of the surrogate's features; ``clusters`` of them) or
    ``exploiter`` (the labels the exploiter will use: oracle references only).
    """

    source: str
    clusters: int = 0

    def __str__(self) -> str:
        return f"{self.source}:k={self.clusters}" if self.source == "clusters" else self.source

    @property
    def access(self) -> str:
        """Label access of a poisoner told these: ``clusters`` are made without labels."""
        return "full" if self.source in ("original", "exploiter") else "none"


@dataclass(frozen=True)
class Axes:
    """A request: the values of every axis, as component references. Cells are their cross product.

    Attributes:
        surrogates: empty means each poisoner's own default.
        craft_labels: ``original`` and ``clusters[:k=K]``; poisoners that read no labels ignore it.
        epsilons: linf radii in 8-bit units for linf poisoners; empty means the data set's, then the poisoner's own.
        seeds: pairs of craft and train seed.
    """

    datasets: Sequence[str]
    poisoners: Sequence[str]
    victims: Sequence[str]
    labelings: Sequence[str]
    defenses: Sequence[str] = (NO_DEFENSE,)
    surrogates: Sequence[str] = ()
    craft_labels: Sequence[str] = ("original",)
    epsilons: Sequence[float] = ()
    mixtures: Sequence[float] = (1.0,)
    seeds: Sequence[tuple[int, int]] = ((0, 0),)


@dataclass(frozen=True)
class Craft:
    """What makes a release, the data apart. ``seed`` is None where nothing is drawn."""

    poisoner: Resolved
    surrogate: Resolved | None
    labels: CraftLabels
    budget: Budget
    seed: int | None

    @property
    def is_reference(self) -> bool:
        return self.poisoner.record.name in (CLEAN, SHAM)

    @property
    def is_clean(self) -> bool:
        return self.poisoner.record.name == CLEAN

    def key(self, fingerprint: str, told: dict[str, Any] | None, numerics: Numerics) -> str:
        """Key of the release of the images with this fingerprint; ``told`` is the labeling an oracle was told."""
        return key(
            "release",
            {
                "core": CORE_VERSION,
                "images": fingerprint,
                "poisoner": self.poisoner.identity(),
                "surrogate": self.surrogate.identity() if self.surrogate else None,
                "labels": str(self.labels),
                "told": told,
                "budget": [self.budget.norm, self.budget.epsilon],
                "seed": self.seed,
                "numerics": numerics.identity(),
            },
        )


@dataclass(frozen=True)
class Cell:
    """One row: dataset x craft x mixture x labeling x defense x victim x seeds."""

    dataset: Resolved
    craft: Craft
    labeling: Resolved
    defense: tuple[Resolved, ...]
    victim: Resolved
    mixture: float
    train_seed: int
    #: Clean labelled images granted to the exploiter; no exploiter that uses them is registered yet.
    trusted: int = 0

    def release_key(self, part_fingerprint: str, numerics: Numerics) -> str | None:
        """Key of the release of the protected part with this fingerprint; None for the clean reference."""
        if self.craft.is_clean:
            return None
        told = self.labeling.identity() if self.craft.labels.source == "exploiter" else None
        return self.craft.key(part_fingerprint, told, numerics)

    def key(self, release_key: str | None, train_fingerprint: str, test_fingerprint: str, numerics: Numerics) -> str:
        """Key of the cell's record, on data with these fingerprints."""
        return key(
            "cell",
            {
                "core": CORE_VERSION,
                "release": release_key,
                "train": train_fingerprint,
                "test": test_fingerprint,
                "mixture": self.mixture,
                "labeling": self.labeling.identity(),
                "defense": [part.identity() for part in self.defense],
                "victim": self.victim.identity(),
                "train_seed": self.train_seed,
                "trusted": self.trusted,
                "numerics": numerics.identity(),
            },
        )

    @property
    def defense_text(self) -> str:
        return "+".join(str(part) for part in self.defense) or NO_DEFENSE

    def describe(self) -> dict[str, Any]:
        """The cell in the words of the tables: one value an axis."""
        craft = self.craft
        return {
            "dataset": str(self.dataset),
            "poisoner": poisoner_text(craft.poisoner),
            "preset": craft.poisoner.preset,
            "surrogate": str(craft.surrogate) if craft.surrogate else "none",
            "craft_labels": str(craft.labels),
            "labeling": str(self.labeling),
            "defense": self.defense_text,
            "victim": str(self.victim),
            "norm": craft.budget.norm,
            "epsilon": craft.budget.epsilon,
            "mixture": self.mixture,
            "trusted": self.trusted,
            "craft_seed": craft.seed,
            "train_seed": self.train_seed,
        }


def expand(axes: Axes, registry: Registry) -> list[Cell]:
    """All cells of the request, each one's references before it, none twice, however it is spelled.

    Raises:
        UsageError: for names, parameters or values that do not exist or do not fit together.
    """
    if not axes.seeds:
        raise UsageError("No seeds: give at least one, such as --seed 0 or --seed 0-2.")
    mixtures = [float(fraction) for fraction in axes.mixtures]
    for fraction in mixtures:
        if not 0 < fraction <= 1:
            raise UsageError(f"--mixture is the poisoned fraction, above 0 and at most 1; got {fraction:g}.")
    datasets = [registry.resolve("dataset", text) for text in axes.datasets]
    poisoners = [registry.resolve("poisoner", text) for text in axes.poisoners]
    labelings = [registry.resolve("labeling", text) for text in axes.labelings]
    defenses = [_chain(text, registry) for text in axes.defenses]
    victims = [registry.resolve("victim", text) for text in axes.victims]
    cells: dict[str, Cell] = {}
    for dataset, labeling, defense, victim in itertools.product(datasets, labelings, defenses, victims):
        for craft_seed, train_seed in axes.seeds:
            for poisoner in poisoners:
                for craft in _crafts(poisoner, dataset, axes, registry, craft_seed):
                    # A fraction of no perturbation is none: one clean cell serves all mixtures.
                    for mixture in [1.0] if craft.is_clean else mixtures:
                        cell = Cell(dataset, craft, labeling, defense, victim, mixture, train_seed)
                        for each in (*_references(cell, registry, craft_seed), cell):
                            cells.setdefault(_sameness(each), each)
    return list(cells.values())


def _sameness(cell: Cell) -> str:
    """Equal for cells that are the same work: their key, the data set's name standing for fingerprints not read yet."""
    data, arithmetic = str(cell.dataset), Numerics("cpu", "float32", 1)
    return cell.key(cell.release_key(data, arithmetic), data, data, arithmetic)


def poisoner_text(poisoner: Resolved) -> str:
    """The poisoner without its preset, which is a column of its own."""
    return str(replace(poisoner.ref, preset=None))


def _chain(text: str, registry: Registry) -> tuple[Resolved, ...]:
    if text == NO_DEFENSE:
        return ()
    return tuple(registry.resolve("defense", ref) for ref in parse_chain(text))


def _crafts(poisoner: Resolved, dataset: Resolved, axes: Axes, registry: Registry, craft_seed: int) -> Iterable[Craft]:
    """The crafts of one poisoner: its surrogates x craft labels x budgets."""
    record = poisoner.record
    assert isinstance(record, PoisonerRecord)
    if record.name == CLEAN:
        yield Craft(poisoner, None, CraftLabels("none"), Budget("unbounded", None), None)
        return
    for labels in _craft_labels(record, axes.craft_labels):
        uses_surrogate = bool(record.surrogate) or labels.source == "clusters"
        names = (axes.surrogates or [record.surrogate]) if uses_surrogate else [""]
        if uses_surrogate and not any(names):
            raise UsageError(
                f"Craft labels {labels} come from a surrogate's features, and poisoner {record.name!r} has no surrogate"
                " of its own. Name one with --surrogate (`ucbench list surrogate`)."
            )
        surrogates = [registry.resolve("surrogate", name) if name else None for name in names]
        for surrogate, budget in itertools.product(surrogates, _budgets(record, dataset, axes)):
            yield Craft(poisoner, surrogate, labels, budget, craft_seed)


def _craft_labels(record: PoisonerRecord, texts: Sequence[str]) -> list[CraftLabels]:
    if record.oracle:
        return [CraftLabels("exploiter")]
    if record.label_access == "none":
        return [CraftLabels("none")]
    return [parse_craft_labels(text) for text in texts]


def parse_craft_labels(text: str) -> CraftLabels:
    """``original`` or ``clusters[:k=K]`` (10 by default).

    Raises:
        UsageError: for anything else.
    """
    ref: ComponentRef = parse(text)
    options = dict(ref.options)
    if ref.name == "original" and not options and ref.argument is None:
        return CraftLabels("original")
    count = options.pop("k", "10")
    if ref.name == "clusters" and not options and ref.argument is None and count.isdecimal() and int(count) > 1:
        return CraftLabels("clusters", int(count))
    raise UsageError(f"Unknown craft labels {text!r}. Use original or clusters:k=K with K at least 2.")


def _budgets(record: PoisonerRecord, dataset: Resolved, axes: Axes) -> list[Budget]:
    if record.budget == "unbounded":
        return [Budget("unbounded", None)]
    if record.budget != "linf":
        return [Budget(record.budget, record.native_epsilon)]
    gated = getattr(dataset.record, "epsilon", None)
    chosen = axes.epsilons or [gated or record.native_epsilon or FALLBACK_EPSILON]
    return [Budget("linf", epsilon) for epsilon in chosen]


def _references(cell: Cell, registry: Registry, craft_seed: int) -> list[Cell]:
    """The clean and the sham cell that ``cell`` is read against."""
    nothing = Craft(registry.resolve("poisoner", CLEAN), None, CraftLabels("none"), Budget("unbounded", None), None)
    references = [replace(cell, craft=nothing, mixture=1.0)]
    if cell.craft.budget.epsilon is not None:
        noise = Craft(registry.resolve("poisoner", SHAM), None, CraftLabels("none"), cell.craft.budget, craft_seed)
        references.append(replace(cell, craft=noise))
    return references
