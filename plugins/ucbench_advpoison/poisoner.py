"""Signed steps against a fixed classifier: Fowl et al. (NeurIPS 2021) and Tao et al. (NeurIPS 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ucbench import ImageSet, Perturbation, UsageError, channel_statistics, pgd
from ucbench_advpoison.augment import random_view

if TYPE_CHECKING:
    from ucbench import Run
    from ucbench_advpoison.params import AdvPoisonParams, HypoParams, SignedStepsParams


Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Aim:
    """What the classifier is to say of the images: their ``classes`` (int64 ``[N]``), or anything but those."""

    classes: NDArray[np.int64]
    away: bool = False

    def losses(self, scores: Tensor, classes: Tensor) -> Tensor:
        """What is minimised, ``[B]``: the cross-entropy of ``scores`` ``[B, K]`` with ``classes`` ``[B]``, or minus it.

        Over all scores, also those of classes that do not occur.
        """
        entropy = F.cross_entropy(scores, classes, reduction="none")
        return -entropy if self.away else entropy

    def reached(self, scores: Tensor, classes: Tensor) -> Tensor:
        """Whether the classifier says so, bool ``[B]``."""
        said = scores.argmax(1) == classes
        return ~said if self.away else said


class AdvPoison:
    """Adversarial Poisoning: every image becomes an adversarial example of a classifier trained on the clean images.

    With classifier f and permutation pi of the classes without a fixed point, an image x of class y gets the delta that
    minimises ``CE(f(T(x + delta)), pi(y))`` (targeted; section 3 of the paper) or ``-CE(f(T(x + delta)), y)``
    (untargeted) under random views T. Its label stays y. Of several restarts, the whole set with the lowest mean loss
    is kept, as in the released code.

    Deviations from the released code, in every preset:

    * Shifted views are padded with the mean colour of the training images. The code pads normalised images with zeros,
      the mean colour by which its classifier normalises; here normalisation is the surrogate's own affair.
    * Restarts are compared by the loss of the finished perturbations on unaugmented images, which is not random; the
      code compares that of the last step, before it is taken and augmented.
    * Each image goes through all its steps before the next batch is begun, in place of one step for all in turn. The
      classifier is fixed and in eval mode, so images do not influence each other, and each draws its start and views
      from a stream of its own: neither order nor batch changes the result beyond rounding in the classifier.
    * The classifier is whatever surrogate is lent. ``trained@adv-poison`` is trained as the paper's.
    """

    def __init__(self, params: AdvPoisonParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: Run) -> Perturbation:
        """One perturbation an image, ``[N, 3, H, W]``; the state holds ``targets``, int64 ``[K]``, if targeted.

        Raises:
            UsageError: if there is one class only, if ``offset`` maps classes to themselves, or if the surrogate has
                fewer scores than there are classes.
        """
        labels = _labels(train)
        if self.params.goal == "untargeted":
            return Perturbation(_Crafter(self.params, train, Aim(labels, away=True), run).craft())
        targets = derangement(self.params.permutation, len(train.classes), self.params.offset, run)
        return Perturbation(_Crafter(self.params, train, Aim(targets[labels]), run).craft(), state={"targets": targets})


class Hypo:
    """Hypocritical perturbations: delta minimises ``CE(f(x + delta), y)``, f a classifier trained on the clean images.

    Tao et al. (NeurIPS 2021) call the attack P2, and craft it within l2 0.5 against a VGG-16. Deviations: the linf ball
    and the surrogate (see :class:`AdvPoison`), as in APBench; each image goes through all its steps before the next
    batch is begun, which changes nothing beyond rounding.
    """

    def __init__(self, params: HypoParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: Run) -> Perturbation:
        """One perturbation an image, ``[N, 3, H, W]``.

        Raises:
            UsageError: if there is one class only, or if the surrogate has fewer scores than there are classes.
        """
        return Perturbation(_Crafter(self.params, train, Aim(_labels(train)), run).craft())


def derangement(kind: str, classes: int, offset: int, run: Run) -> NDArray[np.int64]:
    """A permutation of ``classes`` (at least 2) without a fixed point, int64 ``[classes]``.

    Args:
        kind: ``shift`` (y + offset modulo their number) or ``random`` (each derangement equally likely; drawn from the
            stream ``targets``).

    Raises:
        UsageError: if the offset is a multiple of ``classes``.
    """
    own = np.arange(classes, dtype=np.int64)
    if kind == "shift":
        if offset % classes == 0:
            raise UsageError(f"offset={offset} maps each of the {classes} classes to itself: take no multiple of them.")
        return (own + offset) % classes
    generator = run.generator("targets")
    while True:  # about e trials
        drawn = torch.randperm(classes, generator=generator).numpy()
        if (drawn != own).all():
            return drawn


class _Crafter:
    """The steps of all images towards one aim, going on from the run's checkpoint."""

    def __init__(self, params: SignedStepsParams, train: ImageSet, aim: Aim, run: Run) -> None:
        assert run.surrogate is not None
        assert run.budget is not None
        self.params, self.train, self.aim, self.run = params, train, aim, run
        self.surrogate, self.radius = run.surrogate, run.budget.radius
        self.fill = channel_statistics(train)[0]
        count = len(train)
        self.batches = [slice(low, min(low + params.batch, count)) for low in range(0, count, params.batch)]

    def craft(self) -> Floats:
        """Perturbations float32 ``[N, 3, H, W]`` of the restart with the lowest loss."""
        before = self._measure_clean()
        # Loss, aim reached and own class said, summed over the images of every restart.
        totals = np.zeros((self.params.restarts, 3))
        delta = np.zeros(self.train.images.shape, np.float32)
        kept = np.zeros_like(delta)
        done = self._resume(delta, kept, totals)
        advance = self.run.progress("crafting", self.params.restarts * len(self.batches) * self.params.steps)
        advance(done * self.params.steps)
        for number in range(done, self.params.restarts * len(self.batches)):
            restart, place = divmod(number, len(self.batches))
            rows = self.batches[place]
            delta[rows], measured = self._perturb(rows, restart, advance)
            totals[restart] += measured
            if place == len(self.batches) - 1 and totals[: restart + 1, 0].argmin() == restart:
                delta, kept = kept, delta
            self._save(number + 1, delta, kept, totals)
        self._note(before, totals / len(self.train))
        return kept

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
        """Loss, aim reached and own class said, summed over images ``x`` in place of ``rows``; and the score count."""
        scores = self.surrogate.logits(x)
        _require_scores(scores.shape[1], self.train)
        classes = self._classes(rows)
        own = scores.argmax(1).cpu().numpy() == self.train.known_labels[rows]
        loss = self.aim.losses(scores, classes).double().sum()
        return np.array([float(loss), float(self.aim.reached(scores, classes).sum()), own.sum()]), scores.shape[1]

    def _measure_clean(self) -> NDArray[np.float64]:
        """The same as means over the clean images; warns of a surrogate that does not know the labels."""
        total = np.zeros(3)
        for rows in self.batches:
            sums, columns = self._measure(rows, self._images(rows))
            total += sums
        if columns > len(self.train.classes):
            self.run.warn(
                f"The surrogate has {columns} scores for {len(self.train.classes)} classes: the first are taken for"
                " theirs. If it knows other classes, use --surrogate trained."
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
        kept = int(after[:, 0].argmin())
        self.run.note("loss_before", float(before[0]))
        self.run.note("loss_of_restarts", after[:, 0].tolist())
        self.run.note("kept_restart", kept)
        for place, name in ((1, "success"), (2, "surrogate_accuracy")):
            self.run.note(f"{name}_before", float(before[place]))
            self.run.note(f"{name}_after", float(after[kept, place]))

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


def _labels(train: ImageSet) -> NDArray[np.int64]:
    """The labels, of two classes at least."""
    labels = train.known_labels
    if len(train.classes) < 2:
        raise UsageError("One class only: there is no other class for a classifier to be told apart from.")
    return labels


def _require_scores(columns: int, train: ImageSet) -> None:
    if columns < len(train.classes):
        raise UsageError(
            f"The surrogate has {columns} scores for {len(train.classes)} classes, so it cannot know their labels. Use"
            " one that is trained on these images: --surrogate trained."
        )
