"""What a craft optimises: generators that make the perturbations, or the perturbations' own values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench import cosine, optimizer_state, restore_optimizer
from ucbench_uc.generator import GeneratorBank

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_uc.params import UCParams


class Perturbations(nn.Module):
    """K perturbations within the budget, one per cluster, made of square blocks, and their optimiser.

    With ``coarser`` each is the sum of two, of small blocks and of larger ones. Adam moves both by equal steps, so
    a small block stays where its larger one moves the other way. What exceeds the budget is taken from small blocks.

    Args:
        size: height and width of the images.
        stream: name of the streams of random numbers: the generators' noise, or the values to start from; and
            (``-weights``) the generators' weights.
    """

    def __init__(self, params: UCParams, count: int, size: tuple[int, int], run: CraftRun, stream: str) -> None:
        super().__init__()
        self.size, self.block, self.squash = size, params.block_side(size), params.squash
        self.epsilon, self.coarser = run.budget.radius, params.coarser
        shape = (count, 3, *(math.ceil(side / self.block) for side in size))
        self.bank: GeneratorBank | None = None
        noise = torch.rand(shape, generator=run.generator(stream))
        if params.perturbation == "direct":
            self.values = nn.Parameter((2 * noise - 1) * self.epsilon)
            self.first_lr, decay = params.direct_lr * self.epsilon, 0.0
            if self.coarser:
                larger = (count, 3, *(math.ceil(blocks / self.coarser) for blocks in shape[2:]))
                self.larger = nn.Parameter(torch.zeros(larger))
        else:
            with torch.random.fork_rng():
                torch.manual_seed(run.seed(f"{stream}-weights"))
                self.bank = GeneratorBank(noise, params.width, params.residual_blocks)
            self.first_lr, decay = params.lr, params.weight_decay
        self.last_lr = self.first_lr * params.final_lr / params.lr
        self.to(run.device)
        self._optimizer = torch.optim.Adam(self.parameters(), lr=self.first_lr, weight_decay=decay)

    def forward(self) -> Tensor:
        """The perturbations ``[K, 3, H, W]``, within the budget."""
        if self.bank is not None:
            blocks = squash(self.squash, torch.tanh(self.bank()), self.epsilon)
        else:
            blocks = self.values + self._larger()
        return enlarged(blocks, self.block, self.size)

    def _larger(self) -> Tensor | float:
        """The larger blocks, at the resolution of the small ones; 0 without any."""
        return enlarged(self.larger, self.coarser, self.values.shape[2:]) if self.coarser else 0.0

    def step(self, loss: Tensor, progress: float) -> None:
        """Lower ``loss``; ``progress`` in [0, 1) sets the learning rate."""
        for group in self._optimizer.param_groups:
            group["lr"] = cosine(self.first_lr, self.last_lr, progress)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        if self.bank is None:
            with torch.no_grad():
                larger = self._larger()
                self.values.copy_((self.values + larger).clamp_(-self.epsilon, self.epsilon) - larger)

    def state(self) -> dict[str, NDArray[Any]]:
        """What is optimised, and Adam's moments; :meth:`restore` continues from it."""
        return optimizer_state(self, self._optimizer)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from arrays of :meth:`state`; others are ignored."""
        restore_optimizer(self, self._optimizer, arrays)


def enlarged(blocks: Tensor, side: int, size: Sequence[int]) -> Tensor:
    """``blocks`` ``[K, 3, h, w]`` as squares of ``side`` values, cut to ``size`` (height, width)."""
    return blocks.repeat_interleave(side, 2).repeat_interleave(side, 3)[..., : size[0], : size[1]]


def squash(name: str, output: Tensor, epsilon: float) -> Tensor:
    """``output`` in [-1, 1] within +-``epsilon``: scaled (``tanh``), clamped, or clamped ``straight-through``."""
    if name == "tanh":
        return epsilon * output
    clamped = output.clamp(-epsilon, epsilon)
    # Straight-through: the clamp's value with the gradient of its input.
    return clamped if name == "clamp" else output + (clamped - output).detach()
