"""The release of a cell, and the image sets that its exploiter trains and is scored on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ucbench.crafting.craft import craft_labels, craft_release, perturb_unseen, shuffle_release
from ucbench.crafting.release import Release
from ucbench.data.imageset import ImageSet
from ucbench.exploit.labels import LabelRun, label
from ucbench.exploit.publish import publish
from ucbench.matrix.cell import Cell
from ucbench.running.estimate import crafting_work
from ucbench.session import Session
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


def exploiter_sets(cell: Cell, release: Release | None, session: Session) -> ExploiterSets:
    """The cell's sets under the exploiter's labels."""
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
    return ExploiterSets(source, train, test, perturbed, trusted, run)
