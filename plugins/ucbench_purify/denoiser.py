"""A diffusion model, read from its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor, nn

from ucbench import DataError, UsageError
from ucbench_purify.diffusion import shares
from ucbench_purify.folder import FACTS, files


class Denoiser:
    """Predicts the noise in pictures.

    Args:
        folder: a ``UNet2DModel`` and its scheduler, as diffusers saves a ``DDPMPipeline``.
        device: where it computes.

    Attributes:
        kept: float64 ``[T + 1]``, the share of variance left at every time.
        facts: what is known of its training; empty for folders of other makers.
        size: side in pixels of the pictures it was trained on, as the folder has it, or None.

    Raises:
        DataError: if the folder cannot be read as such a model, or it is not one of colour pictures.
        UsageError: if it predicts something other than the noise.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        found = files(folder)
        try:
            network = UNet2DModel.from_pretrained(
                found["weights"].parent, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
            )
            schedule = DDPMScheduler.from_pretrained(found["schedule"].parent, local_files_only=True)
            facts = folder / FACTS
            self.facts: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else {}
        except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
            cause = f"{type(error).__name__}: {error}"
            raise DataError(f"{folder} cannot be read as a diffusion model ({cause}).") from error
        if network.config.in_channels != 3:
            raise DataError(f"{folder} is a diffusion model of {network.config.in_channels} channels, pictures have 3.")
        if schedule.config.prediction_type != "epsilon":
            raise UsageError(f"{folder} predicts {schedule.config.prediction_type}; only epsilon, the noise, is known.")
        self.kept = shares(schedule.alphas_cumprod)
        size = network.config.sample_size
        self.size: int | None = size if isinstance(size, int) else None
        self._halvings = len(network.config.block_out_channels) - 1
        self._network: nn.Module = network.to(device).eval().requires_grad_(False)

    def check(self, size: tuple[int, int], time: int) -> None:
        """Check that pictures of this size can be noised so far.

        Raises:
            UsageError: if not.
        """
        if time >= len(self.kept):
            raise UsageError(f"The diffusion model knows {len(self.kept) - 1} steps, and time={time} is beyond them.")
        unit = 2**self._halvings
        if any(side % unit for side in size):
            raise UsageError(
                f"The diffusion model takes pictures whose sides are multiples of {unit} pixels, not of {size[0]} x "
                f"{size[1]}."
            )

    def __call__(self, x: Tensor, time: int) -> Tensor:
        """The noise ``[B, 3, H, W]``, float32, in pictures of time ``time`` (from 1) on the [-1, 1] scale."""
        # diffusers counts times from 0.
        times = torch.full((len(x),), time - 1, device=x.device)
        return self._network(x.float(), times, return_dict=False)[0].float()
