"""Purification by diffusion (AVATAR; DiffPure for adversarial examples)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ucbench import ImageSet
from ucbench_purify.denoiser import Denoiser
from ucbench_purify.diffusion import purified

if TYPE_CHECKING:
    from ucbench.components import Run
    from ucbench_purify.params import PurifyParams

#: Pictures purified together; part of the result, since noise is drawn block by block.
_TOGETHER = 100


class DiffusionPurify:
    """Noise every training picture to time ``time`` of a diffusion and walk it back with a trained network.

    Noise that drowns the perturbation drowns fine detail too; the network, which has seen clean pictures only, puts
    back what it takes for likely, and the perturbation is not. Test pictures are left as they are, as in the paper.

    Deviations: the paper's network is a score model trained on the very set that was perturbed, before it was, which an
    exploiter has no way to get. Here it is whatever the folder holds, and a record notes as ``purifier`` on what it
    was trained, where ``benchmarks/train_denoiser.py`` wrote that down. The paper walks back all 100 steps with fresh
    noise (preset ``paper``); by default ten steps without it (DDIM) cost a tenth.

    Raises:
        DataError: if the folder holds no such model.
        UsageError: if the pictures' size does not go with it, or ``time`` is beyond its steps.
    """

    def __init__(self, params: PurifyParams) -> None:
        self.params = params

    @torch.no_grad()
    def prepare(self, train: ImageSet, run: Run) -> ImageSet:
        denoiser = Denoiser(self.params.denoiser, run.device)
        denoiser.check(train.size, self.params.time)
        if denoiser.size is not None and train.size != (denoiser.size, denoiser.size):
            run.warn(
                f"The denoiser was trained on pictures of {denoiser.size} pixels, and these have {train.size[0]} x "
                f"{train.size[1]}."
            )
        if denoiser.facts:
            run.note("purifier", denoiser.facts)
        kept = denoiser.kept.to(run.device)
        generator = run.generator("purify")
        images = np.empty(train.images.shape, np.uint8)
        advance = run.progress("purifying the training set", len(train))
        for begin in range(0, len(train), _TOGETHER):
            pixels = torch.from_numpy(train.images[begin : begin + _TOGETHER].copy())
            shape = pixels.shape
            clean = purified(
                pixels.to(run.device).double() / 127.5 - 1,
                denoiser,
                kept,
                start=self.params.time,
                steps=self.params.steps,
                eta=self.params.eta,
                # On the CPU, so that it is the same on every device.
                draw=lambda shape=shape: torch.randn(shape, generator=generator, dtype=torch.float64).to(run.device),
            )
            levels = ((clean + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            images[begin : begin + len(levels)] = levels.cpu().numpy()
            advance(len(levels))
        return train.with_images(images)
