"""Unlearnable Clusters: generators, objective, and the whole craft on a small random surrogate."""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ucbench.crafting.generator import reflect
from ucbench.crafting.poisoner import Perturbation
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.plugins.registry import installed
from ucbench.store.keys import key
from ucbench.testing import TinySurrogate, make_run, sample_images
from ucbench.training.context import Run
from ucbench_uc import fitting, ucbench_poisoners
from ucbench_uc.generator import GeneratorBank
from ucbench_uc.objective import cluster_means, derangement, discrepancy
from ucbench_uc.params import UCParams
from ucbench_uc.perturbations import squash
from ucbench_uc.poisoner import UnlearnableClusters
from ucbench_uc.saved import Saved
from ucbench_uc.views import Views

RADIUS = 16 / 255
SQUASHES = ["tanh", "clamp", "straight-through"]


def bank(groups: int, height: int = 12, width: int = 12, channels: int = 4, blocks: int = 2) -> GeneratorBank:
    """A bank in float64, whose norms are not at their initial 1 and 0."""
    torch.manual_seed(0)
    made = GeneratorBank(torch.rand(groups, 3, height, width), channels, blocks).double()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.rand_like(weight))
    return made


class TestReflect:
    @given(st.integers(2, 9), st.integers(2, 9), st.data())
    @settings(max_examples=40, deadline=None)
    def test_reflect_equals_torch_reflection_padding(self, height: int, width: int, data: st.DataObject) -> None:
        pad = data.draw(st.integers(1, min(height, width) - 1))
        x = torch.rand(2, 3, height, width, dtype=torch.float64, requires_grad=True)
        ours, theirs = reflect(x, pad), nn.ReflectionPad2d(pad)(x)
        assert torch.equal(ours, theirs)
        weights = torch.rand_like(ours)
        expected = torch.autograd.grad((theirs * weights).sum(), x)[0]
        torch.testing.assert_close(torch.autograd.grad((ours * weights).sum(), x)[0], expected)


class TestGenerators:
    @given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 3))
    @settings(max_examples=25, deadline=None)
    def test_generator_bank_outputs_have_the_image_size(self, height: int, width: int, groups: int) -> None:
        with torch.no_grad():
            out = GeneratorBank(torch.rand(groups, 3, height, width), width=2, blocks=1)()
        assert out.shape == (groups, 3, height, width)
        assert torch.isfinite(out).all()
        assert (out.std((2, 3)) > 0).all()

    @pytest.mark.parametrize("size", [(12, 12), (6, 10)])
    def test_generator_bank_equals_separate_generators(self, size):
        together = bank(3, *size)
        weights = torch.rand(3, 3, *size, dtype=torch.float64)
        outputs = together()
        (outputs * weights).sum().backward()
        noise = together.noise.reshape(3, 3, *together.noise.shape[2:])[..., : size[0], : size[1]]
        for k in range(3):
            single = GeneratorBank(noise[k : k + 1], 4, 2).double()
            for own, shared in zip(single.parameters(), together.parameters(), strict=True):
                own.data.copy_(shared.data.chunk(3)[k])
            output = single()
            torch.testing.assert_close(output[0], outputs[k], rtol=1e-9, atol=1e-12)
            (output * weights[k]).sum().backward()
            for own, shared in zip(single.parameters(), together.parameters(), strict=True):
                torch.testing.assert_close(own.grad, shared.grad.chunk(3)[k], rtol=1e-7, atol=1e-10)

    def test_generator_bank_of_one_equals_the_released_network(self):
        """Batch norm in training mode on a batch of one, as the released code runs it."""

        class Residual(nn.Module):
            def __init__(self, channels: int) -> None:
                super().__init__()
                half = [
                    nn.ReflectionPad2d(1),
                    nn.Conv2d(channels, channels, 3, bias=False),
                    nn.BatchNorm2d(channels),
                ]
                again = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=False), nn.BatchNorm2d(channels)]
                self.layers = nn.Sequential(*half, nn.ReLU(), *again)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x + self.layers(x)

        def norm(channels: int) -> list[nn.Module]:
            return [nn.BatchNorm2d(channels), nn.ReLU()]

        up = {"stride": 2, "padding": 1, "output_padding": 1, "bias": False}
        reference = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(3, 4, 7, bias=False), *norm(4),
            nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False), *norm(8),
            nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False), *norm(16),
            Residual(16), Residual(16),
            nn.ConvTranspose2d(16, 8, 3, **up), *norm(8),
            nn.ConvTranspose2d(8, 4, 3, **up), *norm(4),
            nn.ReflectionPad2d(3), nn.Conv2d(4, 3, 7),
        ).double().train()  # fmt: skip
        ours = bank(1, 16, 20)
        for theirs, own in zip(reference.parameters(), ours.parameters(), strict=True):
            theirs.data.copy_(own.data)
        torch.testing.assert_close(ours(), reference(ours.noise), rtol=1e-9, atol=1e-12)


