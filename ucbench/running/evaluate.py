"""One cell from end to end: release, publish, label, defend, train, measure."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ucbench.crafting.craft import craft_labels, craft_release, perturb_unseen, shuffle_release
from ucbench.crafting.release import Release
from ucbench.data.imageset import ImageSet
from ucbench.data.loading import LoadedDataset
from ucbench.errors import ContractError, UsageError
from ucbench.exploit.defend import pipeline_of, prepare
from ucbench.exploit.labels import LabelRun, label
from ucbench.exploit.publish import publish
from ucbench.exploit.train import TrainedVictim, Trainer, train
from ucbench.matrix.cell import Cell
from ucbench.metrics.accuracy import accuracy, test_metrics
from ucbench.metrics.clusters import cluster_diagnostics
from ucbench.metrics.features import capture_features, cosine_gap
from ucbench.metrics.metric import MetricContext
from ucbench.metrics.probes import guess_accuracy, linear_probe
from ucbench.numerics import peak_memory
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import MetricSpec
from ucbench.running.estimate import crafting_work, training_work
from ucbench.session import Session
from ucbench.training.context import Run
from ucbench.training.defenses import DefenseRun
from ucbench.training.determinism import deterministic, guarded
from ucbench.training.recipe import Victim

#: Most clean training images that the linear probe of a victim's features is fitted on.
PROBE_IMAGES = 5000

MetricValues = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class CellResult:
    """The result of a cell.

    Attributes:
        body: the measured part of its record.
        metric_values: the numbers of each requested metric, by its reference.
    """

    body: dict[str, Any]
    metric_values: MetricValues


@dataclass(frozen=True)
class _ExploiterSets:
    """The image sets of one cell under the exploiter's labels.

    Attributes:
        source: ``train`` before it was perturbed.
        train: the training set as published.
        test: the clean test set.
        perturbed_test: the test set with the poisoner's perturbation; None if it cannot perturb unseen images.
        trusted: the exploiter's clean images, if any.
        run: the labeling's run, with its notes.
    """

    source: ImageSet
    train: ImageSet
    test: ImageSet
    perturbed_test: ImageSet | None
    trusted: ImageSet | None
    run: LabelRun


def release_of(cell: Cell, session: Session) -> tuple[str, Release]:
    """Key and release of the cell's craft, from the store or crafted now.

    Raises:
        ContractError: if the poisoner returned what its contract forbids.
    """
    craft, images = cell.craft, session.protected(cell).images
    release_key = cell.release_key(images.fingerprint, session.numerics)
    assert release_key is not None

    def make() -> tuple[dict[str, Any], Any]:
        if craft.base is not None:
            base = release_of(replace(cell, craft=craft.base), session)[1]
            release = shuffle_release(craft, base, images)
        else:
            labelled = craft_labels(craft, images, _exploiter_labels(cell, session), session)
            checkpoint = session.store.checkpoint("release", release_key)
            release = craft_release(craft, images, labelled, session, checkpoint)
            work = crafting_work(cell, len(images), images.size, session.numerics)
            session.timings.remember(work, float(release.meta["seconds"]))
        return release.to_arrays(), release.meta

    stored, _ = session.store.get_or_make("release", release_key, make)
    return release_key, Release.from_arrays(stored.arrays, stored.meta)


def _exploiter_labels(cell: Cell, session: Session) -> ImageSet | None:
    """The protected images under the exploiter's labels, for oracle references; None for all others."""
    if cell.craft.labels.source != "exploiter":
        return None
    # Of the whole set, as the exploiter labels it: labels made from a part alone could differ.
    train = session.data(cell).train
    with deterministic(session.numerics):
        return label(cell.labeling, train, train, train, session)[0].subset(session.protected(cell).indices)


def published_of(cell: Cell, release: Release | None, session: Session) -> ImageSet:
    """The cell's training set as published, under its original labels."""
    train = session.data(cell).train
    return train if release is None else publish(train, session.protected(cell), release)


