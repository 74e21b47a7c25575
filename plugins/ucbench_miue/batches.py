"""Batches in which images find others of their class."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

#: Images of a class that a batch should hold, or else none.
PARTNERS = 4


def balanced_batches(labels: Tensor, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of all images once, every class dealt to ``ceil(N / batch)`` batches in turn, like cards.

    A class with at least :data:`PARTNERS` images for every batch is dealt one by one, so that its counts in two batches
    differ by 1 at most. A smaller one is dealt in runs of :data:`PARTNERS` images or a few more, so that some batches
    hold none of it and no image is the only one of its class, unless it is so in the whole set. Batches are of about
    one size.

    Args:
        labels: int64 ``[N]`` on the CPU.
        batch: images in a batch, about.
        generator: decides which images meet, and which classes where these are dealt in runs.
    """
    count = len(labels)
    parts = -(-count // batch)
    order = torch.randperm(count, generator=generator)
    rank = torch.randperm(int(labels.max()) + 1, generator=generator)
    classes, by_class = rank[labels[order]].sort(stable=True)
    order = order[by_class]
    sizes = classes.bincount()
    place = torch.arange(count) - (sizes.cumsum(0) - sizes)[classes]
    runs = torch.where(sizes >= PARTNERS * parts, sizes, (sizes // PARTNERS).clamp(min=1))
    run = (runs.cumsum(0) - runs)[classes] + place * runs[classes] // sizes[classes]
    for part in range(parts):
        chosen = order[run % parts == part]
        if len(chosen):
            yield chosen
