"""SimCLR as an exploiter and as a surrogate: what it reads, what it learns, what it gives back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError, UsageError
from ucbench.exploit.train import Trainer
from ucbench.plugins.registry import installed
from ucbench.testing import make_run, sample_images
from ucbench.training.context import Run
from ucbench.training.determinism import seeded
from ucbench.training.engine import DivergedError
from ucbench.training.surrogate import FittedSurrogate
from ucbench_simclr.params import EncoderParams, SimCLRParams
from ucbench_simclr.pretraining import Projector, features_of, pretrain, resnet18
from ucbench_simclr.surrogate import SimCLRSurrogate
from ucbench_simclr.victim import SimCLR

SHORT = {"width": 16, "epochs": 1, "batch": 8}


def textures(count: int, seed: int, *, turned: bool = False, flip: bool = True) -> ImageSet:
    """Stripes along the rows (class 0, or 1 if ``turned``) or along the columns, of random phase, width and colour."""
    rng = np.random.default_rng(seed)
    upright = np.arange(count) % 2
    places = np.arange(12)
    wave = np.sin(places * rng.uniform(1.2, 2.0, (count, 1)) + rng.uniform(0, 6, (count, 1)))
    pattern = np.where(upright[:, None, None], wave[:, None, :], wave[:, :, None])
    pixels = 128 + 100 * pattern[:, None] * rng.uniform(0.5, 1, (count, 3, 1, 1)) + rng.normal(0, 8, (count, 3, 12, 12))
    labels = (1 - upright if turned else upright).astype(np.int64)
    return ImageSet(pixels.clip(0, 255).astype(np.uint8), labels, ("a", "b"), flip=flip)


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return network.state_dict()


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(weights(one)[name], tensor) for name, tensor in weights(other).items())


@pytest.fixture(scope="module")
def surrogate() -> tuple[SimCLRSurrogate, dict[str, np.ndarray], ImageSet, Run]:
    made, run, train = SimCLRSurrogate(EncoderParams(**SHORT)), make_run(stage="surrogate"), sample_images(13, (12, 10))
    return made, dict(made.fit(train, run)), train, run


class TestEncoder:
    @pytest.mark.parametrize(
        ("size", "kernel", "side"), [((32, 20), 3, (4, 3)), ((64, 64), 3, (8, 8)), ((96, 65), 7, (3, 3))]
    )
    def test_resnet18_has_a_small_stem_up_to_64_pixels(self, size, kernel, side):
        with seeded(0):
            network = resnet18(16, size).eval()
        x = torch.zeros(2, 3, *size)
        assert network.conv1.kernel_size == (kernel, kernel)
        assert network.forward_features(x).shape == (2, 128, *side)
        assert network(x).shape == (2, 128)

    def test_projector_is_drawn_from_the_global_generator_and_uses_every_weight(self):
        networks = []
        for seed in (0, 0, 1):
            with seeded(seed):
                networks.append(Projector(resnet18(16, (8, 8)), 128, 5))
        assert same(networks[0], networks[1])
        assert not torch.equal(networks[0].encoder.conv1.weight, networks[2].encoder.conv1.weight)
        networks[0](torch.rand(4, 3, 8, 8)).square().sum().backward()
        assert all(weight.grad is not None for weight in networks[0].parameters())

    def test_features_of_is_independent_of_the_block_size(self):
        with seeded(0):
            network = resnet18(16, (8, 8)).eval()
        images, engine = sample_images(7, (8, 8)), make_run().engine
        whole = features_of(network, images, engine)
        assert (whole.shape, whole.dtype, whole.requires_grad) == ((7, 128), torch.float32, False)
        torch.testing.assert_close(features_of(network, images, engine, batch=3), whole)
        white = features_of(network, images, engine, torch.ones_like)
        assert torch.equal(white[0], white[1])


class TestPretraining:
    def test_pretrain_never_reads_labels(self):
        train, params = sample_images(13, (10, 8)), EncoderParams(**SHORT)
        shuffled = train.with_labels(np.roll(train.known_labels, 1), train.classes)
        encoders = [pretrain(given, params, make_run()) for given in (train, shuffled, train.with_labels(None))]
        assert same(encoders[0], encoders[1])
        assert same(encoders[0], encoders[2])

    def test_pretrain_depends_on_pixels_seed_and_flip(self):
        train, params = sample_images(13, (10, 8)), EncoderParams(**SHORT)
        encoder = pretrain(train, params, make_run())
        assert not same(encoder, pretrain(train.with_images(255 - train.images), params, make_run()))
        assert not same(encoder, pretrain(train, params, make_run(1)))
        assert not same(encoder, pretrain(dataclasses.replace(train, flip=False), params, make_run()))

    def test_pretrain_returns_a_frozen_encoder_and_notes_its_losses(self):
        run = make_run()
        encoder = pretrain(sample_images(9, (8, 8)), EncoderParams(**SHORT), run)
        assert not encoder.training
        assert not any(weight.requires_grad for weight in encoder.parameters())
        assert encoder(torch.rand(2, 3, 8, 8)).shape == (2, 128)
        assert set(run.notes) == {"contrastive_loss", "alignment", "uniformity"}
        assert 0 < run.notes["alignment"] < 4
        assert -8 < run.notes["uniformity"] < 0

    def test_pretrain_reports_every_step(self):
        class Counting(Run):
            def progress(self, text, total):
                self.announced, self.done = total, 0

                def advance(steps: int) -> None:
                    self.done += steps

                return advance

        run = make_run()
        counting = Counting(run.engine, ("craft", 0), run._progress)
        pretrain(sample_images(13, (8, 8)), EncoderParams(width=16, epochs=2, batch=5), counting)
        assert counting.announced == counting.done == 2 * 3

    def test_pretrain_raises_on_a_single_image_or_divergence(self):
        train = sample_images(9, (8, 8))
        with pytest.raises(UsageError, match="needs at least 2, and there is 1"):
            pretrain(train.subset(np.arange(1)), EncoderParams(**SHORT), make_run())
        with pytest.raises(DivergedError, match="pass 1"):
            pretrain(train, EncoderParams(width=16, epochs=1, batch=2, lr=1e30, warmup=0), make_run())


class TestVictim:
    def test_simclr_learns_to_separate_textures(self):
        run, victim = make_run(stage="train"), SimCLR(SimCLRParams(width=16, epochs=6, batch=16, lr=0.05))
        assert isinstance(victim, Trainer)
        victim.fit(textures(64, 0).with_labels(None), textures(20, 1), run)
        test = textures(40, 2)
        assert (victim.predict(test.with_labels(None)) == test.known_labels).mean() > 0.9
        assert run.notes["contrastive_loss"]["last"] < run.notes["contrastive_loss"]["first"] - 0.1
        assert run.notes["probe_accuracy"] > 90

    def test_simclr_numbers_classes_as_the_trusted_set(self):
        train, test, params = textures(16, 0), textures(12, 2), SimCLRParams(**SHORT)
        predictions = []
        for turned in (False, True):
            victim = SimCLR(params)
            victim.fit(train, textures(20, 1, turned=turned), make_run(stage="train"))
            predictions.append(victim.predict(test))
        assert predictions[0].dtype == np.int64
        np.testing.assert_array_equal(predictions[0], 1 - predictions[1])

    def test_simclr_raises_without_trusted_labels(self):
        train, victim = textures(8, 0), SimCLR(SimCLRParams(**SHORT))
        with pytest.raises(UsageError, match="--trusted"):
            victim.fit(train, None, make_run(stage="train"))
        with pytest.raises(DataError, match="no labels"):
            victim.fit(train, train.with_labels(None), make_run(stage="train"))


class TestSurrogate:
    def test_restored_surrogate_has_equal_features(self, surrogate):
        made, state, train, run = surrogate
        assert isinstance(made, FittedSurrogate)
        restored = SimCLRSurrogate(EncoderParams(**SHORT))
        restored.restore(state, train, run)
        x = torch.rand(3, 3, 12, 10, generator=torch.Generator().manual_seed(0))
        assert torch.equal(made.features(x), restored.features(x))
        assert made.features(x).shape == (3, 128)
        torch.testing.assert_close(made.module(0)(x), made.features(x))

    def test_surrogate_raises_on_class_scores_or_before_fitting(self, surrogate):
        x = torch.rand(2, 3, 12, 10)
        with pytest.raises(UsageError, match="no class scores"):
            surrogate[0].logits(x)
        with pytest.raises(UsageError, match="fit\\(\\) or restore\\(\\)"):
            SimCLRSurrogate(EncoderParams(**SHORT)).features(x)

    def test_surrogate_features_are_float32_and_close_in_bfloat16(self, surrogate):
        made, state, train, run = surrogate
        rounded = SimCLRSurrogate(EncoderParams(**SHORT))
        rounded.to(torch.device("cpu"), torch.bfloat16)  # the core may say so before there are weights
        rounded.restore(state, train, run)
        x = torch.rand(3, 3, 12, 10, generator=torch.Generator().manual_seed(0))
        features, exact = rounded.features(x), made.features(x)
        assert features.dtype == torch.float32
        assert not torch.equal(features, exact)
        torch.testing.assert_close(features, exact, rtol=0.1, atol=0.1 * float(exact.max()))

    def test_uc_crafts_with_a_simclr_surrogate(self, surrogate):
        made, _, train, _ = surrogate
        poisoner = installed().resolve("poisoner", "uc:steps=2,clusters=3,width=4,residual_blocks=1").build()
        run = make_run(budget=Budget("linf", 16), surrogate=made)
        perturbation = poisoner.craft(train.with_labels(None), run)
        assert perturbation.delta.shape == (3, *train.images.shape[1:])
        assert np.abs(perturbation.delta).max() > 0


class TestParams:
    def test_presets_equal_published_settings(self):
        bridgepure = SimCLRParams.resolve("simclr", "bridgepure")
        found = bridgepure.temperature, bridgepure.batch, bridgepure.lr, bridgepure.weight_decay, bridgepure.projection
        assert found == (0.5, 512, 0.5, 1e-4, 128)
        assert EncoderParams.resolve("simclr", "uc").temperature == 0.07
        paper = SimCLRParams.resolve("simclr", "paper")
        assert (paper.batch, paper.crop, paper.width, paper.recipe.warmup * paper.epochs) == (1024, 0.08, 64, 10)

    def test_params_refuse_milestones_beyond_the_probe(self):
        assert SimCLRParams.resolve("simclr", None, None, {"probe_milestones": "5/8"}).probe_milestones == (5, 8)
        with pytest.raises(UsageError, match="probe_milestones"):
            SimCLRParams.resolve("simclr", None, None, {"probe_epochs": "50"})
