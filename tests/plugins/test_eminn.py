"""Error-minimising and error-maximising noise against plain loops, and the rules of stopping and going on."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from resuming import check_resumes
from small_crafts import check_modes, check_streams, craft_run
from torch import nn

from ucbench.crafting.bilevel import BiLevel
from ucbench.crafting.poisoner import CraftRun
from ucbench.data.budget import Budget
from ucbench.errors import UsageError
from ucbench.plugins.registry import installed
from ucbench.testing import MemoryCheckpoint, TinySurrogate, sample_images
from ucbench.testing.samples import NUMERICS
from ucbench.training.engine import DivergedError, Engine
from ucbench.training.optim import Stepper
from ucbench_eminn.alternation import Alternation
from ucbench_eminn.maximising import ErrorMaximising
from ucbench_eminn.minimising import ErrorMinimising, ErrorMinimisingClasses, class_means
from ucbench_eminn.params import EMaxNParams, EMinNClassParams, EMinNParams
from ucbench_eminn.state import prepared

RADIUS = 8 / 255
SMALL = {"network_steps": 3, "min_sweeps": 1, "max_sweeps": 3, "stop_error": None, "batch": 5, "lr": 0.02}
BATCHES = {**SMALL, "turns": "batches", "random_start": True}
POISONERS = {
    "images": lambda **more: ErrorMinimising(EMinNParams(**{**SMALL, **more})),
    "random start": lambda **more: ErrorMinimising(EMinNParams(**{**SMALL, "random_start": True, **more})),
    "batches": lambda **more: ErrorMinimising(EMinNParams(**{**BATCHES, **more})),
    "classes": lambda **more: ErrorMinimisingClasses(EMinNClassParams(**{**SMALL, **more})),
    "maximising": lambda **more: ErrorMaximising(EMaxNParams(**{"epochs": 3, "batch": 5, "steps": 4, **more})),
}


pytestmark = pytest.mark.usefixtures("exact_arithmetic")


def crafted(poisoner, train=None, run=None):
    """The perturbation of every image ``[N, 3, H, W]``, and the run."""
    run = run or craft_run()
    made = poisoner.craft(train or sample_images(), run)
    delta = torch.from_numpy(made.delta)
    return (delta if made.index is None else delta[torch.tensor(made.index)]), run


def tensors(train):
    return torch.from_numpy(train.images.copy()).float() / 255, torch.from_numpy(train.known_labels.copy())


def moved(network, x, delta, labels, steps, step, direction=-1):
    """Signed steps as the paper writes them, one image at a time."""
    results = []
    for image, start, label in zip(x, delta, labels, strict=True):
        own = ((image + start).clamp(0, 1) - image).clone()
        for _ in range(steps):
            perturbed = (image + own)[None].requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(network(perturbed), label[None]), perturbed)
            own = (own + direction * step * gradient[0].sign()).clamp(-RADIUS, RADIUS)
            own = (image + own).clamp(0, 1) - image
        results.append(own)
    return torch.stack(results)


def agreement(a, b):
    """Share of equal values: a gradient of nearly nothing may have either sign."""
    return float(torch.isclose(a, b, atol=1e-6).float().mean())


class TestAgainstPlainLoops:
    def test_eminn_equals_a_plain_loop_over_images(self):
        train, run = sample_images(), craft_run()
        x, labels = tensors(train)
        network = TinySurrogate().module(run.seed("network"), train)
        sgd = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
        delta = torch.zeros_like(x)
        for _ in range(2):
            for _ in range(3):
                sgd.zero_grad()
                F.cross_entropy(network((x + delta).clamp(0, 1)), labels).backward()
                nn.utils.clip_grad_norm_(network.parameters(), 0.5)
                sgd.step()
            delta = moved(network, x, delta, labels, 4, 0.2 * RADIUS)
        params = EMinNParams(
            network_steps=3, steps=4, batch=13, lr=0.05, clip_norm=0.5, min_sweeps=2, max_sweeps=2, stop_error=None
        )
        found, run = crafted(ErrorMinimising(params), train, run)
        assert agreement(found, delta) > 0.995
        with torch.no_grad():
            scores = network((x + delta).clamp(0, 1))
        assert run.notes["losses"][-1] == pytest.approx(float(F.cross_entropy(scores, labels)), rel=1e-3)
        assert run.notes["errors"][-1] == pytest.approx(float((scores.argmax(1) != labels).float().mean()))

    def test_eminn_class_equals_a_plain_loop_over_classes(self):
        """Batch by batch, class by class: descend from the class's perturbation, then take the mean."""
        train, run = sample_images(), craft_run()
        x, labels = tensors(train)
        network = TinySurrogate().module(run.seed("network"), train).eval()
        patterns = torch.zeros(3, *x.shape[1:])
        for batch in BiLevel(train, run, lr=0.1).batches(5, "sweep-0"):
            for label in range(3):
                own = batch[labels[batch] == label]
                if len(own):
                    start = patterns[label].expand(len(own), -1, -1, -1)
                    patterns[label] = moved(network, x[own], start, labels[own], 2, 0.3 * RADIUS).mean(0)
        params = EMinNClassParams(
            network_steps=1, steps=2, step=0.3, batch=5, lr=1e-12, min_sweeps=1, max_sweeps=1, stop_error=None
        )
        made = ErrorMinimisingClasses(params).craft(train, run)
        assert agreement(torch.from_numpy(made.delta), patterns) > 0.995
        assert made.index.tolist() == labels.tolist()
        assert made.delta.shape == (3, 3, 10, 14)

    def test_emaxn_equals_plain_ascent_on_the_cleanly_trained_network(self):
        train, checkpoint = sample_images(), MemoryCheckpoint()
        x, labels = tensors(train)
        found, run = crafted(POISONERS["maximising"](), train, craft_run(checkpoint))
        assert not any(arrays["delta"].any() for _, arrays in checkpoint.saved)
        trained = BiLevel(train, craft_run(MemoryCheckpoint(checkpoint.saved[-1])), lr=0.1)
        trained.resume()
        expected = moved(trained.frozen(), x, torch.zeros_like(x), labels, 4, 0.1 * RADIUS, direction=1)
        assert agreement(found, expected) > 0.995
        assert run.notes["losses"]["perturbed"] > run.notes["losses"]["clean"]
        assert len(run.notes["train_losses"]) == 3

    def test_class_means_equal_means_of_each_class(self):
        values, labels = torch.randn(7, 3, 2, 2), torch.tensor([0, 3, 3, 0, 1, 3, 0])
        means, present = class_means(values, labels, 5)
        assert present.tolist() == [True, True, False, True, False]
        for label in (0, 1, 3):
            torch.testing.assert_close(means[label], values[labels == label].mean(0))
        assert not means[[2, 4]].any()


