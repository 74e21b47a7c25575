"""Labelings that use a pretrained model, here one that reads its answer from two pixels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as ReferenceKMeans
from torch import Tensor

from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.exploit.labels import LabelRun
from ucbench.plugins.registry import installed
from ucbench.testing import TinySurrogate, make_run, sample_images

LOOKING = ("fine:parts=2", "kmeans:k=3", "predicted")


class Reader(TinySurrogate):
    """Features are the first two channels of the corner pixel, 0 to 255; of ten classes the nearest to the first."""

    def features(self, x: Tensor) -> Tensor:
        return 255 * x[:, :2, 0, 0]

    def logits(self, x: Tensor) -> Tensor:
        return -(self.features(x)[:, :1] - torch.arange(10.0)).square()


def images(first: list[int], second: list[int] | int = 0, labels: list[int] | int = 0, name: str = "some") -> ImageSet:
    pixels = np.zeros((len(first), 3, 2, 3), np.uint8)
    pixels[:, 0, 0, 0], pixels[:, 1, 0, 0] = first, second
    known = np.broadcast_to(labels, len(first)).astype(np.int64)
    return ImageSet(pixels, known, ("cat", "dog", "owl"), name=name)


def apply(
    reference: str, clean: ImageSet, published: ImageSet, test: ImageSet, seed: int = 0
) -> tuple[ImageSet, ImageSet, LabelRun]:
    run = make_run(seed, stage="labeling", surrogate=Reader())
    train, scoring = installed().resolve("labeling", reference).build().apply(clean, published, test, run)
    return train, scoring, run


class TestPredicted:
    CLEAN = images([3, 7, 3, 9, 7], labels=[0, 1, 0, 2, 1])
    TEST = images([6, 1, 9, 7], name="test")

    def test_predicted_classes_are_those_of_clean_training_images(self):
        train, scoring, run = apply("predicted", self.CLEAN, images([7, 7, 4, 0, 200]), self.TEST)
        assert train.classes == scoring.classes == ("predicted 3", "predicted 7", "predicted 9")
        np.testing.assert_array_equal(train.known_labels, [1, 1, 0, 0, 2])
        np.testing.assert_array_equal(scoring.known_labels, [1, 0, 2, 1])
        assert run.notes["labels_kept"] == pytest.approx(40)
        assert run.notes["classes_without_images"] == 0

    def test_predicted_release_can_empty_a_class_without_changing_scoring(self):
        train, scoring, run = apply("predicted", self.CLEAN, images([3, 3, 3, 3, 4]), self.TEST)
        assert len(train.classes) == 3
        np.testing.assert_array_equal(train.known_labels, np.zeros(5))
        np.testing.assert_array_equal(scoring.known_labels, [1, 0, 2, 1])
        assert run.notes["classes_without_images"] == 2

    def test_predicted_keeps_all_labels_of_an_unchanged_release(self):
        train, _, run = apply("predicted", self.CLEAN, self.CLEAN, self.TEST)
        np.testing.assert_array_equal(train.known_labels, [0, 1, 0, 2, 1])
        assert run.notes["labels_kept"] == 100
        assert run.notes["label_agreement"] == {
            "normalized_mutual_information": pytest.approx(1),
            "matched_accuracy": pytest.approx(100),
        }

    def test_predicted_keeps_the_order_over_many_batches(self):
        seen = np.random.default_rng(0).integers(0, 10, 700)
        train, scoring, _ = apply("predicted", images(seen), images(seen[::-1]), images(seen[:600]))
        np.testing.assert_array_equal(train.known_labels, seen[::-1])
        np.testing.assert_array_equal(scoring.known_labels, seen[:600])

    def test_predicted_refuses_a_single_class(self):
        with pytest.raises(UsageError, match=r"only its class 4 in some; name another with model="):
            apply("predicted", images([4, 4, 4]), self.CLEAN, self.TEST)


@pytest.mark.parametrize("reference", ["predicted", "kmeans:k=3"])
class TestAnnotatingClean:
    CLEAN = images([1, 5, 1, 9, 5, 9], labels=[0, 1, 0, 2, 1, 2])
    PUBLISHED = images([5, 1, 9, 1, 5, 9])
    TEST = images([6, 1, 8], name="test")

    def controlled(self, reference: str) -> str:
        return f"{reference}{',' if ':' in reference else ':'}annotate=clean"

    def test_annotate_clean_gives_published_images_labels_of_their_originals(self, reference):
        before, scoring, _ = apply(reference, self.CLEAN, self.CLEAN, self.TEST)
        now, _, seen = apply(reference, self.CLEAN, self.PUBLISHED, self.TEST)
        train, scored, run = apply(self.controlled(reference), self.CLEAN, self.PUBLISHED, self.TEST)
        assert (now.known_labels != before.known_labels).any()
        np.testing.assert_array_equal(train.images, self.PUBLISHED.images)
        np.testing.assert_array_equal(train.known_labels, before.known_labels)
        np.testing.assert_array_equal(scored.known_labels, scoring.known_labels)
        # The notes still say how the release changes the annotation.
        assert run.notes["labels_kept"] == seen.notes["labels_kept"] < 100
        assert run.notes["label_agreement"] != seen.notes["label_agreement"]

    def test_annotate_default_leaves_the_key_unchanged(self, reference):
        plain, explicit, control = (
            installed().resolve("labeling", text).identity()["params"]
            for text in (
                reference,
                self.controlled(reference).replace("clean", "published"),
                self.controlled(reference),
            )
        )
        assert plain == explicit
        assert "annotate" not in plain
        assert control == {**plain, "annotate": "clean"}


class TestKMeans:
    RNG = np.random.default_rng(0)
    GROUP = RNG.permutation(np.repeat([0, 1, 2], [20, 14, 8]))
    CLEAN = images(np.array([20, 100, 220])[GROUP] + RNG.integers(-9, 10, 42), RNG.integers(0, 9, 42), GROUP)
    TEST = images([0, 58, 62, 255, 120, 100], name="test")

    def reference(self, of: ImageSet) -> ReferenceKMeans:
        features = Reader().features(torch.from_numpy(of.images.copy()).float() / 255).double().numpy()
        return ReferenceKMeans(3, n_init=10, random_state=0).fit(features)

    def test_kmeans_scoring_equals_the_clean_fit(self):
        train, scoring, _ = apply("kmeans:k=3", self.CLEAN, self.CLEAN, self.TEST)
        fitted = self.reference(self.CLEAN)
        tested = Reader().features(torch.from_numpy(self.TEST.images.copy()).float() / 255).double().numpy()
        np.testing.assert_array_equal(scoring.known_labels, fitted.predict(tested))
        np.testing.assert_array_equal(train.known_labels, fitted.labels_)
        assert train.classes == scoring.classes == ("cluster 0", "cluster 1", "cluster 2")

    def test_kmeans_renumbers_published_clusters_to_match_clean_ones(self):
        rng = np.random.default_rng(1)
        for trial in range(6):
            # Every group moves elsewhere, and some images change groups.
            moved = np.where(rng.random(42) < 0.2, rng.integers(0, 3, 42), self.GROUP)
            places = rng.permutation([20, 100, 220])
            published = images(places[moved] + rng.integers(-5, 6, 42))
            train, scoring, run = apply("kmeans:k=3", self.CLEAN, published, self.TEST)
            _, expected, _ = apply("kmeans:k=3", self.CLEAN, self.CLEAN, self.TEST)
            np.testing.assert_array_equal(scoring.known_labels, expected.known_labels)
            clean, now = self.reference(self.CLEAN).labels_, self.reference(published).labels_
            best = max((np.array(order)[now] == clean).mean() for order in itertools.permutations(range(3)))
            assert (train.known_labels == clean).mean() == pytest.approx(best), trial
            assert len(set(zip(train.known_labels.tolist(), now.tolist(), strict=True))) == 3
            assert run.notes["labels_kept"] == pytest.approx(100 * best)
            assert run.notes["classes_without_images"] == 0

    def test_kmeans_refuses_fewer_images_than_clusters(self):
        with pytest.raises(UsageError, match="3 clusters need at least 3 images"):
            apply("kmeans:k=3", images([1, 2]), images([1, 2]), self.TEST)


class TestFine:
    #: Cats lie at 10 and 50, dogs at 60 and 200.
    CLEAN = images([10, 50, 11, 49, 12, 60, 200, 62, 199, 61], labels=[0] * 5 + [1] * 5)
    CLEAN = CLEAN.with_labels(CLEAN.known_labels, ("cat", "dog"))
    #: The third is a cat that the dogs' part at 60 is nearest to.
    TEST = images([14, 40, 80, 80, 190], labels=[0, 0, 0, 1, 1]).with_labels(np.array([0, 0, 0, 1, 1]), ("cat", "dog"))

    def test_fine_splits_every_class_separately(self):
        train, scoring, run = apply("fine:parts=2", self.CLEAN, self.CLEAN, self.TEST)
        assert train.classes == scoring.classes == ("cat/part 0", "cat/part 1", "dog/part 0", "dog/part 1")
        low, high = train.known_labels[[0, 1]]
        np.testing.assert_array_equal(train.known_labels[:5], [low, high, low, high, low])
        assert {low, high} == {0, 1}
        near, far = train.known_labels[[5, 6]]
        np.testing.assert_array_equal(train.known_labels[5:], [near, far, near, far, near])
        assert {near, far} == {2, 3}
        np.testing.assert_array_equal(scoring.known_labels, [low, high, high, near, far])
        assert run.notes["label_agreement"]["matched_accuracy"] == pytest.approx(60)

    def test_fine_labels_are_independent_of_published_noise(self):
        noise = self.CLEAN.with_images(~self.CLEAN.images)
        for one, other in zip(
            apply("fine", self.CLEAN, self.CLEAN, self.TEST)[:2],
            apply("fine", self.CLEAN, noise, self.TEST)[:2],
            strict=True,
        ):
            np.testing.assert_array_equal(one.known_labels, other.known_labels)

    def test_fine_allows_a_class_without_test_images(self):
        cats = self.TEST.subset(np.array([0, 1]))
        _, scoring, _ = apply("fine:parts=2", self.CLEAN, self.CLEAN, cats)
        assert len(scoring.classes) == 4
        assert set(scoring.known_labels) == {0, 1}

    @pytest.mark.filterwarnings("ignore:Number of distinct clusters")
    def test_fine_names_a_class_that_cannot_be_split(self):
        with pytest.raises(UsageError, match=r"class 'dog' of some has no 6 parts\. 6 clusters need at least 6 images"):
            apply("fine:parts=6", images([*range(6), 1, 2], labels=[0] * 6 + [1] * 2), self.CLEAN, self.TEST)
        with pytest.raises(UsageError, match=r"class 'cat' of some has no 2 parts\. .*only 1 images"):
            apply("fine:parts=2", images([5, 5, 5]), self.CLEAN, self.TEST)


@pytest.mark.parametrize("reference", LOOKING)
class TestAll:
    CLEAN = sample_images(60, classes=3, name="shapes")
    TEST = sample_images(20, classes=3, seed=1, name="test")

    def labels(self, reference: str, seed: int) -> list[np.ndarray]:
        run = make_run(seed, stage="labeling", surrogate=TinySurrogate())
        published = self.CLEAN.with_images(self.CLEAN.images ^ np.uint8(15))
        returned = installed().resolve("labeling", reference).build().apply(self.CLEAN, published, self.TEST, run)
        for given, out in zip((published, self.TEST), returned, strict=True):
            np.testing.assert_array_equal(out.images, given.images)
            assert out.known_labels.dtype == np.int64
        return [out.known_labels for out in returned]

    def test_model_labelings_are_independent_of_the_run_seed(self, reference):
        for one, other in zip(self.labels(reference, 0), self.labels(reference, 1), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_model_labelings_raise_without_a_model(self, reference):
        labeling, run = installed().resolve("labeling", reference).build(), make_run(stage="labeling")
        with pytest.raises(UsageError, match="labeling has no model"):
            labeling.apply(self.CLEAN, self.CLEAN, self.TEST, run)

    def test_model_labelings_name_a_default_surrogate(self, reference):
        component = installed().resolve("labeling", reference)
        assert installed().resolve("surrogate", component.spec.surrogate)
        assert type(component.params).model_fields["model"].default is None
