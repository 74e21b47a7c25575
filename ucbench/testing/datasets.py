"""The contract of data sets."""

from __future__ import annotations

from typing import Any

from ucbench.data.imageset import ImageSet
from ucbench.data.loading import Dataset, load_dataset
from ucbench.data.params import DatasetParams
from ucbench.errors import DataError
from ucbench.plugins.params import Params
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import DatasetSpec
from ucbench.testing.rules import Rule, RuleError
from ucbench.testing.samples import NUMERICS
from ucbench.testing.subject import GENERATORS, RUNS, Subject, shape_text, subject_of
from ucbench.training.determinism import deterministic

IMAGE_SET = Rule(
    "image-set",
    "load() must return a ucbench.ImageSet",
    "Return ucbench.ImageSet(images, labels, classes, name=...): uint8 [N, 3, H, W] and int64 [N].",
)
NOTE = Rule(
    "note",
    "note must be text",
    "Set self.note in load() to one line on how the pictures were brought to one size, or leave it away.",
)
SAME_LOAD = Rule(
    "same-load",
    "every load must give the same pictures in the same order",
    "Sort what a folder lists, and draw from numpy.random.default_rng(seed), seeded by parameters and split alone.",
)
SPLITS = Rule(
    "splits",
    "the splits must fit together",
    "Give both splits one size, the same class names in the same order and the same label sets, a picture of every "
    "class that is tested in the training split, and at least two classes.",
)
RULES = (RUNS, GENERATORS, IMAGE_SET, NOTE, SAME_LOAD, SPLITS)


def check_dataset(dataset: Component[Any] | Dataset, *, spec: DatasetSpec | None = None) -> None:
    """Check a data set: splits of one size that agree about the classes, the same ones at every load.

    Raises:
        ContractError: if a rule is broken.
        DataError: if the pictures are not there to be read.
    """
    subject = subject_of(dataset, spec, DatasetSpec)
    params: Params = dataset.params if isinstance(dataset, Component) else DatasetParams()
    with subject.apart(), deterministic(NUMERICS):
        _check_split(subject, "train")
        if getattr(params, "validation", None) is None:
            _check_split(subject, "test")
        try:
            with subject.calling("load()", rule=SPLITS):
                load_dataset(subject.build(), params)
        except DataError as error:
            # Both splits can be read by themselves, so what is left is that they do not fit together.
            raise RuleError(subject.label, SPLITS.said(str(error))) from error


def _check_split(subject: Subject[DatasetSpec], split: str) -> None:
    first, again = _load(subject, split, state=0), _load(subject, split, state=1)
    with subject.apart():
        evidence = f"Two loads of the {split} split have different fingerprints"
        subject.require(first.fingerprint == again.fingerprint, SAME_LOAD, evidence)


def _load(subject: Subject[DatasetSpec], split: str, state: int) -> ImageSet:
    with subject.calling(f"load({split!r})", state=state):
        dataset = subject.build()
        images = dataset.load(split)
        note = getattr(dataset, "note", "")
    rule = IMAGE_SET.said(f"load({split!r}) must return a ucbench.ImageSet")
    subject.require(isinstance(images, ImageSet), rule, f"Got {shape_text(images)}")
    subject.require(isinstance(note, str), NOTE, f"It is {shape_text(note)}")
    return images  # type: ignore[no-any-return]