class TestNoise:
    @pytest.mark.parametrize("kind", ["images", "classes"])
    def test_noise_lowers_the_loss_of_its_network(self, kind):
        train, checkpoint = sample_images(), MemoryCheckpoint()
        poisoner = POISONERS[kind](max_sweeps=6, network_steps=10, lr=0.1)
        crafted(poisoner, train, craft_run(checkpoint))
        run = craft_run(MemoryCheckpoint(checkpoint.saved[-1]))
        state = prepared(train, run, poisoner.params)
        state.resume()
        poisoned = state.measured(5)["loss"]
        state.delta.zero_()
        clean = state.measured(5)["loss"]
        everyone = torch.arange(len(train))
        state.put(everyone, RADIUS * torch.randn(state.delta.shape, generator=torch.Generator().manual_seed(0)).sign())
        random = state.measured(5)["loss"]
        assert clean - poisoned > 0.01
        assert clean - poisoned > 3 * abs(clean - random)

    @pytest.mark.parametrize("kind", ["images", "classes"])
    def test_noise_has_both_signs_and_the_legacy_flag_keeps_the_positive_half(self, kind):
        signed, run = crafted(POISONERS[kind]())
        assert (signed < -0.1 * RADIUS).any()
        assert (signed > 0.1 * RADIUS).any()
        assert run.notes["negative"] > 0.1
        legacy, _ = crafted(POISONERS[kind](legacy_positive_only=True))
        assert torch.equal(legacy, signed.clamp(min=0))

    @pytest.mark.parametrize("kind", POISONERS)
    def test_noise_perturbs_every_image_within_the_budget(self, kind):
        delta, _ = crafted(POISONERS[kind]())
        x, _ = tensors(sample_images())
        assert delta.flatten(1).any(1).all()
        assert delta.abs().max() <= RADIUS + 1e-7
        if kind != "classes":
            assert (x + delta).min() >= 0
            assert (x + delta).max() <= 1

    @pytest.mark.parametrize("kind", POISONERS)
    def test_network_is_in_train_mode_only_where_it_learns(self, kind):
        check_modes(lambda run: crafted(POISONERS[kind](), run=run))

    @pytest.mark.parametrize("kind", ["random start", "batches", "classes"])
    def test_every_turn_draws_from_streams_of_its_own(self, kind):
        check_streams(lambda run: crafted(POISONERS[kind](), run=run))

    def test_random_start_discards_the_noise_of_the_last_sweep(self):
        warm, _ = crafted(POISONERS["images"](step=0.01))
        random, _ = crafted(POISONERS["random start"](step=0.01))
        assert warm.abs().max() <= 3 * 5 * 0.01 * RADIUS + 1e-7
        assert random.abs().mean() > 0.4 * RADIUS

    def test_turns_batches_perturbs_each_batch_before_training_on_it(self, monkeypatch):
        seen, step = [], Stepper.step

        def capture_features(self, x, targets, lr=None):
            seen.append((x.clone(), targets, self.network.training))
            assert all(weight.requires_grad for weight in self.network.parameters())
            return step(self, x, targets, lr)

        monkeypatch.setattr(Stepper, "step", capture_features)
        _, run = crafted(POISONERS["batches"]())
        x, _ = tensors(sample_images())
        assert len(seen) == 9
        for batch, _, _ in seen:  # the very first pass sees no clean image
            assert (batch[:, None] - x).abs().flatten(2).amax(2).min() > 0.1 * RADIUS
        assert len(run.notes["errors"]) == 1
        assert len(run.notes["train_losses"]) == 3


