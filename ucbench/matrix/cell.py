"""Cells, one per row of a table, and their keys.

A cell holds everything that can change its numbers. Its keys are computed from the identities of its components and the
fingerprints of its data, without torch and without the components' dependencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ucbench.data.budget import Budget
from ucbench.matrix.compatibility import labeler_of
from ucbench.numerics import Numerics
from ucbench.plugins.builtin import ADDED_REFERENCES, CLEAN, NO_DEFENSE
from ucbench.plugins.grammar import ComponentRef, format_chain
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import (
    DatasetSpec,
    DefenseSpec,
    LabelingSpec,
    MetricSpec,
    PoisonerSpec,
    SurrogateSpec,
    VictimSpec,
)
from ucbench.store.keys import KeyText, key
from ucbench.store.untrusted import only_text

#: Raised when training, evaluation or projection of the core change a number.
CORE_VERSION = 1


@dataclass(frozen=True)
class CraftLabels:
    """The labels that a label-based poisoner uses.

    Attributes:
        source: ``none``; ``names``, the names of the classes alone; ``original``; ``predicted``, the classes that
            ``model`` predicts, renumbered to those that occur; ``clusters``, of the features of ``model``, or of the
            craft's surrogate if that is None; or ``exploiter``, the exploiter's labels, for oracle references only.
        clusters: number of clusters.
        model: the labelling model, if any.
    """

    source: str
    clusters: int = 0
    model: Component[SurrogateSpec] | None = None

    def __str__(self) -> str:
        options = {"k": str(self.clusters)} if self.source == "clusters" else {}
        if self.model is not None:
            options["model"] = str(self.model)
        return str(ComponentRef(self.source, options=tuple(options.items())))

    def identity(self) -> Any:
        """What can change a number: the source, and the model's identity."""
        return str(self) if self.model is None else [self.source, self.clusters, self.model.key_text]

    @property
    def access(self) -> str:
        """Label access of a poisoner that uses these; clusters and predictions have that of their model."""
        if self.source in ("original", "exploiter"):
            return "full"
        if self.source == "names":
            return "names"
        return self.model.spec.label_access if self.model else "none"


@dataclass(frozen=True)
class Craft:
    """What determines a release, except the data.

    ``seed`` is None if nothing is drawn. ``base`` is the craft whose perturbations a ``shuffled`` poisoner reassigns.
    """

    poisoner: Component[PoisonerSpec]
    surrogate: Component[SurrogateSpec] | None
    labels: CraftLabels
    budget: Budget
    seed: int | None
    base: Craft | None = None
    #: Cache: cells that differ in the exploiter share a craft.
    _keys: dict[tuple[str, KeyText | None, Numerics], str] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @property
    def made_by(self) -> PoisonerSpec:
        """The spec of the poisoner that computes the perturbations: for ``shuffled``, that of its base."""
        return (self.base or self).poisoner.spec

    @property
    def drawn_seed(self) -> int:
        """The seed, of any craft but the clean reference."""
        assert self.seed is not None
        return self.seed

    @property
    def is_added_reference(self) -> bool:
        return self.poisoner.spec.name in ADDED_REFERENCES

    @property
    def is_clean(self) -> bool:
        return self.poisoner.spec.name == CLEAN

    def key(self, fingerprint: str, labeling: KeyText | None, numerics: Numerics) -> str:
        """Key of the release of images with this fingerprint; ``labeling`` is the exploiter's, for an oracle."""
        parts = (fingerprint, labeling, numerics)
        if parts not in self._keys:
            self._keys[parts] = self._key(*parts)
        return self._keys[parts]

    def _key(self, fingerprint: str, labeling: KeyText | None, numerics: Numerics) -> str:
        if self.base is not None:
            version = self.poisoner.spec.version
            return key(
                "release",
                {
                    "core": CORE_VERSION,
                    "shuffled": self.base.key(fingerprint, labeling, numerics),
                    **({"version": version} if version > 1 else {}),  # so that older keys hold
                },
            )
        return key(
            "release",
            {
                "core": CORE_VERSION,
                "images": fingerprint,
                "poisoner": self.poisoner.key_text,
                "surrogate": self.surrogate.key_text if self.surrogate else None,
                "labels": self.labels.identity(),
                "told": labeling,  # renaming it would change every key
                "budget": [self.budget.norm, self.budget.epsilon],
                "seed": self.seed,
                "numerics": numerics.key_text,
            },
        )


def occurrences(defense: Sequence[Component[DefenseSpec]]) -> dict[str, list[int]]:
    """The places of a chain's parts, by which they draw, as an entry of a key; none for a part alone: its key stays."""
    return {"occurrences": list(range(1, len(defense) + 1))} if len(defense) > 1 else {}


