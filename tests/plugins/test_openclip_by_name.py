"""Classes grouped by what they are called: alike names together, whatever the images show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.plugins.registry import installed
from ucbench.testing import make_run
from ucbench_openclip import labelings

CLASSES = ("truck", "cat", "lorry", "dog", "owl")
#: Where a text tower might put them: vehicles, pets, and a bird.
PLACES = {"truck": (1, 0, 0), "lorry": (0.99, 0.1, 0), "cat": (0, 1, 0), "dog": (0, 0.98, 0.1), "owl": (0, 0, 1)}


class Tower(torch.nn.Module):
    """Stands for what ``load_clip`` returns."""

    note = ""

    @property
    def model(self) -> Tower:
        return self


@pytest.fixture(autouse=True)
def texts(monkeypatch) -> dict[str, Any]:
    requested: dict[str, Any] = {}

    def embeddings(clip, classes, templates):
        requested["templates"] = templates
        return torch.tensor([PLACES[name] for name in classes])

    monkeypatch.setattr(labelings, "load_clip", lambda params: Tower())
    monkeypatch.setattr(labelings, "class_embeddings", embeddings)
    return requested


def images(classes: tuple[str, ...] = CLASSES, seed: int = 0) -> ImageSet:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(30) % len(classes))
    return ImageSet(rng.integers(0, 256, (30, 3, 8, 8), np.uint8), labels, classes, name="some")


def apply(options: str, classes: tuple[str, ...] = CLASSES) -> tuple[ImageSet, ImageSet, ImageSet, ImageSet, Any]:
    clean, published, test, run = images(classes), images(classes, 1), images(classes, 2), make_run(stage="labeling")
    labeling = installed().resolve("labeling", f"coarse-by-name:clip=RN50/openai,{options}").build()
    return clean, test, *labeling.apply(clean, published, test, run), run


@pytest.mark.parametrize("seed", range(3))
def test_coarse_by_name_merges_similar_names_in_both_sets(seed):
    clean, test, train, scoring, run = apply(f"groups=3,map_seed={seed}")
    group = np.array([0, 1, 0, 1, 2])
    np.testing.assert_array_equal(train.known_labels, group[clean.known_labels])
    np.testing.assert_array_equal(scoring.known_labels, group[test.known_labels])
    assert train.classes == scoring.classes == ("truck / lorry", "cat / dog", "owl")
    assert run.notes["merged_classes"] == [["truck", "lorry"], ["cat", "dog"], ["owl"]]
    assert 0 < run.notes["label_agreement"]["normalized_mutual_information"] < 1


def test_coarse_by_name_keeps_published_images():
    _, _, train, _, _ = apply("groups=2")
    np.testing.assert_array_equal(train.images, images(seed=1).images)


def test_coarse_by_name_with_one_group_per_class_keeps_labels(texts):
    clean, _, train, _, run = apply("groups=5,templates='a {class}'")
    np.testing.assert_array_equal(train.known_labels, clean.known_labels)
    assert run.notes["label_agreement"]["matched_accuracy"] == 100
    assert texts["templates"] == ("a {class}",)


def test_coarse_by_name_refuses_more_groups_than_distinct_names(monkeypatch):
    with pytest.raises(UsageError, match="5 different names of classes of some cannot form groups=6"):
        apply("groups=6")
    monkeypatch.setitem(PLACES, "lorry", PLACES["truck"])
    with pytest.raises(UsageError, match="4 different names"):
        apply("groups=5")
