"""The losses of adversarial training against their formulas, and whole trainings under them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ucbench import Recipe, UsageError
from ucbench.plugins.registry import installed
from ucbench.testing import check_defense, make_run, sample_images
from ucbench.testing.samples import NUMERICS
from ucbench.training.defenses import DefensePipeline
from ucbench.training.determinism import seeded
from ucbench.training.engine import Engine
from ucbench_adversarial.params import AdversarialTrainingParams
from ucbench_adversarial.pgd import attack
from ucbench_adversarial.training import AdversarialTraining

CLASSES = 4

RADIUS = 8 / 255


pytestmark = pytest.mark.usefixtures("exact_arithmetic")


def network(classes=CLASSES, dtype=torch.float32):
    with seeded(0):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
            nn.Linear(72, classes),
        ).to(dtype)


def batch(count=6, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((count, 3, 10, 14), generator=generator, dtype=dtype)
    return x, torch.rand((count, CLASSES), generator=generator, dtype=dtype).mul(4).softmax(1)


def defense(preset=None, **options):
    return AdversarialTraining(AdversarialTrainingParams.resolve("adv-train", preset, options=options))


def loss_of(trained, model, x, targets, seed=0):
    return trained.loss(model, x, targets, make_run(stage="train"), torch.Generator().manual_seed(seed))


def gradients(loss, model):
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, list(model.parameters()))])


def p_log_p(scores):
    """Probabilities and their logarithms, written out."""
    shares = scores.exp() / scores.exp().sum(1, keepdim=True)
    return shares, shares.log()


@pytest.mark.parametrize("preset", AdversarialTrainingParams.preset_names())
def test_adv_train_presets_keep_the_contract(preset):
    check_defense(installed().resolve("defense", f"adv-train@{preset}"))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_loss_equals_the_cross_entropy_of_attacked_images(norm):
    """With its gradients, in float64; the model attacked in eval mode and learning in train mode."""
    model, reference = (network(dtype=torch.float64).train() for _ in range(2))
    x, targets = batch(dtype=torch.float64)
    trained = defense(norm=norm, steps=4)
    epsilon = trained.params.epsilon
    attacked = attack(
        reference.eval(), x, targets, epsilon=epsilon, step=0.25, steps=4, norm=norm,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    _, logs = p_log_p(reference.train()(attacked))
    expected = -(targets * logs).sum() / len(x)
    found = loss_of(trained, model, x, targets)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients(found, model), gradients(expected, reference), rtol=0, atol=1e-12)
    assert found > F.cross_entropy(model(x), targets)


def test_preset_fast_equals_one_fgsm_step_from_a_uniform_start():
    """Wong et al. (2020), Algorithm 3, in train mode throughout."""
    model, (x, targets) = network(dtype=torch.float64).train(), batch(dtype=torch.float64)
    drawn = torch.rand(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    delta = (RADIUS * (2 * drawn - 1)).requires_grad_()
    start = (x + delta).clamp(0, 1) - x
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(x + start), targets), start)
    delta = (start + 1.25 * RADIUS * gradient.sign()).clamp(-RADIUS, RADIUS).detach()
    expected = F.cross_entropy(model((x + delta).clamp(0, 1)), targets)
    found = loss_of(defense("fast"), model, x, targets)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


class TestTrades:
    @pytest.mark.parametrize("beta", [0.0, 1.0, 6.0])
    def test_trades_loss_equals_its_formula(self, beta):
        """By hand, with gradients through both predictions, in float64."""
        model, reference = (network(dtype=torch.float64).train() for _ in range(2))
        x, targets = batch(dtype=torch.float64)
        found = loss_of(defense("trades", beta=beta), model, x, targets)
        attacked = self.attacked(reference.eval(), x)
        reference.train()
        (clean, log_clean), (_, log_robust) = p_log_p(reference(x)), p_log_p(reference(attacked))
        expected = (-(targets * log_clean).sum() + beta * (clean * (log_clean - log_robust)).sum()) / len(x)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(gradients(found, model), gradients(expected, reference), rtol=0, atol=1e-12)

    def attacked(self, model, x):
        """Ten signed steps up the divergence itself, from the published start."""
        drawn = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
        point = (x + 0.001 * drawn).clamp(0, 1)
        clean, log_clean = p_log_p(model(x).detach())
        for _ in range(10):
            point = point.detach().requires_grad_()
            divergence = (clean * (log_clean - p_log_p(model(point))[1])).sum()
            (gradient,) = torch.autograd.grad(divergence, point)
            moved = (point + 0.226 * RADIUS * gradient.sign() - x).clamp(-RADIUS, RADIUS)
            point = (x + moved).clamp(0, 1)
        return point.detach()

    def test_trades_soft_targets_enter_only_the_first_term(self):
        """Under other targets, the loss changes by the cross-entropy of the clean images alone."""
        x, targets = batch(dtype=torch.float64)
        others = targets.roll(1, dims=1)
        first, other = (loss_of(defense("trades"), network(dtype=torch.float64), x, t) for t in (targets, others))
        scores = network(dtype=torch.float64)(x)
        expected = F.cross_entropy(scores, targets) - F.cross_entropy(scores, others)
        torch.testing.assert_close(first - other, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("preset", "passes"), [("standard", 1), ("fast", 2), ("trades", 2)])
def test_running_statistics_move_once_per_train_mode_pass(preset, passes):
    """The loss's own passes; and in train mode those of the attack."""
    model = network().train()
    loss_of(defense(preset), model, *batch())
    assert int(model[1].num_batches_tracked) == passes
    assert model.training


