"""``check_victim`` of bare instances: initialisation, and logits in both modes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ucbench import ContractError, Recipe, UsageError
from ucbench.plugins.registry import installed
from ucbench.testing import check_victim


class Good:
    recipe = Recipe(epochs=2)

    def layers(self, classes, size):
        return [nn.Flatten(), nn.Linear(3 * size[0] * size[1], classes)]

    def build(self, classes, size):
        return nn.Sequential(*self.layers(classes, size))


def refused(victim, text):
    with pytest.raises(ContractError, match=text):
        check_victim(victim, sizes=[(4, 5)])


def test_conforming_component_passes():
    check_victim(Good())


def test_initialisation_off_the_global_generator_is_found():
    class Own(Good):
        generator = torch.Generator().manual_seed(0)

        def build(self, classes, size):
            model = super().build(classes, size)
            nn.init.normal_(model[1].weight, generator=self.generator)
            return model

    refused(Own(), "must draw from torch's global generator, and from nothing else. 1.weight differs")


def test_softmax_only_for_tests_is_found():
    class Softmax(nn.Softmax):
        def forward(self, x):
            return x if self.training else super().forward(x)

    class Probabilities(Good):
        def layers(self, classes, size):
            return [*super().layers(classes, size), Softmax(1)]

    refused(Probabilities(), r"finite float32 logits \[1, 5\] .*They are probabilities")


def test_check_raises_on_a_component_of_another_kind():
    with pytest.raises(UsageError, match="clean is a poisoner, and this check is for a victim"):
        check_victim(installed().resolve("poisoner", "clean"))
