#!/usr/bin/env python
r"""Train a small CLIP on captions made from a data set's class names.

    benchmarks/train_small_clip.py parquet:DATA/cifar100 clip-cifar100 --keep-out 50

For machines without internet access, where the components of open_clip lack weights: the surrogate ``openclip``, the
labelings ``zero-shot`` and ``coarse-by-name``, the victim ``openclip-probe``, and the poisoner ``one-for-all``.
Every training image is paired with its class name in a template drawn at random (the 80 of Radford et al., 2021, as
open_clip has them), and both towers learn by open_clip's contrastive loss. Images of one class are each other's
negatives in a batch; they share that term evenly, which does not change the optimum.

**What is kept out.** ``--keep-out K`` withholds K images of every class: exactly those that
``DATASET:train_per_class=K,subset_seed=S`` draws. Protect these images: the model has not seen them. Their indices into
the training split, the data's fingerprint and all settings are in the metadata of the checkpoint (key ``ucbench``),
which ``safetensors.safe_open(FILE, "pt").metadata()`` reads.

OUT becomes a folder in open_clip's format, ``open_clip_model.safetensors`` and ``open_clip_config.json``:

    ucbench run --dataset parquet:DATA/cifar100:train_per_class=50,subset_seed=0 \
        --poisoner uc --surrogate openclip:checkpoint=clip-cifar100/open_clip_model.safetensors \
        --labeling zero-shot:checkpoint=clip-cifar100/open_clip_model.safetensors

The model knows the data set's class names and has seen labelled images of the same distribution. It stands in for a
CLIP of the literature, but its numbers are not comparable with that one's.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import open_clip
import torch
import typer
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from ucbench import ImageSet, UcbenchError, UsageError
from ucbench.data.loading import load_dataset
from ucbench.data.selection import balanced_indices
from ucbench.exploit.labels import LabelRun
from ucbench.numerics import Numerics
from ucbench.plugins.grammar import parse
from ucbench.plugins.registry import installed
from ucbench.progress import Progress, reporting
from ucbench.training.batches import ResidentSet, split_evenly
from ucbench.training.determinism import seeded
from ucbench.training.engine import Engine
from ucbench.training.recipe import cosine
from ucbench.training.resize import resize
from ucbench_openclip.configuration import CONFIG_NAME
from ucbench_openclip.labelings import annotate
from ucbench_openclip.params import ENSEMBLE, OpenClipParams
from ucbench_openclip.surrogate import OpenClip, prompts

#: Longest caption in tokens, both marks included.
CONTEXT = 16
#: Largest factor of the cosines (Radford et al., 2021, section 2.5).
LARGEST_SCALE = 100.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the model is built and trained; ``size`` in pixels, ``width`` of the image tower's stem."""

    epochs: int
    batch: int
    lr: float
    weight_decay: float
    size: int
    width: int
    seed: int