@pytest.mark.parametrize("preset", ["standard", "fast", "trades"])
def test_every_weight_gets_a_gradient_under_autocast(preset):
    """The attack's passes with frozen weights leave nothing that cuts the weights off from the loss."""
    model, (x, targets) = network().train(), batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(defense(preset), model, x, targets)
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(float(weight.grad.abs().max()) > 0 for weight in (model[0].weight, *model[5].parameters()))


@pytest.mark.parametrize("preset", ["standard", "fast", "trades"])
def test_loss_of_a_batch_of_one_is_finite(preset):
    x, targets = batch(1)
    assert torch.isfinite(loss_of(defense(preset), network().train(), x, targets))


class TestTraining:
    def trained(self, *preset, seed=0, extra=()):
        train, run = sample_images(24), make_run(stage="train")
        recipe = Recipe(epochs=3, batch=8, lr=0.05)
        chain = DefensePipeline([*extra, ("adv-train", defense(*preset, steps=2))])
        result = Engine(NUMERICS).fit(network(3), train, recipe, seed=seed, run=run, defenses=chain)
        return result, {name: value.numpy().copy() for name, value in result.model.state_dict().items()}

    @pytest.mark.parametrize("preset", ["standard", "fast", "trades"])
    def test_training_repeats_exactly(self, preset):
        (first, weights), (_, again) = self.trained(preset), self.trained(preset)
        assert np.isfinite(first.history[-1]["loss"])
        assert all(np.array_equal(weights[name], again[name]) for name in weights)

    def test_training_accepts_soft_targets(self):
        class Blend:
            def mix(self, x, targets, run, generator):
                return (x + x.flip(0)) / 2, (targets + targets.flip(0)) / 2

        result, _ = self.trained(extra=[("blend", Blend())])
        assert np.isfinite(result.history[-1]["loss"])

    def test_adversarially_trained_model_is_more_robust(self):
        """An image's colour says its class, and so does a fine pattern that lies within the ball."""
        generator = torch.Generator().manual_seed(0)
        labels = torch.arange(200) % 2
        sign = (2 * labels - 1).view(-1, 1, 1, 1)
        pattern = torch.randint(0, 2, (1, 3, 8, 8), generator=generator) * 2 - 1
        x = 0.5 + sign * (0.1 + 0.015 * pattern) + 0.1 * torch.randn((200, 3, 1, 1), generator=generator)
        x, targets = x.clamp(0, 1), F.one_hot(labels, 2).float()
        robust = {}
        for name in ("plain", "attacked"):
            with seeded(0):
                model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192, affine=False), nn.Linear(192, 2))
            optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
            for step in range(100):
                if name == "plain":
                    loss = F.cross_entropy(model(x), targets)
                else:
                    loss = loss_of(defense(steps=3, step=0.5), model, x, targets, seed=step)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            found = attack(model, x, targets, epsilon=8.0, step=0.25, steps=10, generator=generator)
            robust[name] = float((model.eval()(found).argmax(1) == labels).float().mean())
        assert robust["attacked"] > robust["plain"] + 0.1


class Recording:
    """An augmentation that keeps what it gets, and changes nothing."""

    def __init__(self):
        self.seen = []

    def augment(self, x, run, generator):
        self.seen.append(x.detach().clone())
        return x


