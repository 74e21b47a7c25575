"""AR (Sandoval-Segura et al., NeurIPS 2022, arXiv 2206.03693)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ucbench import ImageSet, Perturbation, UsageError
from ucbench_shortcuts.autoregressive import REFERENCE, Floats, find_filters, noise_blocks

if TYPE_CHECKING:
    from ucbench.budget import Budget
    from ucbench.components import Run
    from ucbench_shortcuts.params import ARParams


class Autoregressive:
    """Every image gets noise of its own, filled by the autoregressive process of its class (or cluster).

    A convolution with the class's filter tells its noise exactly, whatever Gaussian values it grew from.

    The noise fills ``run.budget``. The paper's l2 length grows with the side of the pictures: 1.0 at 32 pixels, 3.0 at
    96. A budget that is not of that length is warned of.
    """

    def __init__(self, params: ARParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: Run) -> Perturbation:
        """Perturbations ``[N, 3, H, W]`` of full radius in the budget's norm, l2 or linf.

        State: ``filters`` float64 ``[K, 3, 3, 3]``, and ``labels`` int64 ``[N]``, whose noise each perturbation is.

        Raises:
            UsageError: if the budget has another norm, or there is no filter for some class.
        """
        assert run.budget is not None
        if run.budget.norm not in ("l2", "linf"):
            raise UsageError(f"ar fills l2 and linf budgets, not {run.budget}.")
        _compare_with_paper(run.budget, train.size, run)
        labels, filters = train.known_labels, self._filters(train, run)
        delta = np.empty(train.images.shape, np.float32)
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            rng = np.random.default_rng(run.seed(f"noise-{label}"))
            done = 0
            for block in noise_blocks(filters[label, None], len(members), train.size, rng):
                delta[members[done : done + len(block)]] = self._fitted(block, run.budget)
                done += len(block)
        return Perturbation(delta, state={"filters": filters, "labels": labels.copy()})

    def assign(
        self, images: ImageSet, labels: NDArray[np.int64] | None, state: Mapping[str, NDArray[Any]], run: Run
    ) -> NDArray[np.int64] | None:
        """One of the perturbations of each image's own label, int64 ``[B]``, chosen by a checksum of its pixels.

        None where there is no label to tell, or a label that no perturbation was made for.
        """
        if labels is None or not np.isin(labels, state["labels"]).all():
            return None
        members = {label: np.flatnonzero(state["labels"] == label) for label in np.unique(labels)}
        index = np.empty(len(labels), np.int64)
        for i, (picture, label) in enumerate(zip(images.images, labels, strict=True)):
            own = members[label]
            index[i] = own[zlib.crc32(np.ascontiguousarray(picture).data) % len(own)]
        return index

    def _filters(self, train: ImageSet, run: Run) -> Floats:
        params, wanted = self.params, len(train.classes)
        rng = np.random.default_rng(run.seed("filters"))
        found = find_filters(wanted, train.size, rng, params.largest_norm, params.response, params.tries)
        if len(found) < wanted:
            raise UsageError(
                f"ar: found filters for {len(found)} of {wanted} classes and then none in {params.tries} draws. Lower"
                f" response={params.response:g}, or raise largest_norm={params.largest_norm:g} or tries."
            )
        return found

    def _fitted(self, noise: Floats, budget: Budget) -> Floats:
        values = noise.reshape(len(noise), -1)
        if budget.norm == "l2":
            length = np.sqrt(np.square(values).sum(1))
        elif self.params.fit == "scale":
            length = np.abs(values).max(1)
        else:
            length = np.sqrt(np.square(values).mean(1))
        fitted = noise * (budget.radius / length)[:, None, None, None]
        return np.clip(fitted, -budget.radius, budget.radius) if budget.norm == "linf" else fitted


def _compare_with_paper(budget: Budget, size: tuple[int, int], run: Run) -> None:
    paper = math.sqrt(size[0] * size[1]) / REFERENCE
    if budget.norm == "l2" and not math.isclose(budget.radius, paper, rel_tol=0.1):
        run.warn(
            f"ar: pictures of {size[0]}x{size[1]} pixels get noise of l2 length {budget.radius:g}; the paper's is 1 at"
            f" 32x32 and {paper:.2g} at this size, for equal noise a pixel."
        )
