"""PGD against plain loops, and what it promises: the ball, the range, the start, and a model left as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ucbench import UsageError
from ucbench.training.determinism import seeded
from ucbench_adversarial.pgd import GAUSSIAN_DEVIATION, attack, gaussian, under_attack, uniform

BALLS = {"linf": (8.0, 8 / 255), "l2": (0.5, 0.5)}
CLASSES = 5


pytestmark = pytest.mark.usefixtures("exact_arithmetic")


def network(seed=0, dtype=torch.float32):
    """Two convolutions, with a batch norm whose running statistics differ from any batch's."""
    with seeded(seed):
        layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.Tanh(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(8 * 3 * 4, CLASSES),
        )
        layers[1].running_mean.uniform_(-0.2, 0.2)
        layers[1].running_var.uniform_(0.05, 0.2)
    return layers.to(dtype)


def images(count=6, seed=0, dtype=torch.float32):
    """Images ``[count, 3, 10, 14]``, the first black and the second white, with soft targets ``[count, 5]``."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand((count, 3, 10, 14), generator=generator, dtype=dtype)
    x[0] = 0
    x[1:2] = 1
    return x, torch.rand((count, CLASSES), generator=generator, dtype=dtype).pow(3).softmax(1)


def attacked(model, x, targets, norm="linf", seed=0, **more):
    options = {"epsilon": BALLS[norm][0], "step": 0.25, "steps": 10, **more}
    return attack(model, x, targets, norm=norm, generator=torch.Generator().manual_seed(seed), **options)


def losses(model, x, targets):
    with torch.no_grad():
        return F.cross_entropy(model(x), targets, reduction="none")


def lengths(change):
    return change.flatten(1).norm(dim=1)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("start", ["uniform", "gaussian"])
def test_attack_equals_a_plain_loop(norm, start):
    """One image at a time, in float64, as the papers write it."""
    model, (x, targets) = network(dtype=torch.float64).eval(), images(dtype=torch.float64)
    epsilon, radius = BALLS[norm]
    generator = torch.Generator().manual_seed(3)
    starts = uniform(x, norm, radius, generator) if start == "uniform" else gaussian(x, 0.001, generator)
    expected = []
    for image, delta, target in zip(x, starts, targets, strict=True):
        point = (image + delta).clamp(0, 1)
        for _ in range(7):
            point = point.detach().requires_grad_()
            scores = model(point[None])[0]
            loss = -(target * (scores - scores.logsumexp(0))).sum()
            (gradient,) = torch.autograd.grad(loss, point)
            direction = gradient.sign() if norm == "linf" else gradient / gradient.norm()
            moved = point.detach() + 0.3 * radius * direction - image
            if norm == "linf":
                moved = moved.clamp(-radius, radius)
            elif moved.norm() > radius:
                moved = moved * radius / moved.norm()
            point = (image + moved).clamp(0, 1)
        expected.append(point)
    found = attack(
        model, x, targets, epsilon=epsilon, step=0.3, steps=7, norm=norm, start=start,
        generator=torch.Generator().manual_seed(3),
    )  # fmt: skip
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.stack(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", BALLS)
def test_attack_class_indices_equal_one_hot_targets(norm):
    model, (x, _) = network().eval(), images()
    labels = torch.arange(len(x)) % CLASSES
    one_hot = F.one_hot(labels, CLASSES).float()
    torch.testing.assert_close(attacked(model, x, labels, norm), attacked(model, x, one_hot, norm))


@pytest.mark.parametrize("norm", BALLS)
def test_attack_raises_the_loss_of_every_image(norm):
    model, (x, targets) = network().eval(), images()
    start, end = (losses(model, attacked(model, x, targets, norm, steps=steps), targets) for steps in (0, 10))
    assert (end > start).all()
    assert (end > losses(model, x, targets)).all()


@settings(max_examples=30)
@given(
    norm=st.sampled_from(sorted(BALLS)),
    scale=st.sampled_from([0.25, 1.0, 4.0, 20.0]),
    step=st.sampled_from([0.1, 1.25, 5.0]),
    steps=st.integers(0, 4),
    start=st.sampled_from(["uniform", "gaussian"]),
    count=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_attack_keeps_radius_and_pixel_range(norm, scale, step, steps, start, count, seed):
    x, targets = images(count, seed)
    kept = x.clone()
    epsilon, radius = (scale * value for value in BALLS[norm])
    found = attacked(network(seed), x, targets, norm, seed, epsilon=epsilon, step=step, steps=steps, start=start)
    assert torch.equal(x, kept)
    assert found.shape == x.shape
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert found.min() >= 0
    assert found.max() <= 1
    change = found - x
    size = change.abs().max() if norm == "linf" else lengths(change).max()
    assert size <= radius * (1 + 1e-5) + 1e-7


class TestStarts:
    def test_linf_start_is_uniform_per_value(self):
        drawn = uniform(torch.full((400, 3, 5, 7), 0.5), "linf", 0.1, torch.Generator().manual_seed(0)).double()
        values = np.sort((drawn.flatten().numpy() / 0.1 + 1) / 2)
        distance = np.abs(values - (np.arange(len(values)) + 0.5) / len(values)).max()
        assert distance < 1.95 / np.sqrt(len(values))  # Kolmogorov and Smirnov's bound at the level 0.001

    @pytest.mark.parametrize("size", [(1, 2), (4, 5)])
    def test_l2_start_is_uniform_in_volume(self, size):
        """Of a uniform point of a ball in d dimensions, (distance / radius) ** d is uniform in [0, 1]."""
        drawn = uniform(torch.full((4000, 3, *size), 0.5), "l2", 0.3, torch.Generator().manual_seed(0)).double()
        values = np.sort(((lengths(drawn) / 0.3) ** (3 * size[0] * size[1])).numpy())
        distance = np.abs(values - (np.arange(len(values)) + 0.5) / len(values)).max()
        assert distance < 1.95 / np.sqrt(len(values))
        directions = (drawn / lengths(drawn)[:, None, None, None]).flatten(1)
        covariance = directions.T @ directions / len(directions) * directions.shape[1]
        assert (covariance - torch.eye(directions.shape[1])).abs().max() < 0.15
        assert directions.mean(0).abs().max() < 0.05

    def test_gaussian_start_has_its_deviation_at_any_radius(self):
        x = torch.full((50, 3, 10, 14), 0.5)
        for epsilon in (2.0, 16.0):
            found = attacked(
                network(), x, torch.zeros(50, dtype=torch.long), epsilon=epsilon, steps=0, start="gaussian"
            )
            assert float((found - x).std()) == pytest.approx(GAUSSIAN_DEVIATION, rel=0.02)

    @pytest.mark.parametrize("norm", BALLS)
    def test_attack_start_is_drawn_per_image(self, norm):
        x = torch.full((4, 3, 10, 14), 0.5)
        found = attacked(network(), x, torch.zeros(4, dtype=torch.long), norm, steps=0)
        assert len({image.numpy().tobytes() for image in found}) == 4

    @pytest.mark.parametrize("norm", BALLS)
    def test_attack_start_depends_only_on_the_generator(self, norm):
        model, (x, targets) = network(), images()
        with seeded(0):
            before = torch.get_rng_state()
            first = attacked(model, x, targets, norm)
            assert torch.equal(before, torch.get_rng_state())
        with seeded(1):
            assert torch.equal(first, attacked(model, x, targets, norm))
        assert not torch.equal(first, attacked(model, x, targets, norm, seed=1))


class TestModel:
    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_attack_leaves_the_model_unchanged(self, mode):
        model = network().train()
        model[3].eval()
        model[0].bias.requires_grad_(False)
        weights = copy.deepcopy(dict(model.named_parameters()))
        attacked(model, *images(), mode=mode)
        assert all(weight.grad is None for weight in model.parameters())
        assert [name for name, weight in model.named_parameters() if not weight.requires_grad] == ["0.bias"]
        assert all(torch.equal(weight, weights[name]) for name, weight in model.named_parameters())
        assert [name for name, module in model.named_modules() if not module.training] == ["3"]

    def test_attack_restores_the_model_after_an_error(self):
        model = network().train()

        def interrupted():
            with under_attack(model, "eval"):
                assert not model.training
                raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            interrupted()
        assert all(module.training for module in model.modules())
        assert all(weight.requires_grad for weight in model.parameters())

    def test_attack_keeps_gradients_of_an_earlier_loss(self):
        model, (x, targets) = network().train(), images()
        F.cross_entropy(model(x), targets).backward()
        before = [weight.grad.clone() for weight in model.parameters()]
        attacked(model, x, targets)
        assert all(torch.equal(a, weight.grad) for a, weight in zip(before, model.parameters(), strict=True))

    def test_attack_in_eval_mode_leaves_running_statistics_unchanged(self):
        model = network().train()
        before = {name: buffer.clone() for name, buffer in model.named_buffers()}
        attacked(model, *images())
        assert all(torch.equal(before[name], buffer) for name, buffer in model.named_buffers())

    def test_attack_in_train_mode_moves_running_statistics_once_per_step(self):
        model = network().train()
        attacked(model, *images(), mode="train", steps=7)
        assert int(model[1].num_batches_tracked) == 7

    def test_attack_modes_give_different_examples(self):
        model, (x, targets) = network().train(), images()
        by_running, by_batch = (attacked(model, x, targets, mode=mode) for mode in ("eval", "train"))
        assert not torch.equal(by_batch, by_running)
        assert torch.equal(by_running, attacked(network().eval(), x, targets, mode="train"))


class TestPrecision:
    @pytest.mark.parametrize("norm", BALLS)
    def test_attack_pixels_are_float32_under_autocast(self, norm):
        model, (x, targets) = network(), images()
        seen = []
        model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = attacked(model, x, targets, norm, step=0.05)
        assert {x.dtype for x in [*seen, found]} == {torch.float32}
        # Of pixels rounded to bfloat16, all would survive a second rounding.
        assert all(float((x == x.bfloat16().float()).float().mean()) < 0.5 for x in [*seen, found])
        if norm == "linf":
            steps = (seen[2] - seen[1])[2:].abs()
            assert float(torch.isclose(steps, torch.tensor(0.05 * 8 / 255), atol=1e-6).float().mean()) > 0.9

    def test_l2_step_has_full_length_at_tiny_gradients(self):
        """Squares of a confident model's gradients vanish in float32."""

        class Faint(nn.Module):
            def forward(self, x):
                total = x.sum((1, 2, 3)) * 1e-30
                return torch.stack([total, -total], 1)

        x = torch.full((2, 3, 10, 14), 0.5)
        start, end = (
            attacked(Faint(), x, torch.tensor([0, 1]), "l2", epsilon=1.0, steps=steps, start="gaussian", step=0.5)
            for steps in (0, 1)
        )
        torch.testing.assert_close(lengths(end - start), torch.full((2,), 0.5), rtol=1e-5, atol=0)
        assert (end[0] < start[0]).all()
        assert (end[1] > start[1]).all()

    @pytest.mark.parametrize("norm", BALLS)
    @pytest.mark.parametrize("blinded", [lambda x: 0 * x, lambda x: (255 * x).to(torch.uint8).float()])
    def test_attack_leaves_images_without_gradient_at_their_start(self, norm, blinded):
        class Blind(nn.Module):
            def forward(self, x):
                return blinded(x).flatten(1)[:, :2]

        x, labels = images()[0], torch.zeros(6, dtype=torch.long)
        start, end = (attacked(Blind(), x, labels, norm, steps=steps) for steps in (0, 5))
        torch.testing.assert_close(start, end, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 8 / 255), ("linf", 300.0), ("l2", 0.0)])
def test_attack_refuses_a_radius_in_wrong_units(norm, epsilon):
    with pytest.raises(UsageError, match="epsilon"):
        attacked(network(), *images(), norm, epsilon=epsilon)
