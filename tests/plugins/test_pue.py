"""PUE: noise on the surrogate's weights, when it begins, and the certification of what networks nearby reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from ucbench.data.budget import Budget
from ucbench.metrics.metric import MetricContext
from ucbench.testing import MemoryCheckpoint, TinySurrogate, make_run, sample_images
from ucbench.testing.samples import NUMERICS
from ucbench.training.determinism import deterministic
from ucbench_eminn import smoothed
from ucbench_eminn.certify import CertifiedLearnability, bounding
from ucbench_eminn.minimising import ErrorMinimisingClasses
from ucbench_eminn.params import CertifiedParams, EMinNClassParams, PUEParams
from ucbench_eminn.smoothed import ProvablyUnlearnable, SmoothedAlternation, noisy

SMALL = {"network_steps": 4, "min_sweeps": 4, "max_sweeps": 4, "batch": 5, "lr": 0.05, "step": 0.3}


@pytest.fixture(autouse=True)
def _exact_arithmetic():
    with deterministic(NUMERICS):
        yield


def craft_run(checkpoint=None, epsilon=24):
    return make_run(budget=Budget("linf", epsilon), surrogate=TinySurrogate(), checkpoint=checkpoint)


def crafted(run=None, count=30, **options):
    run = run or craft_run()
    poisoner = ProvablyUnlearnable(PUEParams(**{**SMALL, **options}))
    return torch.from_numpy(poisoner.craft(sample_images(count), run).delta), run


def alternation(**options):
    params = PUEParams(**{**SMALL, **options})
    turns = SmoothedAlternation(sample_images(6), craft_run(), params)
    turns.bilevel.history.append({"error": 0.1})  # from now on the weights get noise
    return turns


def test_noise_is_gaussian_of_the_given_deviation_and_leaves_no_trace():
    network = TinySurrogate().module(0)
    before = [weight.clone() for weight in network.parameters()]
    with noisy(network, 0.5, torch.Generator().manual_seed(0)):
        moved = [(w - b).flatten() for w, b in zip(network.parameters(), before, strict=True)]
        noise = torch.cat(moved).detach().numpy()
        assert noise.std() == pytest.approx(0.5, rel=0.05)
        assert noise.mean() == pytest.approx(0, abs=0.05)
    assert all(torch.equal(w, b) for w, b in zip(network.parameters(), before, strict=True))


def test_noise_is_removed_after_an_error():
    network = TinySurrogate().module(0)
    before = network[0].weight.clone()
    with pytest.raises(RuntimeError), noisy(network, 0.5, torch.Generator().manual_seed(0)):
        raise RuntimeError
    assert torch.equal(network[0].weight, before)


def test_step_without_noise_is_one_plain_step_of_each_levels_share():
    turns = alternation(noise=0.0, levels=2, train_draws=3)
    plain = alternation(noise=0.0)
    x, labels = turns.bilevel.clean(torch.arange(6)), turns.bilevel.labels
    loss = turns.step(0, x, labels, 0.05)
    for _ in range(2):
        plain.bilevel.stepper.apply(F.cross_entropy(plain.bilevel.network(x), labels) / 2, 0.05)
    for one, other in zip(turns.bilevel.network.parameters(), plain.bilevel.network.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert torch.isfinite(loss)


def test_steps_on_perturbations_descend_one_level_after_another():
    turns = alternation(noise=0.0, levels=4, draws=2, step=0.1)
    delta = turns.descended(torch.arange(6), torch.zeros((6, 3, 10, 14)))
    x = turns.bilevel.clean(torch.arange(6))
    inside = (x > 24 / 255) & (x < 1 - 24 / 255)
    assert delta[inside].abs().max() == pytest.approx(0.4 * 24 / 255, rel=1e-4)


def test_linear_function_has_the_gradient_of_the_mean_loss_over_noise():
    turns = alternation(draws=2)
    turns.bilevel.frozen()
    x, labels = turns.bilevel.clean(torch.arange(6)).requires_grad_(), turns.bilevel.labels
    turns._generator = torch.Generator().manual_seed(3)
    (slope,) = torch.autograd.grad(turns._linear(x, labels, 0.2), x)
    expected, generator = torch.zeros_like(x), torch.Generator().manual_seed(3)
    for _ in range(2):
        with noisy(turns.bilevel.network, 0.2, generator):
            expected = expected + torch.autograd.grad(turns.bilevel.cross_entropy(x, labels), x)[0]
    torch.testing.assert_close(slope, expected)


def test_weights_get_no_noise_before_half_of_the_images_are_recognised(monkeypatch):
    def never(*arguments):
        raise AssertionError("noise")

    monkeypatch.setattr(smoothed, "noisy", never)
    options = {**SMALL, "min_sweeps": 1, "max_sweeps": 1, "network_steps": 1, "lr": 1e-4}
    noiseless = ErrorMinimisingClasses(EMinNClassParams(**options)).craft(sample_images(30), craft_run())
    delta, _ = crafted(**options)
    np.testing.assert_array_equal(delta, noiseless.delta)


def test_noise_makes_perturbations_that_noisy_networks_recognise_better():
    """On the surrogate of the craft, under noise on its weights: against the class-wise noise without it."""
    losses = {}
    options = {"min_sweeps": 8, "max_sweeps": 8, "stop_error": None, "network_steps": 8}
    for name, noise in (("plain", 0.0), ("noisy", 0.3)):
        checkpoint = MemoryCheckpoint()
        crafted(craft_run(checkpoint), noise=noise, train_draws=4, draws=4, **options)
        turns = SmoothedAlternation(
            sample_images(30), craft_run(MemoryCheckpoint(checkpoint.saved[-1])), PUEParams(**SMALL)
        )
        bilevel, generator, every = turns.bilevel, torch.Generator().manual_seed(0), torch.arange(30)
        bilevel.frozen()
        total = 0.0
        for _ in range(40):
            with noisy(bilevel.network, 0.3, generator):
                total += float(bilevel.cross_entropy(bilevel.poisoned(every), bilevel.labels))
        losses[name] = total / (40 * 30)
    assert losses["noisy"] < losses["plain"]


def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one():
    checkpoint = MemoryCheckpoint()
    whole, run = crafted(craft_run(checkpoint))
    assert any(error < 0.5 for error in run.notes["errors"][:-1])
    for saved in checkpoint.saved:
        resumed, again = crafted(craft_run(MemoryCheckpoint(saved)))
        assert torch.equal(resumed, whole)
        assert again.notes == run.notes


def test_released_preset_equals_the_official_settings():
    released = PUEParams.resolve("pue", "released")
    assert (released.noise, released.levels, released.train_draws, released.draws) == (0.25, 6, 100, 10)
    assert (released.batch, released.steps, released.stop_error, released.clip_norm) == (128, 1, 0.1, 5.0)
    assert 8 * released.step == pytest.approx(0.8)


class TestCertification:
    @given(st.integers(20, 200), st.floats(0.5, 0.9), st.floats(0, 0.5), st.integers(0, 2**31))
    @settings(max_examples=20, deadline=None)
    def test_bound_covers_the_quantile_as_often_as_its_confidence_says(self, draws, q, ratio, seed):
        place = bounding(draws, q, ratio, 0.9)
        if place is None:
            return
        values = np.sort(np.random.default_rng(seed).normal(size=(2000, draws)), axis=1)
        covered = (values[:, place - 1] >= norm.ppf(q) + ratio).mean()
        assert covered > 0.9 - 0.03
        if place > 1:
            assert (values[:, place - 2] >= norm.ppf(q) + ratio).mean() < 0.9 + 0.03

    def test_too_few_draws_give_no_bound(self):
        assert bounding(10, 0.9, 0.4, 0.99) is None
        assert bounding(100, 0.9, 0.4, 0.99) == 100

    def test_metric_returns_an_accuracy_under_noise_and_leaves_the_model_as_it_was(self):
        model, test = TinySurrogate().module(0, sample_images()).eval(), sample_images()
        before = [weight.clone() for weight in model.parameters()]
        context = MetricContext(make_run(stage="metric"), model=model, test=test)
        found = CertifiedLearnability(CertifiedParams(draws=100, sigma=1.0)).compute(context)
        assert 0 <= found["mean"] < found["bound"] <= 100
        assert all(torch.equal(w, b) for w, b in zip(model.parameters(), before, strict=True))
        few = CertifiedLearnability(CertifiedParams(draws=3)).compute(context)
        assert few["bound"] is None
