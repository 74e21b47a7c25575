"""Operations on colour, tone and place against torchvision's, and how policies draw them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from kornia.enhance import adjust_hue, normalize_min_max, posterize
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandAugment, TrivialAugmentWide

from ucbench.testing import make_run
from ucbench_augment import color, policies
from ucbench_augment.color import ColorJitter
from ucbench_augment.drawing import by_choice, on_share
from ucbench_augment.params import ColorJitterParams, RandAugmentParams, TrivialAugmentParams

RUN = make_run(stage="train")
FACTORS = torch.tensor([0.0, 0.3, 0.9, 1.0, 1.4, 2.0])
#: The names under which torchvision knows the operations.
NAMES = {
    "identity": "Identity",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateX",
    "translate_y": "TranslateY",
    "rotate": "Rotate",
    "brightness": "Brightness",
    "saturation": "Color",
    "contrast": "Contrast",
    "sharpness": "Sharpness",
    "posterize": "Posterize",
    "solarize": "Solarize",
    "autocontrast": "AutoContrast",
    "equalize": "Equalize",
}


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def levels(count: int = 6, size: tuple[int, int] = (20, 17)) -> Tensor:
    """Images of 8 bits, uint8; the last one has few colours, one of its channels a single one."""
    pixels = torch.randint(256, (count, 3, *size), generator=drawn(), dtype=torch.uint8)
    pixels[-1] = pixels[-1] // 100 * 100
    pixels[-1, 0] = 77
    return pixels


def one_by_one(images: Tensor, values: Tensor, change: object) -> Tensor:
    return torch.stack([change(image, float(value)) for image, value in zip(images, values, strict=True)])


class TestColour:
    @pytest.mark.parametrize(
        ("operation", "reference"),
        [
            (color.brightness, TF.adjust_brightness),
            (color.contrast, TF.adjust_contrast),
            (color.saturation, TF.adjust_saturation),
            (color.sharpness, TF.adjust_sharpness),
        ],
    )
    def test_color_operations_equal_torchvision_with_a_factor_per_image(
        self, operation: object, reference: object
    ) -> None:
        x = levels() / 255
        # torchvision's grey weighs red by 0.2989.
        torch.testing.assert_close(operation(x, FACTORS), one_by_one(x, FACTORS, reference), atol=2e-4, rtol=0)
        torch.testing.assert_close(operation(x, torch.ones(6)), x, atol=1e-6, rtol=0)

    def test_hue_equals_torchvision(self) -> None:
        x = levels() / 255
        shifts = torch.tensor([-0.5, -0.2, 0.0, 0.1, 0.35, 0.5])
        torch.testing.assert_close(color.hue(x, shifts), one_by_one(x, shifts, TF.adjust_hue), atol=1e-5, rtol=0)

    def test_hue_equals_kornia(self) -> None:
        x = levels() / 255
        shifts = torch.tensor([-0.5, -0.2, 0.0, 0.1, 0.35, 0.5])
        torch.testing.assert_close(color.hue(x, shifts), adjust_hue(x, 2 * math.pi * shifts), atol=1e-5, rtol=0)

    def test_hue_keeps_grey_images_with_finite_gradient(self) -> None:
        x = torch.rand(2, 1, 4, 4).expand(2, 3, 4, 4).clone().requires_grad_()
        out = color.hue(x, torch.tensor([0.2, -0.4]))
        torch.testing.assert_close(out, x)
        out.sum().backward()
        assert torch.isfinite(x.grad).all()


class TestTone:
    def test_autocontrast_equals_torchvision(self) -> None:
        x = levels() / 255
        torch.testing.assert_close(color.autocontrast(x), torch.stack([TF.autocontrast(image) for image in x]))

    # Of 80 pixels no level can be evened out; of 340 the rounding matters most.
    @pytest.mark.parametrize("size", [(8, 10), (20, 17), (40, 40)])
    def test_equalize_equals_torchvision(self, size: tuple[int, int]) -> None:
        pixels = levels(6, size)
        assert torch.equal(color.equalize(pixels / 255), TF.equalize(pixels) / 255)

    def test_posterize_equals_torchvision(self) -> None:
        pixels = levels(5)
        bits = torch.tensor([1.0, 2.0, 4.0, 7.0, 8.0])
        wanted = torch.stack([TF.posterize(image, int(b)) for image, b in zip(pixels, bits, strict=True)])
        torch.testing.assert_close(color.posterize(pixels / 255, bits), wanted / 255)

    def test_solarize_equals_torchvision(self) -> None:
        pixels = levels()
        thresholds = torch.tensor([0.0, 1.0, 77.0, 128.0, 178.5, 255.0])
        wanted = one_by_one(pixels, thresholds, TF.solarize)
        torch.testing.assert_close(color.solarize(pixels / 255, thresholds), wanted / 255)
        x = torch.ones(1, 3, 2, 2)
        assert torch.equal(color.solarize(x, torch.tensor([256.0])), x)

    def test_autocontrast_equals_kornia_but_where_a_channel_has_one_value(self) -> None:
        x = levels() / 255
        ours, theirs = color.autocontrast(x), normalize_min_max(x)
        assert float(theirs[-1, 0].max()) == 0
        assert torch.equal(ours[-1, 0], x[-1, 0])
        ours[-1, 0] = 0
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)

    def test_posterize_equals_kornia_at_every_level_and_number_of_bits(self) -> None:
        x = torch.arange(256).view(1, 1, 16, 16).expand(9, 3, 16, 16) / 255
        bits = torch.arange(9)
        torch.testing.assert_close(color.posterize(x, bits.float()), posterize(x, bits))

    @pytest.mark.parametrize("rounding", [color.equalize, lambda x: color.posterize(x, torch.full((6,), 2.0))])
    def test_tone_gradients_go_straight_through_rounding(self, rounding: object) -> None:
        x = (levels() / 255).requires_grad_()
        weights = torch.rand(x.shape, generator=drawn())
        (rounding(x) * weights).sum().backward()
        assert torch.equal(x.grad, weights)
        assert torch.equal(rounding(x).detach(), rounding(x.detach()))


class TestPlace:
    @pytest.mark.parametrize("mode", ["nearest", "bilinear"])
    @pytest.mark.parametrize("name", ["shear_x", "shear_y", "translate_x", "translate_y", "rotate"])
    def test_moves_equal_torchvision_with_an_amount_per_image(self, name: str, mode: str) -> None:
        x = levels() / 255
        amounts = {
            "shear": [-0.99, -0.31, 0.0, 0.123, 0.5, 0.9],
            "translate": [-32.0, -3.7, 0.0, 1.2, 5.0, 9.9],
            "rotate": [-135.0, -29.0, 0.0, 7.0, 45.5, 120.0],
        }[name.split("_")[0]]
        wanted = []
        for image, amount in zip(x, amounts, strict=True):
            sheared = float(np.degrees(np.arctan(amount)))
            options = {
                "shear_x": {"shear": [sheared, 0.0], "center": [0, 0]},
                "shear_y": {"shear": [0.0, sheared], "center": [0, 0]},
                "translate_x": {"translate": [int(amount), 0]},
                "translate_y": {"translate": [0, int(amount)]},
                "rotate": {"angle": -amount},
            }[name]
            plain = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
            wanted.append(TF.affine(image, **(plain | options), interpolation=InterpolationMode(mode)))
        found = policies.moved(x, mode, **{name: torch.tensor(amounts)})
        # A place half-way between two pixels may be rounded to either.
        differing = (found - torch.stack(wanted)).abs() > 1e-4
        assert float(differing.float().mean()) < (0.02 if mode == "nearest" else 1e-9)

    def test_rotate_turns_counter_clockwise(self) -> None:
        x = levels(2, (9, 9)) / 255
        turned = policies.moved(x, "nearest", rotate=torch.tensor([90.0, -90.0]))
        assert torch.equal(turned[0], x[0].rot90(1, (1, 2)))
        assert torch.equal(turned[1], x[1].rot90(-1, (1, 2)))

    def test_policy_moves_each_image_by_its_own_kind_and_amount(self) -> None:
        x = levels(60) / 255
        policy = policies.Policy(policies.trivial_augment_ra_space)
        level = torch.rand(60, generator=drawn(1))
        out = policy.apply(x, level, drawn())
        space = policies.trivial_augment_ra_space(20, 17)
        again = drawn()
        choice = torch.randint(len(space), (60,), generator=again)
        sign = 1.0 - 2.0 * torch.randint(2, (60,), generator=again)
        for image, changed, kind, amount in zip(x, out, choice, sign * level, strict=True):
            name = list(space)[kind]
            if name in ("shear_x", "shear_y", "translate_x", "translate_y", "rotate"):
                alone = policies.moved(image[None], "nearest", **{name: amount[None] * space[name].reach})
                torch.testing.assert_close(changed, alone[0])


class TestSubsets:
    def test_by_choice_gives_each_image_its_operation_and_value(self) -> None:
        operations = [lambda x, v: x + v[:, None, None, None], lambda x, v: x * v[:, None, None, None]]
        x = torch.rand(40, 3, 2, 2, generator=drawn()).requires_grad_()
        choice = torch.randint(2, (40,), generator=drawn(1))
        value = torch.rand(40, generator=drawn(2))
        out = by_choice(x, choice, value, operations)
        scale = value.view(-1, 1, 1, 1).expand_as(x)
        multiplied = (choice == 1).view(-1, 1, 1, 1)
        torch.testing.assert_close(out, torch.where(multiplied, x * scale, x + scale))
        out.sum().backward()
        torch.testing.assert_close(x.grad, torch.where(multiplied, scale, torch.ones(())))

    @pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
    def test_on_share_changes_only_the_chosen_images(self, probability: float) -> None:
        x = torch.rand(2000, 3, 1, 1, generator=drawn())
        kept = x.clone()
        out = on_share(x, probability, drawn(), lambda part, _: part + 2)
        changed = (out > 1).flatten(1).all(1)
        assert float(changed.float().mean()) == pytest.approx(probability, abs=0.05)
        assert torch.equal(out[~changed], x[~changed])
        torch.testing.assert_close(out[changed], x[changed] + 2)
        assert torch.equal(x, kept)


class TestSpaces:
    @pytest.mark.parametrize("bin_", [0, 9, 30])
    def test_randaugment_space_has_the_magnitudes_of_torchvision(self, bin_: int) -> None:
        theirs = RandAugment()._augmentation_space(31, (40, 32))
        ours = policies.randaugment_space(40, 32)
        assert [NAMES[name] for name in ours] == list(theirs)
        for name, way in ours.items():
            magnitudes, signed = theirs[NAMES[name]]
            assert way.signed == signed
            if magnitudes.ndim:
                shift = 1 if name in ("brightness", "saturation", "contrast", "sharpness") else 0
                value = way.start + way.reach * bin_ / 30
                assert (round(value) if name == "posterize" else value) == pytest.approx(
                    shift + float(magnitudes[bin_])
                )

    def test_trivial_augment_wide_space_reaches_as_far_as_torchvision(self) -> None:
        theirs = TrivialAugmentWide()._augmentation_space(31)
        ours = policies.trivial_augment_wide_space(40, 32)
        assert [NAMES[name] for name in ours] == list(theirs)
        for name in ("shear_x", "shear_y", "translate_x", "translate_y", "rotate", "posterize"):
            assert ours[name].start + ours[name].reach == pytest.approx(float(theirs[NAMES[name]][0][-1]))

    def test_trivial_augment_factors_span_their_range_unsigned(self) -> None:
        for space, ends in (
            (policies.trivial_augment_ra_space, (0.1, 1.9)),
            (policies.trivial_augment_wide_space, (0.01, 2.0)),
        ):
            way = space(32, 32)["contrast"]
            assert (way.start, way.start + way.reach) == pytest.approx(ends)
            assert not way.signed

    def test_ueraser_space_has_neither_identity_nor_colour(self) -> None:
        ours = policies.ueraser_space(20, 30)
        assert len(ours) == 12
        assert not {"identity", "saturation"} & set(ours)
        assert (ours["translate_x"].reach, ours["translate_y"].reach) == (15, 10)


class TestPolicies:
    def test_trivial_augment_draws_operation_value_and_sign_per_image(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = {}

        def record(x: Tensor, choice: Tensor, value: Tensor, operations: object) -> Tensor:
            seen.update(choice=choice, value=value)
            return x

        monkeypatch.setattr(policies, "by_choice", record)
        policies.TrivialAugment(TrivialAugmentParams()).augment(torch.rand(20_000, 3, 1, 1), RUN, drawn())
        names = list(policies.trivial_augment_wide_space(1, 1))
        counts = seen["choice"].bincount(minlength=14)
        assert ((counts / 20_000 - 1 / 14).abs() < 0.01).all()
        turns = seen["value"][seen["choice"] == names.index("rotate")]
        assert len(turns.abs().unique()) == 31
        assert float((turns > 0).float().mean()) == pytest.approx(15 / 31, abs=0.05)
        assert float(turns.abs().max()) == 135
        bits = seen["value"][seen["choice"] == names.index("posterize")]
        assert (float(bits.min()), float(bits.max())) == (2, 8)

    def test_randaugment_applies_its_number_of_operations(self, monkeypatch: pytest.MonkeyPatch) -> None:
        choices = []

        def record(x: Tensor, choice: Tensor, value: Tensor, operations: object) -> Tensor:
            choices.append(choice)
            return x + 1

        monkeypatch.setattr(policies, "by_choice", record)
        monkeypatch.setattr(policies, "moved", lambda x, mode, **moves: x)
        out = policies.RandAugment(RandAugmentParams(operations=3)).augment(torch.zeros(50, 3, 1, 1), RUN, drawn())
        assert (out == 3).all()
        assert len(choices) == 3
        assert not torch.equal(choices[0], choices[1])

    def test_randaugment_of_magnitude_zero_changes_little(self) -> None:
        x = levels(200, (16, 16)) / 255
        out = policies.RandAugment(RandAugmentParams(operations=1, magnitude=0)).augment(x, RUN, drawn())
        # Only contrast and histograms are stretched whatever the magnitude.
        same = (out - x).abs().flatten(1).amax(1) < 1.5 / 255
        assert float(same.float().mean()) > 0.75


class TestColorJitter:
    def test_jitter_draws_a_uniform_factor_per_image(self) -> None:
        params = ColorJitterParams(contrast=0, saturation=0, hue=0, probability=1)
        out = ColorJitter(params).augment(torch.full((1000, 3, 2, 2), 0.5), RUN, drawn())
        factors = out / 0.5
        assert torch.equal(factors, factors[:, :1, :1, :1].expand_as(factors))
        assert float(factors.min()) == pytest.approx(0.6, abs=0.01)
        assert float(factors.max()) == pytest.approx(1.4, abs=0.01)

    def test_jitter_applies_every_change_once_in_an_order_per_image(self) -> None:
        jitter = ColorJitter(ColorJitterParams(probability=1))

        def mark(digit: int) -> object:
            # Decimal digits keep the order in which they were appended.
            return lambda x, _: 10 * x + digit

        jitter._operations = [mark(digit) for digit in (1, 2, 3, 4)]
        orders = jitter.augment(torch.zeros(2000, 3, 1, 1), RUN, drawn())[:, 0, 0, 0].int().tolist()
        assert {"".join(sorted(str(order))) for order in orders} == {"1234"}
        assert len(set(orders)) == 24

    def test_jitter_values_belong_to_their_operations(self) -> None:
        # Only hue may turn a colour; its factor around 1, mistaken for a shift, would leave it as it is.
        params = ColorJitterParams(brightness=0.2, contrast=0, saturation=0, hue=0.01, probability=1)
        x = torch.tensor([0.5, 0.2, 0.1]).view(1, 3, 1, 1).expand(300, 3, 2, 2).clone()
        out = ColorJitter(params).augment(x, RUN, drawn())[:, :, 0, 0]
        assert (out[:, 0] > out[:, 1]).all()
        assert (out[:, 1] > 0.1).all()
        assert 0.39 < float(out[:, 0].min()) < 0.42
        assert 0.58 < float(out[:, 0].max()) < 0.61
