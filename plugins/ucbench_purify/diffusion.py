"""Purification by diffusion (AVATAR; DiffPure for adversarial examples): the defense, its network, its arithmetic.

The diffusion is variance-preserving. A time is a number of noising steps, 0 the image itself; ``kept`` is the share of
variance left at a time, the cumulative product of Ho et al. (2020). Images are on the [-1, 1] scale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor, nn

from ucbench import DataError, ImageSet, UsageError, double_device
from ucbench_purify.params import FACTS, model_files

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_purify.params import PurifyParams

#: A network: images ``[B, 3, H, W]`` and their time, to the noise in them.
Noise = Callable[[Tensor, int], Tensor]

#: Images purified together; part of the result, since noise is drawn block by block.
_TOGETHER = 100


class DiffusionPurify:
    """Noise every training image to time ``time`` of a diffusion and walk it back with a trained network.

    Noise that hides the perturbation also hides fine detail. The network was trained on clean images only and restores
    what is likely under them, which the perturbation is not. Test images are not changed, as in the paper.

    The record notes the network's training data as ``purifier``, where ``benchmarks/train_denoiser.py`` wrote them
    down, with a warning if some of them are in the release. By default ten steps without fresh noise (DDIM) cost a
    tenth of the paper's hundred with it.

    Raises:
        DataError: if the folder holds no such model.
        UsageError: if the images' size does not fit it, or ``time`` is beyond its steps.
    """

    def __init__(self, params: PurifyParams) -> None:
        self.params = params

    @torch.no_grad()
    def prepare(self, train: ImageSet, run: DefenseRun) -> ImageSet:
        denoiser = Denoiser(self.params.denoiser, run.device)
        denoiser.check(train.size, self.params.time)
        if denoiser.size is not None and train.size != (denoiser.size, denoiser.size):
            run.warn(
                f"The denoiser was trained on images of {denoiser.size} pixels, and these have {train.size[0]} x "
                f"{train.size[1]}."
            )
        if denoiser.facts.get("latest", self.params.time) < self.params.time:
            run.warn(f"The denoiser knows noise up to time {denoiser.facts['latest']}, not {self.params.time}.")
        if denoiser.facts:
            run.note("purifier", denoiser.facts)
        self._check_source(denoiser.facts, train, run)
        device = double_device(run.device)
        kept = denoiser.kept.to(device)
        generator = run.generator("purify")
        images = np.empty(train.images.shape, np.uint8)
        advance = run.progress("purifying the training set", len(train))
        for begin in range(0, len(train), _TOGETHER):
            pixels = torch.from_numpy(train.images[begin : begin + _TOGETHER].copy())

            def draw(shape: torch.Size = pixels.shape) -> Tensor:
                # On the CPU, so that it is the same on every device.
                return torch.randn(shape, generator=generator, dtype=torch.float64).to(device)

            clean = purified(
                pixels.to(device).double() / 127.5 - 1,
                denoiser,
                kept,
                start=self.params.time,
                steps=self.params.steps,
                eta=self.params.eta,
                draw=draw,
            )
            levels = ((clean + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            images[begin : begin + len(levels)] = levels.cpu().numpy()
            advance(len(levels))
        return train.with_images(images)

    def _check_source(self, facts: Mapping[str, Any], train: ImageSet, run: DefenseRun) -> None:
        # Sets of trusted images are nested, so a smaller one leaves images of a larger one in the release.
        if facts.get("name") == train.name and len(train) > facts["left"]:
            run.warn(
                f"The denoiser was trained on {facts['images']} images of {train.name}, some of them in the release."
                " Train it with --trusted N, and run with as many."
            )


class Denoiser:
    """Predicts the noise in images.

    Args:
        folder: a ``UNet2DModel`` and its scheduler, as diffusers saves a ``DDPMPipeline``.
        device: where it computes.

    Attributes:
        kept: float64 ``[T + 1]``, the share of variance left at every time.
        facts: about its training; empty for folders that ``benchmarks/train_denoiser.py`` did not write.
        size: side in pixels of the images it was trained on, as the folder states it, or None.

    Raises:
        DataError: if the folder cannot be read as such a model, or the model is not for colour images.
        UsageError: if it predicts something other than the noise.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        paths = model_files(folder)
        try:
            network = UNet2DModel.from_pretrained(
                paths["weights"].parent, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
            )
            schedule = DDPMScheduler.from_pretrained(paths["schedule"].parent, local_files_only=True)
            facts = folder / FACTS
            self.facts: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else {}
        except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
            cause = f"{type(error).__name__}: {error}"
            raise DataError(f"{folder} cannot be read as a diffusion model ({cause}).") from error
        if network.config.in_channels != 3:
            raise DataError(f"{folder} is a diffusion model of {network.config.in_channels} channels, images have 3.")
        if schedule.config.prediction_type != "epsilon":
            raise UsageError(
                f"{folder} predicts {schedule.config.prediction_type}; only epsilon, the noise, is supported."
            )
        self.kept = shares(schedule.alphas_cumprod)
        size = network.config.sample_size
        self.size: int | None = size if isinstance(size, int) else None
        self._halvings = len(network.config.block_out_channels) - 1
        self._device = device
        self._network: nn.Module = network.to(device).eval().requires_grad_(False)

    def check(self, size: tuple[int, int], time: int) -> None:
        """Check that images of this size can be noised to ``time``.

        Raises:
            UsageError: if not.
        """
        if time >= len(self.kept):
            raise UsageError(f"The diffusion model has {len(self.kept) - 1} steps, and time={time} is beyond them.")
        unit = 2**self._halvings
        if any(side % unit for side in size):
            raise UsageError(
                f"The diffusion model takes images whose sides are multiples of {unit} pixels, not of {size[0]} x "
                f"{size[1]}."
            )

    def __call__(self, x: Tensor, time: int) -> Tensor:
        """The noise ``[B, 3, H, W]``, float32, in images of time ``time`` (from 1) on the [-1, 1] scale.

        It comes back to the device of ``x``, which may be another one than the network's.
        """
        # diffusers counts times from 0.
        times = torch.full((len(x),), time - 1, device=self._device)
        noise: Tensor = self._network(x.float().to(self._device), times, return_dict=False)[0]
        return noise.float().to(x.device)