class TestSquash:
    RAW = torch.tensor([-3.0, -0.05, 0.0, 0.02, 3.0], dtype=torch.float64)

    def both(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        raw = self.RAW.clone().requires_grad_()
        value = squash(name, raw.tanh(), 0.1)
        return value.detach(), torch.autograd.grad(value.sum(), raw)[0]

    def test_squash_clamp_has_no_gradient_where_it_binds(self):
        value, gradient = self.both("clamp")
        torch.testing.assert_close(value, self.RAW.tanh().clamp(-0.1, 0.1))
        assert (gradient != 0).tolist() == [False, True, True, True, False]

    def test_squash_tanh_has_a_gradient_everywhere(self):
        value, gradient = self.both("tanh")
        torch.testing.assert_close(value, 0.1 * self.RAW.tanh())
        assert (gradient > 0).all()

    def test_squash_straight_through_clamps_with_the_unclamped_gradient(self):
        value, gradient = self.both("straight-through")
        torch.testing.assert_close(value, self.both("clamp")[0])
        torch.testing.assert_close(gradient, 1 - self.RAW.tanh() ** 2)


def log_softmax(row: np.ndarray) -> np.ndarray:
    return row - math.log(np.exp(row).sum())


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


class TestDiscrepancies:
    GENERATOR = torch.Generator().manual_seed(0)
    CENTRES = torch.randn(4, 6, generator=GENERATOR, dtype=torch.float64)
    FEATURES = torch.randn(5, 6, generator=GENERATOR, dtype=torch.float64)
    TARGETS = torch.tensor([2, 0, 3, 3, 1])

    def expected(self, name: str, temperature: float) -> list[float]:
        centres, features = self.CENTRES.numpy(), self.FEATURES.numpy()
        middle = centres.mean(0)
        pairs = list(itertools.combinations(centres, 2))
        scale = sum(float(((a - b) ** 2).sum()) for a, b in pairs) / len(pairs)
        losses = []
        for f, target in zip(features, self.TARGETS.tolist(), strict=True):
            if name == "kl":
                log_p, log_q = log_softmax(centres[target] / temperature), log_softmax(f / temperature)
                losses.append(float((np.exp(log_p) * (log_p - log_q)).sum()))
            elif name == "mse":
                losses.append(float(((f - centres[target]) ** 2).sum()) / scale)
            elif name == "cosine":
                losses.append(1 - cosine(f - middle, centres[target] - middle))
            else:
                scores = np.array([cosine(f - middle, centre - middle) / temperature for centre in centres])
                losses.append(-float(log_softmax(scores)[target]))
        return losses

    @pytest.mark.parametrize("name", ["kl", "centres", "mse", "cosine"])
    @pytest.mark.parametrize("temperature", [0.5, 1.0])
    def test_discrepancy_equals_its_formula_in_value_and_gradient(self, name, temperature):
        distance = discrepancy(name, self.CENTRES, temperature)
        found = distance(self.FEATURES, self.TARGETS)
        np.testing.assert_allclose(found.numpy(), self.expected(name, temperature), rtol=1e-10)
        features = self.FEATURES.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda f: distance(f, self.TARGETS), features)

    @pytest.mark.parametrize("name", ["kl", "centres", "mse", "cosine"])
    def test_discrepancy_is_smallest_at_the_target(self, name):
        distance = discrepancy(name, self.CENTRES, 0.5)
        here = distance(self.CENTRES, torch.arange(4))
        there = distance(self.CENTRES, torch.tensor([1, 2, 3, 0]))
        assert (here < there).all()
        assert name == "centres" or torch.allclose(here, torch.zeros(4, dtype=torch.float64), atol=1e-12)

    def test_discrepancy_refuses_unknown_names(self):
        with pytest.raises(ValueError, match="unknown distance 'l1'"):
            discrepancy("l1", self.CENTRES, 1.0)


