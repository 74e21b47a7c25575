"""From a craft and its images to a release: craft labels, then the surrogate, then the poisoner."""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench.crafting.clustering import Clusters, clusters_of, predict_classes
from ucbench.crafting.poisoner import Checkpoint, CraftRun, NoCheckpoint, Perturbation
from ucbench.crafting.release import Release, make_release, materialise
from ucbench.crafting.surrogate import open_surrogate
from ucbench.data.budget import LEVELS, blocks
from ucbench.metrics.clusters import cluster_diagnostics
from ucbench.numerics import environment, peak_memory
from ucbench.store.keys import derive_seed, key, sha256_of
from ucbench.training.context import Run
from ucbench.training.determinism import deterministic, guarded
from ucbench.training.surrogate import Surrogate, note_weights

if TYPE_CHECKING:
    from ucbench.data.imageset import ImageSet
    from ucbench.matrix.cell import Craft
    from ucbench.plugins.registry import Component
    from ucbench.plugins.specs import PoisonerSpec
    from ucbench.session import Session

logger = logging.getLogger(__name__)

#: Entries of a checkpoint: the seconds that the craft has taken, and the digest of the poisoner's source.
_SECONDS, _SOURCE = "ucbench.seconds", "ucbench.source"


def craft_labels(craft: Craft, images: ImageSet, exploiter: ImageSet | None, session: Session) -> ImageSet:
    """``images`` under the craft labels.

    Args:
        exploiter: the same images under the exploiter's labels, for oracle references; None for all others.
    """
    labels = craft.labels
    if labels.source == "original":
        return images
    if labels.source == "exploiter":
        assert exploiter is not None
        return exploiter
    bare = images.with_labels(None)
    if labels.source == "none":
        return bare
    if labels.source == "names":
        return replace(bare, classes=images.classes)
    if labels.source == "clusters":
        clusters = craft_clusters(craft, images, session)
        return bare.with_labels(clusters.assignment, tuple(f"cluster {k}" for k in range(labels.clusters)))
    with deterministic(session.numerics):
        model, run, who = _labeler(craft, images, session)
        with guarded(who, run.seed("global")):
            numbers = predict_classes(model, images, session.engine.device)
    # Only predicted classes that occur are numbered, in the model's order.
    numbers, predicted = np.unique(numbers, return_inverse=True)
    return bare.with_labels(predicted.reshape(-1).astype(np.int64), tuple(f"predicted {number}" for number in numbers))


def craft_clusters(craft: Craft, images: ImageSet, session: Session) -> Clusters:
    """The clusters that the craft labels ``clusters`` number."""
    with deterministic(session.numerics):
        model, run, who = _labeler(craft, images, session)
        with guarded(who, run.seed("global")):
            return clusters_of(images, craft.labels.clusters, run, model)


def _labeler(craft: Craft, images: ImageSet, session: Session) -> tuple[Surrogate, Run, str]:
    """The model behind craft labels, its run, and it as the subject of an error."""
    component = craft.labels.model or craft.surrogate
    assert component is not None
    model = open_surrogate(component, craft.drawn_seed, images, session)
    return model, Run(session.engine, ("craft", craft.drawn_seed), session.progress), f"Surrogate {component}"


def craft_release(
    craft: Craft,
    images: ImageSet,
    labelled: ImageSet,
    session: Session,
    checkpoint: Checkpoint | None = None,
) -> Release:
    """Craft the release of ``images``.

    Args:
        labelled: ``images`` under the craft labels, see :func:`craft_labels`.
        checkpoint: where the poisoner saves its progress.

    Returns:
        The release; ``meta`` adds ``notes``, ``warnings``, ``seconds``, ``peak_memory_mib`` and ``environment``.

    Raises:
        ContractError: if the poisoner returned what its contract forbids, or modified the images.
    """
    with deterministic(session.numerics):
        saved = _Saved(checkpoint or NoCheckpoint(), craft.poisoner)
        run = _craft_run(craft, images, labelled, session, saved)
        if craft.labels.model is not None:
            note_weights(run, "craft_labels_weights", _labeler(craft, images, session)[0])
        saved.started = time.perf_counter()
        with session.unmodified(_crafters(craft), images), guarded(_crafters(craft), run.seed("global")):
            perturbation = craft.poisoner.build().craft(labelled, run)
        seconds = saved.seconds()
    release = make_release(perturbation, images, craft.budget, declares_projection=craft.poisoner.spec.projects)
    if release.is_shared and images.labels is not None:
        for name, value in cluster_diagnostics(release.index, images.labels).items():
            run.note(name, value)
    return release.with_meta(
        notes=run.notes,
        warnings=run.warnings,
        seconds=seconds,
        peak_memory_mib=peak_memory(session.numerics),
        environment=environment(session.numerics),
    )


class _Saved:
    """A checkpoint that also holds the seconds so far, so that an interrupted craft states those of all its parts.

    It is dropped where the poisoner's source has changed since, which a release's key does not tell: its author is
    mending it. One without a digest is of an earlier version of ucbench, and loaded.
    """

    def __init__(self, checkpoint: Checkpoint, poisoner: Component[PoisonerSpec]) -> None:
        self._checkpoint, self._poisoner, self._earlier = checkpoint, poisoner, 0.0
        self.started = time.perf_counter()

    @functools.cached_property
    def _source(self) -> NDArray[np.str_]:
        return np.array(source_digest(self._poisoner.registry.component_class(self._poisoner.spec)))

    def seconds(self) -> float:
        return self._earlier + time.perf_counter() - self.started

    def load(self) -> tuple[int, dict[str, NDArray[Any]]] | None:
        saved = self._checkpoint.load()
        if saved is None:
            return None
        step, arrays = saved
        if arrays.get(_SOURCE, self._source) != self._source:
            logger.warning("The source of %s has changed since its checkpoint: starting over.", self._poisoner)
            return None
        self._earlier = float(arrays.get(_SECONDS, 0.0))
        return step, {name: array for name, array in arrays.items() if name not in (_SECONDS, _SOURCE)}

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._checkpoint.save(step, {**arrays, _SECONDS: np.array(self.seconds()), _SOURCE: self._source})


