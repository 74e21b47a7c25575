"""Runs cells: from the store where they are done, else computed, recorded and kept."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench.budget import blocks
from ucbench.components import CellEvent, Victim
from ucbench.context import Context
from ucbench.costs import training_work
from ucbench.crafting import cosine_gap
from ucbench.data import ImageSet
from ucbench.environment import environment, peak_memory
from ucbench.errors import UcbenchError
from ucbench.evaluation import accuracy, guess_accuracy, probe_accuracy, test_metrics
from ucbench.matrix import Cell
from ucbench.plugins import notify
from ucbench.records import SCHEMA, Record, read_record, record_path, write_record
from ucbench.registry import Registry, Resolved
from ucbench.release import Release, materialise
from ucbench.training import DefenseChain, TrainResult, arithmetic, seeded
from ucbench.training.batches import split_evenly
from ucbench.training.features import watched
from ucbench.workbench import Workbench


def cell_key(cell: Cell, bench: Workbench) -> tuple[str, str | None]:
    """Keys of the cell's record and of its release (None for the clean reference)."""
    data = bench.dataset(cell.dataset)
    release_key = cell.release_key(bench.protected(cell).images.fingerprint, bench.numerics)
    return cell.key(release_key, data.train.fingerprint, data.test.fingerprint, bench.numerics), release_key


def finished(cell: Cell, key: str, bench: Workbench, out: Path | None) -> Record | None:
    """The record of a cell that is done: in the result folder, even with an empty store, or in the store.

    One key can be asked for in several ways (the same pictures by two names); the record answers in the words asked.
    """
    if out is not None and record_path(out, key).exists():
        record = read_record(record_path(out, key))
        if record["status"] == "ok":
            return _as_asked(record, cell)
    stored = bench.store.get("cell", key)
    return None if stored is None else _as_asked(dict(stored.meta), cell)


def _as_asked(record: Record, cell: Cell) -> Record:
    dataset = {**record["components"]["dataset"], **cell.dataset.identity()}
    return {**record, "request": cell.describe(), "components": {**record["components"], "dataset": dataset}}


def run_cells(cells: Sequence[Cell], bench: Workbench, registry: Registry, *, out: Path | None = None) -> list[Record]:
    """Run every cell in turn and return their records in the same order.

    A cell that fails gets a record with ``status: failed`` and the error; the others go on. Failed records are written
    to ``out`` but not kept in the store, so that the next run tries again. An interruption leaves finished work in
    place. What was done before is told in the words of this request, or its rows would not meet their references.

    Raises:
        DataError: if a data set cannot be read, before anything is computed.
    """
    keys = [cell_key(cell, bench) for cell in cells]
    records = []
    for number, (cell, (key, release_key)) in enumerate(zip(cells, keys, strict=True), 1):
        done = finished(cell, key, bench, out)
        if done is None:
            bench.progress.say(f"[{number}/{len(cells)}] {title(cell)}")
            record = _attempt(cell, key, release_key, bench)
        else:
            record = {**done, "request": cell.describe()}
        if out is not None:
            write_record(out, record)
        if done is None:
            hook = "ucbench_cell_finished" if record["status"] == "ok" else "ucbench_cell_failed"
            for problem in notify(hook, CellEvent(record, str(out) if out else None), registry.plugins):
                bench.progress.say(problem)
        records.append(record)
    return records


def title(cell: Cell) -> str:
    """The cell in one line of a log."""
    values = cell.describe()
    epsilon = "" if values["epsilon"] is None else f" {values['norm']} {values['epsilon']:g}"
    defense = "" if values["defense"] == "none" else f" + {values['defense']}"
    seeds = (
        f"seed {cell.train_seed}"
        if cell.craft.seed in (None, cell.train_seed)
        else (f"craft seed {cell.craft.seed}, train seed {cell.train_seed}")
    )
    return f"{values['dataset']} | {cell.craft.poisoner}{epsilon} | {values['victim']}{defense} | {seeds}"


def _attempt(cell: Cell, key: str, release_key: str | None, bench: Workbench) -> Record:
    """Compute the cell under its lock, so that a second process waits for it instead of doing it again."""
    try:
        stored, _ = bench.store.get_or_make("cell", key, lambda: ({}, _measure(cell, key, release_key, bench)))
        return {**stored.meta, "request": cell.describe()}
    except (Exception, SystemExit) as error:
        text = str(error) if isinstance(error, UcbenchError) else traceback.format_exc()
        bench.progress.say(f"failed: {title(cell)}: {type(error).__name__}: {error}")
        return {
            **_head(cell, key, release_key, bench),
            "status": "failed",
            "error": {"type": type(error).__name__, "text": text},
        }


