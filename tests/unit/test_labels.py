"""The exploiter's labels: by which model, stored for all that they depend on, and checked."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_components as tiny
from tiny_exploiter import Seen
from tiny_runs import cell, in_bfloat16

from ucbench.crafting.surrogate import open_pretrained
from ucbench.errors import ContractError, UsageError
from ucbench.exploit.labels import label
from ucbench.matrix.cell import Cell
from ucbench.running.sets import labelled
from ucbench.session import Session


@pytest.fixture
def session(tmp_path):
    return tiny.session(tmp_path / "store")


def labels_of(chosen: Cell, session: Session) -> list[int]:
    data = session.dataset(chosen.dataset)
    return labelled(chosen, data.train, data.train, data.test, session)[0].known_labels.tolist()


def test_labeling_uses_its_own_or_the_named_model(session):
    own, other = cell(labelings=["seen"]), cell(labelings=["seen:model=others"])
    assert labels_of(own, session) != labels_of(other, session)
    assert labels_of(own, session) == labels_of(cell(labelings=["seen:model=eyes"]), session)


def test_labeling_is_equal_for_every_seed(session):
    def notes(seeds: tuple[int, int]) -> dict:
        chosen = cell(labelings=["seen"], seeds=[seeds])
        data = session.dataset(chosen.dataset)
        return labelled(chosen, data.train, data.train, data.test, session)[2].notes

    assert notes((0, 0)) == notes((3, 5))


def test_labels_of_a_model_are_read_again_where_anything_that_decides_them_differs(session, monkeypatch):
    read, apply = [], Seen.apply
    monkeypatch.setattr(Seen, "apply", lambda self, *given: read.append(self) or apply(self, *given))
    own, named = (cell(labelings=[text]).labeling for text in ("seen", "seen:model=others"))
    data = session.dataset(cell().dataset)
    train, test = data.train, data.test
    darker, scored = (images.with_images(images.images // 2) for images in (train, test))

    def readings(labeling, clean, published, test, chosen=session) -> int:
        label(labeling, clean, published, test, chosen, open_pretrained)
        return len(read)

    assert [readings(own, train, train, test) for _ in range(2)] == [1, 1]
    assert readings(named, train, train, test) == 2
    assert readings(own, darker, train, test) == 3
    assert readings(own, train, darker, test) == 4
    assert readings(own, train, train, scored) == 5
    assert readings(own, train, train, test, in_bfloat16(session)) == 6


@pytest.mark.parametrize(("model", "text"), [("bare", "has none"), ("fitted", "has to be trained first")])
def test_labeling_raises_without_pretrained_weights(session, model, text):
    with pytest.raises(UsageError, match=text):
        labels_of(cell(labelings=[f"seen:model={model}"]), session)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda published, test: (test, published), "other published images than it got"),
        (lambda published, test: (published, test.subset(np.arange(len(test))[::-1])), "other test images"),
        (
            lambda published, test: (published, test.with_labels(test.known_labels, ("a", "b", "c"))),
            "different classes",
        ),
        (lambda published, test: published, "a pair of ImageSet"),
    ],
    ids=["other images", "other order", "other classes", "one set"],
)
@pytest.mark.parametrize("labeling", ["seen", "original"])
def test_labels_of_other_images_or_classes_are_refused(session, monkeypatch, labeling, change, text):
    chosen = cell(labelings=[labeling])
    kind = type(chosen.labeling.build())
    apply = kind.apply
    monkeypatch.setattr(kind, "apply", lambda self, *given: change(*apply(self, *given)))
    with pytest.raises(ContractError, match=f"Labeling {labeling}.*{text}"):
        labels_of(chosen, session)
