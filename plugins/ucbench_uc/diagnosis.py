"""Does the craft do to the attacked model what it should? This separates failed crafting from failed transfer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench import nearest_centre
from ucbench_uc.objective import discrepancy
from ucbench_uc.views import Views

if TYPE_CHECKING:
    from ucbench import CraftRun, ImageSet, Perturbation
    from ucbench_uc.students import Features

#: Images, at most, on which a finished craft is measured.
DIAGNOSED = 1000
MEASURED = (
    "nearest_is_target", "nearest_is_own", "shift_over_centre_distance", "cross_entropy_before", "cross_entropy_after",
)  # fmt: skip
#: Divides the cosines, whatever the craft's own distance and temperature, so that crafts can be compared.
TEMPERATURE = 0.1


def held_out(assignment: NDArray[np.int64], share: float, generator: torch.Generator) -> NDArray[np.bool_]:
    """Which images ``[N]`` no perturbation is fitted on: a random ``share`` of every cluster, rounded down.

    At least one of each cluster that has two images or more; none with a share of 0.
    """
    chosen = np.zeros(len(assignment), bool)
    if not share:
        return chosen
    for k in np.unique(assignment):
        members = np.flatnonzero(assignment == k)
        order = torch.randperm(len(members), generator=generator).numpy()
        chosen[members[order[: max(int(share * len(members)), int(len(members) > 1))]]] = True
    return chosen


def diagnose(
    train: ImageSet,
    made: Perturbation,
    attacked: Features,
    unfitted: NDArray[np.bool_],
    views: Views,
    run: CraftRun,
) -> None:
    """Note how far perturbed images get towards their target centres, and warn if they hardly do.

    Measured are images that no perturbation was fitted on (all if there are none); with students, these are among the
    images that the students learned. They are measured as stored and, if the craft changes them, under its JPEG, crops
    and flips (``_augmented``): ``nearest_is_target`` and ``nearest_is_own``, shares of perturbed images by their
    nearest centre; ``shift_over_centre_distance``, how far features move; ``cross_entropy_before`` and ``_after``, in
    nats, of the target among all centres (see ``centres`` in :func:`discrepancy`). ``diagnosed`` is the number of
    images. It warns if the last one is above that of equal scores, or else if more images stay nearest to their own
    centre than come nearest to their target's: a mean can be low while few images move.

    Args:
        made: with ``index``, and with ``goals`` and ``targets`` in its state.
        attacked: features of the model that is attacked.
        unfitted: bool ``[N]``, the images that no perturbation was fitted on.
    """
    assert made.index is not None
    pool = np.flatnonzero(unfitted) if unfitted.any() else np.arange(len(train))
    rows = pool[torch.randperm(len(pool), generator=run.generator("diagnosed"))[:DIAGNOSED].numpy()]
    plain = replace(views, augment="none", jpeg=None)
    found = _measured(train, rows, made, attacked, plain, run)
    judged, seen = found, "perturbed images"
    if views != plain:
        augmented = _measured(train, rows, made, attacked, views, run)
        found |= {f"{name}_augmented": value for name, value in augmented.items()}
        judged = augmented
        seen = f"perturbed, {'' if views.jpeg is None else 'compressed, '}cropped and flipped images"
    for name, value in {"diagnosed": len(rows), "unfitted": int(unfitted.sum()), **found}.items():
        run.note(name, value)
    run.note("saturated", float((np.abs(made.delta) >= 0.99 * run.budget.radius).mean()))
    run.note("cluster_sizes", np.bincount(made.index, minlength=len(made.delta)).tolist())
    measured = f"{len(rows)} {seen}{' that were not fitted on' if unfitted.any() else ''}"
    reached, stayed = judged["nearest_is_target"], judged["nearest_is_own"]
    if (after := judged["cross_entropy_after"]) > (uniform := math.log(len(made.delta))):
        run.warn(
            f"This craft of uc misses its target centres: their cross-entropy among all centres, on {measured}, is"
            f" {after:.2f} nats, above the {uniform:.2f} of equal scores."
        )
    elif reached < stayed:
        run.warn(
            f"This craft of uc moves few images: of {measured}, {reached:.0%} come nearest to their target's centre and"
            f" {stayed:.0%} stay nearest to their own."
        )


@torch.no_grad()
def _measured(
    train: ImageSet, rows: NDArray[np.intp], made: Perturbation, attacked: Features, views: Views, run: CraftRun
) -> dict[str, float]:
    """Means over the images ``rows``, by name."""
    assert made.index is not None
    index = torch.from_numpy(made.index[rows]).to(run.device)
    delta = torch.from_numpy(made.delta).to(run.device)
    centres, targets = (torch.from_numpy(made.state[name]).to(run.device) for name in ("goals", "targets"))
    distance = discrepancy("centres", centres, TEMPERATURE)
    # Two streams with one seed: the images are cropped alike before and after.
    draws = run.generator("diagnosed-views"), run.generator("diagnosed-views")
    table = []
    for start in range(0, len(rows), 250):
        x = torch.from_numpy(train.images[rows[start : start + 250]]).to(run.device).float().div_(255.0)
        own = index[start : start + 250]
        goal = targets[own]
        clean, moved = (
            attacked(views.perturbed(x, shift, generator)).float()
            for shift, generator in zip((torch.zeros_like(x), delta[own]), draws, strict=True)
        )
        nearest = nearest_centre(moved, centres)
        path = (moved - clean).norm(dim=1) / (centres[goal] - centres[own]).norm(dim=1)
        columns = (nearest == goal, nearest == own, path, distance(clean, goal), distance(moved, goal))
        table.append(torch.stack([column.float() for column in columns]))
    means = torch.cat(table, 1).mean(1).tolist()
    return dict(zip(MEASURED, means, strict=True))