def pixel_hash(images: ImageSet) -> str:
    """SHA-256 over shape and pixels, in hexadecimal: the same under all labels."""
    return hashlib.sha256(repr(images.images.shape).encode() + images.images.tobytes()).hexdigest()


def shares(products: Tensor) -> Tensor:
    """``kept`` of every time from 0, float64 ``[T + 1]``, of a schedule's cumulative products ``[T]``."""
    return torch.cat([torch.ones(1, dtype=torch.float64), products.double().cpu()])


def times(start: int, steps: int) -> list[int]:
    """``steps + 1`` times from ``start`` down to 0, spaced as evenly as integers allow; all different."""
    return [round(start * left / steps) for left in range(steps, -1, -1)]


def noised(x: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    """Images ``x`` at the time of ``kept`` (Ho et al., 2020, equation 4)."""
    return kept.sqrt() * x + (1 - kept).sqrt() * noise


def step_back(x: Tensor, predicted: Tensor, kept: Tensor, after: Tensor, eta: float, noise: Tensor | None) -> Tensor:
    """Images at the time of ``kept`` brought back to the time of ``after`` (Song et al., 2021, equation 12).

    Args:
        x: ``[B, 3, H, W]``.
        predicted: the noise in ``x`` by a network's estimate.
        kept: share of variance left in ``x``.
        after: share of variance left in the result.
        eta: fresh noise as a share of DDPM's (Song et al., 2021, equation 16).
        noise: standard normal, of the shape of ``x``; not needed where ``eta`` is 0.
    """
    # The image if the noise is as predicted. Images have no values beyond these.
    guess = ((x - (1 - kept).sqrt() * predicted) / kept.sqrt()).clamp(-1, 1)
    implied = (x - kept.sqrt() * guess) / (1 - kept).sqrt()
    fresh = eta * ((1 - after) / (1 - kept) * (1 - kept / after)).sqrt()
    back = after.sqrt() * guess + (1 - after - fresh.square()).clamp(min=0).sqrt() * implied
    return back if noise is None else back + fresh * noise


def purified(
    x: Tensor, predict: Noise, kept: Tensor, *, start: int, steps: int, eta: float, draw: Callable[[], Tensor]
) -> Tensor:
    """Images ``x`` ``[B, 3, H, W]`` noised to time ``start`` and walked back in ``steps`` steps.

    ``kept`` is float64 ``[T + 1]`` (see :func:`shares`); ``draw`` gives standard normal noise of the shape of ``x``.
    """
    way = times(start, steps)
    at = noised(x, draw(), kept[start])
    for now, after in pairwise(way):
        at = step_back(at, predict(at, now), kept[now], kept[after], eta, draw() if eta and after else None)
    return at
