"""Progressive staged training: which layers are slow when, and what that does to their gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ucbench import Recipe
from ucbench.testing import make_run, sample_images
from ucbench.training.defenses import DefensePipeline
from ucbench.training.determinism import seeded
from ucbench_progressive.params import ProgressiveParams
from ucbench_progressive.training import ProgressiveTraining, slow_parameters


def network() -> nn.Sequential:
    with seeded(0):
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 12, 5), nn.Linear(5, 3)
        )


def gradients(params: ProgressiveParams, epoch: int) -> dict[str, torch.Tensor]:
    model, run = network(), make_run(stage="train")
    run.epoch, run.epochs = epoch, 10
    x = torch.rand(6, 3, 10, 14, generator=torch.Generator().manual_seed(0))
    targets = torch.eye(3).repeat(2, 1)
    ProgressiveTraining(params).loss(model, x, targets, run, torch.Generator()).backward()
    return {name: weight.grad for name, weight in model.named_parameters()}


def test_gradients_of_slow_layers_are_scaled_and_others_kept():
    params = ProgressiveParams(stages=3, factor=0.25, free=0.1)
    plain, slowed = gradients(params, 1), gradients(params, 2)
    for name, gradient in plain.items():
        factor = 0.25 if name.startswith("0.") else 1.0
        torch.testing.assert_close(slowed[name], factor * gradient, atol=1e-7, rtol=1e-5)


def test_last_stage_slows_all_layers_but_the_classifier():
    slow = slow_parameters(network(), ProgressiveTraining(ProgressiveParams(stages=4)).share(10, 10))
    assert set(slow) == {"0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias"}


@given(st.integers(1, 6), st.floats(0, 0.9), st.integers(1, 40))
def test_share_of_slow_layers_grows_stage_by_stage_to_all(stages, free, epochs):
    training = ProgressiveTraining(ProgressiveParams(stages=stages, free=free))
    shares = [training.share(epoch, epochs) for epoch in range(1, epochs + 1)]
    assert shares == sorted(shares)
    assert set(shares) <= {0.0, *((stage + 1) / stages for stage in range(stages))}
    if free == 0:
        assert shares[0] == 1 / stages
    assert training.share(0, 0) == 0


def test_frozen_layers_keep_their_weights_in_a_training():
    model, run = network(), make_run(stage="train")
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    statistics = model[1].running_mean.clone()
    recipe = Recipe(epochs=1, batch=4, crop=0, weight_decay=0, normalize="none")
    defense = DefensePipeline([("pst", ProgressiveTraining(ProgressiveParams(stages=1, factor=0, free=0)))])
    run.engine.fit(model, sample_images(), recipe, seed=0, run=run, defenses=defense)
    changed = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == {"5.weight", "5.bias"}
    assert not torch.equal(model[1].running_mean, statistics)


@pytest.mark.parametrize("epoch", [1, 10])
def test_loss_is_the_cross_entropy_in_every_stage(epoch):
    model, run = network().eval(), make_run(stage="train")
    run.epoch, run.epochs = epoch, 10
    x, targets = torch.rand(3, 3, 10, 14), torch.eye(3)
    value = ProgressiveTraining(ProgressiveParams()).loss(model, x, targets, run, torch.Generator())
    torch.testing.assert_close(value, nn.functional.cross_entropy(model(x), targets))
