"""Training whatever a cell's victim is, and one way to ask any of them what it sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ucbench.components import Trainer, Victim
from ucbench.context import Context
from ucbench.data import ImageSet
from ucbench.errors import ContractError
from ucbench.training import DefenseChain, Engine, seeded
from ucbench.training.batches import split_evenly


class Defended(nn.Module):
    """A trained model behind its defenses' changes of test images, as the exploiter uses it."""

    def __init__(self, model: nn.Module, chain: DefenseChain) -> None:
        super().__init__()
        self.model = model
        self._chain = chain

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to logits ``[B, K]``."""
        logits: Tensor = self.model(self._chain.at_test(x))
        return logits


@dataclass(frozen=True)
class Trained:
    """A victim after training.

    Attributes:
        predict: the class ``[N]`` it sees in every image of a set.
        model: the network behind ``predict``, in eval mode, images in [0, 1] to logits; None for an opaque trainer.
        history: one mapping an evaluated epoch; empty for an opaque trainer.
        epochs: of its recipe; None for an opaque trainer.
        seconds: wall time of training, evaluations left out.
        images_per_second: over ``seconds``; None for an opaque trainer, which need not go through the set in epochs.
        gflops: estimated floating-point operations of the training, in units of 1e9: three forward passes an image and
            epoch; None where unknown.
    """

    predict: Callable[[ImageSet], NDArray[np.int64]]
    model: nn.Module | None
    history: Sequence[Mapping[str, Any]]
    epochs: int | None
    seconds: float
    images_per_second: float | None
    gflops: float | None


def train(
    victim: Victim | Trainer,
    images: ImageSet,
    test: ImageSet,
    trusted: ImageSet | None,
    chain: DefenseChain,
    run: Context,
    engine: Engine,
) -> Trained:
    """Train ``victim`` on ``images``; ``test`` is only evaluated, never learned from.

    Raises:
        DivergedError: if its loss is not finite.
        ContractError: from ``predict``, if an opaque trainer's predictions are no classes of every image.
    """
    if isinstance(victim, Trainer):
        return _train_opaque(victim, images, test, trusted, run)
    with seeded(run.seed("init")):
        model = victim.build(len(images.classes), images.size)
    steps = victim.recipe.epochs * split_evenly(len(images), victim.recipe.batch)
    result = engine.fit(
        model,
        images,
        victim.recipe,
        seed=run.seed("shuffle"),
        run=run,
        defenses=chain,
        evaluate={"test": test},
        trusted=trusted,
        progress=run.progress("training the victim", steps),
    )
    defended = Defended(result.model, chain).eval()
    return Trained(
        lambda asked: engine.predict(defended, asked),
        defended,
        result.history,
        victim.recipe.epochs,
        result.seconds,
        result.images_per_second,
        _gflops(result.model, images.size) * 3 * len(images) * victim.recipe.epochs,
    )


def _train_opaque(victim: Trainer, images: ImageSet, test: ImageSet, trusted: ImageSet | None, run: Context) -> Trained:
    started = time.perf_counter()
    victim.fit(images, trusted, run)
    seconds = time.perf_counter() - started

    def predict(asked: ImageSet) -> NDArray[np.int64]:
        found = np.asarray(victim.predict(asked.with_labels(None)))
        if found.shape != (len(asked),) or not np.issubdtype(found.dtype, np.integer):
            raise ContractError(
                f"predict() must return one class index an image, {len(asked)} in all; got {found.dtype}"
                f" {list(found.shape)}."
            )
        if found.min() < 0 or found.max() >= len(test.classes):
            raise ContractError(
                f"predict() must return classes 0 to {len(test.classes) - 1}; got {found.min()} to {found.max()}."
            )
        return found.astype(np.int64)

    return Trained(predict, None, (), None, seconds, None, None)


def _gflops(model: nn.Module, size: tuple[int, int]) -> float:
    x = torch.zeros((1, 3, *size), device=next(model.parameters()).device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return float(counter.get_total_flops()) / 1e9
