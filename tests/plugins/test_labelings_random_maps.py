"""Classes merged at random, and labels that are wrong at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.testing import make_run, sample_images
from ucbench_labelings.params import MergeParams, NoisyParams
from ucbench_labelings.semantic import Merge, Noisy

CLEAN = sample_images(600, (4, 4), classes=10, name="shapes")
TEST = sample_images(50, (4, 4), classes=10, seed=1, name="test")


def merged(clean: ImageSet = CLEAN, test: ImageSet = TEST, seed: int = 0, **params: int) -> tuple[ImageSet, ImageSet]:
    return Merge(MergeParams(**params)).apply(clean, clean, test, make_run(seed, stage="labeling"))


def noisy(clean: ImageSet = CLEAN, seed: int = 0, **params: float) -> np.ndarray:
    return Noisy(NoisyParams(**params)).apply(clean, clean, TEST, make_run(seed, stage="labeling"))[0].known_labels


class TestMerge:
    @given(st.integers(2, 8), st.data())
    @settings(max_examples=30)
    def test_merge_forms_groups_of_equal_numbers_of_whole_classes(self, count, data):
        groups = data.draw(st.integers(2, count))
        clean, test = (sample_images(3 * count, (2, 2), count, seed=seed) for seed in (0, 1))
        train, scoring = merged(clean, test, groups=groups, map_seed=data.draw(st.integers(0, 2**32 - 1)))
        group = {}
        for given_, returned in ((clean, train), (test, scoring)):
            for old, new in zip(given_.known_labels, returned.known_labels, strict=True):
                assert group.setdefault(old, new) == new
        sizes = np.bincount(list(group.values()), minlength=groups)
        assert sizes.sum() == count
        assert sizes.max() - sizes.min() <= 1
        assert train.classes == scoring.classes == tuple(f"group {number}" for number in range(groups))

    def test_merge_map_depends_on_map_seed_not_on_the_run_seed(self):
        first, again, other = (merged(groups=3, **seeds) for seeds in ({}, {"seed": 5}, {"map_seed": 1}))
        for one, same in zip(first, again, strict=True):
            np.testing.assert_array_equal(one.known_labels, same.known_labels)
        assert not np.array_equal(first[0].known_labels, other[0].known_labels)

    def test_merge_map_is_random_and_noted(self):
        run = make_run(stage="labeling")
        train, _ = Merge(MergeParams(groups=2)).apply(CLEAN, CLEAN, TEST, run)
        members = run.notes["merged_classes"]
        for number, name in enumerate(train.classes):
            for member in members[name]:
                assert (train.known_labels[CLEAN.known_labels == CLEAN.classes.index(member)] == number).all()
        assert sorted(members["group 0"] + members["group 1"]) == sorted(CLEAN.classes)
        seen = {tuple(np.unique(CLEAN.known_labels[merged(map_seed=s)[0].known_labels == 0])) for s in range(10)}
        assert len(seen) > 5

    def test_merge_refuses_more_groups_than_classes(self):
        with pytest.raises(UsageError, match="10 classes of shapes cannot form groups=11"):
            merged(groups=11)


class TestNoisy:
    @given(st.floats(0, 1), st.integers(1, 40), st.integers(0, 2**32 - 1))
    @settings(max_examples=40)
    def test_noisy_mislabels_exactly_the_requested_share(self, rate, count, seed):
        clean = sample_images(count, (2, 2))
        labels = noisy(clean, rate=rate, map_seed=seed)
        assert (labels != clean.known_labels).sum() == round(rate * count)
        assert labels.min() >= 0
        assert labels.max() < 3

    def test_noisy_draws_wrong_labels_uniformly_over_classes_and_images(self):
        labels = noisy(rate=1.0)
        shifts = np.bincount((labels - CLEAN.known_labels) % 10, minlength=10)
        assert shifts[0] == 0
        assert np.square(shifts[1:] - 600 / 9).sum() / (600 / 9) < 26  # chi-square, 8 degrees of freedom, 99.9 %
        wrong = noisy(rate=0.5) != CLEAN.known_labels
        assert 120 < wrong[:300].sum() < 180

    def test_noisy_smaller_rate_mislabels_a_subset_of_a_larger_rate(self):
        some, more = noisy(rate=0.2), noisy(rate=0.6)
        wrong = some != CLEAN.known_labels
        np.testing.assert_array_equal(some[wrong], more[wrong])

    def test_noisy_labels_depend_on_map_seed_not_on_the_run_seed(self):
        np.testing.assert_array_equal(noisy(seed=0), noisy(seed=5))
        assert not np.array_equal(noisy(map_seed=0), noisy(map_seed=1))

    def test_noisy_keeps_test_labels_and_modifies_nothing(self):
        kept, run = CLEAN.known_labels.copy(), make_run(stage="labeling")
        train, scoring = Noisy(NoisyParams(rate=0.4)).apply(CLEAN, CLEAN, TEST, run)
        np.testing.assert_array_equal(scoring.known_labels, TEST.known_labels)
        np.testing.assert_array_equal(CLEAN.known_labels, kept)
        assert train.classes == scoring.classes == CLEAN.classes
        assert run.notes["mislabelled"] == 240
        assert run.notes["label_agreement"]["matched_accuracy"] == pytest.approx(60)