class TestCentres:
    def test_cluster_means_are_means_of_each_clusters_features(self):
        features, assignment = torch.rand(9, 4), np.array([2, 0, 1, 1, 0, 2, 2, 2, 1])
        expected = torch.stack([features[torch.from_numpy(assignment == k)].mean(0) for k in range(3)])
        torch.testing.assert_close(cluster_means(features, assignment), expected)

    def test_uc_stored_centres_are_mean_features_of_the_images_as_stored(self):
        train = sample_images(30, (16, 16))
        made, _ = craft(params(centres="stored", steps=1), train)
        expected = cluster_means(features(train.images / 255), made.index)
        torch.testing.assert_close(torch.from_numpy(made.state["goals"]), expected, rtol=1e-4, atol=1e-6)

    def test_uc_augmented_centres_are_mean_features_under_the_crafts_crops_and_flips(self):
        """Mirrored, an image that is white on the left is white on the right."""
        train = sample_images(60, (16, 16))
        train = train.with_images(train.images // 8 + 220 * (np.arange(16) < 8).astype(np.uint8))
        made, _ = craft(params(centres="augmented", augment="images", steps=1), train)
        stored, _ = craft(params(centres="stored", augment="images", steps=1), train)
        np.testing.assert_array_equal(made.index, stored.index)
        np.testing.assert_array_equal(made.state["centres"], stored.state["centres"])
        x, generator = torch.from_numpy(train.images.copy()).float() / 255, torch.Generator().manual_seed(3)
        views = Views("images", "resize", flip=True)
        drawn = torch.stack([TinySurrogate().features(views.drawn(x, generator)) for _ in range(100)]).mean(0).detach()
        expected = cluster_means(drawn, made.index).numpy()
        error, offset = (np.linalg.norm(one.state["goals"] - expected) for one in (made, stored))
        assert error < 0.3 * offset

    def test_uc_centres_are_the_same_where_nothing_is_augmented(self):
        crafts = [craft(params(centres=name, augment="none"), sample_images(17)) for name in ("stored", "augmented")]
        np.testing.assert_array_equal(crafts[0][0].state["goals"], crafts[1][0].state["goals"])
        np.testing.assert_array_equal(crafts[0][0].delta, crafts[1][0].delta)


class TestDerangements:
    @given(st.sampled_from(["shift", "farthest"]), st.integers(2, 15), st.integers(0, 99))
    @settings(max_examples=50, deadline=None)
    def test_derangement_sends_every_cluster_to_another(self, name: str, count: int, seed: int) -> None:
        centres = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
        targets = derangement(name, centres)
        assert sorted(targets.tolist()) == list(range(count))
        assert (targets != torch.arange(count)).all()

    @given(st.integers(2, 6), st.integers(0, 99))
    @settings(max_examples=30, deadline=None)
    def test_derangement_farthest_maximizes_the_total_distance(self, count: int, seed: int) -> None:
        centres = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

        def total(targets: list[int]) -> float:
            return float((centres - centres[targets]).norm(dim=1).sum())

        derangements = (p for p in itertools.permutations(range(count)) if all(i != t for i, t in enumerate(p)))
        most = max(total(list(targets)) for targets in derangements)
        assert total(derangement("farthest", centres).tolist()) == pytest.approx(most)

    def test_derangement_farthest_handles_equal_centres(self):
        targets = derangement("farthest", torch.zeros(4, 3))
        assert sorted(targets.tolist()) == [0, 1, 2, 3]
        assert (targets != torch.arange(4)).all()

    def test_derangement_shift_equals_the_released_one(self):
        assert derangement("shift", torch.rand(4, 2)).tolist() == [1, 2, 3, 0]


def params(**options: object) -> UCParams:
    """Few steps of a small generator against the surrogate itself."""
    small = {"clusters": 3, "steps": 3, "batch": 8, "width": 4, "residual_blocks": 1}
    return UCParams(**{**small, "students": 0, "perturbation": "generator", **options})


def craft(
    options: UCParams, train: ImageSet, seed: int = 0, surrogate: TinySurrogate | None = None
) -> tuple[Perturbation, Run]:
    run = make_run(seed, budget=Budget("linf", 16), surrogate=surrogate or TinySurrogate())
    return UnlearnableClusters(options).craft(train.with_labels(None), run), run


def features(images: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return TinySurrogate().features(torch.from_numpy(images).float())


class TestCrafting:
    @pytest.mark.parametrize("together", [True, False])
    @pytest.mark.parametrize("optimised", [{"squash": name} for name in SQUASHES] + [{"perturbation": "direct"}])
    @pytest.mark.parametrize("augment", ["none", "images", "perturbed"])
    def test_uc_crafts_one_perturbation_per_cluster_within_the_budget(self, together, optimised, augment):
        train = sample_images(17, (9, 14))
        made, run = craft(params(together=together, augment=augment, batch=4, **optimised), train)
        assert (made.delta.shape, made.delta.dtype) == ((3, 3, 9, 14), np.float32)
        assert np.abs(made.delta).max() <= RADIUS + 1e-6
        assert (np.abs(made.delta).reshape(3, -1).max(1) > 0).all()
        assert np.unique(made.index).tolist() == [0, 1, 2]
        assert run.notes["cluster_sizes"] == np.bincount(made.index).tolist()
        assert set(made.state) == {"centres", "goals", "targets"}

    @pytest.mark.parametrize("fit_on", ["cluster", "all"])
    @pytest.mark.parametrize("batch", [1, 5, 64])
    def test_uc_crafts_with_any_batch_size(self, fit_on, batch):
        made, _ = craft(params(fit_on=fit_on, batch=batch), sample_images(17, (7, 8)))
        assert np.isfinite(made.delta).all()

    @pytest.mark.parametrize("perturbation", ["generator", "direct"])
    @pytest.mark.parametrize(("coarseness", "blocks"), [(1, (9, 14)), (4, (3, 4)), (5, (2, 3)), (20, (1, 1))])
    def test_uc_perturbations_are_constant_in_blocks(self, coarseness, blocks, perturbation):
        made, _ = craft(params(coarseness=coarseness, perturbation=perturbation), sample_images(17, (9, 14)))
        corners = made.delta[..., ::coarseness, ::coarseness]
        assert corners.shape[2:] == blocks
        spread = corners.repeat(coarseness, 2).repeat(coarseness, 3)[..., :9, :14]
        np.testing.assert_array_equal(made.delta, spread)

    def test_uc_depends_only_on_the_craft_seed(self):
        train = sample_images(17)
        first, _ = craft(params(), train)
        torch.manual_seed(5)
        again, _ = craft(params(), train)
        other, _ = craft(params(), train, seed=1)
        np.testing.assert_array_equal(first.delta, again.delta)
        np.testing.assert_array_equal(first.index, again.index)
        assert (first.delta != other.delta).any()

    def test_uc_is_independent_of_labels(self):
        train = sample_images(17)
        blind, _ = craft(params(), train)
        for labels in (train.known_labels, train.known_labels[::-1].copy()):
            run = make_run(budget=Budget("linf", 16), surrogate=TinySurrogate())
            labelled = UnlearnableClusters(params()).craft(train.with_labels(labels, train.classes), run)
            np.testing.assert_array_equal(labelled.delta, blind.delta)
            np.testing.assert_array_equal(labelled.index, blind.index)

    @pytest.mark.parametrize("distance", ["centres", "kl", "mse", "cosine"])
    @pytest.mark.parametrize("direct", [False, True])
    def test_uc_moves_images_towards_the_target_centre(self, distance, direct):
        train = sample_images(60, (16, 16))
        options = {"perturbation": "direct"} if direct else {"lr": 5e-3, "width": 8}
        made, run = craft(params(distance=distance, steps=60, **options), train)
        pixels = train.images.astype(np.float32) / 255
        centres, goal = torch.from_numpy(made.state["goals"]), torch.from_numpy(made.state["targets"])[made.index]
        reached = discrepancy(distance, centres, 0.1)
        before, after = (
            float(reached(features(images), goal).mean())
            for images in (pixels, np.clip(pixels + made.delta[made.index], 0, 1))
        )
        assert after < 0.8 * before
        assert run.notes["loss"]["last"] < run.notes["loss"]["first"]

    def test_uc_notes_first_and_last_loss_of_a_single_step(self):
        _, run = craft(params(steps=1), sample_images(17))
        assert run.notes["loss"]["first"] == run.notes["loss"]["last"] > 0

    def test_uc_assign_returns_clusters_of_training_images(self):
        train = sample_images(300, (8, 8))
        made, run = craft(params(clusters=7, steps=1), train)
        component = UnlearnableClusters(params(clusters=7))
        np.testing.assert_array_equal(component.assign(train, None, made.state, run), made.index)

    @pytest.mark.parametrize("fit_on", ["cluster", "all"])
    def test_uc_generator_is_fitted_on_its_cluster_or_on_all_images(self, fit_on, monkeypatch):
        pools = []
        plain = fitting.Cycle
        monkeypatch.setattr(fitting, "Cycle", lambda pool, *rest, **kw: pools.append(pool) or plain(pool, *rest, **kw))
        made, _ = craft(params(fit_on=fit_on, holdout=0), sample_images(17))
        expected = [np.flatnonzero(made.index == k) if fit_on == "cluster" else np.arange(17) for k in range(3)]
        assert [pool.tolist() for pool in pools] == [pool.tolist() for pool in expected]

    @pytest.mark.parametrize("fit_on", ["cluster", "all"])
    def test_uc_epochs_are_passes_over_the_fitted_images(self, fit_on):
        class Counting(TinySurrogate):
            steps = 0

            def features(self, x):
                self.steps += torch.is_grad_enabled()
                return super().features(x)

        surrogate = Counting()
        made, _ = craft(
            params(epochs=2, batch=4, together=False, fit_on=fit_on, holdout=0), sample_images(17), 0, surrogate
        )
        sizes = np.bincount(made.index) if fit_on == "cluster" else [17] * 3
        assert surrogate.steps == sum(2 * math.ceil(size / 4) for size in sizes)

    def test_uc_refuses_fewer_different_images_than_clusters(self):
        with pytest.raises(UsageError, match="3 clusters need at least 3 images"):
            craft(params(), sample_images(2))
        twins = sample_images(2).subset(np.arange(12) % 2)
        with pytest.warns(UserWarning, match="distinct clusters"), pytest.raises(UsageError, match="only 2 images"):
            craft(params(), twins)


class TestLoss:
    @pytest.mark.parametrize("group", [[0, 1, 2], [2], [1, 0]])
    def test_loss_weights_clusters_equally_and_uses_their_targets(self, group):
        """However many images of it are in the batch: three, then one, then two."""
        train, surrogate = sample_images(17, (8, 8)), TinySurrogate()
        run = make_run(budget=Budget("linf", 16), surrogate=surrogate)
        goals, targets = torch.randn(3, 64, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0, 1])
        distance, views = discrepancy("mse", goals, 1.0), Views("none", "resize", flip=True)
        saved = Saved(run, np.zeros(17, np.int64))
        fitter = fitting.Fitter(params(), train, [], surrogate.features, distance, targets, views, run, saved)
        delta = torch.rand((len(group), 3, 8, 8)) - 0.5
        indices = [np.array([4, 5, 6]), np.array([0]), np.array([9, 3])][: len(group)]
        expected = 0.0
        for k, shift, chosen in zip(group, delta, indices, strict=True):
            seen = surrogate.features((torch.from_numpy(train.images[chosen]) / 255 + shift).clamp(0, 1))
            goal = targets[k].expand(len(chosen))
            expected += float(distance(seen, goal).mean())
        assert float(fitter.loss(delta, indices, group, torch.Generator())) == pytest.approx(expected, rel=1e-5)


class TestBatches:
    @pytest.mark.parametrize("shuffle", [True, False])
    def test_cycle_passes_hold_every_image_once(self, shuffle):
        pool, generator = np.arange(100, 111), torch.Generator().manual_seed(0)
        batches = list(itertools.islice(fitting.Cycle(pool, 4, generator, shuffle=shuffle), 6))
        assert [len(batch) for batch in batches] == [4, 4, 3, 4, 4, 3]
        passes = [np.concatenate(batches[:3]).tolist(), np.concatenate(batches[3:]).tolist()]
        assert [sorted(order) for order in passes] == [pool.tolist()] * 2
        assert (passes[0] == pool.tolist()) is (not shuffle)
        assert (passes[0] == passes[1]) is (not shuffle)


class TestPresets:
    """methods.md, section 1.1, and its reading of paper against released code."""

    PUBLISHED: ClassVar = {
        "clusters": 10,
        "epochs": 50,
        "batch": 256,
        "lr": 1e-4,
        "final_lr": 1e-6,
        "weight_decay": 5e-4,
        "squash": "clamp",
        "coarseness": 1,
        "distance": "kl",
        "temperature": 1.0,
        "derangement": "shift",
        "augment": "images",
        "crop": "resize",
        "centres": "stored",
        "space": "raw",
        "perturbation": "generator",
        "holdout": 0.0,
        "width": 64,
        "residual_blocks": 6,
        "together": False,
    }

    @pytest.mark.parametrize("preset", ["paper", "released"])
    def test_presets_equal_published_values(self, preset):
        resolved = installed().resolve("poisoner", f"uc@{preset}").params.model_dump()
        assert {name: resolved[name] for name in self.PUBLISHED} == self.PUBLISHED

    def test_preset_released_fits_on_all_images_in_order(self):
        paper, released = (installed().resolve("poisoner", f"uc@{name}").params for name in ("paper", "released"))
        assert (paper.fit_on, released.fit_on) == ("cluster", "all")
        assert (paper.shuffle, released.shuffle) == (True, False)

    def test_preset_quick_is_shorter_than_standard(self):
        quick, standard = (installed().resolve("poisoner", name).params for name in ("uc@quick", "uc"))
        assert quick.steps < standard.steps

    def test_preset_photos_is_standard_with_crops_of_other_scales(self):
        photos, standard = (installed().resolve("poisoner", name).params.model_dump() for name in ("uc@photos", "uc"))
        assert {name for name in photos if photos[name] != standard[name]} == {"crop"}
        assert photos["crop"] == "scales"

    @pytest.mark.parametrize(
        ("reference", "expected"),
        [
            ("uc", "0c599b0de09efdab9e83d002516d1762"),
            ("uc@quick", "511a988e6fb9b5d1570f3efd2062d209"),
            ("uc@paper", "ef4697e4def35b250b1e31f0e6fbee8a"),
            ("uc@released", "286207496f46d8c46c7202faf05e8c31"),
        ],
    )
    def test_presets_keep_the_keys_of_published_records(self, reference, expected):
        assert key("poisoner", installed().resolve("poisoner", reference).identity()) == expected

    def test_jpeg_enters_the_key_only_where_it_is_used(self):
        plain, named, used = (UCParams(**options).identity() for options in ({}, {"jpeg": None}, {"jpeg": 75}))
        assert plain == named != used

    def test_spec_states_access_granularity_and_budget_of_the_paper(self):
        (record,) = ucbench_poisoners()
        assert (record.label_access, record.granularity, record.budget) == ("none", "cluster", "linf")
        assert record.native_epsilon == 16
        assert not record.projects
        assert "2301.01217" in record.paper


@pytest.mark.parametrize(
    ("side", "decided"),
    [(8, (4, "none")), (15, (4, "none")), (16, (1, "perturbed")), (63, (1, "perturbed")), (64, (8, "perturbed"))],
)
def test_params_follow_the_image_size_unless_given(side, decided):
    open_, named = UCParams(), UCParams(coarseness=2, augment="images")
    assert (open_.block_side((8, side)), open_.augmentation((8, side))) == decided
    assert (named.block_side((8, side)), named.augmentation((8, side))) == (2, "images")