class TestStopping:
    @pytest.fixture
    def errors(self, monkeypatch):
        """Errors to be measured, one per sweep."""
        given = []
        monkeypatch.setattr(BiLevel, "measured", lambda *_: {"loss": 1.0, "error": given.pop(0)})
        return given

    @pytest.mark.parametrize("kind", ["images", "classes"])
    @pytest.mark.parametrize(("at_least", "expected"), [(1, 2), (2, 2), (3, 5)])
    def test_sweeps_stop_at_the_first_low_error_from_min_sweeps_on(self, errors, kind, at_least, expected):
        errors += [0.5, 0.25, 0.75, 0.26, 0.2, 0.0]
        _, run = crafted(POISONERS[kind](stop_error=0.25, min_sweeps=at_least, max_sweeps=6))
        assert run.notes["sweeps"] == expected
        assert run.notes["errors"] == [0.5, 0.25, 0.75, 0.26, 0.2, 0.0][:expected]
        assert run.notes["reached"] is True
        assert not run.warnings

    def test_sweeps_warn_if_max_sweeps_end_them(self, errors):
        errors += [0.5, 0.0, 0.4, 0.3]
        _, run = crafted(POISONERS["images"](stop_error=0.1, min_sweeps=3, max_sweeps=4))
        assert run.notes["sweeps"] == 4
        assert run.notes["reached"] is False
        (warning,) = run.warnings
        assert "0.3 after 4 sweeps" in warning
        assert "stop_error=0.1" in warning

    def test_sweeps_do_not_warn_of_a_low_error_at_the_last_sweep(self, errors):
        errors += [0.5, 0.1]
        _, run = crafted(POISONERS["images"](stop_error=0.1, max_sweeps=2))
        assert run.notes["reached"] is True
        assert not run.warnings

    def test_sweeps_without_stop_error_run_to_the_end_without_warning(self, errors):
        errors += [0.0, 0.0, 0.0]
        _, run = crafted(POISONERS["images"]())
        assert run.notes["sweeps"] == 3
        assert not run.warnings

    def test_resumed_craft_that_had_stopped_does_not_continue(self, errors):
        errors += [0.5, 0.0]
        checkpoint = MemoryCheckpoint()
        delta, _ = crafted(POISONERS["images"](stop_error=0.1), run=craft_run(checkpoint))
        again, run = crafted(POISONERS["images"](stop_error=0.1), run=craft_run(MemoryCheckpoint(checkpoint.saved[-1])))
        assert torch.equal(again, delta)
        assert run.notes["errors"] == [0.5, 0.0]

    def test_non_finite_loss_raises_diverged_error(self):
        with pytest.raises(DivergedError, match="diverged in sweep"):
            crafted(POISONERS["images"](lr=1e30, clip_norm=None))
        with pytest.raises(DivergedError, match="diverged in epoch"):
            crafted(POISONERS["maximising"](lr=1e30, clip_norm=None))


class TestGoingOn:
    @pytest.mark.parametrize("kind", POISONERS)
    def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one(self, kind):
        check_resumes(lambda checkpoint: crafted(POISONERS[kind](), run=craft_run(checkpoint)), steps=3)

    @pytest.mark.parametrize("kind", ["images", "classes"])
    def test_craft_resumes_exactly_with_the_default_surrogate(self, kind):
        def run(checkpoint):
            return craft_run(checkpoint, surrogate=installed().resolve("surrogate", "resnet18:width=16").build())

        train, checkpoint = sample_images(9, (8, 8)), MemoryCheckpoint()
        whole, _ = crafted(POISONERS[kind](max_sweeps=2), train, run(checkpoint))
        resumed, _ = crafted(POISONERS[kind](max_sweeps=2), train, run(MemoryCheckpoint(checkpoint.saved[0])))
        assert torch.equal(resumed, whole)

    @pytest.mark.parametrize("kind", POISONERS)
    @pytest.mark.parametrize("early", [False, True])
    def test_progress_ends_full_after_early_stop_or_resume(self, kind, early):
        class Bar:
            total = done = 0

            def bar(self, text, total):
                self.total += total
                return self.advance

            def advance(self, steps):
                self.done += steps

            def say(self, text):
                pass

        more = {"stop_error": 1.0} if early and kind in ("images", "random start", "classes") else {}
        bar, checkpoint = Bar(), MemoryCheckpoint()
        run = CraftRun(
            Engine(NUMERICS),
            0,
            bar,
            budget=Budget("linf", 8),
            surrogate=TinySurrogate(),
            checkpoint=checkpoint,
        )
        POISONERS[kind](**more).craft(sample_images(), run)
        assert bar.done == bar.total > 0
        if early:
            saved, bar.total, bar.done = MemoryCheckpoint(checkpoint.saved[0]), 0, 0
            run.checkpoint = saved
            POISONERS[kind](**more).craft(sample_images(), run)
            assert bar.done == bar.total > 0


