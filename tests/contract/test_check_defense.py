"""``check_defense`` of bare instances: all stages at once, and models that a stage changes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ucbench import ContractError, DefenseSpec
from ucbench.testing import check_defense


class Good:
    """Every stage at once."""

    def prepare(self, train, run):
        return train.with_images(train.images // 2)

    def augment(self, x, run, generator):
        return (x + 0.1 * torch.rand((len(x), 1, 1, 1), generator=generator)).clamp(0, 1)

    def mix(self, x, targets, run, generator):
        share = torch.rand((), generator=generator)
        order = torch.randperm(len(x), generator=generator)
        mixed = share * x + (1 - share) * x[order]
        return mixed, share * targets + (1 - share) * targets[order]

    def loss(self, model, x, targets, run, generator):
        return F.cross_entropy(model(x), targets)

    def at_test(self, x):
        return x.round()


def refused(defense, text):
    with pytest.raises(ContractError, match=text):
        check_defense(defense, spec=DefenseSpec(name="some", summary="", load=""))


def test_conforming_component_passes():
    check_defense(Good())


@pytest.mark.parametrize(
    ("change", "evidence"),
    [
        (lambda model: model[1][0].weight.data.mul_(0.5), "1.0.weight"),
        (lambda model: model[0].requires_grad_(False), "0.bias, 0.weight"),
        (lambda model: model[0].eval(), "0.training"),
    ],
)
@pytest.mark.parametrize("stage", ["loss", "rates"])
def test_changed_model_is_found(stage, change, evidence):
    class Changing(Good):
        def loss(self, model, x, targets, run, generator):
            if stage == "loss":
                change(model)
            return super().loss(model, x, targets, run, generator)

        def rates(self, model, run):
            if stage == "rates":
                change(model)
            return {}

    refused(Changing(), rf"{stage}\(\) must not change the model. It changed {evidence}\.$")
