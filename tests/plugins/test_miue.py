"""MI-UE: the objective against plain loops, batches, diagnosis, and whole crafts against a plain reference."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from resuming import check_resumes

from ucbench.crafting.poisoner import Perturbation
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError, UsageError
from ucbench.plugins.registry import installed
from ucbench.testing import MemoryCheckpoint, TinySurrogate, make_run, sample_images
from ucbench.training.context import Run
from ucbench.training.engine import DivergedError
from ucbench_miue import poisoner
from ucbench_miue.objective import (
    PARTNERS,
    balanced_batches,
    directions,
    distance_term,
    mutual_information_loss,
    similarity_term,
)
from ucbench_miue.params import MIUEParams
from ucbench_miue.poisoner import MIUE, MirroredBiLevel

OPTIONS = [
    {"denominator": denominator, "distance_scale": scale, "zeta": zeta, "temperature": temperature}
    for denominator in ("all", "other-class")
    for scale in ("dimension", "none")
    for zeta in (0.0, 0.1, 3.0)
    for temperature in (0.1, 1.0)
]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    lengths = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
    return float(a @ b) / lengths if lengths else 0.0


def plain_loss(features, labels, *, denominator, distance_scale, zeta, temperature) -> float:
    """The formulas of the paper, sample by sample."""
    count, total = len(labels), 0.0
    for j in range(count):
        near, below, distances = 0.0, 0.0, 0.0
        for k in range(count):
            weight = math.exp(cosine(features[j], features[k]) / temperature)
            if labels[k] == labels[j]:
                near += weight
                distances += math.sqrt(float(((features[j] - features[k]) ** 2).sum()))
            if denominator == "all" or labels[k] != labels[j]:
                below += weight
        if below:
            total -= math.log(near / below)
        total += zeta * math.log(1 + distances / (features.shape[1] if distance_scale == "dimension" else 1))
    return total / count


def drawn(seed: int, count: int, dimensions: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features as after a ReLU, with a duplicate and one of length 0 where there is room, and labels."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, dimensions, generator=generator, dtype=torch.float64).relu()
    if count > 3:
        features[1], features[2] = features[0], 0.0
    return features, torch.randint(classes, (count,), generator=generator)


class TestObjective:
    # Cosines: 0 between the first two, 1 between the first and the third, 0 between the second and the third.
    FEATURES = torch.tensor([[3.0, 0.0], [0.0, 4.0], [5.0, 0.0]], dtype=torch.float64)
    LABELS = torch.tensor([0, 0, 1])

    def test_similarity_term_equals_hand_computed_values(self):
        e = math.e
        expected = -(math.log((e + 1) / (2 * e + 1)) + math.log((e + 1) / (e + 2)) + math.log(e / (2 * e + 1))) / 3
        assert float(similarity_term(self.FEATURES, self.LABELS, 1.0, "all")) == pytest.approx(expected, rel=1e-12)
        expected = -(math.log((e + 1) / e) + math.log(e + 1) + math.log(e / (e + 1))) / 3
        found = similarity_term(self.FEATURES, self.LABELS, 1.0, "other-class")
        assert float(found) == pytest.approx(expected, rel=1e-12)

    def test_distance_term_equals_hand_computed_values(self):
        assert float(distance_term(self.FEATURES, self.LABELS, "none")) == pytest.approx(2 / 3 * math.log(6))
        assert float(distance_term(self.FEATURES, self.LABELS, "dimension")) == pytest.approx(2 / 3 * math.log(3.5))

    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    def test_mutual_information_loss_equals_a_double_loop(self, options):
        # A class that occurs once, all of one class, one image, two images.
        for seed, (count, dimensions, classes) in enumerate([(11, 5, 3), (7, 4, 6), (6, 3, 1), (1, 4, 2), (2, 4, 2)]):
            features, labels = drawn(seed, count, dimensions, classes)
            found = mutual_information_loss(features, labels, **options)
            assert found.shape == ()
            assert float(found) == pytest.approx(plain_loss(features.numpy(), labels, **options), rel=1e-9, abs=1e-12)

    @given(st.sampled_from(OPTIONS), st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 6), st.integers(1, 5))
    @settings(max_examples=60, deadline=None)
    def test_mutual_information_loss_is_exact_for_any_features(self, options, seed, count, dimensions, classes):
        features, labels = drawn(seed, count, dimensions, classes)
        found = float(mutual_information_loss(features, labels, **options))
        assert found == pytest.approx(plain_loss(features.numpy(), labels, **options), rel=1e-9, abs=1e-12)
        single = features.float().requires_grad_()
        loss = mutual_information_loss(single, labels, **options)
        assert loss.item() == pytest.approx(found, rel=1e-4, abs=1e-5)
        assert torch.isfinite(torch.autograd.grad(loss, single)[0]).all()

    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    def test_mutual_information_loss_gradient_equals_finite_differences(self, options):
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(6, 4, generator=generator, dtype=torch.float64).requires_grad_()
        for labels in (torch.tensor([0, 1, 0, 2, 1, 0]), torch.zeros(6, dtype=torch.int64)):
            assert torch.autograd.gradcheck(lambda f, y=labels: mutual_information_loss(f, y, **options), features)

    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    def test_mutual_information_loss_is_finite_for_extreme_features(self, options):
        labels = torch.tensor([0, 0, 1, 1, 2])
        for features in (
            torch.zeros(5, 3),
            torch.ones(5, 3),
            torch.full((5, 3), 1e-25),  # its square is 0 in float32
            1e4 * torch.eye(5, 3),
            torch.tensor([[1.0, 0, 0], [1.0, 1e-7, 0], [1e-20, 0, 0], [0, 0, 0], [0, 0, 1e10]]),
        ):
            features = features.clone().requires_grad_()
            loss = mutual_information_loss(features, labels, **options)
            assert torch.isfinite(loss)
            assert torch.isfinite(torch.autograd.grad(loss, features)[0]).all()

    def test_distance_term_has_no_gradient_for_equal_features(self):
        features = torch.rand(1, 300).repeat(40, 1).requires_grad_()
        distances = distance_term(features, torch.zeros(40, dtype=torch.int64), "none")
        assert distances.item() == 0
        assert not torch.autograd.grad(distances, features)[0].any()

    def test_directions_of_zero_features_are_zero_without_gradient(self):
        features = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
        unit = directions(features)
        assert unit.tolist() == [[0, 0], pytest.approx([0.6, 0.8])]
        assert not torch.autograd.grad(unit.sum(), features)[0][0].any()

    def test_similarity_term_reaches_its_bounds(self):
        narrow, labels = torch.eye(3).repeat_interleave(4, 0), torch.arange(3).repeat_interleave(4)
        assert 0 <= float(similarity_term(narrow, labels, 0.1, "all")) < 1e-3
        opposite = torch.tensor([[1.0], [-1.0]]).repeat_interleave(4, 0)
        found = float(similarity_term(opposite, torch.arange(2).repeat_interleave(4), 0.1, "other-class"))
        assert found == pytest.approx(-20, rel=1e-5)


class TestBalancedBatches:
    @given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(2, 64), st.integers(0, 99))
    @settings(max_examples=60, deadline=None)
    def test_balanced_batches_hold_every_image_once(self, sizes: list[int], batch: int, seed: int) -> None:
        labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        if not len(labels):
            return
        labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed + 1))]
        parts = -(-len(labels) // batch)
        batches = list(balanced_batches(labels, batch, torch.Generator().manual_seed(seed)))
        assert sorted(torch.cat(batches).tolist()) == list(range(len(labels)))
        assert len(batches) <= parts
        counts = torch.stack([labels[chosen].bincount(minlength=len(sizes)) for chosen in batches])
        for size, column in zip(sizes, counts.T, strict=True):
            if size >= PARTNERS * parts:
                assert column.max() - column.min() <= 1
                assert column.min() >= PARTNERS
            elif size:
                assert column[column > 0].min() >= min(size, PARTNERS)

    def test_balanced_batches_hold_every_class_equally_often(self):
        labels = torch.arange(5000) % 100
        batches = list(balanced_batches(labels, 512, torch.Generator().manual_seed(0)))
        assert [len(chosen) for chosen in batches] == [500] * 10
        assert all((labels[chosen].bincount() == 5).all() for chosen in batches)

    def test_balanced_batches_group_classes_if_all_do_not_fit(self):
        labels = torch.arange(8000) % 1000
        batches = list(balanced_batches(labels, 512, torch.Generator().manual_seed(0)))
        assert all(480 <= len(chosen) <= 520 for chosen in batches)
        again = list(balanced_batches(labels, 512, torch.Generator().manual_seed(1)))
        met = [set(labels[batches[0]].tolist()), set(labels[again[0]].tolist())]
        assert met[0] != met[1]  # other classes meet in another round

    def test_balanced_batches_depend_only_on_the_generator(self):
        labels = torch.arange(90) % 9
        one, two, other = (
            torch.cat(list(balanced_batches(labels, 20, torch.Generator().manual_seed(seed)))) for seed in (0, 0, 1)
        )
        assert torch.equal(one, two)
        assert not torch.equal(one, other)


def miue(**options) -> MIUE:
    values = {"rounds": 2, "steps": 2, "batch": 5, "poison_batch": 7, "alpha_first": 0.1, "alpha_last": 0.4, "lr": 0.05}
    return MIUE(MIUEParams(**{**values, **options}))


def crafted(train: ImageSet, checkpoint=None, epsilon=16, **options) -> tuple[Perturbation, Run]:
    run = make_run(budget=Budget("linf", epsilon), surrogate=TinySurrogate(), checkpoint=checkpoint)
    return miue(**options).craft(train, run), run


def noise(count: int = 60, classes: int = 3) -> ImageSet:
    """Images that do not depend on their labels."""
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 10, 14)).astype(np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int64) % classes, tuple(map(str, range(classes))), name="noise")


def plain_craft(train: ImageSet, run: Run, params: MIUEParams) -> torch.Tensor:
    """The procedure once more, without the parts that bi-level poisoners share."""
    x = torch.from_numpy(train.images.copy()).float() / 255
    labels = torch.from_numpy(train.known_labels.copy())
    count, radius, network = len(x), run.budget.radius, run.surrogate.module(run.seed("network"), train)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay
    )

    def shuffled(stream: str, batch: int) -> tuple[torch.Tensor, ...]:
        order = torch.randperm(count, generator=torch.Generator().manual_seed(run.seed(stream)))
        return order.tensor_split(-(-count // batch))

    def oriented(stream: str) -> torch.Tensor:
        if not params.flip:
            return x
        mirrored = torch.rand(count, 1, 1, 1, generator=run.generator(stream)) < 0.5
        return torch.stack([image.flip(-1) if m else image for image, m in zip(x, mirrored, strict=True)])

    delta = torch.zeros_like(x)
    for r in range(params.rounds):
        share = r / params.rounds
        optimizer.param_groups[0]["lr"] = (
            params.final_lr + (params.lr - params.final_lr) * (1 + math.cos(math.pi * share)) / 2
        )
        seen = oriented(f"mirrored-learning-{r}")
        for indices in shuffled(f"pass-{r}", params.batch):
            optimizer.zero_grad()
            F.cross_entropy(network((seen[indices] + delta[indices]).clamp(0, 1)), labels[indices]).backward()
            optimizer.step()
        alpha = radius * (params.alpha_first + (params.alpha_last - params.alpha_first) * share)
        seen = oriented(f"mirrored-perturbing-{r}")
        for indices in shuffled(f"perturbing-{r}", params.poison_batch):
            here, low, high = delta[indices], -seen[indices], 1 - seen[indices]
            here = here.clamp(low, high)
            for _ in range(params.steps):
                here.requires_grad_()
                features = network.features(seen[indices] + here)
                scores = F.normalize(features, dim=1) @ F.normalize(features, dim=1).T / params.temperature
                same = labels[indices][:, None] == labels[indices]
                ratio = (scores.exp() * same).sum(1) / scores.exp().sum(1)
                pairs = [(j, k) for j in range(len(indices)) for k in range(len(indices)) if same[j, k] and j != k]
                sums = [torch.zeros(()) for _ in indices]
                for j, k in pairs:
                    sums[j] = sums[j] + (features[j] - features[k]).norm() / features.shape[1]
                loss = -ratio.log().mean() + params.zeta * torch.log1p(torch.stack(sums)).mean()
                (gradient,) = torch.autograd.grad(loss, here)
                here = (here.detach() - alpha * gradient.sign()).clamp(-radius, radius).clamp(low, high)
            delta[indices] = here
    return delta.clamp(-x, 1 - x)


class TestCraft:
    @pytest.mark.parametrize("flip", [False, True])
    def test_craft_equals_the_plain_procedure(self, flip):
        train = sample_images(13)
        found, run = crafted(train, flip=flip)
        expected = plain_craft(train, run, miue(flip=flip).params).numpy()
        # A gradient that rounds to the other side of zero takes its pixel along; nothing else may differ.
        assert (np.abs(found.delta - expected) > 1e-5).mean() < 0.003
        assert np.abs(found.delta).max() <= 16 / 255 + 1e-6
        assert (np.abs(found.delta) > 0).mean() > 0.5

    def test_mirrored_image_keeps_its_perturbation_unmirrored(self):
        run = make_run(budget=Budget("linf", 16), surrogate=TinySurrogate())
        train = sample_images(13)
        state = MirroredBiLevel(train, run, lr=0.1)
        every, plain = torch.arange(13), torch.from_numpy(train.images.copy()) / 255
        state.mirror(run.generator("any"))
        assert 0 < state.mirrored.sum() < 13
        state.put(every, 0.03 * torch.rand(13, 3, 10, 14, generator=run.generator("delta")))
        expected = torch.where(state.mirrored, plain.flip(-1), plain)
        torch.testing.assert_close(state.clean(every), expected)
        torch.testing.assert_close(state.poisoned(every), expected + state.delta, atol=1e-6, rtol=0)

    def test_craft_keeps_unmirrored_images_in_range(self):
        train = noise(13)
        images = train.images.copy()
        images[..., :7], images[..., 7:] = 0, 255  # whatever suits one half does not suit the other
        train = dataclasses.replace(train, images=images)
        for flip in (False, True):
            x = images / 255 + crafted(train, flip=flip)[0].delta
            assert x.min() >= -1e-6
            assert x.max() <= 1 + 1e-6

    def test_flip_applies_only_if_the_image_set_allows_it(self):
        kept, turned = sample_images(13), dataclasses.replace(sample_images(13), flip=False)
        assert not np.array_equal(crafted(kept, flip=True)[0].delta, crafted(kept)[0].delta)
        assert np.array_equal(crafted(turned, flip=True)[0].delta, crafted(kept)[0].delta)

    @pytest.mark.parametrize("options", [{}, {"flip": True, "balanced": "always"}], ids=str)
    def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one(self, options):
        train = sample_images(13)

        def craft(checkpoint):
            made, run = crafted(train, checkpoint, rounds=3, **options)
            return made.delta, run

        check_resumes(craft, steps=3)

    def test_balanced_auto_starts_above_forty_classes(self, monkeypatch):
        dealt = []

        def capture_features(labels, batch, generator):
            dealt.append(len(labels))
            return balanced_batches(labels, batch, generator)

        monkeypatch.setattr(poisoner, "balanced_batches", capture_features)
        for classes, balanced, expected in [
            (40, "auto", 0), (41, "auto", 1), (41, "never", 0), (3, "always", 1)
        ]:  # fmt: skip
            dealt.clear()
            crafted(noise(90, classes), rounds=1, steps=1, poison_batch=40, batch=90, balanced=balanced)
            assert len(dealt) == expected

    @pytest.mark.parametrize("options", [{}, {"denominator": "other-class", "distance_scale": "none"}], ids=str)
    def test_craft_narrows_the_classes(self, options):
        _, run = crafted(noise(), rounds=6, steps=5, poison_batch=60, **options)
        notes = run.notes
        assert notes["loss"]["last"] < notes["loss"]["first"] - 0.1
        assert notes["cosine_gap"]["after"] > notes["cosine_gap"]["before"] + 0.05
        assert notes["within_class_log_det"]["after"] < notes["within_class_log_det"]["before"] - 0.1
        assert notes["cross_entropy"]["last"] < notes["cross_entropy"]["first"]
        assert 0.05 < notes["saturated"] <= 1

    def test_diagnosis_uses_the_published_perturbations(self, monkeypatch):
        monkeypatch.setattr(poisoner, "DIAGNOSED", 8)
        seen = []
        monkeypatch.setattr(poisoner, "cosine_gap", lambda features, labels: seen.append((features, labels)))
        checkpoint, train = MemoryCheckpoint(), sample_images(13)
        found, run = crafted(train, checkpoint, flip=True)
        (clean, labels), (perturbed, _) = seen
        network = run.surrogate.module(0, train)
        saved = checkpoint.saved[-1][1]
        network.load_state_dict({name: torch.from_numpy(saved[f"weights.{name}"]) for name in network.state_dict()})
        chosen = torch.randperm(13, generator=run.generator("diagnosed"))[:8]
        assert labels.tolist() == train.known_labels[chosen].tolist()
        x = torch.from_numpy(train.images[chosen] / 255).float()
        with torch.no_grad():
            torch.testing.assert_close(clean.float(), network.features(x))
            torch.testing.assert_close(perturbed.float(), network.features(x + torch.from_numpy(found.delta[chosen])))

    def test_craft_refuses_a_single_image(self):
        with pytest.raises(UsageError, match="two"):
            crafted(sample_images(1))

    def test_craft_refuses_one_class_only_without_a_distance_term(self):
        train = sample_images(12, classes=3)
        one = train.subset(np.flatnonzero(train.known_labels == 1))
        with pytest.raises(UsageError, match="classes"):
            crafted(one, zeta=0.0)
        for denominator in ("all", "other-class"):
            found, run = crafted(one, denominator=denominator)
            assert np.isfinite(found.delta).all()
            assert np.abs(found.delta).max() > 0.01
            assert run.notes["cosine_gap"] == {"before": None, "after": None}

    def test_craft_is_finite_for_duplicates_and_classes_of_one_image(self):
        images = np.repeat(sample_images(4).images, 2, 0)
        train = ImageSet(images, np.array([0, 0, 1, 1, 2, 3, 4, 4]), tuple("abcde"))
        found, _ = crafted(train, poison_batch=3)
        assert np.isfinite(found.delta).all()

    def test_craft_requires_labels(self):
        with pytest.raises(DataError):
            crafted(sample_images(13).with_labels(None))

    def test_divergence_raises_with_its_round(self):
        with pytest.raises(DivergedError, match="round 1"):
            crafted(sample_images(13), lr=1e30)


class TestRegistered:
    def test_presets_equal_published_values(self):
        released, paper = (MIUEParams.resolve("mi-ue", preset) for preset in ("released", "paper"))
        assert (released.rounds, released.steps, released.zeta, released.flip) == (100, 10, 0.0, True)
        assert (released.denominator, released.balanced, released.poison_batch) == ("all", "never", 512)
        assert (released.alpha_first * 8, released.alpha_last * 8) == pytest.approx((0.2, 0.4))
        assert (paper.zeta, paper.denominator, paper.distance_scale) == (0.1, "other-class", "none")
        assert (released.lr, released.momentum, released.weight_decay, released.batch) == (0.1, 0.9, 1e-4, 128)

    def test_default_surrogate_fits_the_poisoner(self):
        record = installed().find("poisoner", "miue")
        assert record.name == "mi-ue"
        assert record.trains_surrogate
        resolved = installed().resolve("surrogate", record.surrogate)
        run = make_run(budget=Budget("linf", 8), surrogate=resolved.build())
        found = miue(rounds=1, steps=1).craft(sample_images(13, (16, 16)), run)
        assert np.abs(found.delta).max() * 255 == pytest.approx(0.8, rel=1e-4)  # one step of a tenth of epsilon
        assert run.notes["cosine_gap"]["before"] is not None
