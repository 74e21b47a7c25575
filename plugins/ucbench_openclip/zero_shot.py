"""Labels from class names alone: a CLIP annotates the pictures as they were published."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from ucbench import ImageSet, predict_classes
from ucbench_openclip.frozen import FrozenClip
from ucbench_openclip.loading import load_clip

if TYPE_CHECKING:
    from ucbench import Run, Surrogate
    from ucbench_openclip.params import ZeroShotParams

#: Images annotated between two reports of progress.
BLOCK = 1000


class ZeroShot:
    """The class whose texts lie nearest to a picture, by a CLIP's two towers.

    The exploiter knows what the classes are called and labels nothing. The test set keeps its true labels: what counts
    is whether a victim trained on these annotations recognises the classes. A class that no picture is annotated with
    stays a class.

    ``annotate=clean`` gives the same published pictures the labels their clean originals would have got. Beside
    ``published`` it tells apart what a release does to the annotator and to the victim.
    """

    def __init__(self, params: ZeroShotParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: Run) -> tuple[ImageSet, ImageSet]:
        """``published`` under the annotations, ``test`` as it is.

        Notes, in percent of the images: ``label_agreement`` (``accuracy``: labelled with their true class),
        ``annotation_accuracy`` (the same of the annotations of ``clean`` and of ``published`` pixels, whichever are
        used), and ``labels_kept`` (annotated when published as when clean). ``classes_without_images``: how many of the
        classes no label names.

        Raises:
            UsageError: as :func:`ucbench_openclip.loading.load_clip`.
            DataError: likewise.
        """
        model = FrozenClip(load_clip(self.params)).to(run.device)
        model.dtype = run.engine.dtype
        model.name_classes(clean.classes, self.params.templates)
        before = annotate(model, clean, run, "annotating the clean images")
        now = before if published is clean else annotate(model, published, run, "annotating the published images")
        labels = before if self.params.annotate == "clean" else now
        true = clean.known_labels
        run.note("label_agreement", {"accuracy": _percent(labels == true)})
        run.note("annotation_accuracy", {"clean": _percent(before == true), "published": _percent(now == true)})
        run.note("labels_kept", _percent(now == before))
        run.note("classes_without_images", len(clean.classes) - len(np.unique(labels)))
        return published.with_labels(labels, clean.classes), test


def annotate(model: FrozenClip, images: ImageSet, run: Run, text: str) -> NDArray[np.int64]:
    """The named class ``[N]`` with the highest score for every image; progress is reported under ``text``."""
    # The helper asks a surrogate for its scores and nothing else.
    scoring = cast("Surrogate", model)
    advance = run.progress(text, len(images))
    found = []
    for rows in np.array_split(np.arange(len(images)), -(-len(images) // BLOCK)):
        found.append(predict_classes(scoring, images.subset(rows), run.device))
        advance(len(rows))
    return np.concatenate(found)


def _percent(holds: NDArray[np.bool_]) -> float:
    return 100.0 * float(holds.mean())