def configuration(settings: Settings) -> dict[str, Any]:
    """open_clip's configuration: CLIP's residual network, one block per stage, and a two-layer text transformer."""
    return {
        "model_cfg": {
            "embed_dim": 128,
            "vision_cfg": {
                "layers": [1, 1, 1, 1],
                "width": settings.width,
                "head_width": 64,
                "image_size": settings.size,
            },
            "text_cfg": {"context_length": CONTEXT, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 2},
        },
        "preprocess_cfg": {
            "mean": list(open_clip.OPENAI_DATASET_MEAN),
            "std": list(open_clip.OPENAI_DATASET_STD),
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }


def split(train: ImageSet, keep_out: int, subset_seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the images to learn from, and of those ``train_per_class=keep_out,subset_seed=...`` draws.

    Raises:
        DataError: if a class has fewer images.
        UsageError: if nothing is left to learn from.
    """
    held_out = balanced_indices(train.known_labels, train.classes, keep_out, subset_seed, train.name)
    rest = np.setdiff1d(np.arange(len(train), dtype=np.int64), held_out)
    if len(rest) < 2:
        raise UsageError(f"Keeping {keep_out} images a class out of {train.name} leaves {len(rest)} to learn from.")
    return rest, held_out


def fit(config: dict[str, Any], train: ImageSet, settings: Settings, device: torch.device, progress: Progress) -> Any:
    """A CLIP trained on ``train``: AdamW, warm-up over the first tenth of the steps, then a cosine to 0."""
    with seeded(settings.seed):
        model = open_clip.CLIP(**config["model_cfg"]).to(device)
    mean, std = (torch.tensor(config["preprocess_cfg"][key], device=device).view(1, 3, 1, 1) for key in ("mean", "std"))
    captions = _captions(train.classes).to(device)
    data = ResidentSet(train, padding=round(min(train.size) / 8), flip=train.flip, device=device)
    generator = torch.Generator().manual_seed(settings.seed)
    steps = settings.epochs * split_evenly(len(train), settings.batch)
    optimizer = torch.optim.AdamW(_groups(model, settings.weight_decay), lr=settings.lr, betas=(0.9, 0.98), eps=1e-6)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    contrast = open_clip.ClipLoss()
    advance = progress.bar("training CLIP", steps)
    model.train()
    for _ in range(settings.epochs):
        for x, labels in data.epoch(settings.batch, generator):
            templates = torch.randint(captions.shape[1], (len(x),), generator=generator).to(device)
            pixels = (resize(x, (settings.size, settings.size)) - mean) / std
            optimizer.zero_grad(set_to_none=True)
            contrast(*model(pixels, captions[labels, templates])).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, math.log(LARGEST_SCALE))
            advance(1)
    return model.eval()


def _captions(classes: Sequence[str]) -> Tensor:
    """Token ids ``[K, 80, CONTEXT]``."""
    tokenizer = open_clip.SimpleTokenizer(context_length=CONTEXT)
    return torch.stack([tokenizer(prompts(name, (ENSEMBLE,))) for name in classes])


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """All weights; scales, biases and the temperature do not decay."""
    undecayed = [weight for weight in model.parameters() if weight.ndim < 2]
    decayed = [weight for weight in model.parameters() if weight.ndim >= 2]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": undecayed, "weight_decay": 0.0}]


def _rate(step: int, steps: int) -> float:
    warm = max(1, steps // 10)
    return (step + 1) / warm if step < warm else cosine(1.0, 0.0, step - warm, max(1, steps - warm))


def save(model: nn.Module, config: dict[str, Any], facts: dict[str, Any], out: Path) -> Path:
    """Write weights (with ``facts`` in their metadata) and description into ``out``; return the path of the weights."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "open_clip_model.safetensors"
    tensors = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, path, metadata={"format": "pt", "ucbench": json.dumps(facts)})
    (out / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return path


def zero_shot_accuracy(checkpoint: Path, images: ImageSet, engine: Engine, progress: Progress) -> float:
    """Percent of ``images`` that the saved model classifies correctly, with the prompt "a photo of a {class}."."""
    clip = OpenClip(OpenClipParams(checkpoint=checkpoint, classes=images.classes))
    clip.to(engine.device, torch.float32)
    labels = annotate(clip, images, LabelRun(engine, progress), "zero-shot")
    return 100.0 * float((labels == images.known_labels).mean())


app = typer.Typer(add_completion=False)


@app.command(help=(__doc__ or "").partition("\n\n")[0])
def main(
    dataset: Annotated[str, typer.Argument(help="A data set, such as cifar10.")],
    out: Annotated[Path, typer.Argument(file_okay=False, help="Folder to write.")],
    keep_out: Annotated[int, typer.Option(min=1, help="Images per class to keep out.")] = 50,
    subset_seed: Annotated[int, typer.Option(min=0, help="Seed that draws them.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of training.")] = 15,
    batch: Annotated[int, typer.Option(min=2, help="Images per step.")] = 128,
    lr: Annotated[float, typer.Option(help="Peak learning rate of AdamW.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(help="Weight decay of AdamW.")] = 0.1,
    size: Annotated[int, typer.Option(min=32, help="Input side in pixels; a multiple of 32.")] = 64,
    width: Annotated[int, typer.Option(min=8, help="Channels; a multiple of 8.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="Initial weights and batches.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N or mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, show_default="torch's", help="CPU threads of torch.")] = None,
) -> None:
    settings = Settings(epochs, batch, lr, weight_decay, size, width, seed)
    if settings.size % 32 or settings.width % 8:
        raise typer.BadParameter("--size is a multiple of 32, and --width one of 8.")
    torch.set_num_threads(threads or torch.get_num_threads())
    engine = Engine(Numerics(device, "float32", threads=torch.get_num_threads(), deterministic=False))
    try:
        reference = parse(dataset)
        if {"train_per_class", "subset_seed"} & dict(reference.options).keys():
            raise UsageError("Leave train_per_class and subset_seed to --keep-out and --subset-seed.")
        # The same seed draws a validation split, which must be the same one later.
        reference = dataclasses.replace(reference, options=(*reference.options, ("subset_seed", str(subset_seed))))
        component = installed().resolve("dataset", reference)
        loaded = load_dataset(component.build(), component.params)
        learned, held_out = split(loaded.train, keep_out, subset_seed)
        part = (*reference.options, ("train_per_class", str(keep_out)))
        protect = str(dataclasses.replace(reference, options=part))
        facts = {
            "dataset": str(component),
            "fingerprint": loaded.train.fingerprint,
            "kept_out": protect,
            "kept_out_indices": held_out.tolist(),
            "captions": "open_clip.OPENAI_IMAGENET_TEMPLATES",
            **dataclasses.asdict(settings),
        }
        with reporting() as progress:
            config = configuration(settings)
            model = fit(config, loaded.train.subset(learned), settings, engine.device, progress)
            checkpoint = save(model, config, facts, out)
            progress.say(f"{checkpoint}: learned from {len(learned)} images of {len(loaded.train.classes)} classes")
            for name, images in ((protect, loaded.train.subset(held_out)), (f"test split of {component}", loaded.test)):
                accuracy = zero_shot_accuracy(checkpoint, images, engine, progress)
                typer.echo(f"zero-shot accuracy {accuracy:.1f} %: {name}, held out")
    except UcbenchError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
