"""``check_metric`` of bare instances: what a metric may read."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ucbench import ContractError, MetricSpec
from ucbench.testing import check_metric

SPEC = MetricSpec(name="good", summary="", load="", reads=("model", "test"))


class Good:
    def compute(self, context):
        x = torch.from_numpy(context.test.images.copy()).float() / 255
        with torch.no_grad():
            return {"mean": float(context.model(x).mean()), "undefined": None}


def refused(metric, text, **fields):
    with pytest.raises(ContractError, match=text):
        check_metric(metric, spec=dataclasses.replace(SPEC, **fields))


def test_conforming_component_passes():
    check_metric(Good(), spec=SPEC)


def test_metric_that_needs_a_perturbed_test_set_is_found():
    class Needy:
        def compute(self, context):
            return {"images": len(context.perturbed_test)}

    class Prudent:
        def compute(self, context):
            return {"images": None if context.perturbed_test is None else len(context.perturbed_test)}

    reads = ("perturbed_test",)
    refused(Needy(), r"compute\(\) where perturbed_test is None failed\. TypeError", reads=reads)
    check_metric(Prudent(), spec=dataclasses.replace(SPEC, reads=reads))


def test_undeclared_reading_is_found():
    class Curious(Good):
        def compute(self, context):
            return {"images": len(context.source)}

    refused(Curious(), "read 'source', which its spec does not name in reads")
    check_metric(Curious(), spec=dataclasses.replace(SPEC, reads=("source",)))