class TestFewImages:
    @pytest.mark.parametrize("kind", POISONERS)
    def test_craft_accepts_two_images(self, kind):
        two, _ = crafted(POISONERS[kind](), sample_images(2))
        assert two.shape == (2, 3, 10, 14)

    @pytest.mark.parametrize("kind", POISONERS)
    def test_craft_refuses_a_single_image(self, kind):
        with pytest.raises(UsageError, match="needs 2 images"):
            crafted(POISONERS[kind](), sample_images(1))

    @pytest.mark.parametrize("kind", POISONERS)
    def test_craft_refuses_a_single_class(self, kind):
        with pytest.raises(UsageError, match="only one class"):
            crafted(POISONERS[kind](), sample_images(5, classes=1))

    def test_craft_gives_no_noise_to_a_class_without_images(self):
        train = sample_images()
        made = POISONERS["classes"]().craft(train.subset((train.known_labels != 1).nonzero()[0]), craft_run())
        assert not made.delta[1].any()
        assert made.delta[[0, 2]].any(axis=(1, 2, 3)).all()


class TestParams:
    def test_presets_equal_published_settings(self):
        released = EMinNParams.resolve("eminn", "released")
        assert (released.batch, released.network_steps, released.steps, released.stop_error) == (512, 10, 20, 0.01)
        assert 8 * released.step == pytest.approx(0.8)
        assert (released.lr, released.momentum, released.weight_decay, released.clip_norm) == (0.1, 0.9, 5e-4, 5)
        assert EMinNParams.resolve("eminn", "paper") == released
        apbench = EMinNParams.resolve("eminn", "apbench")
        assert (apbench.batch, apbench.steps, 8 * apbench.step) == (128, 5, pytest.approx(1.6))
        rem = EMinNParams.resolve("eminn", "rem")
        assert rem.network_steps * rem.max_sweeps == 5000
        assert (rem.steps, 8 * rem.step, rem.random_start) == (10, pytest.approx(1.6), True)
        classes = EMinNClassParams.resolve("eminn-class", "released")
        assert (classes.steps, 8 * classes.step, classes.network_steps) == (1, pytest.approx(0.8), 10)
        maximising = EMaxNParams.resolve("emaxn", "released")
        assert (maximising.epochs, maximising.batch, maximising.steps) == (60, 512, 20)

    @pytest.mark.parametrize("wrong", [{"min_sweeps": 30}, {"turns": "batches"}])
    def test_params_refuse_contradicting_options(self, wrong):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            EMinNParams.resolve("eminn", options=wrong)

    def test_learning_rate_drops_to_a_tenth_at_the_given_interval(self):
        turns = Alternation(sample_images(), craft_run(), EMinNParams(lr=0.1, lr_drop_every=4))
        assert [turns.rate(step) for step in (0, 3, 4, 8)] == pytest.approx([0.1, 0.1, 0.01, 0.001])

    @pytest.mark.parametrize("schedule", ["cosine", "constant"])
    def test_emaxn_learning_rate_follows_the_schedule(self, monkeypatch, schedule):
        rates, step = [], Stepper.step
        monkeypatch.setattr(
            Stepper, "step", lambda self, x, targets, lr=None: rates.append(lr) or step(self, x, targets, lr)
        )
        crafted(POISONERS["maximising"](schedule=schedule))
        assert len(rates) == 9
        assert rates[0] == 0.1
        if schedule == "constant":
            assert set(rates) == {0.1}
        else:
            assert rates == sorted(rates, reverse=True)
            assert 0 < rates[-1] < 0.01

    def test_aliases_find_the_poisoners(self):
        names = {"em": "eminn", "em-class": "eminn-class", "emax": "emaxn"}
        for short, name in names.items():
            assert installed().find("poisoner", short).name == name

    def test_eminn_class_assign_returns_labels(self):
        images = sample_images(7)
        assigned = POISONERS["classes"]().assign(images.with_labels(None), images.known_labels, {}, craft_run())
        assert assigned.tolist() == images.known_labels.tolist()
