"""What perturbations are like by themselves: whether they give labels away, and at which frequencies they lie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ucbench import Labels, linear_guesses
from ucbench_measures.pairs import training_pairs

if TYPE_CHECKING:
    from ucbench import MetricContext
    from ucbench_measures.params import PairParams

Values = dict[str, float | None]

#: Upper ends of the bands, as shares of the highest frequency along an axis; the last has all above, the corners too.
BANDS = {"low": 0.125, "middle": 0.25, "high": 0.5, "highest": math.inf}


class Separability:
    """Accuracy, in percent, of a linear classifier that sees only the published minus the clean image.

    Ridge regression on one-hot labels, over the images that were changed. A *cluster* is a group of images with the
    same perturbation. Clipping to the range of pixels makes copies of a perturbation differ, so only values that cannot
    be clipped are compared.
    """

    def __init__(self, params: PairParams) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> Values:
        """Accuracies of guessing the class, and the cluster.

        ``class_fitted`` is that on the fitted images themselves, 100 if classes are linearly separable, but also about
        100 for any noise where an image has more values than there are images; ``class_held_out`` on the fifth that
        was not fitted, ``class_lowest`` and ``class_highest`` its extremes over classes; ``cluster_held_out`` of
        guessing the cluster, None unless clusters share perturbations. All are None where nothing was perturbed.
        """
        images = training_pairs(context, self.params.pairs)
        changes = np.subtract(images.perturbed, images.clean, dtype=np.int16)
        touched = changes.any((1, 2, 3))
        changes, clean, labels = changes[touched], images.clean[touched], images.labels[touched]
        values: Values = dict.fromkeys(
            ("class_fitted", "class_held_out", "class_lowest", "class_highest", "cluster_held_out")
        )
        held_out = max(1, len(changes) // 5)
        if held_out >= len(changes):
            return values
        order = np.random.default_rng(context.run.seed("held out")).permutation(len(changes))
        rows = (changes.reshape(len(changes), -1)[order] / 255).astype(np.float32)
        labels = labels[order]
        guessed = _guessed(rows, labels, held_out)
        right = guessed == labels
        scored = labels[:held_out]
        by_class = [100 * float(right[:held_out][scored == one].mean()) for one in np.unique(scored)]
        values |= {
            "class_fitted": 100 * float(right[held_out:].mean()),
            "class_held_out": 100 * float(right[:held_out].mean()),
            "class_lowest": min(by_class),
            "class_highest": max(by_class),
        }
        clusters = groups(changes, clean)[order]
        if 1 < len(np.unique(clusters)) <= len(clusters) / 4:
            right = _guessed(rows, clusters, held_out) == clusters
            values["cluster_held_out"] = 100 * float(right[:held_out].mean())
        return values


def _guessed(rows: NDArray[np.float32], labels: Labels, held_out: int) -> Labels:
    return linear_guesses(rows[held_out:], labels[held_out:], rows, int(labels.max()) + 1)


def groups(changes: NDArray[np.int16], clean: NDArray[np.uint8]) -> Labels:
    """The group of every image ``[N]``: images whose changes ``[N, 3, H, W]`` agree where neither can be clipped.

    Compared at the 256 values with the largest changes.
    """
    flat, pixels = changes.reshape(len(changes), -1), clean.reshape(len(clean), -1)
    largest = int(np.abs(flat).max(initial=0))
    columns = np.argsort(-np.abs(flat).sum(0, dtype=np.int64), kind="stable")[:256]
    flat, pixels = flat[:, columns], pixels[:, columns]
    free = (pixels >= largest) & (pixels <= 255 - largest)
    groups = np.full(len(flat), -1, np.int64)
    for first in range(len(flat)):
        if groups[first] < 0:
            groups[first] = first
            rest = np.flatnonzero(groups < 0)
            both = free[rest] & free[first]
            same = ((flat[rest] == flat[first]) | ~both).all(1) & both.any(1)
            groups[rest[same]] = first
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


class Spectrum:
    """Share of the perturbations' energy in bands of spatial frequency, in percent of the whole.

    The radius of a frequency is measured in units of the highest along an axis (half a cycle per pixel): ``low`` up to
    1/8 of it, ``middle`` to 1/4, ``high`` to 1/2, ``highest`` above. The frequency 0, a change of the mean colour, is
    in ``low``. White noise has 1.2, 3.7, 14.7 and 80.4 on large images.
    """

    def __init__(self, params: PairParams) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> Values:
        """``low``, ``middle``, ``high`` and ``highest``; None where nothing was perturbed."""
        images = training_pairs(context, self.params.pairs)
        shape = images.clean.shape[2:]
        energy = np.zeros(shape)
        for before, after in zip(images.clean, images.perturbed, strict=True):
            energy += np.square(np.abs(np.fft.fft2(np.subtract(after, before, dtype=np.int16)))).sum(0)
        radius = 2 * np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"))
        total = float(energy.sum())
        band = np.searchsorted(list(BANDS.values()), radius, "left")
        return {
            name: 100 * float(energy[band == number].sum()) / total if total else None
            for number, name in enumerate(BANDS)
        }
