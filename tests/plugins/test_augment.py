"""Erasing and mixing as defenses, what each does to every single image, and the contract of all augmentations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia import augmentation as K
from kornia.constants import DType
from scipy import stats
from torch import Tensor

from ucbench import UsageError, versions
from ucbench.plugins.registry import installed
from ucbench.testing import check_defense, make_run
from ucbench_augment.erasing import Cutout, RandomErasing
from ucbench_augment.gaussian import GaussianNoise
from ucbench_augment.mixing import CutMix, Mixup
from ucbench_augment.params import (
    CutMixParams,
    CutoutParams,
    GaussianNoiseParams,
    MixupParams,
    RandomErasingParams,
)

RUN = make_run(stage="train")

SIZES = st.tuples(st.integers(1, 20), st.integers(1, 20))

NAMES = (
    "cutout",
    "cutmix",
    "mixup",
    "randaugment",
    "trivial-augment",
    "color-jitter",
    "gaussian-blur",
    "gaussian-noise",
    "random-erasing",
    "ueraser",
)


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int, size: tuple[int, int]) -> Tensor:
    """Image b has the value b everywhere, which is outside the range and serves as a mark."""
    return torch.arange(float(count)).view(-1, 1, 1, 1).expand(count, 3, *size).clone()


def bounds(changed: Tensor) -> tuple[int, int, int, int]:
    """The box of what is True in ``[H, W]``, which must fill it."""
    rows, columns = (changed.any(axis).nonzero().flatten() for axis in (1, 0))
    box = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    assert changed[box[0] : box[2], box[1] : box[3]].all()
    return box


def augmented(name: str, x: Tensor) -> Tensor:
    """What a defense makes of images, in whichever stage."""
    component = installed().resolve("defense", name).build()
    if hasattr(component, "loss"):
        return component.view(x, drawn())
    if hasattr(component, "mix"):
        return component.mix(x, torch.eye(len(x)), RUN, drawn())[0]
    return component.augment(x, RUN, drawn())


class TestCutout:
    def test_cutout_draws_a_square_per_image_clipped_at_the_border(self) -> None:
        x = torch.ones(500, 3, 32, 32)
        out = Cutout(CutoutParams()).augment(x, RUN, drawn())
        boxes = [bounds(image[0] == 0) for image in out]
        assert torch.equal(out[:, 0], out[:, 1])
        assert torch.equal(out[:, 0], out[:, 2])
        for top, left, bottom, right in boxes:
            height, width = bottom - top, right - left
            assert height == 16 if top > 0 and bottom < 32 else 8 <= height <= 16
            assert width == 16 if left > 0 and right < 32 else 8 <= width <= 16
        assert len(set(boxes)) > 300
        # The centre is uniform over the pixels: half of them clip the square in a direction.
        clipped = np.mean([bottom - top < 16 for top, _, bottom, _ in boxes])
        assert clipped == pytest.approx(15 / 32, abs=0.07)

    def test_cutout_side_is_relative_to_the_shorter_side(self) -> None:
        out = Cutout(CutoutParams(side=0.25)).augment(torch.ones(50, 3, 16, 64), RUN, drawn())
        boxes = np.array([bounds(image[0] == 0) for image in out])
        assert (boxes[:, 2:] - boxes[:, :2]).max(0).tolist() == [4, 4]

    @given(SIZES)
    @settings(max_examples=20)
    def test_cutout_preset_uc_takes_a_tenth_of_the_area_wholly_inside(self, size: tuple[int, int]) -> None:
        out = Cutout(CutoutParams.resolve("cutout", "uc")).augment(torch.ones(50, 3, *size), RUN, drawn())
        boxes = np.array([bounds(image[0] == 0) for image in out])
        assert (boxes[:, 2:] - boxes[:, :2] == [max(1, int(side * 0.1**0.5)) for side in size]).all()

    def test_cutout_inside_is_uniform_over_its_places_and_leaves_older_keys(self) -> None:
        params = CutoutParams(side=0.5, inside=True)
        out = Cutout(params).augment(torch.ones(3000, 3, 4, 6), RUN, drawn())
        tops_and_lefts = [bounds(image[0] == 0)[:2] for image in out]
        counts = [tops_and_lefts.count((top, left)) for top in range(3) for left in range(4)]
        assert stats.chisquare(counts).pvalue > 1e-3
        assert "inside" not in CutoutParams().identity()
        with pytest.raises(UsageError, match="at most its side"):
            CutoutParams.resolve("cutout", options={"side": 1.5, "inside": True})

    def test_cutout_gradient_is_zero_only_in_the_square(self) -> None:
        x = torch.rand(4, 3, 8, 8).add(0.1).requires_grad_()
        out = Cutout(CutoutParams()).augment(x, RUN, drawn())
        out.sum().backward()
        assert torch.equal(x.grad, (out != 0).float())

    @given(SIZES, st.floats(0, 1))
    @settings(max_examples=20)
    def test_cutout_hits_its_share_at_any_size(self, size: tuple[int, int], probability: float) -> None:
        out = Cutout(CutoutParams(probability=probability)).augment(torch.ones(200, 3, *size), RUN, drawn())
        hit = float((out == 0).flatten(1).any(1).float().mean())
        assert hit == pytest.approx(probability, abs=0.2)


class TestRandomErasing:
    def test_erasing_rectangles_lie_inside_with_areas_and_aspects_in_range(self) -> None:
        erasing = RandomErasing(RandomErasingParams())
        top, left, bottom, right = erasing.rectangles(4000, (40, 60), drawn()).T
        assert min(int(top.min()), int(left.min())) == 0
        assert int(bottom.max()) == 40
        assert int(right.max()) == 60
        height, width = (bottom - top).double(), (right - left).double()
        area = height * width / 2400
        assert 0.015 < float(area.min()) < 0.03
        assert 0.37 < float(area.max()) < 0.43
        # As often high as wide, where both fit.
        small = area < 0.1
        assert float((height > width)[small].double().mean()) == pytest.approx(0.5, abs=0.06)
        assert float((height / width).max()) < 4

    def test_erasing_fills_half_of_the_images_with_uniform_noise(self) -> None:
        x = torch.full((400, 3, 32, 32), 2.0)
        out = RandomErasing(RandomErasingParams()).augment(x, RUN, drawn())
        erased = (out != 2).all(1)
        hit = erased.flatten(1).any(1)
        assert float(hit.float().mean()) == pytest.approx(0.5, abs=0.08)
        for mask in erased[hit]:
            bounds(mask)
        values = out[out != 2]
        assert stats.kstest(values[:5000].numpy(), "uniform").pvalue > 1e-4

    def test_erasing_fill_black(self) -> None:
        params = RandomErasingParams(fill="black", probability=1)
        out = RandomErasing(params).augment(torch.ones(20, 3, 16, 16), RUN, drawn())
        assert set(out.unique().tolist()) == {0.0, 1.0}

    def test_erasing_leaves_images_that_no_rectangle_fits(self) -> None:
        params = RandomErasingParams(area=(1, 1), aspect=(2, 3), probability=1)
        x = torch.ones(5, 3, 8, 8)
        assert torch.equal(RandomErasing(params).augment(x, RUN, drawn()), x)


class TestCutMix:
    @given(st.integers(1, 12), SIZES, st.floats(0.1, 5), st.floats(0, 1), st.integers(0, 99))
    @settings(max_examples=30)
    def test_cutmix_weight_equals_pasted_share(
        self, count: int, size: tuple[int, int], alpha: float, probability: float, seed: int
    ) -> None:
        cutmix = CutMix(CutMixParams(alpha=alpha, probability=probability))
        x, targets = cutmix.mix(numbered(count, size), torch.eye(count), RUN, drawn(seed))
        pixels = torch.stack([(x[:, 0] == k).double().mean((1, 2)) for k in range(count)], 1)
        torch.testing.assert_close(targets.double(), pixels, atol=1e-6, rtol=0)

    def test_cutmix_draws_box_and_share_per_image(self) -> None:
        size, count = (32, 32), 300
        x, targets = CutMix(CutMixParams(probability=1)).mix(numbered(count, size), torch.eye(count), RUN, drawn())
        own = torch.arange(count).view(-1, 1, 1)
        boxes = [bounds(image) for image in x[:, 0] != own if image.any()]
        assert len(set(boxes)) > 200
        assert len(targets.diagonal().unique()) > 100

    def test_cutmix_partners_are_a_permutation_and_pixels_keep_their_place(self) -> None:
        count, size = 50, (8, 8)
        place = torch.arange(64.0).view(8, 8) / 64
        x, targets = CutMix(CutMixParams(share=0.3, probability=1)).mix(
            numbered(count, size) + place, torch.eye(count), RUN, drawn()
        )
        assert torch.equal(x.frac(), place.expand_as(x))
        weights = targets.clone().fill_diagonal_(0)
        assert ((weights > 0).sum(1) <= 1).all()
        assert ((weights > 0).sum(0) <= 1).all()
        assert int((weights > 0).sum()) > 40

    def test_cutmix_unclipped_box_has_the_area_of_the_share(self) -> None:
        _, targets = CutMix(CutMixParams(share=0.75, probability=1)).mix(
            numbered(60, (32, 48)), torch.eye(60), RUN, drawn()
        )
        assert float(targets.diagonal()[targets.diagonal() < 1].min()) == pytest.approx(0.75, abs=1e-6)

    def test_cutmix_mixes_half_of_the_images_by_default(self) -> None:
        _, targets = CutMix(CutMixParams()).mix(numbered(1000, (32, 32)), torch.eye(1000), RUN, drawn())
        assert float((targets.diagonal() < 1).float().mean()) == pytest.approx(0.5, abs=0.06)

    def test_cutmix_twice_mixes_three_labels(self) -> None:
        params = CutMixParams.resolve("cutmix", "eminn")
        _, targets = CutMix(params).mix(numbered(200, (32, 32)), torch.eye(200), RUN, drawn())
        assert int((targets > 0).sum(1).max()) > 2

    @given(SIZES, st.integers(0, 99))
    @settings(max_examples=20)
    def test_cutmix_preset_uc_pastes_whole_boxes_of_a_tenth(self, size: tuple[int, int], seed: int) -> None:
        cutmix = CutMix(CutMixParams.resolve("cutmix", "uc"))
        x, _ = cutmix.mix(numbered(30, size), torch.eye(30), RUN, drawn(seed))
        pasted = [image != place for place, image in enumerate(x[:, 0])]
        height, width = (int(side * 0.1**0.5) for side in size)
        # One that is its own partner stays as it is.
        assert {int(mask.sum()) for mask in pasted} - {0} == ({height * width} - {0})

    @pytest.mark.parametrize("name", ["cutmix", "mixup"])
    def test_mixing_preset_uc_keeps_the_labels(self, name: str) -> None:
        component = installed().resolve("defense", f"{name}@uc").build()
        x = numbered(40, (32, 32))
        mixed, targets = component.mix(x, torch.eye(40), RUN, drawn())
        assert torch.equal(targets, torch.eye(40))
        assert int((mixed != x).flatten(1).any(1).sum()) > 35


class TestMixup:
    @given(st.integers(1, 12), st.floats(0.1, 5), st.floats(0, 1), st.integers(0, 99))
    @settings(max_examples=20)
    def test_mixup_blends_images_and_labels_by_one_share(
        self, count: int, alpha: float, probability: float, seed: int
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        x = torch.rand(count, 3, 4, 5, generator=generator)
        mixup = Mixup(MixupParams(alpha=alpha, probability=probability))
        mixed, targets = mixup.mix(x, torch.eye(count), RUN, generator)
        torch.testing.assert_close(mixed, torch.einsum("bk,kchw->bchw", targets, x))
        assert ((targets > 0).sum(1) <= 2).all()

    def test_mixup_draws_a_share_per_image(self) -> None:
        _, targets = Mixup(MixupParams()).mix(torch.rand(100, 3, 4, 4), torch.eye(100), RUN, drawn())
        assert len(targets.diagonal().unique()) > 95

    def test_mixup_shares_follow_the_beta_distribution(self) -> None:
        _, targets = Mixup(MixupParams(alpha=0.4)).mix(torch.rand(2000, 3, 1, 1), torch.eye(2000), RUN, drawn())
        moved = targets.diagonal()[targets.diagonal() < 1]
        assert stats.kstest(moved.numpy(), stats.beta(0.4, 0.4).cdf).pvalue > 1e-3

    def test_mixup_keeps_soft_targets_probabilities(self) -> None:
        soft = torch.rand(20, 7).softmax(1)
        _, targets = Mixup(MixupParams()).mix(torch.rand(20, 3, 4, 4), soft, RUN, drawn())
        torch.testing.assert_close(targets.sum(1), torch.ones(20))


@pytest.mark.parametrize("name", ["color-jitter", "gaussian-blur", "randaugment", "trivial-augment", "ueraser"])
def test_identity_of_what_calls_kornia_differs_for_another_version(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    params = installed().resolve("defense", name).params
    here = params.identity()
    monkeypatch.setitem(versions(), "kornia", "0.8.3")
    assert params.identity() == {**here, "kornia": "0.8.3"} != here


class TestKornia:
    """The same draws, handed to kornia's classes."""

    def test_erasing_equals_kornia_in_the_same_rectangles(self) -> None:
        x = torch.rand(50, 3, 20, 30, generator=drawn())
        erasing = RandomErasing(RandomErasingParams(probability=1, fill="black"))
        ours = erasing.augment(x, RUN, drawn(1))
        again = drawn(1)
        torch.rand(50, generator=again)
        top, left, bottom, right = erasing.rectangles(50, (20, 30), again).T
        params = {"xs": left, "ys": top, "widths": right - left, "heights": bottom - top, "values": torch.zeros(50)}
        assert torch.equal(ours, K.RandomErasing().apply_transform(x, params, {}))

    def test_cutmix_equals_kornia_in_the_same_boxes(self) -> None:
        x = numbered(40, (16, 16))
        mixed, targets = CutMix(CutMixParams(share=0.6, probability=1)).mix(x, torch.eye(40), RUN, drawn())
        pasted = [image != place for place, image in enumerate(mixed[:, 0])]
        partner = torch.tensor([int(image[0][mask][0]) for image, mask in zip(mixed, pasted, strict=True)])
        top, left, bottom, right = torch.tensor([bounds(mask) for mask in pasted]).T
        # kornia's corners, the last ones included, from the upper left clockwise.
        ends = [(left, top), (right - 1, top), (right - 1, bottom - 1), (left, bottom - 1)]
        corners = torch.stack([torch.stack(end, 1) for end in ends], 1).float()
        kornia = K.RandomCutMixV2(use_correct_lambda=True)
        params = {
            "mix_pairs": partner[None],
            "crop_src": corners[None],
            "image_shape": torch.tensor([16, 16]),
            "dtype": torch.tensor(DType.get(x.dtype).value),
        }
        assert torch.equal(kornia.apply_transform(x, params), mixed)
        share = kornia.apply_transform_class(torch.arange(40.0), params, {})[0, :, 2]
        torch.testing.assert_close(share, targets.diagonal())

    def test_mixup_equals_kornia_with_the_same_shares(self) -> None:
        x = torch.rand(30, 3, 4, 5, generator=drawn())
        mixed, targets = Mixup(MixupParams()).mix(x, torch.eye(30), RUN, drawn())
        away = targets.clone().fill_diagonal_(0)
        params = {"mixup_pairs": away.argmax(1), "mixup_lambdas": away.sum(1)}
        torch.testing.assert_close(K.RandomMixUpV2().apply_transform(x, params), mixed)

    def test_noise_equals_kornia_clipped(self) -> None:
        x = torch.rand(8, 3, 6, 6, generator=drawn())
        ours = GaussianNoise(GaussianNoiseParams(sigma=50)).augment(x, RUN, drawn(1))
        params = {"gaussian_noise": 50 / 255 * torch.randn(x.shape, generator=drawn(1))}
        theirs = K.RandomGaussianNoise().apply_transform(x, params, {})
        assert float(theirs.min()) < 0
        torch.testing.assert_close(ours, theirs.clamp(0, 1))


