"""``check_labeling`` of bare instances: what may depend on the published pixels."""

from __future__ import annotations

import numpy as np
import pytest

from ucbench import ContractError, LabelingSpec
from ucbench.testing import check_labeling


class Good:
    def apply(self, clean, published, test, run):
        return published.with_labels(clean.known_labels, clean.classes), test


def refused(labeling, text, source="semantic"):
    with pytest.raises(ContractError, match=text):
        check_labeling(labeling, spec=LabelingSpec(name="some", summary="", load="", source=source))


def by_brightness(images):
    return images.with_labels((images.images[:, 0, 0, 0] > 127).astype(np.int64), ("dark", "bright"))


def test_conforming_component_passes():
    check_labeling(Good())


def test_published_pixels_are_reserved_for_machine_labelings():
    class Machine:
        def apply(self, clean, published, test, run):
            return by_brightness(published), by_brightness(test)

    refused(Machine(), "source='semantic' must not read the published pixels")
    check_labeling(Machine(), spec=LabelingSpec(name="machine", summary="", load="", source="machine"))


def test_scoring_labels_of_a_machine_labeling_depending_on_the_release_are_found():
    class Leaking(Good):
        def apply(self, clean, published, test, run):
            train, test = super().apply(clean, published, test, run)
            return train, test.with_labels((test.known_labels + published.images[0, 0, 0, 0]) % 3, test.classes)

    refused(Leaking(), "test set's labels must not depend on the published pixels", "machine")