class Scores(nn.Module):
    """Scores ``[B, 2]``: a fixed weight for every value of an image, and 0; keeps its inputs."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(3)))
        self.seen = []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        score = (x * self.weights).sum((1, 2, 3))
        return torch.stack([score, torch.zeros_like(score)], 1)


class TestChains:
    """Adversarial training with kornia's augmentations before it or within its attack."""

    X = 0.25 + 0.5 * torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    TARGETS = F.one_hot(torch.ones(5, dtype=torch.int64), 2).float()  # so that the attack raises the score
    #: A rotation by 90 degrees to the left, and one of a small angle drawn for every image.
    QUARTER, AFFINE = "kornia:RandomRotation90:times=1/1,p=1", "kornia:RandomAffine:degrees=10,p=1"

    def chain(self, *references, first=()):
        parts = [(reference, installed().resolve("defense", reference).build()) for reference in references]
        return DefensePipeline([*first, *parts])

    def loss(self, pipeline, model):
        run, generator = make_run(stage="train"), torch.Generator().manual_seed(0)
        return pipeline.loss(model, pipeline.augment(self.X, run, generator), self.TARGETS, run, generator)

    @pytest.mark.parametrize("norm", ["linf", "l2"])
    def test_attack_goes_through_a_known_rotation(self, norm):
        """The best perturbation of a linear score is the rotated weights, rotated back."""
        recording, model = Recording(), Scores()
        attack = f"adv-train:through=true,norm={norm},steps=50,epsilon={'8' if norm == 'linf' else '0.1'}"
        self.loss(self.chain(self.QUARTER, attack, first=[("recording", recording)]), model)
        back = model.weights.detach().rot90(-1, (1, 2))
        expected = RADIUS * back.sign() if norm == "linf" else 0.1 * back / back.norm()
        change = recording.seen[-1] - self.X
        torch.testing.assert_close(change, expected.expand_as(change), rtol=0, atol=1e-4)
        torch.testing.assert_close(model.seen[-1], recording.seen[-1].rot90(1, (2, 3)), rtol=0, atol=1e-5)

    @pytest.mark.parametrize("preset", ["standard", "fast", "trades", "l2-0.75"])
    @pytest.mark.parametrize("augmentation", [AFFINE, "jpeg@kornia:quality=50"])
    def test_perturbation_through_augmentations_stays_in_the_ball(self, preset, augmentation):
        """Whatever the augmentation gets lies around the images, at every step of the attack."""
        recording, model = Recording(), Scores()
        pipeline = self.chain(augmentation, f"adv-train@{preset}:through=true", first=[("recording", recording)])
        loss = self.loss(pipeline, model)
        (gradient,) = torch.autograd.grad(loss, model.weights)
        assert bool(gradient.any())
        assert len(recording.seen) == len(model.seen) > 1
        for x in recording.seen:
            change = x - self.X
            size = change.flatten(1).norm(dim=1) / 0.75 if preset == "l2-0.75" else change.abs().amax() / RADIUS
            assert float(size.max()) <= 1 + 1e-5
            assert 0 <= float(x.min()) <= float(x.max()) <= 1
        assert float((recording.seen[-1] - self.X).abs().max()) > 0.01

    def test_gradient_through_an_affine_map_is_the_slope(self):
        model, run = Scores().double(), make_run(stage="train")
        slopes = []

        class Probe:
            through = True

            def loss(self, augmenting, x, targets, run, generator):
                direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)

                def value(x):
                    generator.manual_seed(2)
                    return augmenting(x).sum()

                (gradient,) = torch.autograd.grad(value(at := x.clone().requires_grad_()), at)
                difference = (value(x + 1e-3 * direction) - value(x - 1e-3 * direction)) / 2e-3
                slopes.extend([difference.item(), (gradient * direction).sum().item()])
                return difference

        pipeline = self.chain(self.AFFINE, first=[("probe", Probe())])
        pipeline.loss(model, self.X.double(), self.TARGETS, run, torch.Generator())
        assert slopes[0] == pytest.approx(slopes[1], rel=1e-6)
        assert abs(slopes[0]) > 0.1

    @pytest.mark.parametrize("order", [1, -1])
    def test_without_through_the_ball_lies_around_augmented_images(self, order):
        model = Scores()
        pipeline = self.chain(*[self.QUARTER, "adv-train"][::order])
        self.loss(pipeline, model)
        change = model.seen[-1] - self.X.rot90(1, (2, 3))
        expected = RADIUS * model.weights.detach().sign()
        torch.testing.assert_close(change, expected.expand_as(change), rtol=0, atol=1e-5)

    @pytest.mark.parametrize("defense", ["jpeg@random", "bit-depth@random"])
    def test_defense_without_gradient_is_refused(self, defense):
        with pytest.raises(UsageError, match=f"No attack can go through the defense {defense}"):
            self.loss(self.chain(defense, "adv-train:through=true"), Scores())

    @pytest.mark.parametrize(("p", "share"), [("0", None), ("0.5", 50), ("1", 100)])
    def test_share_of_images_without_gradient_is_noted(self, p, share):
        pipeline = self.chain(f"kornia:RandomPosterize:bits=3/4,p={p}", "adv-train:through=true")
        run, generator = make_run(stage="train"), torch.Generator().manual_seed(0)
        for _ in range(10):
            pipeline.loss(Scores(), self.X, self.TARGETS, run, generator)
        assert run.notes.get("attack_without_gradient") == (share and pytest.approx(share, abs=7))
        assert len(run.warnings) == (share is not None)

    def test_images_whose_loss_is_flat_are_not_said_to_be_blocked(self):
        run, generator, model = make_run(stage="train"), torch.Generator().manual_seed(0), Scores()
        torch.nn.init.zeros_(model.weights)
        pipeline = self.chain(self.AFFINE, "adv-train:through=true")
        pipeline.loss(model, self.X, self.TARGETS, run, generator)
        assert not run.notes

    def test_training_through_an_augmentation_repeats_exactly(self):
        def weights():
            chain = self.chain(self.AFFINE, "adv-train@fast:through=true")
            recipe, run = Recipe(epochs=1, batch=8, lr=0.05), make_run(stage="train")
            result = Engine(NUMERICS).fit(network(3), sample_images(24), recipe, seed=0, run=run, defenses=chain)
            return [value.clone() for value in result.model.state_dict().values()]

        assert all(torch.equal(*pair) for pair in zip(weights(), weights(), strict=True))
