"""``check_surrogate`` of bare instances: gradients, restored fits, label access and fresh networks."""

from __future__ import annotations

import numpy as np
import pytest

from ucbench import ContractError, SurrogateSpec, UsageError
from ucbench.testing import TinySurrogate, check_surrogate


def refused(surrogate, text):
    with pytest.raises(ContractError, match=text):
        check_surrogate(surrogate)


def test_conforming_component_passes():
    check_surrogate(TinySurrogate())


def test_trainable_weights_behind_another_module_are_found():
    class Hidden(TinySurrogate):
        def __init__(self):
            super().__init__()
            self._network.requires_grad_(True)

    refused(Hidden(), "leave no gradient on the weights. Features of images that take no gradient have one")


class Fitted(TinySurrogate):
    shift = 0.0

    def features(self, x):
        return super().features(x) + self.shift

    def logits(self, x):
        return super().logits(x) + self.shift

    def fit(self, train, run):
        self.shift = float(train.images.mean())
        return {"shift": np.array(self.shift)}

    def restore(self, state, train, run):
        self.shift = float(state["shift"])


def test_state_that_does_not_restore_is_found():
    class Forgetful(Fitted):
        def restore(self, state, train, run):
            self.shift = 0.0

    class NewHead(Fitted):
        bias = 0.0

        def logits(self, x):
            return super().logits(x) + self.bias

        def fit(self, train, run):
            self.bias = 1.0
            return super().fit(train, run)

        def restore(self, state, train, run):
            super().restore(state, train, run)
            self.bias = 0.0

    check_surrogate(Fitted())
    text = "restored surrogate must have the features and scores of the fitted one"
    refused(Forgetful(), f"{text}. features differs")
    refused(NewHead(), f"{text}. logits differs")


def test_undeclared_reading_of_labels_is_found():
    class Supervised(Fitted):
        def fit(self, train, run):
            self.classes = np.unique(train.known_labels)
            return super().fit(train, run)

    refused(Supervised(), "sample has no labels here")
    check_surrogate(Supervised(), spec=SurrogateSpec(name="some", summary="", load="", label_access="full"))


def test_fresh_network_of_another_seed_must_differ():
    class Untrained(TinySurrogate):
        def features(self, x):
            raise UsageError("It has no weights.")

        logits = features

    class Constant(Untrained):
        def module(self, seed, train=None):
            return super().module(0, train)

    spec = SurrogateSpec(name="some", summary="", load="", untrained=True)
    check_surrogate(Untrained(), spec=spec)
    with pytest.raises(ContractError, match=r"must follow its seed\. Two seeds gave the same weights"):
        check_surrogate(Constant(), spec=spec)
