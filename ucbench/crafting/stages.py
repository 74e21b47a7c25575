"""A craft in two stages: a network learns the clean images, then every image is perturbed against it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench.crafting.bilevel import BiLevel
from ucbench.training.engine import check_finite
from ucbench.training.recipe import Recipe, learning_rate

if TYPE_CHECKING:
    from ucbench.crafting.poisoner import CraftRun


def train_then_perturb(
    state: BiLevel,
    run: CraftRun,
    recipe: Recipe,
    against: Callable[[list[nn.Module]], Callable[[int, Tensor], Tensor]],
    *,
    batch: int,
    work: int,
    view: Callable[[int, Tensor, Tensor], Tensor] | None = None,
    keep: Collection[int] = (),
) -> NDArray[np.float32]:
    """Train the network of ``state`` on the clean images, perturb all of them; resumed after any epoch and batch.

    Notes ``train_losses`` (of every epoch) and ``clean_error`` (share of the clean images that the trained network gets
    wrong); warns where it is no better than one that always names the most frequent class.

    Args:
        state: without perturbations.
        recipe: epochs, batch and learning rates of the training; the rest belongs to ``state``.
        against: makes a function of a batch's number and indices ``[B]`` that returns its perturbations
            ``[B, 3, H, W]``, out of the networks as they were after the epochs ``keep``, frozen and in eval mode.
        batch: images perturbed at once, at most.
        work: steps on a batch, for the progress bar.
        view: of :meth:`BiLevel.learn`.
        keep: epochs from 1; empty keeps the last alone.

    Returns:
        All perturbations ``[N, 3, H, W]``.

    Raises:
        DivergedError: if the mean loss of an epoch is not finite.
    """
    done, earlier = state.resume()
    epochs, steps = recipe.epochs, state.steps_per_pass(recipe.batch)
    batches = list(state.batches(batch))
    advance = run.progress("crafting", epochs * steps + len(batches) * work)
    advance(min(done, epochs) * steps + max(0, done - epochs) * work)
    for epoch in range(done, epochs):
        loss = float(
            state.learn(epoch * steps, steps, recipe.batch, lambda n: learning_rate(recipe, n, steps), view=view)
        )
        check_finite(loss, f"The surrogate diverged in epoch {epoch + 1}")
        state.history.append({"train_loss": loss})
        if epoch + 1 in keep and epoch + 1 < epochs:
            weights = state.network.state_dict().items()
            earlier.update({f"{epoch + 1}.{name}": tensor.cpu().clone().numpy() for name, tensor in weights})
        state.save(epoch + 1, earlier)
        advance(steps)
    network = state.frozen()
    _note_training(state, run)
    perturb = against(
        [_restored(network, f"{epoch}.", earlier) if epoch < epochs else network for epoch in sorted(keep or {epochs})]
    )
    for number, indices in enumerate(batches):
        if epochs + number < done:
            continue
        state.put(indices, perturb(number, indices))
        state.save(epochs + number + 1, earlier)
        advance(work)
    return state.delta.cpu().numpy()


def _note_training(state: BiLevel, run: CraftRun) -> None:
    """Note losses and error of the trained network, and warn if it has learned nothing."""
    run.note("train_losses", [row["train_loss"] for row in state.history])
    error, rarest = _error(state), 1 - float(state.labels.cpu().bincount().max()) / len(state)
    run.note("clean_error", error)
    if error >= rarest:
        run.warn(
            f"The surrogate gets {error:.1%} of the clean images wrong, no fewer than always naming the most frequent"
            f" class would ({rarest:.1%}): it was trained too little, or its learning rate is too high."
        )


def _restored(network: nn.Module, prefix: str, arrays: dict[str, NDArray[np.generic]]) -> nn.Module:
    """A copy of ``network`` with the weights that ``arrays`` holds under ``prefix``."""
    earlier = copy.deepcopy(network)
    tensors = {name: torch.tensor(array) for name, array in arrays.items() if name.startswith(prefix)}
    earlier.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in tensors.items()})
    return earlier


@torch.no_grad()
def _error(state: BiLevel) -> float:
    """Share of the clean images that the frozen network gets wrong."""
    wrong = torch.zeros((), device=state.delta.device)
    for indices in state.batches(500):
        wrong += (state.scores(state.clean(indices)).argmax(1) != state.labels[indices]).sum()
    return float(wrong) / len(state)
