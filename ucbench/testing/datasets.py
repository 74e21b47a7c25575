"""The contract of data sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from ucbench.data.framed import FramedDataset, Split, SplitName
from ucbench.data.images import LazyImage
from ucbench.data.imageset import ImageSet
from ucbench.data.loading import Dataset, load_dataset
from ucbench.data.params import DatasetParams
from ucbench.errors import DataError
from ucbench.plugins.params import Params
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import DatasetSpec
from ucbench.testing.rules import Rule
from ucbench.testing.samples import NUMERICS
from ucbench.testing.subject import GENERATORS, RUNS, Subject, subject_of
from ucbench.training.determinism import deterministic
from ucbench.training.returned import shape_text

SPLIT = Rule(
    "split",
    "find() of a FramedDataset must return a ucbench.Split with a label for every image",
    "Return ucbench.Split(images, labels, classes): N times ucbench.LazyImage(source, where), and int64 [N] into the "
    "names of the classes: np.array(labels, np.int64).",
)
IMAGE_SET = Rule(
    "image-set",
    "load() must return a ucbench.ImageSet",
    "Return ucbench.ImageSet(images, labels, classes, name=...): uint8 [N, 3, H, W] and int64 [N].",
)
NOTE = Rule(
    "note",
    "note must be text",
    "Set self.note in load() to one line on how the images were brought to one size, or do not define it.",
)
SAME_LOAD = Rule(
    "same-load",
    "every load must return the same images in the same order",
    "Sort the files of a folder, and draw from numpy.random.default_rng(seed) with a seed from parameters and split.",
)
SPLITS = Rule(
    "splits",
    "the splits must fit together",
    "Give both splits one size, the same class names in the same order and the same label sets. The training split "
    "needs an image of every class in the test split, and at least two classes.",
)
RULES = (RUNS, GENERATORS, SPLIT, IMAGE_SET, NOTE, SAME_LOAD, SPLITS)


def check_dataset(dataset: Component[Any] | Dataset, *, spec: DatasetSpec | None = None) -> None:
    """Check a data set: splits of one size with the same classes, equal at every load.

    Raises:
        ContractError: if a rule is broken.
        DataError: if the images cannot be read.
    """
    subject = subject_of(dataset, spec, DatasetSpec)
    params: Params = dataset.params if isinstance(dataset, Component) else DatasetParams()
    with subject.isolated(), deterministic(NUMERICS):
        _check_split(subject, "train")
        if getattr(params, "validation", None) is None:
            _check_split(subject, "test")
        # Each split could be read, so a DataError means that they do not fit together.
        with subject.accepting(SPLITS, DataError), subject.calling("load()", rule=SPLITS):
            load_dataset(subject.build(), params)


def _check_split(subject: Subject[DatasetSpec], split: SplitName) -> None:
    _check_found(subject, split)
    first, again = _load(subject, split, state=0), _load(subject, split, state=1)
    with subject.isolated():
        evidence = f"Two loads of the {split} split have different fingerprints"
        subject.require(first.fingerprint == again.fingerprint, SAME_LOAD, evidence)


def _check_found(subject: Subject[DatasetSpec], split: SplitName) -> None:
    dataset = subject.build()
    if not isinstance(dataset, FramedDataset):
        subject.skip("it is not a FramedDataset", SPLIT)
        return
    with subject.calling(f"find({split!r})"):
        content = dataset.find(split)
    subject.require(isinstance(content, Split), SPLIT, f"find({split!r}) returned {shape_text(content)}")
    others = [type(image).__qualname__ for image in content.images if not isinstance(image, LazyImage)]
    subject.require(not others, SPLIT, f"find({split!r}) returned {others[0] if others else ''} as an image")
    labels, count = content.labels, len(content.images)
    evidence = f"find({split!r}) returned {count} images and labels {shape_text(labels)}"
    fits = isinstance(labels, np.ndarray) and labels.dtype == np.int64 and labels.shape == (count,)
    subject.require(fits, SPLIT, evidence)
    unnamed = np.setdiff1d(labels, np.arange(len(content.classes))).tolist()
    subject.require(not unnamed, SPLIT, f"{evidence}; {unnamed[:5]} name no class of {len(content.classes)}")


def _load(subject: Subject[DatasetSpec], split: SplitName, state: int) -> ImageSet:
    with subject.calling(f"load({split!r})", state=state):
        dataset = subject.build()
        images = dataset.load(split)
        note = getattr(dataset, "note", "")
    rule = IMAGE_SET.stated(f"load({split!r}) must return a ucbench.ImageSet")
    subject.require(isinstance(images, ImageSet), rule, f"Got {shape_text(images)}")
    subject.require(isinstance(note, str), NOTE, f"It is {shape_text(note)}")
    return images  # type: ignore[no-any-return]
