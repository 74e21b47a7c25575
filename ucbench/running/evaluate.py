"""One cell from end to end: release, publish, label, defend, train, score."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ucbench.data.loading import LoadedDataset
from ucbench.exploit.defend import pipeline_of, prepare
from ucbench.exploit.train import TrainedVictim, Trainer, train
from ucbench.matrix.cell import Cell
from ucbench.metrics.accuracy import accuracy, test_metrics
from ucbench.metrics.clusters import cluster_diagnostics
from ucbench.metrics.features import capture_features, cosine_gap
from ucbench.metrics.probes import guess_accuracy, linear_probe
from ucbench.numerics import peak_memory
from ucbench.running.estimate import training_work
from ucbench.running.sets import ExploiterSets, exploiter_sets, leaked_pairs, release_of
from ucbench.session import Session
from ucbench.training.context import Run
from ucbench.training.defenses import DefenseRun
from ucbench.training.determinism import deterministic, guarded
from ucbench.training.recipe import Victim

#: Most clean training images that the linear probe of a victim's features is fitted on.
PROBE_IMAGES = 5000


@dataclass(frozen=True)
class CellResult:
    """The result of a cell.

    Attributes:
        body: the measured part of its record.
        trainers: versions of trainers outside this process by their names, for its environment.
        trained: its victim, for requested metrics.
        sets: the images that these may read.
    """

    body: dict[str, Any]
    trainers: dict[str, dict[str, str]]
    trained: TrainedVictim
    sets: ExploiterSets


def evaluate(
    cell: Cell, session: Session, on_epoch: Callable[[Mapping[str, Any], int], None] | None = None
) -> CellResult:
    """Train the cell's victim on the published set and score it. Exceptions of components pass through."""
    started = time.perf_counter()
    who = f"Victim {cell.victim}" + (f" or defense {cell.defense_text}" if cell.defense else "")
    with guarded(who):
        victim = cell.victim.build()
        _check_victim(victim, cell, session)
    release = release_of(cell, session)
    exploit_started = time.perf_counter()
    data = session.data(cell)
    inputs = [data.train, data.test, *([data.trusted] if data.trusted else [])]
    with deterministic(session.numerics), session.unmodified("A labeling, defense or victim", *inputs):
        run = DefenseRun(session.engine, ("train", cell.train_seed), session.progress)
        pipeline = pipeline_of(cell.defense)
        with session.progress.stage("labeling and preparing"):
            sets = exploiter_sets(cell, release, session)
            preparing = zip(cell.defense, pipeline.preparing, strict=True)
            learns = any(part.spec.leaked for part, prepares in preparing if prepares)
            leaked = leaked_pairs(cell, release, sets, session) if learns else None
            prepared, prepare_run = prepare(
                cell.defense, pipeline, sets.train, sets.source, cell.craft.seed or 0, session, sets.trusted, leaked
            )
        with guarded(who, run.seed("global")):
            trained = train(victim, prepared, sets.test, sets.trusted, pipeline, run, on_epoch)
            with session.progress.stage("measuring"):
                metrics = _victim_metrics(trained, sets, data, run)
        with session.progress.stage("measuring"):
            if release is not None:
                labels = sets.train.known_labels[session.protected(cell).indices]
                metrics["guess_accuracy"] = guess_accuracy(release.changes, release.index, labels, run.seed("guess"))
                if release.is_shared:
                    run.note("exploiter_labels_in_groups", cluster_diagnostics(release.index, labels))
        seconds = time.perf_counter() - exploit_started
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
    return CellResult(body, run.trainers, trained, sets)


def _check_victim(victim: Victim | Trainer, cell: Cell, session: Session) -> None:
    """Build the network of a victim once before a release is crafted, since weights and sizes may fail only then."""
    data = session.data(cell)
    key = cell.release_key(session.protected(cell).fingerprint, session.numerics)
    if key is None or isinstance(victim, Trainer) or session.store.get("release", key) is not None:
        return
    victim.build(len(data.train.classes), data.train.size)


def _victim_metrics(
    trained: TrainedVictim, sets: ExploiterSets, original: LoadedDataset, run: Run
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