def evaluate(cell: Cell, session: Session, requested: Sequence[Component[MetricSpec]] = ()) -> CellResult:
    """Train the cell's victim on the published set and measure it. Exceptions of components pass through."""
    started = time.perf_counter()
    who = f"Victim {cell.victim}" + (f" or defense {cell.defense_text}" if cell.defense else "")
    with guarded(who):
        victim = cell.victim.build()
        _check_victim(victim, cell, session)
    release = None if cell.craft.is_clean else release_of(cell, session)[1]
    exploit_started = time.perf_counter()
    data = session.data(cell)
    inputs = [data.train, data.test, *([data.trusted] if data.trusted else [])]
    with deterministic(session.numerics), session.unmodified("A labeling, defense, victim or metric", *inputs):
        run = DefenseRun(session.engine, ("train", cell.train_seed), session.progress)
        pipeline = pipeline_of(cell.defense)
        with session.progress.stage("labeling and preparing"):
            sets = _exploiter_sets(cell, release, session)
            prepared, prepare_run = prepare(
                cell.defense, pipeline, sets.train, sets.source, cell.craft.seed or 0, session
            )
        with guarded(who, run.seed("global")):
            trained = train(victim, prepared, sets.test, sets.trusted, pipeline, run)
            with session.progress.stage("measuring"):
                metrics = _victim_metrics(trained, sets, data, run)
        with session.progress.stage("measuring"):
            if release is not None:
                labels = sets.train.known_labels[session.protected(cell).indices]
                metrics["guess_accuracy"] = guess_accuracy(release.changes, release.index, labels, run.seed("guess"))
                if release.is_shared:
                    run.note("exploiter_labels_in_groups", cluster_diagnostics(release.index, labels))
            seconds = time.perf_counter() - exploit_started
            values = _measure(requested, sets, cell, session, trained)
    session.timings.remember(training_work(cell, len(data.train), data.train.size, session.numerics), seconds)
    body = {
        "metrics": metrics,
        "history": list(trained.history),
        "epochs": trained.epochs,
        "budget": dict(release.meta["measured"]) if release else {},
        "crafting": {} if release is None else {"notes": release.meta["notes"], "warnings": release.meta["warnings"]},
        "notes": {**sets.run.notes, **prepare_run.notes, **run.notes},
        "warnings": [*sets.run.warnings, *prepare_run.warnings, *run.warnings],
        "cost": {
            "seconds": seconds,
            "craft_seconds": float(release.meta["seconds"]) if release else 0.0,
            "wall_seconds": time.perf_counter() - started,
            "train_seconds": trained.seconds,
            "images_per_second": trained.images_per_second,
            "peak_memory_mib": peak_memory(session.numerics),
            "train_gflops": trained.gflops,
        },
    }
    return CellResult(body, values)


def _check_victim(victim: Victim | Trainer, cell: Cell, session: Session) -> None:
    """Build the network of a victim once before a release is crafted, since weights and sizes may fail only then."""
    data = session.data(cell)
    key = cell.release_key(session.protected(cell).images.fingerprint, session.numerics)
    if key is None or isinstance(victim, Trainer) or session.store.get("release", key) is not None:
        return
    victim.build(len(data.train.classes), data.train.size)


def measure(cell: Cell, session: Session, requested: Sequence[Component[MetricSpec]]) -> MetricValues:
    """Values of metrics for a cell that is done; trains the victim again only if a metric reads it."""
    if any(reads_victim(metric) for metric in requested):
        return evaluate(cell, session, requested).metric_values
    release = None if cell.craft.is_clean else release_of(cell, session)[1]
    with deterministic(session.numerics):
        return _measure(requested, _exploiter_sets(cell, release, session), cell, session, None)


def reads_victim(metric: Component[MetricSpec]) -> bool:
    """Whether the metric reads the trained victim."""
    return bool({"model", "history"} & set(metric.spec.reads))


def _measure(
    requested: Sequence[Component[MetricSpec]],
    sets: _ExploiterSets,
    cell: Cell,
    session: Session,
    trained: TrainedVictim | None,
) -> MetricValues:
    available: dict[str, Any] = {
        "source": sets.source,
        "published": sets.train,
        "test": sets.test,
        "perturbed_test": sets.perturbed_test,
        "model": trained.model if trained else None,
        "history": trained.history if trained else None,
    }
    values = {}
    for metric in requested:
        reads = metric.spec.reads
        if "model" in reads and available["model"] is None:
            raise UsageError(f"Metric {metric} reads the victim's network, which {cell.victim} does not show.")
        run = Run(session.engine, (f"metric {metric}", cell.train_seed), session.progress)
        context = MetricContext(run, **{name: available[name] for name in reads})
        with guarded(f"Metric {metric}", run.seed("global")):
            values[str(metric)] = _checked(metric, metric.build().compute(context))
    return values


