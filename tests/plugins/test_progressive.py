"""Progressive staged training: which layers are slow when, and what that does to their steps."""

from __future__ import annotations

import torch
from hypothesis import example, given
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


def test_last_stage_slows_all_layers_but_the_classifier():
    slow = slow_parameters(network(), ProgressiveTraining(ProgressiveParams(stages=4)).share(10, 10))
    assert set(slow) == {"0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias"}


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
@example(22, 22, 15)
def test_slow_layers_are_whole_shares_of_the_layers(layers, stages, stage):
    stage = min(stage, stages)
    model = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(layers + 1)))
    assert len(slow_parameters(model, stage / stages)) == stage * layers // stages


@given(st.integers(1, 6), st.floats(0, 0.9), st.integers(1, 40))
def test_share_of_slow_layers_grows_stage_by_stage_to_all(stages, free, epochs):
    training = ProgressiveTraining(ProgressiveParams(stages=stages, free=free))
    shares = [training.share(epoch, epochs) for epoch in range(1, epochs + 1)]
    assert shares == sorted(shares)
    assert set(shares) <= {0.0, *((stage + 1) / stages for stage in range(stages))}
    if free == 0:
        assert shares[0] == 1 / stages
    assert training.share(0, 0) == 0


def trained(factor: float, stages: int = 1, **recipe) -> tuple[dict[str, torch.Tensor], nn.Sequential]:
    """The network's weights before a training with slow layers, and the network after it."""
    model, run = network(), make_run(stage="train")
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    defense = ProgressiveTraining(ProgressiveParams(stages=stages, factor=factor, free=0))
    settings = Recipe(**{"epochs": 1, "batch": 4, "crop": 0, "flip": "never", "normalize": "none", **recipe})
    run.engine.fit(model, sample_images(), settings, seed=0, run=run, defenses=DefensePipeline([("pst", defense)]))
    return before, model


def test_factor_0_freezes_layers_under_the_default_weight_decay():
    assert Recipe().weight_decay > 0
    statistics = network()[1].running_mean.clone()
    before, model = trained(0)
    changed = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == {"5.weight", "5.bias"}
    assert not torch.equal(model[1].running_mean, statistics)


def test_step_of_slow_layers_is_scaled_with_its_decay_and_those_of_others_are_not():
    # A single step of all images, by a large decay; only the first of three layers before the classifier is slow.
    one_step = {"batch": 13, "weight_decay": 0.1, "epochs": 1}
    before, plain = trained(1, **one_step)
    _, slow = trained(0.25, stages=3, **one_step)
    for name, weight in plain.named_parameters():
        factor = 0.25 if name.startswith("0.") else 1
        moved = slow.get_parameter(name) - before[name]
        torch.testing.assert_close(moved, factor * (weight - before[name]), atol=1e-6, rtol=1e-4)


def test_factors_of_two_defenses_multiply():
    parts = [(name, ProgressiveTraining(ProgressiveParams(stages=1, factor=0.5, free=0))) for name in ("one", "two")]
    run = make_run(stage="train")
    run.epoch, run.epochs = 1, 1
    assert DefensePipeline(parts).rates(network(), run)["0.weight"] == 0.25
