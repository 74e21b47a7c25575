"""Tiny things to run components on: pictures, a surrogate, and what the core lends."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ucbench.budget import Budget
from ucbench.components import Surrogate
from ucbench.context import Context
from ucbench.data import ImageSet, LabelSet
from ucbench.numerics import Numerics
from ucbench.progress import Silent
from ucbench.training import Engine, seeded

#: The arithmetic of all checks, in which equal inputs give equal bytes.
NUMERICS = Numerics("cpu", "float32", threads=1, deterministic=True)


def sample_images(
    count: int = 13, size: tuple[int, int] = (10, 14), classes: int = 3, *, seed: int = 0, name: str = "sample"
) -> ImageSet:
    """Pictures of noise around a colour of their class, the first one black and the last one white.

    Every class occurs if ``count`` allows. A further label set ``parity`` says whether the class number is even.
    The pictures are ``seed``'s, the colours are not: sets of different seeds are splits of one data set.
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


def make_run(
    seed: int = 0, *, stage: str = "craft", budget: Budget | None = None, surrogate: Surrogate | None = None
) -> Context:
    """What the core would lend a component in ``stage``, on the CPU, silent and without checkpoints.

    ``notes`` and ``warnings`` of the result hold what the component put into the record.
    """
    return Context(Engine(NUMERICS), (stage, seed), Silent(), budget=budget, surrogate=surrogate)


class TinySurrogate:
    """Two random convolutions: a frozen surrogate for pictures of any size, of 64 features and 10 scores."""

    def __init__(self, seed: int = 0) -> None:
        self._network = self.module(seed).eval().requires_grad_(False)

    def module(self, seed: int) -> nn.Sequential:
        """A fresh, trainable network, drawn from ``seed``."""
        with seeded(seed):
            return nn.Sequential(
                nn.Conv2d(3, 16, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(16, 16, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(2),
                nn.Flatten(),
                nn.Linear(64, 10),
            )

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self._network[:-1](x)
        return features

    def logits(self, x: Tensor) -> Tensor:
        scores: Tensor = self._network(x)
        return scores

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move to ``device``; two layers are not worth another ``dtype``."""
        self._network.to(device)
