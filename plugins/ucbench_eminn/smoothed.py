"""PUE, provably unlearnable examples (Wang et al., NDSS 2025, arXiv 2405.03316)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench import ImageSet, pgd
from ucbench_eminn.alternation import Alternation
from ucbench_eminn.minimising import ErrorMinimisingClasses

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_eminn.params import PUEParams

#: Share of perturbed images that the surrogate gets wrong, below which its weights get noise.
RECOGNISED = 0.5


class ProvablyUnlearnable(ErrorMinimisingClasses):
    """Class-wise error-minimising noise for a surrogate and for all networks whose weights lie near its own.

    As the class-wise noise, but from the sweep on after which half of the perturbed images are recognised, every step,
    of the surrogate and of the perturbations, becomes one step for each of ``levels`` deviations from 0 to ``noise``.
    Its loss is the mean over draws of Gaussian noise of that deviation on all weights of the surrogate. ::

        min over theta of  E  min over |delta_y| <= epsilon of  E_nu CE(f(x + delta_y; theta + nu), y)

    A step of the surrogate counts a level's loss as one of ``levels`` parts. ``stop_error`` applies once a sweep had
    noise. Beside what the class-wise noise notes, ``smoothed_sweeps`` is the number of these sweeps.
    """

    params: PUEParams

    def turns(self, train: ImageSet, run: CraftRun) -> Alternation:
        """The alternation, with noise on the weights."""
        return SmoothedAlternation(train, run, self.params)


class SmoothedAlternation(Alternation):
    """Turns of which every step is one for each deviation of the noise."""

    def __init__(self, train: ImageSet, run: CraftRun, params: PUEParams) -> None:
        super().__init__(train, run, params)
        self._noise = params
        self._sweep, self._generator = -1, torch.Generator()
        self.step = self._stepped

    @property
    def smooths(self) -> bool:
        """Whether the weights get noise by now."""
        return any(row["error"] < RECOGNISED for row in self.bilevel.history)

    @property
    def smoothed_sweeps(self) -> int:
        """Finished sweeps that had noise."""
        began = [number for number, row in enumerate(self.bilevel.history, 1) if row["error"] < RECOGNISED]
        return self.sweeps - began[0] if began else 0

    @property
    def may_stop(self) -> bool:
        """Whether stop_error applies by now."""
        return super().may_stop and self.smoothed_sweeps > 0

    @property
    def deviations(self) -> list[float]:
        """Of the noise, rising from 0."""
        return torch.linspace(0, self._noise.noise, self._noise.levels).tolist()

    def _stepped(self, number: int, x: Tensor, labels: Tensor, rate: float | None) -> Tensor:
        """The steps of the surrogate on one batch; returns the mean loss."""
        network, levels, draws = self.bilevel.network, self._noise.levels, self._noise.train_draws
        if not self.smooths:
            return self.bilevel.stepper.step(x, labels, rate)
        network.train()
        generator = self.run.generator(f"noise-of-step-{number}")
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        total = torch.zeros((), device=x.device)
        for deviation in self.deviations:
            slopes = [torch.zeros_like(weight) for weight in weights]
            for _ in range(draws):
                with noisy(network, deviation, generator):
                    loss = F.cross_entropy(self.bilevel.scores(x), labels) / (draws * levels)
                    for slope, gradient in zip(slopes, torch.autograd.grad(loss, weights), strict=True):
                        slope += gradient
                total += loss.detach()
            # A linear function with the sum of the gradients: the graphs of all draws would not fit into memory.
            parts = [(weight * slope).sum() for weight, slope in zip(weights, slopes, strict=True)]
            self.bilevel.stepper.apply(torch.stack(parts).sum(), rate)
        return total

    def descended(self, indices: Tensor, start: Tensor) -> Tensor:
        """Perturbations ``[B, 3, H, W]`` of the images at ``indices`` after signed steps from ``start``.

        The network is left frozen.
        """
        if not self.smooths:
            return super().descended(indices, start)
        if self._sweep != self.sweeps:
            self._sweep, self._generator = self.sweeps, self.run.generator(f"noise-of-sweep-{self.sweeps}")
        bilevel, labels, delta = self.bilevel, self.bilevel.labels[indices], start
        bilevel.frozen()
        for _ in range(self._noise.steps):
            for deviation in self.deviations:
                delta = pgd(
                    bilevel.clean(indices),
                    delta,
                    partial(self._linear, labels=labels, deviation=deviation),
                    steps=1,
                    step=self._noise.step * bilevel.radius,
                    radius=bilevel.radius,
                )
        self.work(self._noise.steps)
        return delta

    def _linear(self, perturbed: Tensor, labels: Tensor, deviation: float) -> Tensor:
        """A function of perturbed images with the gradient of their cross-entropy, summed over draws of noise."""
        x = perturbed.detach().requires_grad_()
        slope = torch.zeros_like(x)
        for _ in range(self._noise.draws):
            with noisy(self.bilevel.network, deviation, self._generator):
                slope += torch.autograd.grad(self.bilevel.cross_entropy(x, labels), x)[0]
        return (perturbed * slope).sum()

    def publish(self, delta: Tensor) -> NDArray[np.float32]:
        """As :meth:`Alternation.publish`; warns if no sweep had noise."""
        self.run.note("smoothed_sweeps", self.smoothed_sweeps)
        if not self.smoothed_sweeps:
            self.run.warn(
                "No sweep had noise on the weights, since the surrogate did not recognise half of the perturbed images"
                f" before the last of {self.sweeps}: this is the noise of eminn-class. Raise max_sweeps or"
                " network_steps."
            )
        return super().publish(delta)


@contextmanager
def noisy(network: nn.Module, deviation: float, generator: torch.Generator) -> Iterator[None]:
    """Gaussian noise on all weights of ``network`` within the scope; afterwards they are exactly as before.

    Args:
        deviation: of the noise, on the scale of the weights; the same for all of them.
        generator: on the CPU.
    """
    weights = list(network.parameters())
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight in weights:
            weight.add_(deviation * torch.randn(weight.shape, generator=generator).to(weight.device))
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, kept in zip(weights, before, strict=True):
                weight.copy_(kept)
