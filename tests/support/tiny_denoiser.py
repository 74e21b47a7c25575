"""A random diffusion model, in the files that `diffusion-purify` reads."""

from __future__ import annotations

from pathlib import Path

import diffusers
import torch


def save_denoiser(folder: Path, *, seed: int = 0, channels: int = 3, prediction: str = "epsilon") -> Path:
    """A random diffusion model for images of 16 pixels."""
    torch.manual_seed(seed)
    unet = diffusers.UNet2DModel(
        sample_size=16,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        norm_num_groups=4,
        add_attention=False,
    )
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=200, prediction_type=prediction)
    diffusers.DDPMPipeline(unet=unet, scheduler=scheduler).save_pretrained(folder)
    return folder
