"""The shared work of a run: data sets, surrogates and releases, each made once.

Data and surrogates are kept in memory for as long as the run lasts; fitted surrogates and releases live in the store.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from ucbench.crafting import clusters_of, predict_classes
from ucbench.crafting.poisoner import Perturbation
from ucbench.crafting.release import Release, make_release
from ucbench.crafting.surrogate import FittedSurrogate, Surrogate
from ucbench.data import ImageSet
from ucbench.data.budget import LEVELS
from ucbench.environment import environment, peak_memory
from ucbench.errors import ContractError, UsageError
from ucbench.matrix.compatibility import labeler_of
from ucbench.matrix.matrix import CORE_VERSION, Cell, Craft
from ucbench.metrics.accuracy import cluster_diagnostics
from ucbench.numerics import Numerics
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import PoisonerSpec
from ucbench.progress import Progress
from ucbench.session import Session
from ucbench.store.keys import key
from ucbench.store.store import Store
from ucbench.store.timings import crafting_work
from ucbench.training import DefensePipeline, Engine, arithmetic
from ucbench.training.context import Run


class Session(Session):
    """A shelf with an engine: makes and remembers what cells share. Takes what a :class:`ucbench.session.Session` takes."""

    def __init__(self, store: Store, numerics: Numerics, progress: Progress) -> None:
        super().__init__(store, numerics, progress)
        self.engine = Engine(numerics)
        self._surrogates: dict[str, Surrogate] = {}

    def refuse_modified(self, who: str, cell: Cell, *lent: ImageSet) -> None:
        """Compare images that components were lent with their fingerprints: read-only arrays do not stop torch.

        Raises:
            ContractError: if they differ; the data set is read again for the next cell.
        """
        if any(replace(images).fingerprint != images.fingerprint for images in lent):
            self._data.clear()
            raise ContractError(f"{who} modified images or labels it was lent. Work on a copy of them.")

    def context(self, stage: str, seed: int, **lent: Any) -> Run:
        return Run(self.engine, (stage, seed), self.progress, **lent)

    def surrogate(self, craft: Craft, images: ImageSet) -> Surrogate | None:
        """The craft's surrogate on the run's device, fitted on the protector's images where it has to be."""
        if craft.surrogate is None:
            return None
        assert craft.seed is not None
        return self._ready(craft.surrogate, craft.seed, images)

    def _ready(self, named: Component, seed: int, images: ImageSet) -> Surrogate:
        if getattr(named.spec, "label_access", "none") == "none":
            images = images.with_labels(None)  # so that it neither reads labels nor is fitted anew under others
        # One that is fitted differs with the images and the seed; asking its class would import it.
        name = f"{named}/{images.fingerprint}/{seed}"
        if name not in self._surrogates:
            surrogate: Surrogate = named.build()
            if isinstance(surrogate, FittedSurrogate):
                self._fit(surrogate, named, seed, images)
            surrogate.to(self.engine.device, self.engine.dtype)
            self._surrogates[name] = surrogate
        return self._surrogates[name]

    def _fit(self, surrogate: FittedSurrogate, named: Component, seed: int, images: ImageSet) -> None:
        run = self.context("surrogate", seed)
        identity = {
            "core": CORE_VERSION,
            "surrogate": named.identity(),
            "images": images.fingerprint,
            "seed": seed,
            "numerics": self.numerics.identity(),
        }
        stored, _ = self.store.get_or_make(
            "surrogate", key("surrogate", identity), lambda: (surrogate.fit(images, run), {"notes": run.notes})
        )
        surrogate.restore(stored.arrays, images, run)

    def release(self, cell: Cell) -> tuple[str, Release]:
        """Key and release of the cell's craft, from the store or crafted now.

        Raises:
            ContractError: if the poisoner returned what its contract forbids.
        """
        part = self.protected(cell)
        release_key = cell.release_key(part.images.fingerprint, self.numerics)
        assert release_key is not None
        make = self._craft if cell.craft.base is None else self._shuffle
        stored, _ = self.store.get_or_make("release", release_key, lambda: make(cell, part.images, release_key))
        return release_key, Release.from_arrays(stored.arrays, stored.meta)

    def told(self, cell: Cell, images: ImageSet, run: Run) -> ImageSet:
        """The protector's images under the craft labels."""
        labels = cell.craft.labels
        if labels.source == "none":
            return images.with_labels(None)
        model = run.surrogate
        if labels.model is not None:
            assert cell.craft.seed is not None
            model = self._ready(labels.model, cell.craft.seed, images)
        if labels.source == "predicted":
            assert model is not None
            return self._predicted(model, images)
        if labels.source == "clusters":
            found = clusters_of(images, labels.clusters, run, model)
            return images.with_labels(None).with_labels(
                found.assignment, tuple(f"cluster {k}" for k in range(labels.clusters))
            )
        if labels.source == "exploiter":
            # Of the whole set, whose labels are the exploiter's: those of a part alone could differ.
            train = self.data(cell).train
            labelled = self.labelled(cell, train, train, train)[0]
            return labelled.subset(self.protected(cell).indices)
        return images

    def labelled(
        self, cell: Cell, clean: ImageSet, published: ImageSet, test: ImageSet
    ) -> tuple[ImageSet, ImageSet, Run]:
        """``published`` and ``test`` under the exploiter's labels, and the run that holds the labeling's notes.

        Raises:
            UsageError: if the labeling looks through a model that would have to be trained first.
        """
        run = self.context("labeling", 0)  # one seed: which labels are used is part of the setting
        model = labeler_of(cell.labeling)
        if model is None and getattr(cell.labeling.spec, "source", "") != "machine":
            return *cell.labeling.build().apply(clean, published, test, run), run
        identity = {
            "core": CORE_VERSION,
            "labeling": [cell.labeling.identity(), model.identity() if model else None],
            "images": [images.fingerprint for images in (clean, published, test)],
            "numerics": self.numerics.identity(),
        }

        def label() -> tuple[dict[str, Any], dict[str, Any]]:
            if model is not None:
                run.surrogate = self._pretrained(model, f"Labeling {cell.labeling}")
            train, scoring = cell.labeling.build().apply(clean, published, test, run)
            arrays = {"train": train.known_labels, "test": scoring.known_labels}
            return arrays, {"classes": train.classes, "notes": run.notes, "warnings": run.warnings}

        stored, _ = self.store.get_or_make("labels", key("labels", identity), label)
        run.notes, run.warnings = dict(stored.meta["notes"]), list(stored.meta["warnings"])
        classes = tuple(stored.meta["classes"])
        train, scoring = (
            images.with_labels(np.array(stored.arrays[name]), classes)
            for name, images in (("train", published), ("test", test))
        )
        return train, scoring, run

    def _pretrained(self, named: Component, who: str) -> Surrogate:
        if str(named) not in self._surrogates:
            surrogate: Surrogate = named.build()
            if isinstance(surrogate, FittedSurrogate):
                raise UsageError(f"{who} looks through {named}, which has to be trained first. Name a pretrained one.")
            surrogate.to(self.engine.device, self.engine.dtype)
            self._surrogates[str(named)] = surrogate
        return self._surrogates[str(named)]

    def prepared(
        self, cell: Cell, pipeline: DefensePipeline, released: ImageSet, clean: ImageSet
    ) -> tuple[ImageSet, Run]:
        """``released`` as the cell's defenses prepare it, once for all trainings, and the run that holds their notes.

        Args:
            clean: the same pictures before they were perturbed, for oracles.

        Raises:
            ContractError: if a defense returned what its contract forbids.
        """
        # The release is known by its pixels: what is drawn differs between releases, and not between trainings.
        run = self.context("prepare", cell.craft.seed or 0)
        if not any(pipeline.preparing):
            return released, run
        parts = [part.identity() for part, prepares in zip(cell.defense, pipeline.preparing, strict=True) if prepares]
        identity = {
            "core": CORE_VERSION,
            "images": released.fingerprint,
            "defense": parts,
            "seed": cell.craft.seed or 0,
            "numerics": self.numerics.identity(),
        }
        if any(getattr(part.spec, "oracle", False) for part in cell.defense):
            run.clean = clean
            identity["clean"] = clean.fingerprint

        def prepare() -> tuple[dict[str, Any], dict[str, Any]]:
            done = pipeline.prepare(released, run)
            arrays = {"images": done.images, "labels": done.known_labels}
            return arrays, {"notes": run.notes, "warnings": run.warnings}

        stored, _ = self.store.get_or_make("prepared", key("prepared", identity), prepare)
        run.notes, run.warnings = dict(stored.meta["notes"]), list(stored.meta["warnings"])
        labels = np.array(stored.arrays["labels"])
        bare = released.with_labels(None)  # a defense may exchange pictures, which further label sets would not follow
        return bare.with_images(np.array(stored.arrays["images"])).with_labels(labels, released.classes), run

    def _predicted(self, model: Surrogate, images: ImageSet) -> ImageSet:
        """The classes ``model`` sees in the images, renumbered to those that occur, in their order."""
        numbers, labels = np.unique(predict_classes(model, images, self.engine.device), return_inverse=True)
        return images.with_labels(None).with_labels(
            labels.reshape(-1).astype(np.int64), tuple(f"predicted {number}" for number in numbers)
        )

    def _shuffle(self, cell: Cell, images: ImageSet, release_key: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The perturbations of the cell's base craft, dealt to the images at random."""
        craft = cell.craft
        assert craft.base is not None
        assert craft.seed is not None
        _, base = self.release(replace(cell, craft=craft.base))
        order = np.random.default_rng(self.context("craft", craft.seed).seed("shuffled")).permutation(len(images))
        delta = np.asarray(base.changes, np.float32) / np.float32(LEVELS)
        release = make_release(Perturbation(delta, base.index[order]), images, craft.budget)
        carried = {name: base.meta[name] for name in ("seconds", "peak_memory_mib", "environment")}
        return release.to_arrays(), {**release.meta, "notes": {}, "warnings": [], **carried}

    def _craft(self, cell: Cell, images: ImageSet, release_key: str) -> tuple[dict[str, Any], dict[str, Any]]:
        craft = cell.craft
        record = craft.poisoner.spec
        assert isinstance(record, PoisonerSpec)
        assert craft.seed is not None
        with arithmetic(self.numerics):
            run = self.context(
                "craft", craft.seed, budget=craft.budget, checkpoint=self.store.checkpoint("release", release_key)
            )
            started = time.perf_counter()
            # A protector who is told other labels has no original ones to train a surrogate with.
            told = images if craft.labels.model is None else self.told(cell, images, run)
            seconds = time.perf_counter() - started
            run.surrogate = self.surrogate(craft, told)  # kept for other crafts too, and so not in this one's cost
            started = time.perf_counter()
            if craft.labels.model is None:
                told = self.told(cell, images, run)
            perturbation = craft.poisoner.build().craft(told, run)
            seconds += time.perf_counter() - started
        self.refuse_modified(f"Poisoner {craft.poisoner} or its surrogate", cell, images)
        self.costs.remember(crafting_work(cell, len(images), images.size, self.numerics), seconds)
        release = make_release(perturbation, images, craft.budget, declares_projection=record.projects)
        if release.is_shared:
            for name, value in cluster_diagnostics(release.index, images.known_labels).items():
                run.note(name, value)
        meta = {
            **release.meta,
            "notes": run.notes,
            "warnings": run.warnings,
            "seconds": seconds,
            "peak_memory_mib": peak_memory(self.numerics),
            "environment": environment(self.numerics),
        }
        return release.to_arrays(), meta
