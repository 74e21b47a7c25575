"""MI-UE's objective against double loops, and the batches that it compares."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench_miue.objective import (
    PARTNERS,
    balanced_batches,
    directions,
    distance_term,
    mutual_information_loss,
    similarity_term,
)

OPTIONS = [
    {"denominator": denominator, "distance_scale": scale, "zeta": zeta, "temperature": temperature}
    for denominator in ("all", "other-class")
    for scale in ("dimension", "none")
    for zeta in (0.0, 0.1, 3.0)
    for temperature in (0.1, 1.0)
]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    lengths = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
    return float(a @ b) / lengths if lengths else 0.0


def plain_loss(features, labels, *, denominator, distance_scale, zeta, temperature) -> float:
    """The formulas of the paper, sample by sample."""
    count, total = len(labels), 0.0
    for j in range(count):
        near, below, distances = 0.0, 0.0, 0.0
        for k in range(count):
            weight = math.exp(cosine(features[j], features[k]) / temperature)
            if labels[k] == labels[j]:
                near += weight
                distances += math.sqrt(float(((features[j] - features[k]) ** 2).sum()))
            if denominator == "all" or labels[k] != labels[j]:
                below += weight
        if below:
            total -= math.log(near / below)
        total += zeta * math.log(1 + distances / (features.shape[1] if distance_scale == "dimension" else 1))
    return total / count


def drawn(seed: int, count: int, dimensions: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features as after a ReLU, with a duplicate and one of length 0 where there is room, and labels."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, dimensions, generator=generator, dtype=torch.float64).relu()
    if count > 3:
        features[1], features[2] = features[0], 0.0
    return features, torch.randint(classes, (count,), generator=generator)


class TestObjective:
    # Cosines: 0 between the first two, 1 between the first and the third, 0 between the second and the third.
    FEATURES = torch.tensor([[3.0, 0.0], [0.0, 4.0], [5.0, 0.0]], dtype=torch.float64)
    LABELS = torch.tensor([0, 0, 1])

    def test_similarity_term_equals_hand_computed_values(self):
        e = math.e
        expected = -(math.log((e + 1) / (2 * e + 1)) + math.log((e + 1) / (e + 2)) + math.log(e / (2 * e + 1))) / 3
        assert float(similarity_term(self.FEATURES, self.LABELS, 1.0, "all")) == pytest.approx(expected, rel=1e-12)
        expected = -(math.log((e + 1) / e) + math.log(e + 1) + math.log(e / (e + 1))) / 3
        found = similarity_term(self.FEATURES, self.LABELS, 1.0, "other-class")
        assert float(found) == pytest.approx(expected, rel=1e-12)

    def test_distance_term_equals_hand_computed_values(self):
        assert float(distance_term(self.FEATURES, self.LABELS, "none")) == pytest.approx(2 / 3 * math.log(6))
        assert float(distance_term(self.FEATURES, self.LABELS, "dimension")) == pytest.approx(2 / 3 * math.log(3.5))

    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    def test_mutual_information_loss_equals_a_double_loop(self, options):
        # A class that occurs once, all of one class, one image, two images.
        for seed, (count, dimensions, classes) in enumerate([(11, 5, 3), (7, 4, 6), (6, 3, 1), (1, 4, 2), (2, 4, 2)]):
            features, labels = drawn(seed, count, dimensions, classes)
            found = mutual_information_loss(features, labels, **options)
            assert found.shape == ()
            assert float(found) == pytest.approx(plain_loss(features.numpy(), labels, **options), rel=1e-9, abs=1e-12)

    @given(st.sampled_from(OPTIONS), st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 6), st.integers(1, 5))
    @settings(max_examples=60)
    def test_mutual_information_loss_is_exact_for_any_features(self, options, seed, count, dimensions, classes):
        features, labels = drawn(seed, count, dimensions, classes)
        found = float(mutual_information_loss(features, labels, **options))
        assert found == pytest.approx(plain_loss(features.numpy(), labels, **options), rel=1e-9, abs=1e-12)
        single = features.float().requires_grad_()
        loss = mutual_information_loss(single, labels, **options)
        assert loss.item() == pytest.approx(found, rel=1e-4, abs=1e-5)
        assert torch.isfinite(torch.autograd.grad(loss, single)[0]).all()

    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    def test_mutual_information_loss_gradient_equals_finite_differences(self, options):
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(6, 4, generator=generator, dtype=torch.float64).requires_grad_()
        for labels in (torch.tensor([0, 1, 0, 2, 1, 0]), torch.zeros(6, dtype=torch.int64)):
            assert torch.autograd.gradcheck(lambda f, y=labels: mutual_information_loss(f, y, **options), features)

    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    def test_mutual_information_loss_is_finite_for_extreme_features(self, options):
        labels = torch.tensor([0, 0, 1, 1, 2])
        for features in (
            torch.zeros(5, 3),
            torch.ones(5, 3),
            torch.full((5, 3), 1e-25),  # its square is 0 in float32
            1e4 * torch.eye(5, 3),
            torch.tensor([[1.0, 0, 0], [1.0, 1e-7, 0], [1e-20, 0, 0], [0, 0, 0], [0, 0, 1e10]]),
        ):
            features = features.clone().requires_grad_()
            loss = mutual_information_loss(features, labels, **options)
            assert torch.isfinite(loss)
            assert torch.isfinite(torch.autograd.grad(loss, features)[0]).all()

    def test_distance_term_has_no_gradient_for_equal_features(self):
        features = torch.rand(1, 300).repeat(40, 1).requires_grad_()
        distances = distance_term(features, torch.zeros(40, dtype=torch.int64), "none")
        assert distances.item() == 0
        assert not torch.autograd.grad(distances, features)[0].any()

    def test_directions_of_zero_features_are_zero_without_gradient(self):
        features = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
        unit = directions(features)
        assert unit.tolist() == [[0, 0], pytest.approx([0.6, 0.8])]
        assert not torch.autograd.grad(unit.sum(), features)[0][0].any()

    def test_similarity_term_reaches_its_bounds(self):
        narrow, labels = torch.eye(3).repeat_interleave(4, 0), torch.arange(3).repeat_interleave(4)
        assert 0 <= float(similarity_term(narrow, labels, 0.1, "all")) < 1e-3
        opposite = torch.tensor([[1.0], [-1.0]]).repeat_interleave(4, 0)
        found = float(similarity_term(opposite, torch.arange(2).repeat_interleave(4), 0.1, "other-class"))
        assert found == pytest.approx(-20, rel=1e-5)


class TestBalancedBatches:
    @given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(2, 64), st.integers(0, 99))
    @settings(max_examples=60)
    def test_balanced_batches_hold_every_image_once(self, sizes: list[int], batch: int, seed: int) -> None:
        labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        if not len(labels):
            return
        labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed + 1))]
        parts = -(-len(labels) // batch)
        batches = list(balanced_batches(labels, batch, torch.Generator().manual_seed(seed)))
        assert sorted(torch.cat(batches).tolist()) == list(range(len(labels)))
        assert len(batches) <= parts
        counts = torch.stack([labels[chosen].bincount(minlength=len(sizes)) for chosen in batches])
        for size, column in zip(sizes, counts.T, strict=True):
            if size >= PARTNERS * parts:
                assert column.max() - column.min() <= 1
                assert column.min() >= PARTNERS
            elif size:
                assert column[column > 0].min() >= min(size, PARTNERS)

    def test_balanced_batches_hold_every_class_equally_often(self):
        labels = torch.arange(5000) % 100
        batches = list(balanced_batches(labels, 512, torch.Generator().manual_seed(0)))
        assert [len(chosen) for chosen in batches] == [500] * 10
        assert all((labels[chosen].bincount() == 5).all() for chosen in batches)

    def test_balanced_batches_group_classes_if_all_do_not_fit(self):
        labels = torch.arange(8000) % 1000
        batches = list(balanced_batches(labels, 512, torch.Generator().manual_seed(0)))
        assert all(480 <= len(chosen) <= 520 for chosen in batches)
        again = list(balanced_batches(labels, 512, torch.Generator().manual_seed(1)))
        met = [set(labels[batches[0]].tolist()), set(labels[again[0]].tolist())]
        assert met[0] != met[1]  # other classes meet in another round

    def test_balanced_batches_depend_only_on_the_generator(self):
        labels = torch.arange(90) % 9
        one, two, other = (
            torch.cat(list(balanced_batches(labels, 20, torch.Generator().manual_seed(seed)))) for seed in (0, 0, 1)
        )
        assert torch.equal(one, two)
        assert not torch.equal(one, other)
