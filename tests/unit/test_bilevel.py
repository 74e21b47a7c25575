"""The bi-level loop's parts: data order, projection, and going on after an interruption."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ucbench.crafting.bilevel import BiLevel
from ucbench.data.budget import Budget
from ucbench.errors import UsageError
from ucbench.testing import MemoryCheckpoint, TinySurrogate, make_run, sample_images


def bilevel(count=13, checkpoint=None, epsilon=8):
    run = make_run(budget=Budget("linf", epsilon), surrogate=TinySurrogate(), checkpoint=checkpoint)
    return BiLevel(sample_images(count), run, lr=0.05)


class Watched(BiLevel):
    """Remembers which images were learned from."""

    def poisoned(self, indices):
        self.__dict__.setdefault("seen", []).append(indices.clone())
        return super().poisoned(indices)


def test_learn_visits_every_image_once_per_pass_across_calls():
    run = make_run(budget=Budget("linf", 8), surrogate=TinySurrogate())
    one = Watched(sample_images(13), run, lr=0.01)
    per_pass = one.steps_per_pass(4)
    one.learn(0, 2 * per_pass, 4)
    for half in (one.seen[:per_pass], one.seen[per_pass:]):
        assert sorted(torch.cat(half).tolist()) == list(range(13))
    assert not torch.equal(torch.cat(one.seen[:per_pass]), torch.cat(one.seen[per_pass:]))

    two = Watched(sample_images(13), run, lr=0.01)
    for first, steps in ((0, 3), (3, 1), (4, 2 * per_pass - 4)):
        two.learn(first, steps, 4)
    assert all(torch.equal(a, b) for a, b in zip(one.seen, two.seen, strict=True))


def test_learn_uses_the_current_perturbations():
    run = make_run(budget=Budget("linf", 8), surrogate=TinySurrogate())
    state, called = Watched(sample_images(13), run, lr=0.01), []
    state.seen = []
    state.learn(2, 3, 4, before=lambda number, indices: called.append((number, len(state.seen), indices)))
    assert [(number, learnt) for number, learnt, _ in called] == [(2, 0), (3, 1), (4, 2)]
    assert all(torch.equal(indices, seen) for (_, _, indices), seen in zip(called, state.seen, strict=True))


def test_batches_cover_all_images_in_order_or_shuffled():
    state = bilevel()
    stored = torch.cat(list(state.batches(5)))
    shuffled = torch.cat(list(state.batches(5, "round-0")))
    assert stored.tolist() == list(range(13))
    assert sorted(shuffled.tolist()) == list(range(13))
    assert not torch.equal(stored, shuffled)
    assert torch.equal(shuffled, torch.cat(list(state.batches(7, "round-0"))))


def test_put_projects_into_the_ball_and_the_pixel_range():
    state = bilevel(epsilon=4)
    indices = torch.tensor([0, 12, 5])  # a black one, a white one
    state.put(indices, torch.full((3, 3, 10, 14), 0.5))
    assert state.delta.abs().max() <= 4 / 255 + 1e-7
    poisoned = state.poisoned(torch.arange(13))
    assert poisoned.min() >= 0
    assert poisoned.max() <= 1
    assert not state.delta[1].any()
    assert not state.delta[12].any()  # white: nothing can be added


def test_restore_recovers_network_momenta_perturbations_and_history():
    checkpoint = MemoryCheckpoint()
    whole = bilevel(checkpoint=checkpoint)
    whole.learn(0, 3, 4)
    whole.put(torch.arange(13), torch.full((13, 3, 10, 14), 0.01))
    whole.history += [{"error": 0.5}, {"error": 0.25, "loss": 1.0}]
    whole.save(2, {"seen": np.arange(3)})
    whole.learn(3, 4, 4)

    resumed = bilevel(checkpoint=MemoryCheckpoint(checkpoint.saved[0]))
    rounds, extra = resumed.resume()
    assert rounds == 2
    assert extra["seen"].tolist() == [0, 1, 2]
    assert resumed.history == [{"error": 0.5}, {"error": 0.25, "loss": 1.0}]
    resumed.learn(3, 4, 4)
    assert torch.equal(resumed.delta, whole.delta)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name


def test_bilevel_starts_at_zero_without_a_checkpoint():
    assert bilevel(checkpoint=MemoryCheckpoint()).resume() == (0, {})


def test_frozen_disables_gradients_and_thaw_restores_them():
    state = bilevel()
    frozen = state.frozen()
    assert not frozen.training
    assert not any(weight.requires_grad for weight in frozen.parameters())
    state.thaw()
    assert state.network.training
    assert all(weight.requires_grad for weight in state.network.parameters())


def test_thaw_leaves_weights_without_gradient_that_had_none_at_first():
    def half_trained(network):
        network[0].requires_grad_(False)
        return network

    run = make_run(budget=Budget("linf", 8), surrogate=TinySurrogate())
    state = BiLevel(sample_images(13), run, wrap=half_trained, lr=0.05)
    state.frozen()
    state.thaw()
    learning = [weight.requires_grad for weight in state.network.parameters()]
    assert learning == [False, False, *[True] * (len(learning) - 2)]


def test_dropout_draws_by_the_number_of_the_first_step_whatever_was_drawn_before():
    """So a craft that goes on after an interruption learns as one that was not interrupted."""

    def dropped(*calls, seed=0):
        masks, dropout = [], torch.nn.Dropout(0.5)
        dropout.register_forward_hook(lambda layer, given, out: masks.append(out == 0))
        run = make_run(budget=Budget("linf", 8), surrogate=TinySurrogate())
        state = BiLevel(sample_images(13), run, wrap=lambda network: torch.nn.Sequential(network, dropout), lr=0.05)
        torch.manual_seed(seed)
        for first in calls:
            state.learn(first, 1, 13)
        return masks

    first, second = dropped(0, 1)
    assert not torch.equal(first, second)
    assert torch.equal(dropped(1, seed=5)[0], second)


def test_bilevel_raises_without_a_surrogate():
    with pytest.raises(UsageError, match="no surrogate"):
        BiLevel(sample_images(), make_run(budget=Budget("linf", 8)), lr=0.1)


def test_learn_takes_the_images_that_view_makes():
    given, state = [], bilevel()

    def black(number, x, labels):
        given.append((number, x, labels))
        return torch.zeros_like(x)

    state.learn(1, 2, 5, view=black)
    assert [number for number, _, _ in given] == [1, 2]
    assert given[0][1].any()
    assert not state.network[0].weight.grad.any()  # of black images
    assert state.network[0].bias.grad.any()


def test_wrap_makes_the_network_that_is_trained_and_resumed():
    def doubled(network):
        return torch.nn.Sequential(network, torch.nn.Linear(3, 2, bias=False))

    checkpoint = MemoryCheckpoint()
    run = make_run(budget=Budget("linf", 8), surrogate=TinySurrogate(), checkpoint=checkpoint)
    state = BiLevel(sample_images(), run, wrap=doubled, lr=0.05)
    assert state.scores(torch.rand(4, 3, 10, 14)).shape == (4, 2)
    state.save(1)
    assert "weights.1.weight" in checkpoint.saved[0][1]


def test_class_means_are_those_of_the_classes_that_occur_in_any_network():
    state, other = bilevel(), TinySurrogate().module(5, sample_images())
    state.labels[state.labels == 1] = 7
    x = state.clean(torch.arange(13))
    for network, given in ((state.network, ()), (other, (other,))):
        means = [network.features(x)[state.labels == label].mean(0) for label in (0, 2, 7)]
        torch.testing.assert_close(state.class_means(5, *given), torch.stack(means))
        torch.testing.assert_close(state.scores(x, *given), network(x))


def test_cross_entropy_gradient_equals_finite_differences():
    torch.manual_seed(0)
    state = bilevel()
    state.network.double()
    network = state.frozen()
    x, labels = torch.rand(4, 3, 10, 14, dtype=torch.float64), torch.tensor([1, 0, 2, 1])
    assert state.cross_entropy(x, labels).item() == pytest.approx(F.cross_entropy(network(x), labels).item() * 4)
    (gradient,) = torch.autograd.grad(state.cross_entropy(x.requires_grad_(), labels), x)
    for _ in range(5):
        direction = torch.randn_like(x)
        with torch.no_grad():
            ends = [state.cross_entropy(x + side * 1e-6 * direction, labels) for side in (1, -1)]
        assert float((gradient * direction).sum()) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, rel=1e-5)


def test_attacked_images_raise_the_loss_within_their_ball():
    state, generator = bilevel(), torch.Generator().manual_seed(0)
    x, labels = state.clean(torch.arange(6)), state.labels[:6]
    state.frozen()
    random, attacked = (
        state.attacked(x, labels, radius=0.1, step=0.05, steps=steps, generator=generator) for steps in (0, 8)
    )
    for images in (random, attacked):
        assert (images - x).abs().max() <= 0.1 + 1e-6
        assert images.min() >= 0
        assert images.max() <= 1
    assert (random - x).abs().max() > 0.09
    assert state.cross_entropy(attacked, labels) > state.cross_entropy(random, labels) > 0
