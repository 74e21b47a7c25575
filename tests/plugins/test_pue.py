"""PUE: noise on the surrogate's weights, when it begins, and the certification of what networks nearby reach."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from resuming import check_resumes
from scipy.stats import norm
from small_crafts import check_modes, check_streams

from ucbench.data.budget import Budget
from ucbench.metrics.metric import MetricContext
from ucbench.testing import TinySurrogate, make_run, sample_images
from ucbench_eminn import smoothed
from ucbench_eminn.certify import CertifiedLearnability, bounding
from ucbench_eminn.minimising import ErrorMinimisingClasses
from ucbench_eminn.params import CertifiedParams, EMinNClassParams, PUEParams
from ucbench_eminn.smoothed import ProvablyUnlearnable, SmoothedAlternation, noisy

SMALL = {"network_steps": 4, "min_sweeps": 4, "max_sweeps": 4, "batch": 5, "lr": 0.05, "step": 0.3}


pytestmark = pytest.mark.usefixtures("exact_arithmetic")


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


def test_step_under_noise_follows_gradients_averaged_by_hand_over_the_draws_of_each_level():
    turns = alternation(noise=0.4, levels=3, train_draws=2)
    network = copy.deepcopy(turns.bilevel.network).train()
    x, labels, weights = turns.bilevel.clean(torch.arange(6)), turns.bilevel.labels, list(network.parameters())
    turns.step(7, x, labels, 0.05)
    generator, own = craft_run().generator("noise-of-step-7"), turns.bilevel.stepper
    optimizer = torch.optim.SGD(weights, lr=0.05, momentum=0.9, weight_decay=5e-4)
    for deviation in (0.0, 0.2, 0.4):
        totals = [torch.zeros_like(weight) for weight in weights]
        for _ in range(2):
            at = copy.deepcopy(network)
            with torch.no_grad():
                for weight in at.parameters():
                    weight += deviation * torch.randn(weight.shape, generator=generator)
            gradients = torch.autograd.grad(F.cross_entropy(at(x), labels), list(at.parameters()))
            for total, gradient in zip(totals, gradients, strict=True):
                total += gradient / (2 * 3)
        for weight, total in zip(weights, totals, strict=True):
            weight.grad = total
        torch.nn.utils.clip_grad_norm_(weights, own.clip_norm)
        optimizer.step()
    for one, other in zip(own.network.parameters(), weights, strict=True):
        torch.testing.assert_close(one, other)


def test_step_under_noise_keeps_weights_that_are_not_trained():
    turns = alternation(noise=0.4)
    network = turns.bilevel.network
    network[0].requires_grad_(False)
    before = [layer.weight.detach().clone() for layer in (network[0], network[2])]
    turns.step(0, turns.bilevel.clean(torch.arange(6)), turns.bilevel.labels, 0.05)
    assert torch.equal(network[0].weight, before[0])
    assert not torch.equal(network[2].weight, before[1])


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


def test_steps_under_noise_lower_the_loss_of_one_noisy_network_further_than_steps_without():
    """Compared on one network, so that its own training is no explanation; and both below the clean images' loss."""
    every, losses = torch.arange(6), {}
    for name, noise in (("clean", None), ("plain", 0.0), ("noisy", 0.3)):
        turns = alternation(noise=noise or 0.0, levels=2, draws=10, steps=5, step=0.2)
        for _ in range(30):
            turns.bilevel.stepper.step(turns.bilevel.clean(every), turns.bilevel.labels, 0.05)
        delta = torch.zeros((6, 3, 10, 14))
        if noise is not None:
            delta = turns.descended(every, delta)
        turns.bilevel.frozen()
        x, generator, total = turns.bilevel.clean(every) + delta, torch.Generator().manual_seed(1), 0.0
        for _ in range(150):
            with noisy(turns.bilevel.network, 0.3, generator):
                total += float(turns.bilevel.cross_entropy(x, turns.bilevel.labels)) / 150
        losses[name] = total
    assert losses["noisy"] < losses["plain"] < losses["clean"]


def test_stop_error_does_not_end_a_craft_before_a_sweep_with_noise():
    _, run = crafted(min_sweeps=1, max_sweeps=20, stop_error=1.0)
    errors = run.notes["errors"]
    recognised = next(number for number, error in enumerate(errors, 1) if error < 0.5)
    assert len(errors) == recognised + 1
    assert run.notes["smoothed_sweeps"] == 1


def test_craft_without_a_sweep_with_noise_notes_it_and_warns():
    _, run = crafted(min_sweeps=1, max_sweeps=1, network_steps=1, lr=1e-4)
    assert run.notes["smoothed_sweeps"] == 0
    assert any("No sweep had noise" in text for text in run.warnings)


def test_network_is_in_train_mode_only_where_it_learns_and_every_turn_draws_from_its_own_streams():
    def craft(run):
        _, done = crafted(run)
        assert done.notes["smoothed_sweeps"] > 0

    check_modes(craft)
    check_streams(craft)


def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one():
    run = check_resumes(lambda checkpoint: crafted(craft_run(checkpoint)), steps=4)
    assert any(error < 0.5 for error in run.notes["errors"][:-1])


def test_released_preset_equals_the_defaults_of_the_official_code():
    released = PUEParams.resolve("pue", "released")
    assert (released.noise, released.levels, released.train_draws, released.draws) == (1.0, 21, 100, 10)
    assert (released.batch, released.steps, released.stop_error, released.clip_norm) == (128, 1, 0.5, 5.0)
    assert (released.network_steps, 8 * released.step) == (10, pytest.approx(0.8))
    certified = CertifiedParams.resolve("certified-learnability", "released")
    assert (certified.draws, certified.q, certified.sigma) == (10, 0.7, 0.1)
    assert bounding(certified.draws, certified.q, 0.0, certified.confidence) is None


class TestCertification:
    @given(st.integers(20, 200), st.floats(0.5, 0.9), st.floats(0, 0.5), st.integers(0, 2**31))
    @settings(max_examples=20)
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

    def test_bound_is_the_order_statistic_of_accuracies_under_noise_and_the_model_stays(self):
        model, test = TinySurrogate().module(0, sample_images()).eval(), sample_images()
        before = [weight.clone() for weight in model.parameters()]
        params = CertifiedParams(draws=40, sigma=1.0, eta=0.0, q=0.5, confidence=0.9)
        context = MetricContext(make_run(stage="metric"), model=model, test=test)
        found = CertifiedLearnability(params).compute(context)
        assert all(torch.equal(w, b) for w, b in zip(model.parameters(), before, strict=True))
        generator, accuracies = make_run(stage="metric").generator("noise"), []
        x, labels = torch.from_numpy(test.images.copy()).float() / 255, torch.from_numpy(test.known_labels.copy())
        for _ in range(40):
            with noisy(model, 1.0, generator), torch.no_grad():
                accuracies.append(100 * (model(x).argmax(1) == labels).double().mean().item())
        # At most 24 of 40 lie below the median at a probability of 0.9.
        expected = sorted(accuracies)[24]
        assert found["bound"] == pytest.approx(expected)
        assert expected < max(accuracies)
        assert found["mean"] == pytest.approx(np.mean(accuracies))
        assert found["accuracy"] == pytest.approx(100 * (model(x).argmax(1) == labels).double().mean().item())

    def test_bound_is_undefined_of_too_few_draws(self):
        context = MetricContext(
            make_run(stage="metric"), model=TinySurrogate().module(0, sample_images()).eval(), test=sample_images()
        )
        assert CertifiedLearnability(CertifiedParams(draws=3)).compute(context)["bound"] is None