@pytest.mark.parametrize("name", NAMES)
def test_augmentation_gradients_reach_every_image(name: str) -> None:
    x = (0.2 + 0.6 * torch.rand(128, 3, 16, 16, generator=drawn())).requires_grad_()
    weights = torch.rand(x.shape, generator=drawn(1))
    out = augmented(name, x)
    (out * weights).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    # A shift as wide as the image leaves nothing of it.
    assert float((x.grad != 0).flatten(1).any(1).float().mean()) > 0.9


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 2)])
def test_augmentation_of_tiny_images_stays_in_range(name: str, size: tuple[int, int]) -> None:
    x = torch.rand(60, 3, *size, generator=drawn())
    out = augmented(name, x)
    assert out.shape == x.shape
    assert 0 <= float(out.min()) <= float(out.max()) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_augmentation_ignores_memory_layout(name: str) -> None:
    x = torch.rand(16, 3, 8, 12, generator=drawn())
    torch.testing.assert_close(augmented(name, x), augmented(name, x.contiguous(memory_format=torch.channels_last)))


@pytest.mark.parametrize("name", NAMES)
def test_augmentation_is_full_precision_under_autocast(name: str) -> None:
    x = torch.rand(60, 3, 8, 12, generator=drawn())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = augmented(name, x)
    assert out.dtype == torch.float32
    assert torch.equal(out, augmented(name, x))


