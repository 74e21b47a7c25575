"""Error-minimising noise (Huang et al., ICLR 2021, arXiv 2101.04898)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ucbench import ImageSet, Perturbation
from ucbench_eminn.alternation import Alternation

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_eminn.params import EMinNClassParams, EMinNParams


class ErrorMinimising:
    """One perturbation per image, made to leave the network nothing to learn: the paper's sample-wise noise.

    Alternates ``network_steps`` steps of the surrogate on the perturbed images with a sweep of ``steps`` signed descent
    steps on the cross-entropy of every perturbed image, the surrogate in eval mode and frozen, no image augmented::

        min over theta of  E  min over |delta| <= epsilon of  CE(f_theta(x + delta), y)

    A sweep starts from the last one's perturbations. Sweeps end when the error on the perturbed images is
    ``stop_error`` or less after at least ``min_sweeps`` of them, and in any case after ``max_sweeps``.

    Preset ``rem``: 5,000 steps, each on a batch that has just been perturbed from a random start, then one sweep over
    all images.
    """

    def __init__(self, params: EMinNParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[N, 3, H, W]``, one per image, within ``run.budget``.

        Raises:
            UsageError: for a single image or class, or without a surrogate.
            DataError: without labels.
            DivergedError: if the surrogate's loss is not finite.
        """
        turns = Alternation(train, run, self.params)
        bilevel, params = turns.bilevel, self.params
        batches = len(list(bilevel.batches(params.batch)))

        def perturb(indices: Tensor, generator: torch.Generator) -> None:
            start = bilevel.delta[indices]
            if params.random_start:
                uniform = torch.rand(start.shape, generator=generator).to(start.device)
                start = bilevel.radius * (2 * uniform - 1)
            bilevel.put(indices, turns.descended(indices, start))

        def sweep(number: int) -> None:
            generator = run.generator(f"start-{number}")
            for indices in bilevel.batches(params.batch):
                perturb(indices, generator)

        def own_batch(number: int, indices: Tensor) -> None:
            perturb(indices, run.generator(f"start-of-step-{number}"))
            bilevel.thaw()

        if params.turns == "sweeps":
            turns.open(batches)
            turns.alternate(sweep)
        else:
            turns.open(params.network_steps, last=batches)
            while turns.sweeps < params.max_sweeps:
                turns.finish({"train_loss": turns.learn(before=own_batch)})
            sweep(turns.sweeps)
            bilevel.thaw()
            bilevel.history[-1].update(bilevel.measured(params.batch))
        return Perturbation(turns.publish(bilevel.delta))


class ErrorMinimisingClasses:
    """One perturbation per class: the paper's class-wise noise.

    As :class:`ErrorMinimising`, but the images of a class share one perturbation. In a sweep every batch of the
    shuffled images descends from its classes' perturbations, image by image, for ``steps`` steps; the mean over the
    batch's images of a class becomes the class's perturbation, from which the next batch starts.

    The mean is of perturbations that keep their image in [0, 1]. A class without images keeps a perturbation of zero.
    """

    def __init__(self, params: EMinNClassParams) -> None:
        self.params = params

    def turns(self, train: ImageSet, run: CraftRun) -> Alternation:
        """The alternation of one craft."""
        return Alternation(train, run, self.params)

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[K, 3, H, W]``, one per class, within ``run.budget``, indexed by label.

        Raises:
            UsageError: for a single image or class, or without a surrogate.
            DataError: without labels.
            DivergedError: if the surrogate's loss is not finite.
        """
        turns = self.turns(train, run)
        bilevel = turns.bilevel
        patterns = torch.zeros((len(train.classes), *bilevel.delta.shape[1:]), device=run.device)
        if turns.extra:
            patterns.copy_(torch.from_numpy(turns.extra["patterns"]))

        def sweep(number: int) -> None:
            for indices in bilevel.batches(self.params.batch, stream=f"sweep-{number}"):
                labels = bilevel.labels[indices]
                means, present = class_means(turns.descended(indices, patterns[labels]), labels, len(patterns))
                patterns[present] = means[present].clamp(-bilevel.radius, bilevel.radius)
            bilevel.delta.copy_(patterns[bilevel.labels])

        def extra() -> Mapping[str, NDArray[Any]]:
            return {"patterns": patterns.cpu().numpy()}

        turns.open(len(list(bilevel.batches(self.params.batch))))
        turns.alternate(sweep, extra)
        return Perturbation(turns.publish(patterns), train.known_labels)

    def assign(
        self, images: ImageSet, labels: NDArray[np.int64] | None, state: object, run: CraftRun
    ) -> NDArray[np.int64] | None:
        """The perturbation of each image's class ``[N]``; None without labels."""
        return labels


def class_means(values: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Means ``[K, ...]`` of ``values`` ``[B, ...]`` by label ``[B]`` (zero for none); which classes occur ``[K]``.

    A product of matrices: sums that are scattered into do not come out the same every time on every device.
    """
    membership = F.one_hot(labels, classes).to(values.dtype)
    counts = membership.sum(0)
    sums = membership.T @ values.flatten(1)
    return (sums / counts.clamp(min=1)[:, None]).reshape(classes, *values.shape[1:]), counts > 0
