"""The metric corruptions: what each corruption does to images, how it grows, and how accuracies are averaged."""

from __future__ import annotations

import importlib.metadata
import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ucbench import MetricContext, UsageError
from ucbench.plugins.registry import installed
from ucbench.testing import check_metric, make_run, sample_images
from ucbench_kornia.params import LEVELS

pytest.importorskip("kornia", reason="needs kornia: pip install 'kornia>=0.9,<0.10'")
from ucbench_kornia.corruptions import corrupt

FAMILIES = tuple(LEVELS)


def natural(count: int, height: int, width: int) -> Tensor:
    """Images with the spectrum of photographs: amplitudes fall with the inverse of the frequency."""
    noise = torch.fft.rfft2(torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0)))
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    frequency = (rows.square() + columns.square()).sqrt().clamp(min=0.5 / max(height, width))
    x = torch.fft.irfft2(noise / frequency, s=(height, width))
    x = 0.7 * x + 0.8 * x.mean(1, keepdim=True)  # channels of photographs are correlated
    return (255 * (0.5 + 0.2 * x / x.std())).clamp(0, 255).round() / 255


def corrupted(x: Tensor, family: str, severity: int, seed: int = 1) -> Tensor:
    return corrupt(x, family, severity, torch.Generator().manual_seed(seed))


def metric(reference: str):
    return installed().resolve("metric", reference)


@pytest.mark.parametrize("size", [(20, 28), (32, 32), (64, 64), (96, 96)], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_corrupt_distortion_rises_with_severity(family, size):
    x = natural(8, *size)
    distortion = [float((corrupted(x, family, severity) - x).abs().mean()) for severity in range(1, 6)]
    assert distortion[0] > 0.004
    assert all(milder < stronger for milder, stronger in itertools.pairwise(distortion))


@pytest.mark.parametrize("family", FAMILIES)
def test_corrupt_stays_in_range_and_repeats_without_global_state(family):
    x = torch.cat([natural(2, 10, 14), torch.zeros(1, 3, 10, 14), torch.ones(1, 3, 10, 14)])
    before, state = x.clone(), torch.get_rng_state()
    first = corrupted(x, family, 5)
    torch.manual_seed(7)
    second = corrupted(x, family, 5)
    torch.set_rng_state(state)
    corrupted(x, family, 5)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.shape == x.shape
    assert first.dtype == torch.float32
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(first, second)
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    "family", ["gaussian_noise", "shot_noise", "impulse_noise", "motion_blur", "elastic_transform"]
)
def test_corrupt_draws_anew_for_every_image(family):
    first, second = corrupted(natural(1, 32, 32).expand(2, -1, -1, -1), family, 3)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name.endswith("blur")])
def test_corrupt_blurs_leave_constant_images(family):
    x = torch.full((1, 3, 12, 16), 0.4)
    torch.testing.assert_close(corrupted(x, family, 5), x)