def _checked(metric: Component[MetricSpec], values: Any) -> dict[str, float | None]:
    """The values as JSON values.

    Raises:
        ContractError: if they are not finite numbers (or None) by name.
    """
    try:
        numbers = {str(name): None if value is None else float(value) for name, value in dict(values).items()}
    except (TypeError, ValueError) as error:
        raise ContractError(f"Metric {metric} must return a mapping of names to numbers or None: {error}.") from error
    wrong = [name for name, value in numbers.items() if value is not None and not math.isfinite(value)]
    if wrong or not numbers:
        what = f"{wrong[0]} = {numbers[wrong[0]]}" if wrong else "nothing"
        raise ContractError(f"Metric {metric} returned {what}; values are finite numbers, or None where undefined.")
    return numbers


def _exploiter_sets(cell: Cell, release: Release | None, session: Session) -> _ExploiterSets:
    data = session.data(cell)
    published = published_of(cell, release, session)
    train, test, run = label(cell.labeling, data.train, published, data.test, session)
    perturbed = None
    if release is not None:
        # From the source of the craft labels: the exploiter's labels of the same images may be others.
        by_source = {"original": data.test.known_labels, "exploiter": test.known_labels}
        labels = by_source.get(cell.craft.labels.source)
        perturbed = perturb_unseen(cell.craft, session.protected(cell).images, release, test, labels, session)
    source = data.train.with_labels(train.known_labels, train.classes)
    trusted = None
    if data.trusted is not None:
        # A labeling takes one set besides the published one: here the trusted images, above the test images.
        trusted = label(cell.labeling, data.train, published, data.trusted, session)[1]
    return _ExploiterSets(source, train, test, perturbed, trusted, run)


def _victim_metrics(
    trained: TrainedVictim, sets: _ExploiterSets, original: LoadedDataset, run: Run
) -> dict[str, float | None]:
    """Accuracies of the trained victim on its training set, the clean test set and the perturbed test set.

    ``cosine_gap`` says how far its penultimate features separate the classes of its training set. ``linear_probe`` is
    the accuracy of a linear classifier on its features, fitted on clean training images and scored on the clean test
    set, with ``original`` labels. Both are None for a model that does not end in a linear layer, and for an opaque
    trainer.
    """
    with capture_features(trained.model) as test_capture:
        test_predictions = trained.predict(sets.test)
    with capture_features(trained.model) as train_capture:
        train_predictions = trained.predict(sets.train)
    labels = sets.train.known_labels
    metrics: dict[str, float | None] = {
        **test_metrics(test_predictions, sets.test.known_labels, len(sets.test.classes)),
        "test_accuracy_best": max((point["test_accuracy"] for point in trained.history), default=None),
        "train_accuracy": accuracy(train_predictions, labels),
        "cosine_gap": None,
        "linear_probe": None,
    }
    if train_capture.features is not None:
        metrics["cosine_gap"] = cosine_gap(train_capture.features, torch.from_numpy(labels.copy()))
    if test_capture.features is not None:
        metrics["linear_probe"] = _probe(trained, original, test_capture.features, run)
    if sets.perturbed_test is not None:
        predictions = trained.predict(sets.perturbed_test)
        metrics["perturbed_test_accuracy"] = accuracy(predictions, sets.test.known_labels)
    return metrics


def _probe(trained: TrainedVictim, original: LoadedDataset, test_features: Tensor, run: Run) -> float | None:
    order = np.random.default_rng(run.seed("probe")).permutation(len(original.train))
    train = original.train.subset(np.sort(order[:PROBE_IMAGES]))
    with capture_features(trained.model) as capture:
        trained.predict(train)
    if capture.features is None:
        return None
    features = capture.features.numpy()
    return linear_probe(features, train.known_labels, test_features.numpy(), original.test.known_labels)
