"""The signed steps of all images towards one aim, against a fixed classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ucbench import ImageSet, UsageError, as_double, channel_statistics, pgd, shifted

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_advpoison.params import SignedStepsParams

Floats = NDArray[np.float32]

#: Furthest shift of a view as a share of a side: 4 pixels of 32.
REACH = 1 / 8
#: Share of the images on which perturbations should reach their aim, before a craft warns.
LEAST_REACHED = 0.5


def random_view(x: Tensor, draws: Tensor, fill: Tensor, *, mirror: bool) -> Tensor:
    """One view of every image, from uniform numbers: shifted by fractions of a pixel and mirrored.

    Args:
        x: images ``[B, 3, H, W]``, float32 or float64.
        draws: ``[B, 3]`` in [0, 1): the shift down, the shift right, and (from 0.5 on) whether the image is mirrored.
        fill: colour ``[3]`` that moves in.
        mirror: whether images may be mirrored at all.

    Returns:
        ``[B, 3, H, W]``: image b moved by ``(2 * draws[b, :2] - 1) * REACH`` of its sides, differentiable in ``x``.
    """
    sides = torch.tensor(x.shape[2:], device=x.device, dtype=x.dtype)
    offsets = (2 * draws[:, :2].to(x) - 1) * REACH * sides
    return shifted(x, offsets, (draws[:, 2] >= 0.5) & mirror, fill)


@dataclass(frozen=True)
class Aim:
    """What the classifier should predict: ``classes`` (int64 ``[N]``), or anything but those."""

    classes: NDArray[np.int64]
    away: bool = False

    def losses(self, scores: Tensor, classes: Tensor) -> Tensor:
        """What is minimised, ``[B]``: the cross-entropy of ``scores`` ``[B, K]`` with ``classes`` ``[B]``, or minus it.

        Over all scores, also those of classes that do not occur.
        """
        entropy = F.cross_entropy(scores, classes, reduction="none")
        return -entropy if self.away else entropy

    def reached(self, scores: Tensor, classes: Tensor) -> Tensor:
        """Whether the classifier predicts so, bool ``[B]``."""
        predicted = scores.argmax(1) == classes
        return ~predicted if self.away else predicted


class Crafter:
    """The steps of all images towards one aim, resumed from the run's checkpoint."""

    def __init__(self, params: SignedStepsParams, train: ImageSet, aim: Aim, run: CraftRun) -> None:
        self.params, self.train, self.aim, self.run = params, train, aim, run
        self.surrogate, self.radius = run.surrogate, run.budget.radius
        self.fill = channel_statistics(train)[0]
        count = len(train)
        self.batches = [slice(low, min(low + params.batch, count)) for low in range(0, count, params.batch)]

    def craft(self) -> Floats:
        """Perturbations float32 ``[N, 3, H, W]`` of the restart with the lowest loss."""
        before = self._measure_clean()
        # Loss, images that reached the aim and images given their own class: sums of every restart.
        totals = np.zeros((self.params.restarts, 3))
        delta = np.zeros(self.train.images.shape, np.float32)
        best = np.zeros_like(delta)
        done = self._resume(delta, best, totals)
        advance = self.run.progress("crafting", self.params.restarts * len(self.batches) * self.params.steps)
        advance(done * self.params.steps)
        for number in range(done, self.params.restarts * len(self.batches)):
            restart, place = divmod(number, len(self.batches))
            rows = self.batches[place]
            delta[rows], measured = self._perturb(rows, restart, advance)
            totals[restart] += measured
            if place == len(self.batches) - 1 and totals[: restart + 1, 0].argmin() == restart:
                delta, best = best, delta
            self._save(number + 1, delta, best, totals)
        self._note(before, totals / len(self.train))
        return best

    def _perturb(self, rows: slice, restart: int, advance: Callable[[int], None]) -> tuple[Floats, NDArray[np.float64]]:
        """All steps of one batch: perturbations ``[B, 3, H, W]``, and their three sums."""
        x, classes = self._images(rows), self._classes(rows)
        start, draws = self._draws(rows, restart)
        views = iter(draws)

        def objective(perturbed: Tensor) -> Tensor:
            if self.params.augment:
                perturbed = random_view(perturbed, next(views), self.fill, mirror=self.train.flip)
            advance(1)
            # A sum, so that one image's gradient does not depend on how many there are.
            return self.aim.losses(self.surrogate.logits(perturbed), classes).sum()

        steps, step = self.params.steps, self.params.step * self.radius
        delta = pgd(x, start, objective, steps=steps, step=step, radius=self.radius)
        return delta.cpu().numpy(), self._measure(rows, x + delta)[0]

    def _draws(self, rows: slice, restart: int) -> tuple[Tensor, Tensor]:
        """Starts ``[B, 3, H, W]`` and the numbers of the views ``[steps, B, 3]``, each image's from its own stream."""
        shape = self.train.images.shape[1:]
        starts, views = [], []
        for i in range(rows.start, rows.stop):
            generator = self.run.generator(f"restart-{restart}-image-{i}")
            normal = torch.randn(shape, generator=generator)
            starts.append(normal * self.radius if self.params.start == "normal" else torch.zeros(shape))
            views.append(torch.rand((self.params.steps, 3), generator=generator))
        return torch.stack(starts).to(self.run.device), torch.stack(views, dim=1).to(self.run.device)

    def _images(self, rows: slice) -> Tensor:
        return torch.from_numpy(self.train.images[rows].copy()).to(self.run.device).float().div_(255.0)

    def _classes(self, rows: slice) -> Tensor:
        return torch.from_numpy(self.aim.classes[rows].copy()).to(self.run.device)

    @torch.no_grad()
    def _measure(self, rows: slice, x: Tensor) -> tuple[NDArray[np.float64], int]:
        """The three sums over images ``x`` in place of ``rows``, and the number of scores."""
        scores = self.surrogate.logits(x)
        _require_scores(scores.shape[1], self.train)
        classes = self._classes(rows)
        correct = scores.argmax(1).cpu().numpy() == self.train.known_labels[rows]
        loss = as_double(self.aim.losses(scores, classes)).sum()
        return np.array([float(loss), float(self.aim.reached(scores, classes).sum()), correct.sum()]), scores.shape[1]

    def _measure_clean(self) -> NDArray[np.float64]:
        """The three sums of the clean images as means; warns of a surrogate that does not fit the labels."""
        total = np.zeros(3)
        for rows in self.batches:
            sums, columns = self._measure(rows, self._images(rows))
            total += sums
        if columns > len(self.train.classes):
            self.run.warn(
                f"The surrogate has {columns} scores for {len(self.train.classes)} classes: the first ones stand for"
                " these. If it was trained on other classes, use --surrogate trained."
            )
        mean = total / len(self.train)
        largest = np.bincount(self.train.known_labels).max() / len(self.train)
        if mean[2] <= largest:
            self.run.warn(
                f"The surrogate gives {mean[2]:.1%} of the clean images their craft label, no more than always naming"
                f" the most frequent class would ({largest:.1%}): it was trained too little, or for other labels."
            )
        return mean

    def _note(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> None:
        best = int(after[:, 0].argmin())
        self.run.note("loss_before", float(before[0]))
        self.run.note("loss_of_restarts", after[:, 0].tolist())
        self.run.note("kept_restart", best)
        for place, name in ((1, "success"), (2, "surrogate_accuracy")):
            self.run.note(f"{name}_before", float(before[place]))
            self.run.note(f"{name}_after", float(after[best, place]))
        # An earlier warning is of the surrogate, and says why.
        if (reached := float(after[best, 1])) < LEAST_REACHED and not self.run.warnings:
            self.run.warn(
                f"The perturbations reach their aim on {reached:.0%} of the images only, for the very surrogate that"
                f" they were made with; it gives {before[2]:.0%} of the clean images their craft label."
            )

    def _save(self, number: int, delta: Floats, kept: Floats, totals: NDArray[np.float64]) -> None:
        """Save what ``number`` finished batches left: the running restart's part, and the best of those before."""
        restart, place = divmod(number, len(self.batches))
        arrays: dict[str, NDArray[Any]] = {"totals": totals}
        if place:
            arrays["delta"] = delta[: self.batches[place].start]
        if restart:
            arrays["kept"] = kept
        self.run.checkpoint.save(number, arrays)

    def _resume(self, delta: Floats, kept: Floats, totals: NDArray[np.float64]) -> int:
        """Fill the arrays from the checkpoint; the number of finished batches."""
        saved = self.run.checkpoint.load()
        if saved is None:
            return 0
        number, arrays = saved
        totals[:] = arrays["totals"]
        if "delta" in arrays:
            delta[: len(arrays["delta"])] = arrays["delta"]
        if "kept" in arrays:
            kept[:] = arrays["kept"]
        return number


def _require_scores(columns: int, train: ImageSet) -> None:
    if columns < len(train.classes):
        raise UsageError(
            f"The surrogate has {columns} scores for {len(train.classes)} classes, so it cannot predict their labels."
            " Use one that is trained on these images: --surrogate trained."
        )
