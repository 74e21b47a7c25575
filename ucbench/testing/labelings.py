"""The contract of labelings."""

from __future__ import annotations

from typing import Any

import numpy as np

from ucbench.data.imageset import ImageSet
from ucbench.exploit.labels import Labeling
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import LabelingSpec
from ucbench.testing.rules import Rule
from ucbench.testing.samples import NUMERICS, TinySurrogate, make_run, sample_images
from ucbench.testing.subject import CALLS, Subject, subject_of
from ucbench.training.determinism import deterministic
from ucbench.training.returned import shape_text

IMAGES = Rule(
    "images",
    "apply() must return the published and the test images, in their order",
    "Return published.with_labels(labels, classes) and test.with_labels(labels, classes), in this order.",
)
LABELLED = Rule(
    "labelled",
    "apply() must label every image, by the number of its class",
    "Pass an int64 [N] for all N images to with_labels(); an exploiter trains on the whole published set.",
)
CLASSES = Rule(
    "classes",
    "both sets must be labelled in the same classes",
    "Make the class names once, and give both sets all of them, even if a class occurs in one set only.",
)
SAME_SEED = Rule(
    "same-seed",
    "the same seed must give the same labels",
    "Draw everything from run.generator(stream) or run.seed(stream), and keep no state between calls.",
)
SCORING = Rule(
    "scoring",
    "the test set's labels must not depend on the published pixels",
    "Label the test images from their pixels, their labels and the clean set. Do not use anything learned from the "
    "release (centres, a classifier): a poisoner could change the targets of its own score.",
)
SEMANTIC = Rule(
    "semantic",
    "a labeling of source='semantic' must not read the published pixels",
    "Use labels and images of the first argument, the clean set, or set source='machine' in the spec.",
)
RULES = (*CALLS, IMAGES, LABELLED, CLASSES, SAME_SEED, SCORING, SEMANTIC)


def check_labeling(
    labeling: Component[Any] | Labeling,
    *,
    spec: LabelingSpec | None = None,
    clean: ImageSet | None = None,
    test: ImageSet | None = None,
) -> None:
    """Check a labeling: same images and order, labels for both sets, determinism, and what labels may depend on.

    Args:
        clean: the training set before it was perturbed; by default 13 images in 3 classes with a label set ``parity``.
        test: the clean test set; by default 13 other images.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(labeling, spec, LabelingSpec)
    clean, test = clean or sample_images(), test or sample_images(seed=1, name="test")
    published = clean.with_images(clean.images ^ np.uint8(7))
    inverted = clean.with_images(~published.images)  # no bit is the same
    with subject.isolated(), deterministic(NUMERICS):
        train, scoring = _apply(subject, clean, published, test)
        _check_labelled(subject, published, train)
        _check_labelled(subject, test, scoring)
        with subject.isolated():
            subject.require(
                train.classes == scoring.classes,
                CLASSES,
                f"The published set has {train.classes}, the test set {scoring.classes}",
            )
        with subject.isolated():
            again = _apply(subject, clean, published, test, state=1)
            for first, second in zip((train, scoring), again, strict=True):
                _check_same_labels(subject, first, second, SAME_SEED)
        other_train, other_scoring = _apply(subject, clean, inverted, test)
        with subject.isolated():
            _check_same_labels(subject, scoring, other_scoring, SCORING)
        if subject.spec.source == "semantic":
            _check_same_labels(subject, train, other_train, SEMANTIC)
        else:
            subject.skip(f"source is {subject.spec.source!r}", SEMANTIC)


def _apply(
    subject: Subject[LabelingSpec], clean: ImageSet, published: ImageSet, test: ImageSet, state: int = 0
) -> tuple[ImageSet, ImageSet]:
    run = make_run(stage="labeling", surrogate=TinySurrogate() if subject.spec.surrogate else None)
    with subject.calling("apply()", clean, published, test, state=state, malformed=LABELLED):
        returned = subject.build().apply(clean, published, test, run)
        train, scoring = returned
    return train, scoring


def _check_labelled(subject: Subject[LabelingSpec], images: ImageSet, returned: ImageSet) -> None:
    subject.require(
        isinstance(returned, ImageSet) and np.array_equal(returned.images, images.images),
        IMAGES,
        f"For the set {images.name!r} it returned other images: {shape_text(getattr(returned, 'images', returned))}",
    )
    subject.require(returned.labels is not None, LABELLED, f"The set {images.name!r} has no labels")


def _check_same_labels(subject: Subject[LabelingSpec], first: ImageSet, second: ImageSet, rule: Rule) -> None:
    subject.same({"labels": first.known_labels}, {"labels": second.known_labels}, rule)