@dataclass(frozen=True)
class Cell:
    """One row: dataset x craft x mixture x labeling x defense x victim x seeds."""

    dataset: Component[DatasetSpec]
    craft: Craft
    labeling: Component[LabelingSpec]
    defense: tuple[Component[DefenseSpec], ...]
    victim: Component[VictimSpec]
    mixture: float
    train_seed: int
    #: Clean labelled images of the exploiter, split off before crafting.
    trusted: int = 0
    #: Measures beyond those in every record; not part of the key, since they change no other number.
    metrics: tuple[Component[MetricSpec], ...] = ()
    #: Whether the trained network is stored, for measures that come later; not part of the key either.
    keep_victim: bool = False

    @property
    def labeler(self) -> Component[SurrogateSpec] | None:
        """The pretrained model that the labeling uses, if any."""
        return labeler_of(self.labeling)

    @property
    def _labeling_key_text(self) -> KeyText:
        labeler = self.labeler
        if labeler is None:
            return self.labeling.key_text
        return KeyText.of({**self.labeling.identity(), "model": labeler.key_text})

    def release_key(self, part_fingerprint: str, numerics: Numerics) -> str | None:
        """Key of the release of a protected part with this fingerprint; None for the clean reference."""
        if self.craft.is_clean:
            return None
        labeling = self._labeling_key_text if self.craft.labels.source == "exploiter" else None
        return self.craft.key(part_fingerprint, labeling, numerics)

    @property
    def reads_trusted(self) -> bool:
        """Whether the trusted images can change a number, beyond what their absence from the training set does."""
        return self.trusted > 0 and (bool(self.defense) or self.victim.spec.opaque)

    def key(
        self,
        release_key: str | None,
        train_fingerprint: str,
        test_fingerprint: str,
        numerics: Numerics,
        trusted_fingerprint: str | None = None,
    ) -> str:
        """Key of the cell's record, on data with these fingerprints; that of images that nothing reads does not enter.

        It is None for the keys of earlier versions, which had the number of trusted images alone.
        """
        trusted = trusted_fingerprint if self.reads_trusted else None
        return key(
            "cell",
            {
                "core": CORE_VERSION,
                "release": release_key,
                "train": train_fingerprint,
                "test": test_fingerprint,
                "mixture": self.mixture,
                "labeling": self._labeling_key_text,
                "defense": [part.key_text for part in self.defense],
                "victim": self.victim.key_text,
                "train_seed": self.train_seed,
                "trusted": self.trusted,
                "numerics": numerics.key_text,
                **occurrences(self.defense),
                **({"trusted_images": trusted} if trusted is not None else {}),
            },
        )

    def united(self, other: Cell) -> Cell:
        """This cell with the measures of ``other`` too, which has the same key; its victim is kept if either's is."""
        metrics = {str(metric): metric for metric in (*self.metrics, *other.metrics)}
        return replace(self, metrics=tuple(metrics.values()), keep_victim=self.keep_victim or other.keep_victim)

    @property
    def defense_text(self) -> str:
        """The chain of defenses, or ``none``."""
        return format_chain(self.defense) or NO_DEFENSE

    @property
    def components(self) -> dict[str, Component[Any]]:
        """The components by their place in records: the data set, and all whose versions are part of the key."""
        craft = self.craft
        parts = {
            "dataset": self.dataset,
            "poisoner": craft.poisoner,
            "poisoner-base": craft.base.poisoner if craft.base else None,
            "surrogate": craft.surrogate,
            "surrogate-craft-labels": craft.labels.model,
            "labeling": self.labeling,
            "surrogate-labeling": self.labeler,
            "victim": self.victim,
            **{f"defense-{place}": part for place, part in enumerate(self.defense, 1)},
        }
        return {place: part for place, part in parts.items() if part is not None}

    @property
    def nature(self) -> dict[str, Any]:
        """What the components decide of a table: label access, oracle or not, granularity, the victim's platform."""
        craft = self.craft
        inherited = craft.surrogate.spec.label_access if craft.surrogate else "none"
        return {
            "label_access": max(inherited, craft.labels.access, key=("none", "names", "full").index),
            "oracle": craft.made_by.oracle,
            "granularity": craft.made_by.granularity,
            "platform": self.victim.spec.platform,
        }

    def describe(self) -> dict[str, Any]:
        """The cell as the columns of tables."""
        craft = self.craft
        values = {
            "dataset": str(self.dataset),
            "poisoner": _without_preset(craft.poisoner),
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
        return {name: only_text(value) for name, value in values.items()}


def _without_preset(poisoner: Component[PoisonerSpec]) -> str:
    """The poisoner without its preset, which has a separate column."""
    return str(replace(poisoner.ref, preset=None))
