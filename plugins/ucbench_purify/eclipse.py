"""ECLIPSE (Wang et al., ESORICS 2024): purification, then random corruption in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ucbench import UsageError
from ucbench_purify.diffusion import DiffusionPurify, pixel_hash

if TYPE_CHECKING:
    from ucbench import DefenseRun, ImageSet
    from ucbench_purify.params import EclipseParams

#: Luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


class Eclipse(DiffusionPurify):
    """Purify the release by a little noise and a diffusion model, and train with random grey and Gaussian noise.

    The noise is too weak to absorb every perturbation, and stronger noise would cost detail. What is left is
    covered in training: colour patterns by grey, fine patterns by noise. Test images are not changed.

    Raises:
        UsageError: if ``benchmarks/train_denoiser.py`` trained the model on other images than the trusted ones.
    """

    params: EclipseParams

    def _check_source(self, facts: Mapping[str, Any], train: ImageSet, run: DefenseRun) -> None:
        if "pixels" not in facts:
            run.warn("What the denoiser was trained on is not known; it should be the trusted images, and no others.")
        elif facts["pixels"] != pixel_hash(run.trusted):
            raise UsageError(
                f"The denoiser was trained on {facts['images']} images of {facts['dataset']}, which are not the "
                f"{len(run.trusted)} trusted ones. Train it on the same data set with benchmarks/train_denoiser.py "
                f"--trusted {len(run.trusted)}."
            )

    def augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1], each grey or not, with noise, clipped to [0, 1]."""
        is_grey = (torch.rand(len(x), generator=generator) < self.params.grey).to(x.device)
        luma = (x * x.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
        x = torch.where(is_grey[:, None, None, None], luma, x)
        noise = torch.randn(x.shape, generator=generator).to(x)
        return (x + self.params.sigma * noise).clamp(0, 1)
