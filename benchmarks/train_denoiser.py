#!/usr/bin/env python
r"""Train a small diffusion model of clean images, for the defenses ``diffusion-purify`` and ``eclipse``.

    benchmarks/train_denoiser.py parquet:DATA/cifar100 denoiser-cifar100 --steps 4000
    ucbench run --dataset parquet:DATA/cifar10 --defense diffusion-purify:denoiser-cifar100

For exploiters who have clean images that are not part of the published data. Take another data set, or with
``--trusted N`` the images that ``ucbench run --trusted N`` gives the exploiter and withholds from the protector:

    benchmarks/train_denoiser.py digits denoiser-digits --trusted 400
    ucbench run --dataset digits --trusted 400 --defense diffusion-purify:denoiser-digits

``eclipse`` takes the trusted images only, and noises them to time 12:

    benchmarks/train_denoiser.py digits eclipse-digits --trusted 400 --latest 12
    ucbench run --dataset digits --trusted 400 --defense eclipse:eclipse-digits

OUT becomes a folder in the format of diffusers' ``DDPMPipeline``; the defense accepts any such folder.
``ucbench.json`` in it names the data, their fingerprints, the images of the set that are ``left`` and all settings;
records quote it.

A U-Net without attention learns the noise in images (Ho et al., 2020, equation 14), at times up to ``--latest``: those
that purification uses. A running average of its weights is saved.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ucbench import ImageSet, UcbenchError
from ucbench.data.loading import load_dataset
from ucbench.data.selection import set_aside
from ucbench.numerics import resolve
from ucbench.plugins.grammar import parse
from ucbench.plugins.registry import installed
from ucbench.progress import Progress, reporting
from ucbench.training.batches import ResidentSet
from ucbench.training.determinism import seeded
from ucbench.training.engine import Engine
from ucbench_purify.diffusion import Denoiser, noised, pixel_hash, purified, shares
from ucbench_purify.params import FACTS


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the network is built and trained; ``width`` in channels of the first of its three levels."""

    steps: int
    batch: int
    lr: float
    width: int
    latest: int
    seed: int


def network(settings: Settings, side: int) -> UNet2DModel:
    """Three levels, a residual block each (two on the way up), for images of ``side`` pixels."""
    return UNet2DModel(
        sample_size=side,
        layers_per_block=1,
        block_out_channels=(settings.width, 2 * settings.width, 2 * settings.width),
        down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3,
        norm_num_groups=8,
        add_attention=False,
    )


def fit(train: ImageSet, settings: Settings, schedule: DDPMScheduler, engine: Engine, progress: Progress) -> nn.Module:
    """A network trained on ``train``: Adam, warm-up over the first twentieth of the steps, then a cosine to 0."""
    with seeded(settings.seed):
        model = network(settings, train.size[0]).to(engine.device)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.995))
    signal = shares(schedule.alphas_cumprod).float().to(engine.device)
    data = ResidentSet(train, padding=0, flip=train.flip, device=engine.device)
    generator = torch.Generator().manual_seed(settings.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr)
    warm = max(1, settings.steps // 20)

    def rate(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 + 0.5 * math.cos(math.pi * (step - warm) / max(1, settings.steps - warm))

    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    advance = progress.bar("training the denoiser", settings.steps)
    model.train()
    done = 0
    while done < settings.steps:
        for x, _ in data.epoch(settings.batch, generator):
            times = torch.randint(1, settings.latest + 1, (len(x),), generator=generator).to(engine.device)
            noise = torch.randn(x.shape, generator=generator).to(engine.device)
            with engine.autocast():
                guess = model(noised(2 * x - 1, noise, signal[times].view(-1, 1, 1, 1)), times - 1).sample
            loss = F.mse_loss(guess.float(), noise)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            decay.step()
            average.update_parameters(model)
            done += 1
            advance(1)
            if done == settings.steps:
                break
    return average.module.eval()


@torch.no_grad()
def fidelity(denoiser: Denoiser, images: ImageSet, time: int, steps: int, seed: int) -> tuple[float, float]:
    """PSNR in dB, relative to clean images, of the images noised to ``time``, before and after they are walked back."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.from_numpy(images.images.copy()).double() / 127.5 - 1
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    back = purified(x, denoiser, denoiser.kept, start=time, steps=steps, eta=0.0, draw=lambda: noise)
    # Scaled by an exploiter who only restores the contrast of the images.
    seen = noised(x, noise, denoiser.kept[time]) / denoiser.kept[time].sqrt()
    return _psnr(x, seen.clamp(-1, 1)), _psnr(x, back)


def _psnr(x: Tensor, other: Tensor) -> float:
    return float(10 * torch.log10(4 / (x - other).square().mean()))


app = typer.Typer(add_completion=False)


@app.command(help=(__doc__ or "").partition("\n\n")[0])
def main(
    dataset: Annotated[str, typer.Argument(help="A data set, such as cifar10.")],
    out: Annotated[Path, typer.Argument(file_okay=False, help="Folder to write.")],
    trusted: Annotated[int, typer.Option(min=0, help="Learn from images of `ucbench run --trusted N`; 0: all.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Steps of training.")] = 4000,
    batch: Annotated[int, typer.Option(min=2, help="Images per step.")] = 64,
    lr: Annotated[float, typer.Option(help="Peak learning rate of Adam.")] = 1e-3,
    width: Annotated[int, typer.Option(min=8, help="Channels; a multiple of 8.")] = 32,
    latest: Annotated[int, typer.Option(min=1, max=1000, help="Latest time of 1,000.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Initial weights and batches.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, show_default="all cores", help="CPU threads of torch.")] = None,
) -> None:
    settings = Settings(steps, batch, lr, width, latest, seed)
    if settings.width % 8:
        raise typer.BadParameter("--width is a multiple of 8.")
    try:
        numerics = resolve(device, threads=threads)
        torch.set_num_threads(numerics.threads)
        engine = Engine(numerics)
        component = installed().resolve("dataset", parse(dataset))
        loaded = load_dataset(component.build(), component.params)
        learned = set_aside(loaded.train, trusted)[1] if trusted else loaded.train
        if learned.size[0] != learned.size[1] or learned.size[0] % 4:
            raise typer.BadParameter(f"Images must be square, with sides divisible by 4; these have {learned.size}.")
        schedule = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear", prediction_type="epsilon")
        facts = {
            "dataset": str(component),
            "trusted": trusted,
            "images": len(learned),
            "fingerprint": learned.fingerprint,
            "pixels": pixel_hash(learned),
            "name": loaded.train.name,
            "left": len(loaded.train) - len(learned),
            **dataclasses.asdict(settings),
        }
        with reporting() as progress:
            model = fit(learned, settings, schedule, engine, progress)
            DDPMPipeline(unet=model, scheduler=schedule).save_pretrained(out)
            (out / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            progress.say(f"{out}: learned from {len(learned)} images of {component}")
            held_out = loaded.test.subset(np.arange(min(200, len(loaded.test))))
            time = min(100, settings.latest)
            before, after = fidelity(Denoiser(out, engine.device), held_out, time, min(10, time), settings.seed)
            seen = f"{len(held_out)} test images at time {time}"
            typer.echo(f"PSNR of {seen}: {before:.1f} dB, walked back {after:.1f} dB")
    except UcbenchError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
