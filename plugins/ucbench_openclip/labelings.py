"""Labels by a CLIP and class names alone: of images as they were published, and of classes with similar names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ucbench import ImageSet, NetworkSurrogate, UsageError, agreement, cluster, predict_classes
from ucbench_openclip.loading import LoadedClip, load_clip
from ucbench_openclip.surrogate import FrozenClip, class_embeddings

if TYPE_CHECKING:
    from ucbench import LabelRun
    from ucbench_openclip.params import ClipParams, CoarseByNameParams, ZeroShotParams

#: Images annotated between two reports of progress.
BLOCK = 1000


class ZeroShot:
    """The class whose texts lie nearest to an image in a CLIP's embedding space.

    The exploiter knows the names of the classes and labels nothing by hand. The test set keeps its true labels: the
    question is whether a victim trained on these annotations recognises the classes. A class that no image is
    annotated with stays a class.

    ``annotate=clean`` gives the published images the labels that their clean originals get. Compared with
    ``published``, it separates a release's effect on the annotator from that on the victim.
    """

    def __init__(self, params: ZeroShotParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: LabelRun) -> tuple[ImageSet, ImageSet]:
        """``published`` under the annotations, ``test`` as it is.

        Notes, in percent of the images: ``label_agreement`` (``accuracy``: labelled with their true class),
        ``annotation_accuracy`` (the same of the annotations of ``clean`` and of ``published`` pixels, whichever are
        used), and ``labels_kept`` (annotated when published as when clean). ``classes_without_images``: how many of the
        classes no label names.

        Raises:
            UsageError: as :func:`ucbench_openclip.loading.load_clip`.
            DataError: likewise.
        """
        network = FrozenClip(_opened(self.params, run)).to(run.device)
        network.name_classes(clean.classes, self.params.templates)
        clip = NetworkSurrogate(network)
        clip.to(run.device, run.engine.dtype)
        before = annotate(clip, clean, run, "annotating the clean images")
        now = before if published is clean else annotate(clip, published, run, "annotating the published images")
        labels = before if self.params.annotate == "clean" else now
        true = clean.known_labels
        run.note("label_agreement", {"accuracy": _percent(labels == true)})
        run.note("annotation_accuracy", {"clean": _percent(before == true), "published": _percent(now == true)})
        run.note("labels_kept", _percent(now == before))
        run.note("classes_without_images", len(clean.classes) - len(np.unique(labels)))
        return published.with_labels(labels, clean.classes), test


def _opened(params: ClipParams, run: LabelRun) -> LoadedClip:
    clip = load_clip(params)
    if clip.note:
        run.note("clip_weights", clip.note)
    return clip


def annotate(clip: NetworkSurrogate, images: ImageSet, run: LabelRun, text: str) -> NDArray[np.int64]:
    """The named class ``[N]`` with the highest score for every image; progress is reported under ``text``."""
    advance = run.progress(text, len(images))
    labels = []
    for rows in np.array_split(np.arange(len(images)), -(-len(images) // BLOCK)):
        labels.append(predict_classes(clip, images.subset(rows), run.device))
        advance(len(rows))
    return np.concatenate(labels)


def _percent(holds: NDArray[np.bool_]) -> float:
    return 100.0 * float(holds.mean())


class CoarseByName:
    """Classes whose names a CLIP's text tower puts close to each other are one: k-means of their embeddings.

    No image is read. Groups are numbered in the order of their first class in the data set, and are named by
    their classes.
    """

    def __init__(self, params: CoarseByNameParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: LabelRun) -> tuple[ImageSet, ImageSet]:
        """Both sets under the groups; notes ``merged_classes`` by group, and ``label_agreement``.

        Raises:
            UsageError: if there are fewer classes, or fewer different names, than groups; and as
                :func:`ucbench_openclip.loading.load_clip`.
            DataError: likewise.
        """
        wanted, classes = self.params.groups, clean.classes
        clip = _opened(self.params, run)
        clip.model.to(run.device)
        texts = class_embeddings(clip, classes, self.params.templates).cpu()
        different = len(np.unique(texts.numpy(), axis=0))
        if wanted > different:
            raise UsageError(
                f"coarse-by-name: {different} different names of classes of {clean.name} cannot form groups={wanted};"
                " lower it."
            )
        clusters = cluster(texts, wanted, self.params.map_seed).assignment
        first_shown = np.unique(clusters, return_index=True)[1]
        group = np.argsort(np.argsort(first_shown))[clusters]
        members = [[classes[label] for label in np.flatnonzero(group == number)] for number in range(wanted)]
        names = tuple(" / ".join(part) for part in members)
        labels = group[clean.known_labels]
        run.note("merged_classes", members)
        run.note("label_agreement", agreement(labels, clean.known_labels))
        return published.with_labels(labels, names), test.with_labels(group[test.known_labels], names)
