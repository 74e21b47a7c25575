"""The release of a cell, and the image sets that its exploiter trains and is scored on."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ucbench.crafting.craft import craft_labels, craft_release, perturb_unseen, shuffle_release
from ucbench.crafting.poisoner import Perturbation
from ucbench.crafting.references import sham_noise
from ucbench.crafting.release import Release, make_release, materialise
from ucbench.crafting.surrogate import open_pretrained
from ucbench.data.imageset import ImageSet
from ucbench.errors import StoreError, UsageError
from ucbench.exploit.labels import LabelRun, label
from ucbench.matrix.cell import Cell
from ucbench.plugins.builtin import SHAM, SHUFFLED
from ucbench.running.estimate import crafting_work
from ucbench.session import Session
from ucbench.store.keys import derive_seed
from ucbench.training.determinism import deterministic


@dataclass(frozen=True)
class ExploiterSets:
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


def release_of(cell: Cell, session: Session) -> Release | None:
    """The cell's release as of :func:`crafted`; None for the clean reference, which has none."""
    return None if cell.craft.is_clean else crafted(cell, session)[1]


def crafted(cell: Cell, session: Session) -> tuple[str, Release]:
    """Key and release of the cell's craft, from the store or crafted now. A craft that failed fails again at once.

    Raises:
        ContractError: if the poisoner returned what its contract forbids.
    """
    craft, part = cell.craft, session.protected(cell)
    release_key = cell.release_key(part.fingerprint, session.numerics)
    assert release_key is not None

    def make() -> tuple[dict[str, Any], Any]:
        images = part.images
        if craft.base is not None:
            base = crafted(replace(cell, craft=craft.base), session)[1]
            release = shuffle_release(craft, base, images)
        else:
            labelled = craft_labels(craft, images, _exploiter_labels(cell, session), session)
            checkpoint = session.store.checkpoint("release", release_key)
            release = craft_release(craft, images, labelled, session, checkpoint)
            work = crafting_work(cell, len(images), images.size, session.numerics)
            session.timings.remember(work, float(release.meta["seconds"]))
        return release.to_arrays(), release.meta

    def make_once() -> tuple[dict[str, Any], Any]:
        if release_key in session.failed_crafts:
            error, trace = session.failed_crafts[release_key]
            raise error.with_traceback(trace)
        try:
            return make()
        except (KeyboardInterrupt, StoreError):
            raise
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # which hold the craft's models
            session.failed_crafts[release_key] = error, error.__traceback__
            raise

    stored, _ = session.store.get_or_make("release", release_key, make_once)
    return release_key, Release.from_arrays(stored.arrays, stored.meta)


def _exploiter_labels(cell: Cell, session: Session) -> ImageSet | None:
    """The protected images under the exploiter's labels, for oracle references; None for all others."""
    if cell.craft.labels.source != "exploiter":
        return None
    # Of the whole set, as the exploiter labels it: labels made from a part alone could differ.
    train = session.data(cell).train
    with deterministic(session.numerics):
        return labelled(cell, train, train, train, session)[0].subset(session.protected(cell).indices)


def published_of(cell: Cell, release: Release | None, session: Session) -> ImageSet:
    """The cell's training set as published, under its original labels."""
    train = session.data(cell).train
    if release is None:
        return train
    part = session.protected(cell)
    perturbed = materialise(part.images.images, release.changes, release.index)
    if len(part.indices) == len(train):
        return train.with_images(perturbed)
    images = train.images.copy()
    images[part.indices] = perturbed
    return train.with_images(images)


def labelled(
    cell: Cell, clean: ImageSet, published: ImageSet, test: ImageSet, session: Session
) -> tuple[ImageSet, ImageSet, LabelRun]:
    """As :func:`ucbench.exploit.labels.label`, by the cell's labeling."""
    return label(cell.labeling, clean, published, test, session, open_pretrained)


def exploiter_sets(cell: Cell, release: Release | None, session: Session) -> ExploiterSets:
    """The cell's sets under the exploiter's labels."""
    data = session.data(cell)
    published = published_of(cell, release, session)
    train, test, run = labelled(cell, data.train, published, data.test, session)
    perturbed = None
    if release is not None:
        perturbed = _perturbed(cell, release, data.test, test, session)
    source = data.train.with_labels(train.known_labels, train.classes)
    trusted = None
    if data.trusted is not None:
        # A labeling takes one set besides the published one: here the trusted images, above the test images.
        trusted = labelled(cell, data.train, published, data.trusted, session)[1]
    return ExploiterSets(source, train, test, perturbed, trusted, run)


def _perturbed(
    cell: Cell, release: Release, original: ImageSet, labelled: ImageSet, session: Session
) -> ImageSet | None:
    """``labelled`` with the perturbations that the protector would give these images; None if there are none.

    Args:
        original: the same images under the data set's labels.
    """
    # From the source of the craft labels: the exploiter's labels of the same images may be others.
    by_source = {"original": original.known_labels, "exploiter": labelled.known_labels}
    labels = by_source.get(cell.craft.labels.source)
    return perturb_unseen(cell.craft, session.protected(cell).images, release, labelled, labels, session)


def leaked_pairs(
    cell: Cell, release: Release | None, sets: ExploiterSets, session: Session
) -> tuple[ImageSet, ImageSet]:
    """The exploiter's trusted images before and after the cell's craft; twice the same for the clean reference.

    Perturbations of ``sham`` and ``shuffled`` have no tie to their images: each image gets new noise of the craft's
    budget, or a perturbation of the release drawn at random.

    Raises:
        UsageError: if the poisoner has no perturbation for images that it was not crafted on.
    """
    trusted, original, craft = sets.trusted, session.data(cell).trusted, cell.craft
    assert trusted is not None
    assert original is not None
    if release is None:
        return trusted, trusted
    rng = np.random.default_rng(derive_seed("craft", craft.drawn_seed, "leaked"))
    if craft.poisoner.spec.name == SHAM:
        noise = make_release(Perturbation(sham_noise(trusted.images.shape, craft.budget, rng)), trusted, craft.budget)
        return trusted, trusted.with_images(materialise(trusted.images, noise.changes, noise.index))
    if craft.poisoner.spec.name == SHUFFLED:
        index = release.index[rng.integers(len(release.index), size=len(trusted))]
        return trusted, trusted.with_images(materialise(trusted.images, release.changes, index))
    perturbed = _perturbed(cell, release, original, trusted, session)
    if perturbed is None:
        raise _without_pairs(cell, f"poisoner {craft.poisoner} has none for these")
    return trusted, perturbed


def check_pairs(cell: Cell) -> None:
    """Check, before the craft, that a defense which learns from leaked pairs can have them.

    Raises:
        UsageError: if the poisoner, or the one that ``shuffled`` takes its perturbations from, has none for further
            images; the text names the cause.
    """
    craft = cell.craft.base or cell.craft
    if craft.is_clean or craft.poisoner.spec.name == SHAM or not any(part.spec.leaked for part in cell.defense):
        return
    if not hasattr(craft.poisoner.build(), "assign"):
        raise _without_pairs(cell, f"poisoner {craft.poisoner} perturbs only those that it was crafted on")
    if craft.poisoner.spec.label_access == "full" and craft.labels.source not in ("original", "exploiter"):
        raise _without_pairs(cell, f"craft labels {craft.labels}, by which poisoner {craft.poisoner} works, lack them")


def _without_pairs(cell: Cell, cause: str) -> UsageError:
    return UsageError(
        f"Defense {cell.defense_text} learns from further images before and after the same protection, but {cause}."
    )
