"""kornia's augmentations as defenses: the catalogue, the repeatable scope, and the targets of mixed images."""

from __future__ import annotations

import inspect
import json
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from ucbench import DefensePipeline, UsageError, seeded, versions
from ucbench.cli.app import main
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


def identity(reference: str) -> dict:
    return installed().resolve("defense", f"kornia:{reference}").params.identity()


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 16, size: tuple[int, int] = (16, 16)) -> Tensor:
    return torch.rand(count, 3, *size, generator=drawn(7))


def flat_images(count: int, size: tuple[int, int] = (12, 20)) -> Tensor:
    """Image b has the value b / 100 everywhere, so that a pixel shows where it comes from."""
    return (torch.arange(float(count)) / 100).view(-1, 1, 1, 1).expand(count, 3, *size).clone()


def distinct(x: Tensor) -> int:
    return len(x.flatten(1).unique(dim=0))


class TestCatalogue:
    def test_kornia_every_two_dimensional_class_is_listed_or_refused_with_a_reason(self) -> None:
        exported = {
            name
            for name, member in vars(kornia.augmentation).items()
            if inspect.isclass(member)
            and member.__module__.startswith("kornia.augmentation._2d.")
            and not member.__module__.endswith(".base")
        }
        exported |= {"AutoAugment", "RandAugment", "TrivialAugment"}
        assert set(augmentations()) < exported
        assert len(exported) - len(augmentations()) == 9
        for name in exported - set(augmentations()):
            with pytest.raises(UsageError, match=f"{name} cannot be a defense: it"):
                options_of(name)

    @pytest.mark.parametrize("name", augmentations())
    def test_kornia_options_are_those_of_the_constructor_with_its_defaults(self, name: str) -> None:
        package = kornia.augmentation
        signature = inspect.signature(getattr(package, name, None) or getattr(package.auto, name))
        for key, option in options_of(name).items():
            default = signature.parameters[key].default
            assert option.default == (... if default is inspect.Parameter.empty else default)

    def test_kornia_unknown_class_suggests_the_nearest(self) -> None:
        with pytest.raises(UsageError, match=r"no augmentation 'RandomPerspektive'\. Did you mean 'RandomPerspective'"):
            built("RandomPerspektive")

    def test_kornia_unknown_option_suggests_the_nearest_of_its_class(self) -> None:
        with pytest.raises(
            UsageError, match=r"RandomPerspective has no parameter 'distorsion'\. Did you mean 'distort"
        ):
            built("RandomPerspective:distorsion=0.3")

    @pytest.mark.parametrize(
        ("reference", "problem"),
        [
            ("RandomAffine", "degrees is required"),
            ("RandomHue:hue=0.1", "hue takes 2 numbers separated by slashes"),
            (
                "RandomPerspective:distortion_scale=much",
                "distortion_scale takes numbers separated by slashes or a number; got 'much'",
            ),
            ("RandomErasing:p=1.5", "p takes a number, at least 0 and at most 1; got '1.5'"),
            ("RandomErasing:same_on_batch=true", "no parameter 'same_on_batch'"),
        ],
    )
    def test_kornia_wrong_options_are_refused_while_planning(self, reference: str, problem: str) -> None:
        with pytest.raises(UsageError, match=problem):
            identity(reference)

    def test_kornia_without_a_class_says_what_to_write(self) -> None:
        with pytest.raises(UsageError, match="needs the name of an augmentation: kornia:RandomPerspective"):
            installed().resolve("defense", "kornia")

    def test_kornia_show_lists_classes_and_the_options_of_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        def shown(reference: str) -> dict:
            assert main(["show", "defense", reference, "--json"]) == 0
            return json.loads(capsys.readouterr().out)

        assert shown("kornia")["arguments"] == list(augmentations())
        options = {row["name"]: row for row in shown("kornia:RandomAffine")["parameters"]}
        assert options["degrees"]["required"]
        assert options["p"]["default"] == 0.5
        (degrees,) = (row for row in shown("kornia:RandomAffine:degrees=5")["parameters"] if row["name"] == "degrees")
        assert degrees["value"] == 5

    def test_kornia_planning_imports_neither_torch_nor_kornia(self) -> None:
        code = (
            "import sys; from ucbench.plugins.registry import installed;"
            "from ucbench_kornia.catalogue import augmentations; assert 'RandomAffine' in augmentations();"
            "print(installed().resolve('defense', 'kornia:RandomAffine:degrees=10').key_text);"
            "sys.exit(bool({'torch', 'kornia'} & set(sys.modules)))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestIdentity:
    def test_kornia_identity_has_options_defaults_and_the_installed_version(self) -> None:
        assert identity("RandomPerspective:distortion_scale=0.3") == {
            "augmentation": "RandomPerspective",
            "distortion_scale": 0.3,
            "resample": "BILINEAR",
            "align_corners": False,
            "p": 0.5,
            "sampling_method": "basic",
            "kornia": kornia.__version__,
        }

    def test_kornia_identity_differs_for_another_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        here = identity("RandomHue")
        monkeypatch.setitem(versions(), "kornia", "0.8.3")
        assert identity("RandomHue") == {**here, "kornia": "0.8.3"}

    def test_kornia_identity_is_the_same_for_a_default_that_is_written_out(self) -> None:
        assert identity("RandomErasing:scale=0.02/0.33,p=0.5") == identity("RandomErasing")

    def test_kornia_values_are_converted_by_annotation(self) -> None:
        affine = (
            installed().resolve("defense", "kornia:RandomAffine:degrees=-10/20,translate=0.1/0.2,shear=none").params
        )
        assert affine.options == {"degrees": (-10.0, 20.0), "translate": (0.1, 0.2), "shear": None}
        crop = installed().resolve("defense", "kornia:RandomCrop:padding=4,pad_if_needed=true,fill=0.5").params
        assert crop.options == {"padding": 4, "pad_if_needed": True, "fill": 0.5}

    @pytest.mark.parametrize(
        ("reference", "probe"),
        [
            ("RandomPlanckianJitter:select_from=0/3/5", lambda module: len(module.pl) == 3),
            ("ColorJitter:brightness=0.2,order=1/0", lambda module: module._fixed_order == (1, 0)),
            ("RandomGrayscale:rgb_weights=0.2/0.3/0.5", lambda module: module.rgb_weights.tolist()[2] == 0.5),
            ("AutoAugment:policy=cifar10", lambda module: len(module) == 25),
            ("RandomAffine:degrees=5,resample=nearest", lambda module: module.flags["resample"].name == "NEAREST"),
        ],
    )
    def test_kornia_takes_lists_tensors_and_enums(self, reference: str, probe: Callable[[Any], bool]) -> None:
        assert probe(built(reference)._module((8, 8)))


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

    def test_kornia_identity_names_the_gate_only_where_it_is_the_batch(self) -> None:
        assert "gate" not in identity("RandomCutMixV2:gate=image")
        assert identity("RandomCutMixV2:gate=batch") == {**identity("RandomCutMixV2"), "gate": "batch"}
        with pytest.raises(UsageError, match="no parameter 'gate'"):
            identity("RandomAffine:degrees=10,gate=batch")

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
