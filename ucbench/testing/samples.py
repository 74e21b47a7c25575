"""Tiny inputs to run components on: images, runs, a checkpoint and a surrogate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench.crafting.poisoner import Checkpoint, CraftRun
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet, LabelSet
from ucbench.exploit.labels import LabelRun
from ucbench.numerics import Numerics
from ucbench.progress import Silent
from ucbench.training.context import Run
from ucbench.training.defenses import DefenseRun
from ucbench.training.determinism import seeded
from ucbench.training.engine import Engine
from ucbench.training.surrogate import Surrogate

#: The numerics of all checks, in which equal inputs give equal bytes.
NUMERICS = Numerics("cpu", "float32", threads=1, deterministic=True)


def sample_images(
    count: int = 13, size: tuple[int, int] = (10, 14), classes: int = 3, *, seed: int = 0, name: str = "sample"
) -> ImageSet:
    """Images of noise around the colour of their class, uint8 ``[count, 3, *size]``; first black, last white.

    Every class occurs if ``count`` allows. A further label set ``parity`` says whether the class number is even. The
    colours do not depend on ``seed``, so sets of different seeds are splits of one data set.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count, dtype=np.int64) % classes)
    colours = np.random.default_rng(0).uniform(40, 215, (classes, 3, 1, 1))
    pixels = colours[labels] + rng.normal(0, 30, (count, 3, *size))
    pixels[0], pixels[-1] = 0, 255
    return ImageSet(
        np.clip(pixels, 0, 255).astype(np.uint8),
        labels,
        tuple(f"class {k}" for k in range(classes)),
        {"parity": LabelSet(labels % 2, ("even", "odd"))},
        name=name,
    )


def tensor_of(images: ImageSet) -> Tensor:
    """A copy of the images as float32 ``[N, 3, H, W]`` in [0, 1]."""
    return torch.from_numpy(images.images.copy()).float() / 255


@overload
def make_run(
    seed: int = 0,
    *,
    stage: Literal["craft"] = "craft",
    budget: Budget | None = None,
    surrogate: Surrogate | None = None,
    checkpoint: Checkpoint | None = None,
) -> CraftRun: ...


@overload
def make_run(seed: int = 0, *, stage: Literal["labeling"], surrogate: Surrogate | None = None) -> LabelRun: ...


@overload
def make_run(
    seed: int = 0,
    *,
    stage: Literal["prepare", "train"],
    clean: ImageSet | None = None,
    trusted: ImageSet | None = None,
    leaked: tuple[ImageSet, ImageSet] | None = None,
) -> DefenseRun: ...


@overload
def make_run(seed: int = 0, *, stage: Literal["surrogate", "metric"]) -> Run: ...


def make_run(
    seed: int = 0,
    *,
    stage: str = "craft",
    budget: Budget | None = None,
    surrogate: Surrogate | None = None,
    checkpoint: Checkpoint | None = None,
    clean: ImageSet | None = None,
    trusted: ImageSet | None = None,
    leaked: tuple[ImageSet, ImageSet] | None = None,
) -> Run:
    """The run of a component in ``stage``, on the CPU, silent and (by default) without checkpoints.

    Its ``notes`` and ``warnings`` hold what the component wants in the record.

    Args:
        stage: ``craft``, ``labeling``, ``prepare`` or ``train`` (defenses and trainers), ``surrogate`` or ``metric``.
        budget: of a craft; linf 8 by default.
        surrogate: of a craft or a labeling; without one, reading it raises UsageError.
        clean: the clean images, for an oracle defense.
        trusted: clean labelled images, for a defense that needs them.
        leaked: images before and after protection, for a defense that sees them.
    """
    engine = Engine(NUMERICS)
    if stage == "craft":
        budget = budget or Budget("linf", 8)
        return CraftRun(engine, seed, Silent(), budget=budget, surrogate=surrogate, checkpoint=checkpoint)
    if stage == "labeling":
        run = LabelRun(engine, Silent(), seed=seed)
        if surrogate is not None:
            run.surrogate = surrogate
        return run
    if stage in ("prepare", "train"):
        return DefenseRun(engine, (stage, seed), Silent(), clean=clean, trusted=trusted, leaked=leaked)
    return Run(engine, (stage, seed), Silent())


class MemoryCheckpoint:
    """A checkpoint in memory; ``saved`` holds every saved state.

    Args:
        resumed: the state that :meth:`load` returns, or None.
    """

    def __init__(self, resumed: tuple[int, dict[str, NDArray[Any]]] | None = None) -> None:
        self.saved: list[tuple[int, dict[str, NDArray[Any]]]] = []
        self._resumed = resumed

    def load(self) -> tuple[int, dict[str, NDArray[Any]]] | None:
        return self._resumed

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Save a copy, as a file would be."""
        self.saved.append((step, {name: array.copy() for name, array in arrays.items()}))


class TinyNetwork(nn.Sequential):
    """Layers; the last one is the classifier."""

    def features(self, x: Tensor) -> Tensor:
        """The classifier's input."""
        features: Tensor = self[:-1](x)
        return features


class TinySurrogate:
    """Two random convolutions: a frozen surrogate for images of any size, with 64 features and 10 scores.

    Unlike a registered surrogate it is both: frozen, and (:meth:`module`) the source of fresh networks.
    """

    def __init__(self, seed: int = 0) -> None:
        self._network = self.module(seed).eval().requires_grad_(False)

    def module(self, seed: int, train: ImageSet | None = None) -> TinyNetwork:
        """A fresh, trainable network, initialised from ``seed``, for the classes of ``train`` (or 10)."""
        with seeded(seed):
            return TinyNetwork(
                nn.Conv2d(3, 16, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(16, 16, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(2),
                nn.Flatten(),
                nn.Linear(64, len(train.classes) if train else 10),
            )

    def features(self, x: Tensor) -> Tensor:
        return self._network.features(x)

    def logits(self, x: Tensor) -> Tensor:
        scores: Tensor = self._network(x)
        return scores

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move to ``device``; ``dtype`` has no effect."""
        self._network.to(device)