def source_digest(kind: type) -> str:
    """Of the file that defines a class and, in a package, of those beside it; empty where there is no file."""
    try:
        file = inspect.getsourcefile(kind)
    except (TypeError, OSError):  # of a class that was made elsewhere
        file = None
    if file is None:
        return ""
    path = Path(file)
    in_package = "." in kind.__module__ or path.stem == "__init__"
    files = sorted(path.parent.glob("*.py")) if in_package else [path]
    return key("source", {file.name: sha256_of(file) for file in files if file.is_file()})


def _crafters(craft: Craft) -> str:
    """Whose code runs in a craft, as the subject of an error."""
    return f"Poisoner {craft.poisoner}" + (f" or its surrogate {craft.surrogate}" if craft.surrogate else "")


def shuffle_release(craft: Craft, base: Release, images: ImageSet) -> Release:
    """The perturbations of another craft's release, assigned to the images at random without replacement."""
    order = np.random.default_rng(derive_seed("craft", craft.drawn_seed, "shuffled")).permutation(len(images))
    delta = np.asarray(base.changes, np.float32) / np.float32(LEVELS)
    release = make_release(Perturbation(delta, base.index[order]), images, craft.budget)
    carried = {name: base.meta[name] for name in ("seconds", "peak_memory_mib", "environment")}
    return release.with_meta(notes={}, warnings=[], **carried)


def perturb_unseen(
    craft: Craft,
    train: ImageSet,
    release: Release,
    unseen: ImageSet,
    labels: NDArray[np.int64] | None,
    session: Session,
) -> ImageSet | None:
    """``unseen`` with the perturbation that the poisoner would assign to each image; None if it cannot.

    Args:
        train: the protector's images, which a fitted surrogate was fitted on.
        labels: of ``unseen``, int64 ``[N]``, from the source of the craft labels; None if there are none.
    """
    index = assign_unseen(craft, train, release, unseen, labels, session)
    if index is None:
        return None
    with deterministic(session.numerics), guarded(_crafters(craft)):
        poisoner = craft.poisoner.build()
        if hasattr(poisoner, "transform"):
            return unseen.with_images(_transform(poisoner, unseen, index, release, session.engine.device))
    return unseen.with_images(materialise(unseen.images, release.changes, index))


def assign_unseen(
    craft: Craft,
    train: ImageSet,
    release: Release,
    unseen: ImageSet,
    labels: NDArray[np.int64] | None,
    session: Session,
) -> NDArray[np.int64] | None:
    """Which of the release's changes each image of ``unseen`` would get, int64 ``[N]``; None if it cannot be said.

    Args:
        train, labels: as of :func:`perturb_unseen`.
    """
    with guarded(_crafters(craft)):
        poisoner = craft.poisoner.build()
    if not hasattr(poisoner, "assign"):
        return None
    labelled = _labelled_for_surrogate(craft, train, session)
    with deterministic(session.numerics):
        run = _craft_run(craft, train, labelled, session)
        with guarded(_crafters(craft), run.seed("global")):
            index = poisoner.assign(unseen.with_labels(None), labels, release.state, run)
    return None if index is None else np.asarray(index, np.int64)


def _labelled_for_surrogate(craft: Craft, train: ImageSet, session: Session) -> ImageSet:
    """``train``, under the craft labels where the surrogate was fitted on labels of a model."""
    surrogate, model = craft.surrogate, craft.labels.model
    if surrogate is None or model is None or surrogate.spec.label_access == "none" or surrogate.spec.untrained:
        return train
    # Kept, since every cell of the release asks for them, and a model has to see all images for them.
    name = f"craft labels {craft.labels} {train.fingerprint} {craft.drawn_seed}"
    return session.remember(name, lambda: craft_labels(craft, train, None, session))


def _craft_run(
    craft: Craft, images: ImageSet, labelled: ImageSet, session: Session, checkpoint: Checkpoint | None = None
) -> CraftRun:
    surrogate: Surrogate | None = None
    if craft.surrogate is not None:
        # A protector with a model's labels has no original ones to train a surrogate with.
        train = images if craft.labels.model is None else labelled
        surrogate = open_surrogate(craft.surrogate, craft.drawn_seed, train, session)
    run = CraftRun(
        session.engine,
        craft.drawn_seed,
        session.progress,
        budget=craft.budget,
        surrogate=surrogate,
        checkpoint=checkpoint,
    )
    note_weights(run, "surrogate_weights", surrogate)
    return run


def _transform(
    poisoner: Any, unseen: ImageSet, index: NDArray[np.int64], release: Release, device: torch.device
) -> NDArray[np.uint8]:
    """Images ``[N, 3, H, W]`` changed by the poisoner's ``transform``, block by block."""
    changed = np.empty_like(unseen.images)
    with torch.no_grad():
        for block in blocks(unseen.images.shape):
            x = torch.from_numpy(unseen.images[block].copy()).to(device).float().div_(255.0)
            which = torch.from_numpy(index[block].copy()).to(device)
            levels = poisoner.transform(x, which, release.state).clamp(0, 1).mul(255.0).round()
            changed[block] = levels.to(torch.uint8).cpu().numpy()
    return changed
