"""What the error-minimising poisoners share: turns of the surrogate and of the perturbations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ucbench import ImageSet, check_finite, pgd
from ucbench_eminn.state import prepared

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_eminn.params import SweepParams

#: Share of the radius from which a value counts as saturated.
SATURATED = 0.99


class Alternation:
    """Turns of the surrogate and of the perturbations, interrupted and resumed between two sweeps.

    Attributes:
        bilevel: the state, restored from an interrupted craft.
        extra: further arrays of an interrupted craft; empty at first.
        run: the craft's.
        step: how the surrogate takes a step, see :meth:`ucbench.BiLevel.learn`; None for plainly.

    Raises:
        UsageError: for a single image or class, or without a surrogate.
        DataError: without labels.
    """

    step: Callable[[int, Tensor, Tensor, float | None], Tensor] | None = None

    def __init__(self, train: ImageSet, run: CraftRun, params: SweepParams) -> None:
        self.run, self._params = run, params
        self.bilevel = prepared(train, run, params)
        _, self.extra = self.bilevel.resume()
        self._done = self._total = 0
        self._advance: Callable[[int], None] = lambda work: None

    @property
    def sweeps(self) -> int:
        """Sweeps that are finished."""
        return len(self.bilevel.history)

    @property
    def reached(self) -> bool:
        """Whether the last sweep's error is low enough, however few there were."""
        history, wanted = self.bilevel.history, self._params.stop_error
        return bool(history) and wanted is not None and history[-1]["error"] <= wanted

    @property
    def may_stop(self) -> bool:
        """Whether stop_error applies by now."""
        return self.sweeps >= self._params.min_sweeps

    def open(self, batches: int, last: int = 0) -> None:
        """Open the progress bar: a sweep moves ``batches`` batches of perturbations, the end ``last`` further ones."""
        params = self._params
        rest = params.max_sweeps - self.sweeps
        self._total = rest * (params.network_steps + batches * params.steps) + last * params.steps
        self._advance = self.run.progress(f"crafting, at most {params.max_sweeps} sweeps", self._total)

    def rate(self, number: int) -> float:
        """The surrogate's learning rate at its step ``number``, from 0."""
        every = self._params.lr_drop_every
        return self._params.lr if every is None else float(self._params.lr * 0.1 ** (number // every))

    def learn(self, before: Callable[[int, Tensor], None] | None = None) -> float:
        """The surrogate's turn of the next sweep, see :meth:`ucbench.BiLevel.learn`; returns its mean loss.

        Raises:
            DivergedError: if the loss is not finite.
        """
        steps = self._params.network_steps
        first = self.sweeps * steps
        loss = float(self.bilevel.learn(first, steps, self._params.batch, self.rate, before, step=self.step))
        check_finite(loss, f"The surrogate diverged in sweep {self.sweeps + 1}")
        self.work(steps)
        return loss

    def descended(self, indices: Tensor, start: Tensor) -> Tensor:
        """Perturbations ``[B, 3, H, W]`` of the images at ``indices`` after signed steps from ``start``.

        The network is left frozen.
        """
        bilevel, params = self.bilevel, self._params
        bilevel.frozen()
        delta = pgd(
            bilevel.clean(indices),
            start,
            lambda p: bilevel.cross_entropy(p, bilevel.labels[indices]),
            steps=params.steps,
            step=params.step * bilevel.radius,
            radius=bilevel.radius,
        )
        self.work(params.steps)
        return delta

    def alternate(self, sweep: Callable[[int], None], extra: Callable[[], Mapping[str, NDArray[Any]]] = dict) -> None:
        """Let the surrogate learn and ``sweep(number)`` move all perturbations, until the stopping rule holds."""
        params = self._params
        while self.sweeps < params.max_sweeps and not (self.reached and self.may_stop):
            row = {"train_loss": self.learn()}
            sweep(self.sweeps)
            self.bilevel.thaw()
            self.finish(row | self.bilevel.measured(params.batch), extra())
        if params.stop_error is not None and not self.reached:
            self.run.warn(
                f"The error on the perturbed images is {self.bilevel.history[-1]['error']:.3g} after {self.sweeps}"
                f" sweeps, above stop_error={params.stop_error:g}: the noise may be weak. Raise max_sweeps."
            )

    def finish(self, row: Mapping[str, float], extra: Mapping[str, NDArray[Any]] | None = None) -> None:
        """Note a sweep's numbers and save the state after it."""
        self.bilevel.history.append(dict(row))
        self.bilevel.save(self.sweeps, extra)

    def publish(self, delta: Tensor) -> NDArray[np.float32]:
        """Close the bar, put diagnostics into the record, and return the perturbations ``[M, 3, H, W]`` to release."""
        self.work(self._total - self._done)
        run, history = self.run, self.bilevel.history
        run.note("sweeps", self.sweeps)
        run.note("reached", self.reached)
        for name, key in (("train_losses", "train_loss"), ("losses", "loss"), ("errors", "error")):
            run.note(name, [row[key] for row in history if key in row])
        run.note("saturated", float((delta.abs() >= SATURATED * self.bilevel.radius).float().mean()))
        run.note("negative", float((delta < 0).float().mean()))
        if self._params.legacy_positive_only:
            delta = delta.clamp(min=0)
        return delta.cpu().numpy()

    def work(self, done: int) -> None:
        """Move the progress bar."""
        self._done += done
        self._advance(done)