def _head(cell: Cell, key: str, release_key: str | None, bench: Workbench) -> Record:
    """What a record says whether or not the cell succeeded."""
    data = bench.dataset(cell.dataset)
    craft = cell.craft
    parts: dict[str, Resolved | None] = {
        "dataset": cell.dataset,
        "poisoner": craft.poisoner,
        "surrogate": craft.surrogate,
        "labeling": cell.labeling,
        "victim": cell.victim,
        **{f"defense-{place}": part for place, part in enumerate(cell.defense, 1)},
    }
    record = craft.made_by
    inherited = getattr(craft.surrogate.record, "label_access", "none") if craft.surrogate else "none"
    return {
        "schema": SCHEMA,
        "cell": key,
        "release": release_key,
        "request": cell.describe(),
        "components": {
            kind: {
                **part.identity(),
                "distribution": part.origin.distribution,
                "distribution_version": part.origin.version,
            }
            for kind, part in parts.items()
            if part is not None
        },
        "label_access": "full" if "full" in (inherited, craft.labels.access) else "none",
        "oracle": record.oracle,
        "granularity": record.granularity,
        "data": {
            "train": data.train.fingerprint,
            "test": data.test.fingerprint,
            "train_images": len(data.train),
            "test_images": len(data.test),
            "classes": len(data.train.classes),
            "size": list(data.train.size),
            "note": data.note,
        },
        "numerics": bench.numerics.identity(),
        "environment": environment(bench.numerics),
    }


def _measure(cell: Cell, key: str, release_key: str | None, bench: Workbench) -> Record:
    """The exploiter's side: label, defend, train, evaluate."""
    started = time.perf_counter()
    data = bench.dataset(cell.dataset)
    release: Release | None = None
    published = data.train
    if release_key is not None:
        release = bench.release(cell)[1]
        published = _publish(cell, release, bench)
    exploit_started = time.perf_counter()
    with arithmetic(bench.numerics):
        run = bench.context("train", cell.train_seed)
        released, test, labeling = bench.labelled(cell, data.train, published, data.test)
        chain = DefenseChain([(str(part), part.build()) for part in cell.defense])
        prepared, preparing = bench.prepared(cell, chain, released)
        victim: Victim = cell.victim.build()
        result = _train(victim, prepared, test, chain, run, bench)
        metrics = _victim_metrics(result, released, test, data.test, chain, run, bench)
        if release is not None:
            metrics["guess_accuracy"] = guess_accuracy(
                release, released.known_labels[bench.protected(cell).indices], run.seed("guess")
            )
            perturbed = _perturbed_test(cell, release, test, bench)
            if perturbed is not None:
                metrics["perturbed_test_accuracy"] = accuracy(
                    bench.engine.predict(result.model, perturbed, chain), test.known_labels
                )
    bench.refuse_modified("A labeling, defense or victim", cell, data.train, data.test)
    seconds = time.perf_counter() - exploit_started
    bench.costs.remember(training_work(cell, len(data.train), data.train.size, bench.numerics), seconds)
    return {
        **_head(cell, key, release_key, bench),
        "status": "ok",
        "metrics": metrics,
        "history": result.history,
        "epochs": victim.recipe.epochs,
        "budget": dict(release.meta["measured"]) if release else {},
        "crafting": {} if release is None else {"notes": release.meta["notes"], "warnings": release.meta["warnings"]},
        "notes": {**labeling.notes, **preparing.notes, **run.notes},
        "warnings": [*labeling.warnings, *preparing.warnings, *run.warnings],
        "cost": {
            "seconds": seconds,
            "craft_seconds": float(release.meta["seconds"]) if release else 0.0,
            "wall_seconds": time.perf_counter() - started,
            "train_seconds": result.seconds,
            "images_per_second": result.images_per_second,
            "peak_memory_mib": peak_memory(bench.numerics),
            "train_gflops": _train_gflops(result, data.train, victim.recipe.epochs),
        },
    }


