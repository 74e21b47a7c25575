# brightness.py
import numpy as np

from ucbench import LabelingSpec, hookimpl


class Brightness:
    def __init__(self, params):
        self.params = params

    def apply(self, clean, published, test, run):
        threshold = np.median(clean.images.mean((1, 2, 3)))
        return _labelled(published, threshold), _labelled(test, threshold)


def _labelled(images, threshold):
    bright = images.images.mean((1, 2, 3)) > threshold
    return images.with_labels(bright.astype(np.int64), ("dark", "bright"))


@hookimpl
def ucbench_labelings():
    yield LabelingSpec(
        name="brightness",
        summary="Dark and bright images",
        load=f"{__name__}:Brightness",
        source="machine",
    )
