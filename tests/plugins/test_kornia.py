"""kornia's augmentations as defenses: the repeatable scope, and the targets of mixed images."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from ucbench import DefensePipeline, UsageError, seeded
from ucbench.plugins.registry import installed
from ucbench.testing import check_defense, make_run
from ucbench_kornia.catalogue import MIXING, augmentations, options_of

kornia = pytest.importorskip("kornia", reason="needs kornia: pip install 'kornia>=0.9,<0.10'")

RUN = make_run(stage="train")

JITTER = "brightness=0.2,contrast=0.2,saturation=0.2,hue=0.1"

#: What an augmentation needs, or lacks by default, to change images of 10 x 14 pixels.
OPTIONS = {
    "ColorJiggle": JITTER,
    "ColorJitter": JITTER,
    "PatchMix": "patch_size=4",
    "RandAugment": "n=2,m=10",
    "RandomAffine": "degrees=10",
    "RandomBrightness": "brightness=0.7/1.3",
    "RandomContrast": "contrast=0.7/1.3",
    "RandomCrop": "padding=2",
    "RandomFisheye": "center_x=-0.3/0.3,center_y=-0.3/0.3,gamma=0.9/1.1",
    "RandomGamma": "gamma=0.7/1.5",
    "RandomGaussianBlur": "kernel_size=3,sigma=0.1/2.0",
    "RandomHue": "hue=-0.1/0.1",
    "RandomJPEG": "jpeg_quality=10/60",
    "RandomJigsaw": "grid=2/2",
    "RandomMotionBlur": "kernel_size=3/7,angle=35,direction=0.5",
    "RandomRain": "drop_height=2/5,drop_width=-3/3,number_of_drops=5/10",
    "RandomRotation": "degrees=10",
    "RandomRotation90": "times=-3/3",
    "RandomSaturation": "saturation=0.7/1.3",
    "RandomShear": "shear=10",
    "RandomSnow": "snow_coefficient=0.3/0.6,brightness=1.5/2.5",
    "RandomTranslate": "translate_x=-0.1/0.1",
}

#: As documented: what these change has no gradient.
NO_GRADIENT = {"RandomClahe", "RandomEqualize", "RandomMosaic", "RandomPosterize"}


def built(reference: str):
    return installed().resolve("defense", f"kornia:{reference}").build()


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 16, size: tuple[int, int] = (16, 16)) -> Tensor:
    return torch.rand(count, 3, *size, generator=drawn(7))


def flat_images(count: int, size: tuple[int, int] = (12, 20)) -> Tensor:
    """Image b has the value b / 100 everywhere, so that a pixel shows where it comes from."""
    return (torch.arange(float(count)) / 100).view(-1, 1, 1, 1).expand(count, 3, *size).clone()


def distinct(x: Tensor) -> int:
    return len(x.flatten(1).unique(dim=0))


@pytest.mark.parametrize("name", augmentations())
@pytest.mark.filterwarnings("ignore")
def test_kornia_class_keeps_the_contract(name: str) -> None:
    check_defense(installed().resolve("defense", ":".join(("kornia", name, OPTIONS.get(name, ""))).rstrip(":")))


class TestAugmenting:
    @pytest.mark.parametrize("reference", ["RandomPerspective", "RandomGaussianNoise", "RandomPlasmaShadow"])
    def test_kornia_repeats_exactly_and_leaves_the_global_generators_alone(self, reference: str) -> None:
        x, defense = images(), built(reference)
        before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
        first, other = defense.augment(x, RUN, drawn()), defense.augment(x, RUN, drawn(1))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert random.getstate() == before[1]
        assert np.array_equal(np.random.get_state()[1], before[2])
        torch.manual_seed(5)
        assert torch.equal(defense.augment(x, RUN, drawn()), first)
        assert torch.equal(built(reference).augment(x, RUN, drawn()), first)
        assert not torch.equal(other, first)

    def test_kornia_advances_the_generator_from_batch_to_batch(self) -> None:
        defense, generator = built("RandomPerspective"), drawn()
        assert not torch.equal(*(defense.augment(images(), RUN, generator) for _ in range(2)))

    @pytest.mark.parametrize(
        ("reference", "least"),
        [
            ("RandomPerspective:p=1", 60),
            # Operations of a policy, orders of two changes, sizes of a kernel: kornia draws them once per call.
            ("RandAugment:n=1,m=10", 10),
            ("TrivialAugment", 10),
            ("ColorJitter:brightness=1.4/1.4,contrast=0.5/0.5", 2),
            ("RandomMotionBlur:kernel_size=3/7,angle=0/0,direction=0/0,p=1", 3),
        ],
    )
    def test_kornia_draws_for_every_image(self, reference: str, least: int) -> None:
        out = built(reference).augment(images(1).expand(64, -1, -1, -1).clone(), RUN, drawn())
        assert distinct(out) >= least

    def test_kornia_applies_p_to_every_image(self) -> None:
        x = images(400, (4, 4))
        flipped = (built("RandomHorizontalFlip:p=0.3").augment(x, RUN, drawn()) != x).flatten(1).any(1)
        assert float(flipped.float().mean()) == pytest.approx(0.3, abs=0.07)

    def test_kornia_noise_stays_in_range(self) -> None:
        out = built("RandomGaussianNoise:std=1.0,p=1").augment(images(), RUN, drawn())
        assert (float(out.min()), float(out.max())) == (0.0, 1.0)
        assert out.dtype == torch.float32

    @pytest.mark.parametrize("reference", ["RandomPerspective:p=1", "RandomGaussianBlur:kernel_size=3,sigma=1/1,p=1"])
    def test_kornia_gradient_in_the_images_is_the_slope(self, reference: str) -> None:
        defense, x = built(reference), images().requires_grad_()
        weights, direction = torch.randn(x.shape, generator=drawn(1)), torch.randn(x.shape, generator=drawn(2))

        def objective(x: Tensor) -> Tensor:
            return (defense.augment(x, RUN, drawn()) * weights).sum()

        (gradient,) = torch.autograd.grad(objective(x), x)
        assert bool(gradient.flatten(1).any(1).all())
        # Both are linear in the images, but for the clamp.
        inner = 0.25 + x.detach() / 2
        (gradient,) = torch.autograd.grad(objective(at := inner.requires_grad_()), at)
        step = 0.05 * direction
        slope = objective(inner.detach() + step) - objective(inner.detach() - step)
        assert float(slope) == pytest.approx(2 * float((gradient * step).sum()), rel=1e-3)

    @pytest.mark.parametrize("name", augmentations())
    @pytest.mark.filterwarnings("ignore")
    def test_kornia_exactly_the_classes_said_to_have_no_gradient_have_none(self, name: str) -> None:
        options = OPTIONS.get(name, "")
        if "p" in options_of(name):
            options = f"{options},p=1".lstrip(",")
        component, x = built(f"{name}:{options}".rstrip(":")), images(size=(32, 32)).requires_grad_()
        if name in MIXING:
            out, _ = component.mix(x, torch.eye(16), RUN, drawn())
        else:
            out = component.augment(x, RUN, drawn())
        (out.sum() + 0 * x.sum()).backward()
        changed = (out != x).flatten(1).any(1)
        assert bool(x.grad[changed].any()) == (name not in NO_GRADIENT)

    @pytest.mark.parametrize("name", ["RandAugment:n=2,m=10", "RandomRotation:degrees=10"])
    def test_kornia_records_no_gradient_for_images_that_need_none(self, name: str) -> None:
        assert not built(name).augment(images(), RUN, drawn()).requires_grad

    @pytest.mark.parametrize(
        ("name", "pillows", "levels"),
        [
            ("RandomBrightness:brightness", ImageEnhance.Brightness, "53 and 77"),
            ("RandomContrast:contrast", ImageEnhance.Contrast, "39 and 40"),
            ("RandomSaturation:saturation", ImageEnhance.Color, "66 and 52"),
        ],
    )
    def test_kornia_colours_are_as_far_from_pillows_as_the_spec_says(
        self, name: str, pillows: Any, levels: str
    ) -> None:
        assert levels in installed().find("defense", "kornia").fidelity
        noise = (255 * images(4, (64, 64))).byte()
        for factor, most in zip((0.7, 1.3), levels.split(" and "), strict=True):
            ours = 255 * built(f"{name}={factor}/{factor},p=1").augment(noise.float() / 255, RUN, drawn())
            others = [
                np.asarray(pillows(Image.fromarray(image.permute(1, 2, 0).numpy())).enhance(factor)) for image in noise
            ]
            distance = (ours - torch.from_numpy(np.stack(others)).permute(0, 3, 1, 2)).abs()
            assert float(distance.max()) == pytest.approx(int(most), abs=3)

    def test_kornia_size_is_the_images_own_unless_given(self) -> None:
        x = images(4, (12, 20))
        out = built("RandomResizedCrop").augment(x, RUN, drawn())
        assert out.shape == x.shape
        assert not torch.equal(out, x)
        with pytest.raises(UsageError, match=r"makes images of \[8, 8\] pixels from \[12, 20\]: leave its size out"):
            built("RandomCrop:size=8/8").augment(x, RUN, drawn())

    @pytest.mark.parametrize(
        ("reference", "problem"),
        [
            ("RandomHue:hue=0/7", "kornia refuses RandomHue"),
            # Read only by a call, here at p = 0.01 by few of them.
            ("RandomGaussianBlur:kernel_size=4/4,sigma=1/2,p=0.01", "kornia fails at RandomGaussianBlur.*odd"),
        ],
    )
    def test_kornia_refusing_parameters_is_an_error_of_the_user(self, reference: str, problem: str) -> None:
        with pytest.raises(UsageError, match=problem):
            built(reference)

    @pytest.mark.parametrize("options", ["RandomCrop:size=300/20", "RandomGaussianBlur:kernel_size=99/99,sigma=1/2"])
    def test_kornia_values_that_some_image_takes_are_not_refused(self, options: str) -> None:
        before = torch.get_rng_state()
        built(options)
        assert torch.equal(torch.get_rng_state(), before)


class TestMixing:
    @pytest.mark.parametrize(
        "reference", ["RandomCutMixV2", "RandomCutMixV2:num_mix=3", "PatchMix:patch_size=5", "RandomMosaic:p=1"]
    )
    def test_kornia_target_weights_equal_pasted_shares(self, reference: str) -> None:
        x = flat_images(40)
        mixed, targets = built(reference).mix(x, torch.eye(40), RUN, drawn())
        sources = (mixed * 100).round().long()
        assert torch.equal(sources[:, 0], sources[:, 2])
        shares = torch.nn.functional.one_hot(sources[:, 0], 40).double().mean((1, 2))
        assert torch.allclose(targets.double(), shares, atol=1e-6)
        assert int((targets.diag() < 1).sum()) > 20

    def test_kornia_mosaic_counts_what_nothing_is_pasted_on_as_own(self) -> None:
        x = flat_images(8) + 0.01
        mixed, targets = built("RandomMosaic:p=1,mosaic_grid=1/1,start_ratio_range=0.5/0.5").mix(
            x, torch.eye(8), RUN, drawn()
        )
        assert float((mixed == 0).float().mean()) == 0.75
        assert torch.allclose(targets, torch.eye(8))

    def test_kornia_mixup_target_weights_reproduce_the_images(self) -> None:
        x = images(24)
        mixed, targets = built("RandomMixUpV2").mix(x, torch.eye(24), RUN, drawn())
        assert torch.allclose(mixed, torch.einsum("bc,cdhw->bdhw", targets, x), atol=1e-5)
        assert int((targets.diag() < 0.95).sum()) > 12

    def test_kornia_cutmix_weights_agree_with_its_own_correct_lambda(self) -> None:
        x = images(24)
        with seeded(3):
            mixed, weights = built("RandomCutMixV2")._mixed(x)
        module = kornia.augmentation.RandomCutMixV2(use_correct_lambda=True)
        with seeded(3):
            expected, labels = module(x, torch.arange(24), data_keys=["input", "class"])
        assert torch.equal(mixed, expected)
        own, partner, share = labels[0].double().unbind(1)
        table = torch.zeros(24, 24, dtype=torch.float64)
        for i, j, part in zip(own.long(), partner.long(), share, strict=True):
            table[i, i] += part
            table[i, j] += 1 - part
        assert torch.allclose(weights, table, atol=1e-6)

    @pytest.mark.parametrize("name", sorted(MIXING))
    def test_kornia_mixing_p_gates_every_image(self, name: str) -> None:
        x, options = images(300, (16, 16)), "patch_size=8," if name == "PatchMix" else ""
        mixed, targets = built(f"{name}:{options}p=0.4").mix(x, torch.eye(300), RUN, drawn())
        changed = (mixed != x).flatten(1).any(1)
        assert 0.25 < float(changed.float().mean()) < 0.47
        assert torch.equal(targets[~changed], torch.eye(300)[~changed])
        same, kept = built(f"{name}:{options}p=0").mix(x, torch.eye(300), RUN, drawn())
        assert torch.equal(same, x)
        assert torch.equal(kept, torch.eye(300))

    @pytest.mark.parametrize("name", sorted(MIXING))
    def test_kornia_mixing_gate_batch_mixes_all_images_or_none(self, name: str) -> None:
        x, options = images(64, (16, 16)), "patch_size=8," if name == "PatchMix" else ""
        defense = built(f"{name}:{options}p=0.5,gate=batch")
        changed = [(defense.mix(x, torch.eye(64), RUN, drawn(seed))[0] != x).flatten(1).any(1) for seed in range(30)]
        shares = torch.stack(changed).float().mean(1)
        assert 8 < int((shares == 0).sum()) < 22
        assert bool(((shares == 0) | (shares > 0.75)).all())

    @pytest.mark.parametrize("name", ["RandomCutMixV2", "RandomMixUpV2"])
    def test_kornia_mixing_passes_the_gradient_to_every_source(self, name: str) -> None:
        x = images().requires_grad_()
        mixed, targets = built(name).mix(x, torch.eye(16), RUN, drawn())
        (gradient,) = torch.autograd.grad(mixed.sum(), x)
        # An image's pixels are used as often as its label is.
        assert torch.allclose(gradient.mean((1, 2, 3)), targets.sum(0), atol=1e-5)

    @pytest.mark.parametrize(
        "chain", ["kornia:RandomPerspective+cutmix", "kornia:RandomCutMixV2+kornia:RandomRotation:degrees=9"]
    )
    def test_kornia_in_a_chain_augments_before_mixing(self, chain: str) -> None:
        parts = [(part, installed().resolve("defense", part).build()) for part in chain.split("+")]
        pipeline, x = DefensePipeline(parts), images()
        augmented = pipeline.augment(x, RUN, drawn())
        mixed, targets = pipeline.mix(augmented, torch.eye(16), RUN, drawn(1))
        assert pipeline.soft_targets
        assert not torch.equal(augmented, x)
        assert not torch.equal(mixed, augmented)
        assert torch.allclose(targets.sum(1), torch.ones(16))