def _publish(cell: Cell, release: Release, bench: Workbench) -> ImageSet:
    """The training set as published: the protector's part perturbed, the rest as it was."""
    train, part = bench.dataset(cell.dataset).train, bench.protected(cell)
    perturbed = materialise(part.images.images, release.changes, release.index)
    if len(part.indices) == len(train):
        return train.with_images(perturbed)
    images = train.images.copy()
    images[part.indices] = perturbed
    return train.with_images(images)


def _train(
    victim: Victim, train: ImageSet, test: ImageSet, chain: DefenseChain, run: Context, bench: Workbench
) -> TrainResult:
    with seeded(run.seed("init")):
        model = victim.build(len(train.classes), train.size)
    steps = victim.recipe.epochs * split_evenly(len(train), victim.recipe.batch)
    return bench.engine.fit(
        model,
        train,
        victim.recipe,
        seed=run.seed("shuffle"),
        run=run,
        defenses=chain,
        evaluate={"test": test},
        progress=run.progress("training the victim", steps),
    )


def _victim_metrics(
    result: TrainResult,
    released: ImageSet,
    test: ImageSet,
    original: ImageSet,
    chain: DefenseChain,
    run: Context,
    bench: Workbench,
) -> dict[str, float | None]:
    """What the trained victim does with its own training set and with the clean test set.

    ``cosine_gap`` is of its penultimate features on the training set, by the labels it was trained on: how far the
    classes stand apart as it sees them. ``probe_accuracy`` is of its features on the clean test set (``original`` has
    the data set's own labels for it). Both are None for a model that does not end in a linear layer.
    """
    with watched(result.model) as of_test:
        predicted = bench.engine.predict(result.model, test, chain)
    with watched(result.model) as of_training:
        recalled = bench.engine.predict(result.model, released, chain)
    metrics: dict[str, float | None] = {
        **test_metrics(predicted, test.known_labels, len(test.classes)),
        "test_accuracy_best": max(point["test_accuracy"] for point in result.history),
        "train_accuracy": accuracy(recalled, released.known_labels),
        "cosine_gap": None,
        "probe_accuracy": None,
    }
    if of_training.features is not None:
        metrics["cosine_gap"] = cosine_gap(of_training.features, torch.from_numpy(released.known_labels.copy()))
    if of_test.features is not None:
        metrics["probe_accuracy"] = probe_accuracy(of_test.features.numpy(), original.known_labels, run.seed("probe"))
    return metrics


def _perturbed_test(cell: Cell, release: Release, test: ImageSet, bench: Workbench) -> ImageSet | None:
    """The test set with the perturbation each image would have got, or None where the method does not say."""
    craft = cell.craft
    poisoner = craft.poisoner.build()
    if not hasattr(poisoner, "assign"):
        return None
    # What the poisoner was told in crafting: the exploiter may score the same pictures by other labels.
    told = {"original": bench.dataset(cell.dataset).test.known_labels, "exploiter": test.known_labels}
    part = bench.protected(cell).images
    assert craft.seed is not None
    run = bench.context("craft", craft.seed, budget=craft.budget, surrogate=bench.surrogate(craft, part))
    index = poisoner.assign(test.with_labels(None), told.get(craft.labels.source), release.state, run)
    if index is None:
        return None
    chosen = np.asarray(index, np.int64)
    if hasattr(poisoner, "transform"):
        return test.with_images(_transformed(poisoner, test, chosen, release, bench))
    return test.with_images(materialise(test.images, release.changes, chosen))


def _transformed(
    poisoner: Any, test: ImageSet, index: NDArray[np.int64], release: Release, bench: Workbench
) -> NDArray[np.uint8]:
    """Images ``[N, 3, H, W]`` changed by the poisoner's own rule, block by block."""
    changed = np.empty_like(test.images)
    with torch.no_grad():
        for block in blocks(test.images.shape):
            x = torch.from_numpy(test.images[block].copy()).to(bench.engine.device).float().div_(255.0)
            which = torch.from_numpy(index[block].copy()).to(bench.engine.device)
            levels = poisoner.transform(x, which, release.state).clamp(0, 1).mul(255.0).round()
            changed[block] = levels.to(torch.uint8).cpu().numpy()
    return changed


def _train_gflops(result: TrainResult, train: ImageSet, epochs: int) -> float:
    """Estimated floating-point operations of the training, in units of 1e9: three forward passes an image and epoch."""
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.zeros((1, 3, *train.size), device=next(result.model.parameters()).device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        result.model(x)
    return float(3 * counter.get_total_flops() * len(train) * epochs / 1e9)
