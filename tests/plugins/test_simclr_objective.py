"""What SimCLR minimises and what is measured of its features, against plain loops; the linear probe."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ucbench import Recipe
from ucbench.testing import make_run
from ucbench.training.contrastive import nt_xent
from ucbench_simclr.params import SimCLRParams
from ucbench_simclr.pretraining import alignment, uniformity
from ucbench_simclr.victim import LinearProbe, fit_probe


def plain_nt_xent(z: Tensor, temperature: float) -> Tensor:
    """Equation 1 of the paper, view by view."""
    count, total = len(z), z.new_zeros(())

    def similarity(i: int, k: int) -> Tensor:
        return (z[i] * z[k]).sum() / (z[i].norm() * z[k].norm()) / temperature

    for i in range(count):
        partner = (i + count // 2) % count
        others = sum(similarity(i, k).exp() for k in range(count) if k != i)
        total = total - (similarity(i, partner).exp() / others).log()
    return total / count


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class TestNTXent:
    @given(st.integers(1, 5), st.integers(2, 6), st.sampled_from([0.07, 0.5, 1.0]), st.integers(0, 2**32))
    @settings(max_examples=30)
    def test_nt_xent_equals_a_double_loop_in_value_and_gradient(self, images, dimensions, temperature, seed):
        z = drawn(2 * images, dimensions, seed=seed).requires_grad_()
        plain, fast = plain_nt_xent(z, temperature), nt_xent(z, temperature)
        torch.testing.assert_close(fast, plain)
        expected, gradient = (torch.autograd.grad(loss, z)[0] for loss in (plain, fast))
        torch.testing.assert_close(gradient, expected, rtol=1e-7, atol=1e-9)

    def test_nt_xent_pairs_views_half_a_batch_apart(self):
        z = torch.eye(4, dtype=torch.float64)
        assert nt_xent(torch.cat([z, z]), 0.1) < nt_xent(z.repeat_interleave(2, 0), 0.1)

    def test_nt_xent_is_zero_for_one_image_and_finite_for_zero_projections(self):
        assert nt_xent(drawn(2, 3), 0.5) == 0
        z = torch.zeros(6, 3, requires_grad=True)
        loss = nt_xent(z, 0.07)
        loss.backward()
        assert loss.item() == pytest.approx(math.log(5))
        assert torch.isfinite(z.grad).all()


class TestMeasures:
    def test_alignment_and_uniformity_equal_plain_loops(self):
        first, second = drawn(7, 4), drawn(7, 4, seed=1)
        a, b = (x / x.norm(dim=1, keepdim=True) for x in (first, second))
        squares = [float((p - q).norm()) ** 2 for p, q in zip(a, b, strict=True)]
        assert alignment(first, second) == pytest.approx(sum(squares) / 7)
        pairs = [math.exp(-2 * float((a[i] - a[k]).norm()) ** 2) for i in range(7) for k in range(i)]
        assert uniformity(first) == pytest.approx(math.log(sum(pairs) / len(pairs)))

    def test_alignment_and_uniformity_reach_their_bounds(self):
        x = drawn(5, 3)
        assert alignment(x, 3 * x) == pytest.approx(0)
        assert alignment(x, -x) == pytest.approx(4)
        assert uniformity(x[:1].expand(5, 3)) == pytest.approx(0)


def fitted(features: Tensor, labels: Tensor, classes: int, **options: object) -> LinearProbe:
    return fit_probe(features, labels, classes, SimCLRParams(**options).probe_recipe, make_run())


class TestProbe:
    def test_probe_is_close_to_the_optimal_linear_classifier(self):
        from sklearn.linear_model import LogisticRegression

        generator = torch.Generator().manual_seed(0)
        labels = torch.arange(300) % 3
        features = torch.randn(300, 10, generator=generator) + 1.2 * torch.eye(3, 10)[labels]
        features = features * torch.logspace(-2, 3, 10) + 10  # units that differ, away from the origin
        probe = fitted(features, labels, 3)
        loss = torch.nn.functional.cross_entropy(probe.logits(features), labels)
        standard = ((features - features.mean(0)) / features.std(0)).numpy()
        best = LogisticRegression(C=1e6, max_iter=1000).fit(standard, labels.numpy()).predict_proba(standard)
        optimum = -math.fsum(math.log(row[label]) for row, label in zip(best, labels, strict=True)) / 300
        assert optimum - 1e-6 <= float(loss) <= optimum + 0.02

    @pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
    def test_probe_is_stable_at_any_feature_scale(self, scale):
        labels = torch.arange(40) % 2
        features = scale * (torch.rand(40, 512, generator=torch.Generator().manual_seed(0)) + labels[:, None])
        probe = fitted(features, labels, 2)
        assert (probe.predict(features) == labels).all()

    def test_probe_ignores_a_constant_feature(self):
        labels = torch.arange(20) % 2
        features = torch.stack([labels.float(), torch.full((20,), 0.1)], 1)
        probe = fitted(features, labels, 2)
        features[:, 1] = torch.linspace(-1e6, 1e6, 20)
        assert (probe.predict(features) == labels).all()
        constant = fitted(torch.ones(5, 3), torch.tensor([0, 1, 1, 1, 0]), 4)
        assert constant.predict(torch.zeros(2, 3)).tolist() == [1, 1]

    def test_probe_never_predicts_a_class_without_images(self):
        labels = torch.tensor([0, 2] * 10)
        features = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
        assert set(fitted(features, labels, 4).predict(features).tolist()) <= {0, 2}

    def test_probe_repeats_exactly_and_accepts_a_single_image(self):
        labels = torch.arange(30) % 3
        features = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
        first, again = (fitted(features, labels, 3, probe_batch=7).layer.weight for _ in range(2))
        assert torch.equal(first, again)
        assert fitted(features[:1], labels[1:2], 3).predict(features).tolist() == [1] * 30

    def test_probe_milestones_equal_the_published_ones(self):
        recipe = SimCLRParams.resolve("simclr", "bridgepure").probe_recipe
        assert (recipe.epochs, recipe.batch, recipe.lr, recipe.milestones) == (100, 512, 1.0, (60, 75, 90))
        assert isinstance(recipe, Recipe)
        assert recipe.gamma == 0.2
