"""Single optimiser steps, and going on from a saved state."""

import numpy as np
import pytest
import torch
from torch import nn

from ucbench.testing import TinySurrogate
from ucbench.testing.samples import NUMERICS
from ucbench.training.engine import Engine
from ucbench.training.optim import Lookahead, optimizer_state, restore_optimizer


def batch(seed, count=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 8, 8, generator=generator), torch.randint(0, 10, (count,), generator=generator)


def network(seed=0):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), TinyHead(seed))


class TinyHead(nn.Sequential):
    def __init__(self, seed):
        torch.manual_seed(seed)
        super().__init__(nn.Flatten(), nn.Linear(4 * 36, 10))


def test_stepper_equals_plain_sgd_with_clipping():
    ours = TinySurrogate().module(3)
    plain = TinySurrogate().module(3)
    stepper = Engine(NUMERICS).stepper(ours, lr=0.1, momentum=0.9, weight_decay=1e-2, clip_norm=0.5)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    for number in range(4):
        x, y = batch(number)
        loss = stepper.step(x, y, lr=0.1 / (number + 1))
        optimizer.param_groups[0]["lr"] = 0.1 / (number + 1)
        expected = nn.functional.cross_entropy(plain(x), y)
        optimizer.zero_grad()
        expected.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimizer.step()
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-4, atol=1e-5)
    for ours_weight, plain_weight in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours_weight, plain_weight, rtol=1e-3, atol=1e-5)


def test_stepper_resumes_exactly_from_a_state():
    engine = Engine(NUMERICS)
    torch.manual_seed(0)
    whole = network()
    stepper = engine.stepper(whole, lr=0.1)
    for number in range(3):
        stepper.step(*batch(number))
    state = stepper.state()
    kept = {name: array.copy() for name, array in state.items()}
    for number in range(3, 6):
        stepper.step(*batch(number))
    assert all(np.array_equal(state[name], kept[name]) for name in kept), "a saved state must not change any more"

    torch.manual_seed(1)
    resumed = network(seed=5)
    second = engine.stepper(resumed, lr=0.1)
    second.restore(state)
    for number in range(3, 6):
        second.step(*batch(number))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_stepper_state_before_the_first_step_has_no_momentum():
    engine = Engine(NUMERICS)
    stepper = engine.stepper(TinySurrogate().module(0), lr=0.1)
    before = stepper.state()
    assert not any(name.startswith("momentum.") for name in before)
    stepper.step(*batch(0))
    stepper.restore(before)
    assert stepper.state().keys() == before.keys()


def test_stepper_bias_lr_multiplies_only_the_steps_of_normalisation_biases():
    """Twice the rate, and the same decay in a step: plain SGD with a group of its own."""
    moved = {}
    for factor in (1.0, 8.0):
        torch.manual_seed(0)
        model = network()
        model[1].bias.data.fill_(0.5)
        before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        stepper = Engine(NUMERICS).stepper(model, lr=0.01, momentum=0.0, weight_decay=0.1, bias_lr=factor)
        stepper.step(*batch(0), lr=0.1)
        moved[factor] = {name: weight.detach() - before[name] for name, weight in model.named_parameters()}
    decayed = -0.1 * 0.1 * 0.5  # rate, decay, bias
    for name in moved[1.0]:
        if name == "1.bias":
            expected = 8 * (moved[1.0][name] - decayed) + decayed
            torch.testing.assert_close(moved[8.0][name], expected, rtol=1e-4, atol=1e-6)
        else:
            torch.testing.assert_close(moved[8.0][name], moved[1.0][name], rtol=1e-6, atol=1e-8)


def test_stepper_bias_lr_passes_over_normalisation_without_biases():
    plain, scaled = (nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.Conv2d(3, 4, 3), TinyHead(0)) for _ in range(2))
    scaled.load_state_dict(plain.state_dict())
    for model, factor in ((plain, 1.0), (scaled, 8.0)):
        Engine(NUMERICS).stepper(model, lr=0.1, bias_lr=factor).step(*batch(0))
    for name, weight in plain.named_parameters():
        torch.testing.assert_close(scaled.get_parameter(name), weight)


def test_lookahead_weights_meet_their_average_at_intervals_and_end_at_it():
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    lookahead = Lookahead(model, every=2, steps=5)
    average, weight = 0.0, 0.0
    for step in range(1, 6):
        weight += 1.0  # what an optimiser would do
        model.weight.data.add_(1.0)
        lookahead.update()
        if step in (2, 4):
            kept = 0.95**2 * (step / 5) ** 3
            average = weight = kept * average + (1 - kept) * weight
        assert model.weight.item() == pytest.approx(average if step == 5 else weight)


def test_lookahead_averages_running_statistics_and_leaves_counts():
    model = nn.BatchNorm1d(1)
    lookahead = Lookahead(model, every=1, steps=2)
    model.running_mean.fill_(8.0)
    model.num_batches_tracked.fill_(5)
    lookahead.update()
    kept = 0.95 * 0.5**3
    assert model.running_mean.item() == pytest.approx((1 - kept) * 8)
    assert model.num_batches_tracked.item() == 5


def adam_steps(model, optimizer, numbers):
    for number in numbers:
        x, y = batch(number)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_adam_restored_into_another_network_goes_on_equally_and_keeps_buffers_that_were_not_saved():
    ours, other = network(0), network(1)
    one, two = (torch.optim.Adam(model.parameters()) for model in (ours, other))
    adam_steps(ours, one, range(2))
    arrays = optimizer_state(ours, one)
    del arrays["1.running_mean"]
    other[1].running_mean.fill_(5)
    restore_optimizer(other, two, arrays)
    assert (other[1].running_mean == 5).all()
    adam_steps(ours, one, range(2, 4))
    adam_steps(other, two, range(2, 4))
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), other.parameters(), strict=True))
    del arrays["0.weight"]
    with pytest.raises(KeyError, match=r"0\.weight"):
        restore_optimizer(other, two, arrays)
