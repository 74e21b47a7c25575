"""The contract of data sets."""

from __future__ import annotations

from ucbench.components import Dataset, DatasetRecord
from ucbench.data import DatasetParams, ImageSet, load_dataset
from ucbench.errors import ContractError, DataError
from ucbench.params import Params
from ucbench.registry import Resolved
from ucbench.testing.samples import NUMERICS
from ucbench.testing.subject import Subject, shape_text, subject_of
from ucbench.training import arithmetic


def check_dataset(dataset: Resolved | Dataset, *, record: DatasetRecord | None = None) -> None:
    """Check a data set: splits of one size that agree about the classes, the same ones at every load.

    Raises:
        ContractError: if a rule is broken.
        DataError: if the pictures are not there to be read.
    """
    subject = subject_of(dataset, record, DatasetRecord)
    params: Params = dataset.params if isinstance(dataset, Resolved) else DatasetParams()
    with arithmetic(NUMERICS):
        _check_split(subject, "train")
        if getattr(params, "validation", None) is None:
            _check_split(subject, "test")
        try:
            with subject.calling("load()"):
                load_dataset(subject.build(), params)
        except DataError as error:
            # Both splits can be read by themselves, so what is left is that they do not fit together.
            raise ContractError(f"{subject.label}: {error}") from error


def _check_split(subject: Subject[DatasetRecord], split: str) -> None:
    first, again = _load(subject, split, state=0), _load(subject, split, state=1)
    subject.require(
        first.fingerprint == again.fingerprint,
        "every load must give the same pictures in the same order",
        f"Two loads of the {split} split have different fingerprints",
    )


def _load(subject: Subject[DatasetRecord], split: str, state: int) -> ImageSet:
    with subject.calling(f"load({split!r})", state=state):
        dataset = subject.build()
        images = dataset.load(split)
        note = getattr(dataset, "note", "")
    subject.require(
        isinstance(images, ImageSet), f"load({split!r}) must return a ucbench.ImageSet", f"Got {shape_text(images)}"
    )
    subject.require(isinstance(note, str), "note must be text", f"It is {shape_text(note)}")
    return images  # type: ignore[no-any-return]
