"""MI-UE: whole crafts against a plain reference, mirroring, diagnosis and presets."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from resuming import check_resumes
from small_crafts import check_modes, check_streams

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
    balanced_batches,
)
from ucbench_miue.params import MIUEParams
from ucbench_miue.poisoner import MIUE, MirroredBiLevel


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

    def test_network_is_in_train_mode_only_where_it_learns(self):
        check_modes(lambda run: miue().craft(sample_images(13), run))

    @pytest.mark.parametrize("balanced", ["never", "always"])
    def test_every_round_draws_from_streams_of_its_own(self, balanced):
        check_streams(lambda run: miue(flip=True, balanced=balanced).craft(sample_images(13), run))

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