@pytest.mark.parametrize("name", NAMES)
def test_augmentation_presets_keep_the_contract(name: str) -> None:
    registry = installed()
    for preset in registry.params_class(registry.find("defense", name)).preset_names():
        check_defense(registry.resolve("defense", f"{name}@{preset}"))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("cutmix:alpha=0", "alpha"),
        ("cutmix:probability=1.5", "probability"),
        ("mixup:share=2", "share"),
        ("mixup:alpha=inf", "alpha"),
        ("cutout:side=0", "side"),
        ("random-erasing:area=0.5/0.1", "the lower one first, not 0.5/0.1"),
        ("random-erasing:aspect=0/1", "above 0"),
        ("gaussian-blur:kernel=4", "odd"),
        ("gaussian-blur:sigma=2/1", "the lower one first"),
        ("gaussian-noise:sigma=0", "sigma"),
        ("color-jitter:brightness=0,contrast=0,saturation=0,hue=0", "not all be 0"),
        ("color-jitter:hue=0.6", "hue"),
        ("randaugment:magnitude=31", "magnitude"),
        ("trivial-augment:space=narrow", "space"),
        ("ueraser:copies=0", "copies"),
        ("ueraser:roughness=0.1/1.2", "roughness"),
    ],
)
def test_params_out_of_range_are_refused(reference: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        installed().resolve("defense", reference)


def test_params_parse_from_a_command_line() -> None:
    params = installed().resolve("defense", "cutmix:alpha=1.0,probability=0.5").params
    assert (params.alpha, params.probability) == (1.0, 0.5)
    assert installed().resolve("defense", "gaussian-blur:sigma=0.5/1").params.sigma == (0.5, 1.0)
    assert installed().resolve("defense", "ueraser@max").params.epochs is None
