"""Adversarial and hypocritical poisons: views, targets, steps, restarts and interruptions."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ucbench.crafting.poisoner import Perturbation
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.plugins.registry import installed
from ucbench.testing import MemoryCheckpoint, TinySurrogate, make_run, sample_images
from ucbench.training.context import Run
from ucbench_advpoison import crafter
from ucbench_advpoison.crafter import REACH, random_view
from ucbench_advpoison.params import AdvPoisonParams, HypoParams
from ucbench_advpoison.poisoner import AdvPoison, Hypo, derangement

RADIUS = 8 / 255
FILL = torch.tensor([0.2, 0.5, 0.7], dtype=torch.float64)


class ByColour(TinySurrogate):
    """Knows three classes of :func:`sample_images` by their mean colours."""

    def __init__(self, columns: int = 3) -> None:
        super().__init__()
        pixels = sample_images(60, seed=9)
        means = pixels.images.mean((2, 3)) / 255
        self.centres = torch.tensor(np.stack([np.median(means[pixels.labels == k], 0) for k in range(3)])).float()
        self.columns = columns

    def logits(self, x: Tensor) -> Tensor:
        scores = -30 * (x.mean((2, 3))[:, None] - self.centres).square().sum(2)
        return F.pad(scores, (0, max(0, self.columns - 3)), value=-50.0)[:, : self.columns]


def coloured(count: int = 24) -> ImageSet:
    """Images of three classes that :class:`ByColour` all knows: without the black and the white one."""
    whole = sample_images(count + 2)
    return whole.subset(np.arange(1, count + 1))


def craft_run(surrogate: TinySurrogate | None = None, epsilon: float = 8, seed: int = 0, checkpoint=None) -> Run:
    return make_run(seed, budget=Budget("linf", epsilon), surrogate=surrogate or TinySurrogate(), checkpoint=checkpoint)


def adv(train: ImageSet, run: Run, **options) -> Perturbation:
    return AdvPoison(AdvPoisonParams(**{"steps": 3, **options})).craft(train, run)


def hypo(train: ImageSet, run: Run, **options) -> Perturbation:
    return Hypo(HypoParams(**{"steps": 3, **options})).craft(train, run)


def pixels(train: ImageSet) -> Tensor:
    return torch.from_numpy(train.images.copy()).float() / 255


class TestViews:
    def test_random_view_gradients_equal_finite_differences(self):
        x = torch.rand(3, 3, 5, 4, dtype=torch.float64, requires_grad=True)
        draws = torch.rand(3, 3, dtype=torch.float64)
        view = functools.partial(random_view, draws=draws, fill=FILL, mirror=True)
        assert torch.autograd.gradcheck(view, (x,))

    def test_random_view_shifts_by_at_most_an_eighth_of_a_side(self):
        x = torch.rand(2, 3, 16, 32, dtype=torch.float64)
        assert REACH == 1 / 8
        out = random_view(x, torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.5, 0.9]]), FILL, mirror=True)
        assert torch.allclose(out[0, :, 2:, :-4], x[0, :, :-2, 4:])
        assert torch.allclose(out[0, :, :2], FILL[:, None, None].expand(3, 2, 32))
        assert torch.allclose(out[1], x[1].flip(2))

    def test_random_view_mirrors_only_if_the_image_set_allows_flips(self, monkeypatch):
        x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
        assert torch.allclose(random_view(x, torch.tensor([[0.5, 0.5, 0.9]]), FILL, mirror=False), x)
        mirrored = []

        def spy(x, draws, fill, *, mirror):
            mirrored.append(mirror)
            return random_view(x, draws, fill, mirror=mirror)

        monkeypatch.setattr(crafter, "random_view", spy)
        for flip in (True, False):
            adv(dataclasses.replace(sample_images(), flip=flip), craft_run(), steps=1)
        assert mirrored == [True, False]


class TestTargets:
    @given(st.integers(2, 30), st.sampled_from(["shift", "random"]), st.integers(-40, 40), st.integers(0, 99))
    @settings(max_examples=80)
    def test_derangement_is_a_permutation_without_a_fixed_point(self, classes, kind, offset, seed):
        if kind == "shift" and offset % classes == 0:
            with pytest.raises(UsageError, match=rf"offset={offset} .* not be a multiple"):
                derangement(kind, classes, offset, make_run(seed))
            return
        targets = derangement(kind, classes, offset, make_run(seed))
        assert targets.dtype == np.int64
        assert sorted(targets.tolist()) == list(range(classes))
        assert (targets != np.arange(classes)).all()

    def test_adv_poison_targets_the_next_class_by_default(self):
        made = adv(coloured(), craft_run())
        assert made.state["targets"].tolist() == [1, 2, 0]
        assert adv(coloured(), craft_run(), offset=-1).state["targets"].tolist() == [2, 0, 1]

    def test_derangement_random_follows_the_seed(self):
        drawn = {tuple(derangement("random", 4, 1, make_run(seed)).tolist()) for seed in range(80)}
        assert len(drawn) == 9  # all derangements of four

    def test_adv_poison_leaves_images_and_labels_unchanged(self):
        train = coloured()
        images, labels = train.images.copy(), train.known_labels.copy()
        made = adv(train, craft_run())
        assert np.array_equal(train.images, images)
        assert np.array_equal(train.known_labels, labels)
        assert made.index is None
        assert made.delta.shape == train.images.shape
        assert made.delta.dtype == np.float32

    @pytest.mark.parametrize("options", [{}, {"goal": "untargeted"}, {"permutation": "random"}])
    def test_adv_poison_and_hypo_refuse_a_single_class(self, options):
        train = sample_images(5, classes=1)
        with pytest.raises(UsageError, match="only one class"):
            adv(train, craft_run(), **options)
        with pytest.raises(UsageError, match="only one class"):
            hypo(train, craft_run())


class TestSteps:
    @pytest.mark.parametrize("goal", ["targeted", "untargeted", "hypo"])
    def test_single_step_equals_the_plain_formula(self, goal):
        """From zero and from noise, against the formula on the mean loss of the batch."""
        train, run, surrogate = sample_images(), craft_run(seed=3), TinySurrogate()
        x, y = pixels(train), torch.from_numpy(train.known_labels.copy())
        options = {"steps": 1, "step": 0.3, "augment": False, "start": "zero"}
        made = hypo(train, run, **options) if goal == "hypo" else adv(train, run, goal=goal, **options)
        perturbed = x.clone().requires_grad_()
        wanted = (y + 1) % 3 if goal == "targeted" else y
        loss = F.cross_entropy(surrogate.logits(perturbed), wanted)
        (-loss if goal == "untargeted" else loss).backward()
        delta = -0.3 * RADIUS * perturbed.grad.sign()
        expected = (x + delta).clamp(0, 1) - x
        assert np.abs(made.delta - expected.numpy()).max() < 1e-7

    def test_adv_poison_draws_start_and_view_per_image(self):
        train, run, surrogate = sample_images(), craft_run(seed=3), TinySurrogate()
        x, y = pixels(train), torch.from_numpy(train.known_labels.copy())
        made = adv(train, run, steps=1, step=0.3, batch=4)
        noise, views = [], []
        for i in range(len(train)):
            generator = run.generator(f"restart-0-image-{i}")
            noise.append(torch.randn((3, *train.size), generator=generator))
            views.append(torch.rand((1, 3), generator=generator)[0])
        start = (RADIUS * torch.stack(noise)).clamp(-RADIUS, RADIUS)
        perturbed = (x + start).clamp(0, 1).requires_grad_()
        seen = random_view(perturbed, torch.stack(views), x.mean((0, 2, 3)), mirror=True)
        F.cross_entropy(surrogate.logits(seen), (y + 1) % 3).backward()
        delta = (perturbed.detach() - x - 0.3 * RADIUS * perturbed.grad.sign()).clamp(-RADIUS, RADIUS)
        expected = (x + delta).clamp(0, 1) - x
        assert np.abs(made.delta - expected.numpy()).max() < 1e-6

    def test_step_length_is_proportional_to_epsilon(self):
        train = coloured()
        grey = dataclasses.replace(train, images=np.full_like(train.images, 128))
        small, large = (hypo(grey, craft_run(epsilon=epsilon), steps=1).delta for epsilon in (4, 8))
        assert np.abs(small).max() == pytest.approx(0.1 * 4 / 255, rel=1e-4)
        np.testing.assert_allclose(2 * small, large, atol=1e-6)
        # Twice the steps that reach the bound.
        assert np.abs(adv(grey, craft_run(epsilon=4), steps=20).delta).max() == pytest.approx(4 / 255, abs=1e-6)

    def test_adv_poison_keeps_pixel_range_and_budget(self):
        made = adv(sample_images(), craft_run(), steps=15)
        perturbed = pixels(sample_images()).numpy() + made.delta
        assert perturbed.min() >= -1e-6
        assert perturbed.max() <= 1 + 1e-6
        assert np.abs(made.delta).max() <= RADIUS + 1e-6

    def test_adv_poison_is_independent_of_the_batch_size(self):
        """Up to rounding in the surrogate, which may turn the sign of a gradient close to zero."""
        whole, parts = (adv(sample_images(), craft_run(), steps=6, batch=batch).delta for batch in (500, 3))
        assert (np.abs(whole - parts) > 1e-6).mean() < 0.01
        assert (np.abs(whole - adv(sample_images(), craft_run(seed=1), steps=6).delta) > 1e-6).mean() > 0.5


@pytest.fixture(scope="module")
def crafted():
    """Score of the target, of the own class, and notes, before and after; by the aim."""
    train = coloured()
    x, y = pixels(train), torch.from_numpy(train.known_labels.copy())
    results = {}
    for name, craft, options in (
        ("targeted", adv, {}),
        ("untargeted", adv, {"goal": "untargeted"}),
        ("hypo", hypo, {}),
    ):
        run = craft_run(ByColour(), epsilon=32)
        delta = torch.from_numpy(craft(train, run, **{"steps": 20, **options}).delta)
        before, after = (ByColour().logits(z).log_softmax(1) for z in (x, x + delta))
        results[name] = before, after, y, run
    return results


class TestAims:
    def test_adv_poison_targeted_raises_the_target_score(self, crafted):
        before, after, y, run = crafted["targeted"]
        target = ((y + 1) % 3)[:, None]
        assert (after.gather(1, target) > before.gather(1, target)).all()
        assert run.notes["success_before"] == 0
        assert run.notes["success_after"] == pytest.approx((after.argmax(1) == target[:, 0]).float().mean().item())
        assert run.notes["loss_before"] == pytest.approx(-before.gather(1, target).mean().item(), rel=1e-4)
        assert run.notes["loss_of_restarts"] == [pytest.approx(-after.gather(1, target).mean().item(), rel=1e-4)]

    def test_adv_poison_untargeted_lowers_the_true_class_score(self, crafted):
        before, after, y, run = crafted["untargeted"]
        assert (after.gather(1, y[:, None]) < before.gather(1, y[:, None])).all()
        assert run.notes["success_after"] == pytest.approx(1 - run.notes["surrogate_accuracy_after"])
        assert run.notes["surrogate_accuracy_after"] == pytest.approx((after.argmax(1) == y).float().mean().item())
        assert run.notes["loss_of_restarts"][0] < run.notes["loss_before"] < 0

    def test_hypo_raises_the_true_class_score(self, crafted):
        before, after, y, run = crafted["hypo"]
        assert (after.gather(1, y[:, None]) > before.gather(1, y[:, None])).all()
        assert run.notes["success_after"] == run.notes["surrogate_accuracy_after"] == 1
        assert 0 < run.notes["loss_of_restarts"][0] < run.notes["loss_before"]

    def test_surrogate_that_knows_the_classes_causes_no_warning_where_the_aim_is_reached(self, crafted):
        assert crafted["hypo"][3].warnings == []
        for *_, run in crafted.values():
            assert bool(run.warnings) is (run.notes["success_after"] < 0.5)


class TestSurrogates:
    @pytest.mark.parametrize("craft", [adv, hypo])
    def test_surrogate_with_fewer_scores_than_classes_is_refused(self, craft):
        with pytest.raises(UsageError, match=r"2 scores for 3 classes.*--surrogate trained"):
            craft(coloured(), craft_run(ByColour(columns=2)))

    def test_surrogate_with_more_scores_than_classes_causes_a_warning(self):
        run = craft_run(ByColour(columns=7))
        adv(coloured(), run)
        assert len(run.warnings) == 1
        assert "7 scores for 3 classes" in run.warnings[0]

    def test_perturbations_that_miss_their_aim_cause_a_warning(self):
        run = craft_run(ByColour())
        adv(coloured(), run, steps=1, step=1e-6)
        assert run.notes["success_after"] < 0.5
        (text,) = run.warnings
        assert "reach their aim on 0% of the images only" in text
        assert "100% of the clean images" in text

    def test_surrogate_fitted_on_other_labels_causes_a_warning(self):
        train, run = coloured(), craft_run(ByColour())
        adv(train.with_labels(None).with_labels((train.known_labels + 1) % 3, train.classes), run)
        assert len(run.warnings) == 1
        assert "0.0% of the clean images" in run.warnings[0]


class TestRestarts:
    @pytest.mark.parametrize("seed", range(4))
    def test_restarts_keep_the_perturbations_with_the_lowest_loss(self, seed):
        train, surrogate = sample_images(), TinySurrogate()
        run = craft_run(seed=seed)
        made = adv(train, run, restarts=3, batch=5, steps=2)
        losses = run.notes["loss_of_restarts"]
        assert len(set(losses)) == 3
        assert run.notes["kept_restart"] == int(np.argmin(losses))
        targets = torch.from_numpy((train.known_labels + 1) % 3)
        loss = F.cross_entropy(surrogate.logits(pixels(train) + torch.from_numpy(made.delta)), targets)
        assert float(loss) == pytest.approx(min(losses), rel=1e-5)

    def test_kept_restart_differs_between_seeds(self):
        kept = set()
        for seed in range(4):
            run = craft_run(seed=seed)
            adv(sample_images(), run, restarts=3, batch=5, steps=2)
            kept.add(run.notes["kept_restart"])
        assert len(kept) > 1

    def test_params_refuse_restarts_that_cannot_differ(self):
        with pytest.raises(ValueError, match="set restarts=1"):
            HypoParams(restarts=2)
        assert HypoParams(restarts=2, augment=True).restarts == 2

    @pytest.mark.parametrize(("craft", "restarts"), [(adv, 3), (hypo, 1)])
    def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one(self, craft, restarts):
        train, checkpoint = sample_images(), MemoryCheckpoint()
        whole = craft_run(seed=1, checkpoint=checkpoint)
        made = craft(train, whole, restarts=restarts, batch=5)
        assert [step for step, _ in checkpoint.saved] == list(range(1, 3 * restarts + 1))
        for saved in checkpoint.saved:
            run = craft_run(seed=1, checkpoint=MemoryCheckpoint(saved))
            resumed = craft(train, run, restarts=restarts, batch=5)
            assert np.array_equal(resumed.delta, made.delta), saved[0]
            assert run.notes == whole.notes
            assert run.warnings == whole.warnings

    def test_craft_resumes_at_the_batch_after_the_checkpoint(self, monkeypatch):
        checkpoint = MemoryCheckpoint()
        adv(sample_images(), craft_run(checkpoint=checkpoint), batch=5)
        steps = []
        pgd = crafter.pgd
        monkeypatch.setattr(crafter, "pgd", lambda *a, **o: steps.append(len(a[0])) or pgd(*a, **o))
        adv(sample_images(), craft_run(checkpoint=MemoryCheckpoint(checkpoint.saved[1])), batch=5)
        assert steps == [3]  # the last three of 13


class TestRecords:
    @pytest.mark.parametrize("name", ["adv-poison", "tap", "adversarial-poisons", "hypo", "hypocritical"])
    def test_specs_state_full_label_access_and_native_radius(self, name):
        record = installed().find("poisoner", name)
        assert (record.label_access, record.granularity, record.budget, record.native_epsilon) == (
            "full",
            "sample",
            "linf",
            8,
        )
        assert installed().resolve("surrogate", record.surrogate).spec.label_access == "full"

    def test_presets_equal_published_values(self):
        def values(reference: str) -> tuple[object, ...]:
            params = installed().resolve("poisoner", reference).params
            return params.steps, params.step, params.restarts, params.start, params.augment

        assert values("adv-poison@paper") == (250, 0.05, 8, "normal", True)
        assert values("adv-poison@rem") == (250, 0.008, 1, "normal", True)
        assert values("adv-poison:untargeted") == (60, 0.1, 1, "normal", True)
        assert values("hypo@paper") == (100, 0.1, 1, "zero", False)
        assert installed().resolve("poisoner", "tap:untargeted").params.goal == "untargeted"
