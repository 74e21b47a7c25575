"""Fewer classes than the data set has, by what they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ucbench import ImageSet, UsageError, agreement, cluster
from ucbench_openclip.loading import load_clip
from ucbench_openclip.prompts import class_embeddings

if TYPE_CHECKING:
    from ucbench import Run
    from ucbench_openclip.params import CoarseByNameParams


class CoarseByName:
    """Classes whose names a CLIP's text tower puts close to each other are one: k-means of their embeddings.

    No picture is looked at. Groups are numbered in the order in which the data set's classes first show them, and
    called by their classes' names.
    """

    def __init__(self, params: CoarseByNameParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: Run) -> tuple[ImageSet, ImageSet]:
        """Both sets under the groups; notes ``merged_classes`` by group, and ``label_agreement``.

        Raises:
            UsageError: if there are fewer classes, or fewer different names, than groups; and as
                :func:`ucbench_openclip.loading.load_clip`.
            DataError: likewise.
        """
        wanted, classes = self.params.groups, clean.classes
        clip = load_clip(self.params)
        clip.model.to(run.device)
        texts = class_embeddings(clip, classes, self.params.templates).cpu()
        told_apart = len(np.unique(texts.numpy(), axis=0))
        if wanted > told_apart:
            raise UsageError(
                f"coarse-by-name: {told_apart} different names of classes of {clean.name} cannot form groups={wanted};"
                " lower it."
            )
        found = cluster(texts, wanted, self.params.map_seed).assignment
        first_shown = np.unique(found, return_index=True)[1]
        group = np.argsort(np.argsort(first_shown))[found]
        members = [[classes[label] for label in np.flatnonzero(group == number)] for number in range(wanted)]
        names = tuple(" / ".join(part) for part in members)
        labels = group[clean.known_labels]
        run.note("merged_classes", members)
        run.note("label_agreement", agreement(labels, clean.known_labels))
        return published.with_labels(labels, names), test.with_labels(group[test.known_labels], names)