class TestLevels:
    """A corruption does what its level says."""

    GREY = torch.full((4, 3, 96, 96), 0.5)

    @pytest.mark.parametrize(
        ("family", "deviation"),
        [("gaussian_noise", 0.08), ("speckle_noise", 0.5 * 0.12), ("shot_noise", (0.5 / 100) ** 0.5)],
    )
    def test_noise_has_the_deviation_of_its_level(self, family, deviation):
        noise = corrupted(self.GREY, family, 3) - self.GREY
        assert float(noise.mean()) == pytest.approx(0, abs=0.001)
        assert float(noise.std()) == pytest.approx(deviation, rel=0.02)

    def test_impulse_noise_sets_its_share_to_black_and_white(self):
        x = corrupted(self.GREY, "impulse_noise", 5)
        assert float((x == 0).float().mean()) == pytest.approx(0.035, rel=0.1)
        assert float((x == 1).float().mean()) == pytest.approx(0.035, rel=0.1)
        assert set(x.unique().tolist()) == {0.0, 0.5, 1.0}

    def test_brightness_adds_to_grey(self):
        torch.testing.assert_close(corrupted(self.GREY, "brightness", 4), self.GREY + 0.2)

    def test_contrast_scales_deviations_from_the_mean(self):
        x = natural(3, 32, 32) * 0.5 + 0.25
        torch.testing.assert_close(corrupted(x, "contrast", 2).std((2, 3)), 0.5 * x.std((2, 3)))
        torch.testing.assert_close(corrupted(x, "contrast", 2).mean((2, 3)), x.mean((2, 3)))

    def test_saturate_leaves_grey_and_the_largest_channel(self):
        x = natural(3, 32, 32)
        torch.testing.assert_close(corrupted(x, "saturate", 3).amax(1), x.amax(1))
        torch.testing.assert_close(corrupted(self.GREY, "saturate", 5), self.GREY)

    def test_posterize_leaves_as_many_values_as_its_bits(self):
        x = torch.linspace(0, 1, 256).expand(1, 3, 8, 256)
        assert [len(corrupted(x, "posterize", k).unique()) for k in (1, 3, 5)] == [64, 16, 4]

    def test_pixelate_averages_whole_blocks_exactly(self):
        x = natural(2, 32, 48)
        means = nn.functional.avg_pool2d(x, 2)
        torch.testing.assert_close(corrupted(x, "pixelate", 5), nn.functional.interpolate(means, scale_factor=2))

    def test_pixelate_keeps_the_mean_where_blocks_split_pixels(self):
        x = natural(2, 32, 32)
        torch.testing.assert_close(corrupted(x, "pixelate", 2).mean((2, 3)), x.mean((2, 3)))

    @pytest.mark.parametrize("side", [32, 96])
    def test_gaussian_blur_deviation_grows_with_the_image(self, side):
        x = torch.zeros(1, 3, side, side)
        x[..., side // 2, side // 2] = 1
        spread = corrupted(x, "gaussian_blur", 5)[0, 0].sum(1)
        offset = torch.arange(side) - side // 2
        assert float((spread * offset**2).sum()) == pytest.approx((side / 32) ** 2, rel=0.05)

    @pytest.mark.parametrize("side", [32, 96])
    def test_defocus_blur_spreads_points_evenly_over_its_disk(self, side):
        x = torch.zeros(1, 3, side, side)
        x[..., side // 2, side // 2] = 1
        disk, radius = corrupted(x, "defocus_blur", 5)[0, 0], 1.5 * side / 32
        assert float(disk.sum()) == pytest.approx(1, abs=1e-4)
        assert float(disk[side // 2, side // 2]) == pytest.approx(1 / (np.pi * radius**2), rel=0.01)
        rows, columns = (torch.arange(side) - side // 2)[:, None], torch.arange(side) - side // 2
        assert not disk[rows**2 + columns**2 > (radius + 0.71) ** 2].any()

    @pytest.mark.parametrize(("side", "length"), [(32, 7), (64, 15)])
    def test_motion_blur_spreads_points_along_its_length(self, side, length):
        x = torch.zeros(8, 3, side, side)
        x[..., side // 2, side // 2] = 1
        row, column = (corrupted(x, "motion_blur", 3)[:, 0] > 1e-3).nonzero()[:, 1:].sub(side // 2).unbind(1)
        assert int(column.abs().max()) == length // 2  # angles are within 45 degrees of the rows
        assert int(row.abs().max()) <= length // 2

    @pytest.mark.parametrize("side", [32, 96])
    def test_elastic_transform_displaces_by_its_deviation(self, side):
        ramp = torch.linspace(0, 1, side).expand(64, 3, side, side)
        moved = (corrupted(ramp, "elastic_transform", 3) - ramp)[:, 0] * (side - 1)
        edge = side // 4  # borders smooth less noise and reflect
        inside = moved[:, edge:-edge, edge:-edge] / (side / 32)
        assert float(inside.std()) == pytest.approx(0.7, rel=0.1)

    def test_jpeg_compression_is_near_pillow(self):
        x = natural(1, 32, 32)
        stream = io.BytesIO()
        Image.fromarray((x[0] * 255).byte().permute(1, 2, 0).numpy()).save(stream, "JPEG", quality=50)
        pillow = torch.from_numpy(np.array(Image.open(stream))).permute(2, 0, 1)[None].float() / 255
        ours = corrupted(x, "jpeg_compression", 4)
        assert float((ours - pillow).abs().mean()) < 0.3 * float((pillow - x).abs().mean())


class Contrasted(nn.Module):
    """Class 1 for images whose pixels vary; keeps the sizes of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, x):
        self.batches.append(len(x))
        excess = x.std((1, 2, 3)) - 0.1
        return torch.stack([-excess, excess], 1)


def computed(reference: str, test, model=None, seed: int = 0) -> dict[str, float]:
    context = MetricContext(run=make_run(seed, stage="metric"), model=(model or Contrasted()).eval(), test=test)
    return metric(reference).build().compute(context)


def contrasted_images(count: int = 60):
    """Images of deviations from 0 to 0.2; class 1 is above 0.1."""
    test = sample_images(count, (8, 8), classes=2)
    noise = np.random.default_rng(0).normal(size=test.images.shape)
    deviations = np.linspace(0, 0.2, count)
    pixels = np.clip(128 + 255 * deviations[:, None, None, None] * noise, 0, 255).astype(np.uint8)
    return test.with_images(pixels).with_labels((deviations > 0.1).astype(np.int64), ("flat", "rough"))


def test_corruptions_means_average_families_and_severities():
    test = contrasted_images()
    values = computed("corruptions:families=contrast/gaussian_noise,severities=1/5", test)
    assert list(values) == ["mean", "gaussian_noise", "contrast", "severity_1", "severity_5"]
    # Lower contrast makes the rough half flat: half of all images keep their label at the severest.
    milder, severe = (computed(f"corruptions:families=contrast,severities={k}", test)["mean"] for k in (1, 5))
    assert severe == pytest.approx(50, abs=2)
    assert milder > severe
    assert values["contrast"] == pytest.approx((milder + severe) / 2)
    assert values["mean"] == pytest.approx((values["severity_1"] + values["severity_5"]) / 2)
    assert values["mean"] == pytest.approx((values["contrast"] + values["gaussian_noise"]) / 2)


def test_corruptions_of_a_family_do_not_depend_on_the_others():
    test = contrasted_images()
    alone = computed("corruptions:families=gaussian_noise,severities=4", test)["mean"]
    among = computed("corruptions:families=shot_noise/gaussian_noise/jpeg_compression,severities=2/4", test)
    both = computed("corruptions:families=gaussian_noise,severities=2/4", test)
    assert both["severity_4"] == alone
    assert among["gaussian_noise"] == both["gaussian_noise"]


def test_corruptions_bounds_batches_and_images():
    test, model = sample_images(620, (8, 8)), Contrasted()
    computed("corruptions:families=contrast,severities=1", test, model)
    assert model.batches == [500, 120]
    model.batches.clear()
    computed("corruptions:families=contrast/brightness,severities=1/2,images=30", test, model)
    assert model.batches == [30] * 4


def test_corruptions_values_follow_the_seed():
    test = contrasted_images(40)
    noise = "corruptions:families=gaussian_noise/motion_blur,images=21"
    assert computed(noise, test, seed=1) == computed(noise, test, seed=1)
    assert computed(noise, test, seed=1) != computed(noise, test, seed=2)


def test_corruptions_metric_keeps_its_contract():
    check_metric(metric("corruptions"))


def test_corruptions_parameters_refuse_unknown_names_with_the_nearest():
    with pytest.raises(UsageError, match=r"no corruption 'gausian_blur'\. Did you mean 'gaussian_blur'"):
        metric("corruptions:families=gausian_blur")
    with pytest.raises(UsageError, match="severities go from 1 to 5, got 6"):
        metric("corruptions:severities=1/6")
    with pytest.raises(UsageError, match="families"):
        metric("corruptions:families=")


def test_corruptions_parameters_ignore_order_and_repetition():
    one = metric("corruptions:families=pixelate/contrast/pixelate,severities=5/1").params.identity()
    assert one == metric("corruptions:families=contrast/pixelate,severities=1/5").params.identity()
    assert one["kornia"] == importlib.metadata.version("kornia")
