"""Gaussian noise and blur as augmentations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ucbench.testing import make_run
from ucbench_augment.gaussian import GaussianBlur, GaussianNoise, blurred
from ucbench_augment.params import GaussianBlurParams, GaussianNoiseParams

RUN = make_run(stage="train")
SIZES = st.tuples(st.integers(1, 20), st.integers(1, 20))


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TestGaussianNoise:
    def test_noise_deviation_is_in_levels(self) -> None:
        out = GaussianNoise(GaussianNoiseParams(sigma=5)).augment(torch.full((50, 3, 16, 16), 0.5), RUN, drawn())
        noise = (out - 0.5) * 255
        assert stats.kstest(noise.flatten()[:5000].numpy(), stats.norm(0, 5).cdf).pvalue > 1e-3
        assert not torch.equal(noise[0], noise[1])

    def test_noise_is_clipped(self) -> None:
        out = GaussianNoise(GaussianNoiseParams(sigma=255)).augment(torch.rand(8, 3, 8, 8), RUN, drawn())
        assert float(out.min()) == 0
        assert float(out.max()) == 1


class TestGaussianBlur:
    @pytest.mark.parametrize("kernel", [3, 7, 9])
    def test_blurred_equals_torchvision_with_a_width_per_image(self, kernel: int) -> None:
        x = torch.rand(6, 3, 12, 10, generator=drawn())
        sigma = torch.tensor([0.1, 0.5, 1.0, 1.5, 2.0, 3.0])
        plain = [TF.gaussian_blur(image, [kernel, kernel], [float(s)] * 2) for image, s in zip(x, sigma, strict=True)]
        torch.testing.assert_close(blurred(x, sigma, kernel), torch.stack(plain))

    @given(SIZES, st.sampled_from([3, 23]))
    @settings(max_examples=30)
    def test_blurred_reflects_when_kernel_exceeds_the_image(self, size: tuple[int, int], kernel: int) -> None:
        x = torch.rand(2, 3, *size, generator=drawn())
        margin = [(0, 0), (0, 0), (kernel // 2, kernel // 2), (kernel // 2, kernel // 2)]
        padded = torch.from_numpy(np.pad(x.numpy(), margin, mode="reflect"))
        wanted = TF.gaussian_blur(padded, [kernel, kernel], [2.0, 2.0])
        crop = wanted[:, :, kernel // 2 :, kernel // 2 :][:, :, : size[0], : size[1]]
        torch.testing.assert_close(blurred(x, torch.full((2,), 2.0), kernel), crop)

    def test_blur_draws_a_width_per_image(self) -> None:
        dot = torch.zeros(500, 3, 9, 9)
        dot[:, :, 4, 4] = 1
        out = GaussianBlur(GaussianBlurParams()).augment(dot, RUN, drawn())
        # The ratio of the middle to its neighbour tells the width.
        sigma = (0.5 / (out[:, 0, 4, 4] / out[:, 0, 4, 5]).log()).sqrt()
        assert stats.kstest(sigma[sigma > 0.3].numpy(), stats.uniform(0.3, 1.7).cdf).pvalue > 1e-3
        assert float((sigma < 0.3).float().mean()) == pytest.approx(0.2 / 1.9, abs=0.05)
