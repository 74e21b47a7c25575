"""The contract of metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ucbench.components import Metric, MetricContext, MetricRecord
from ucbench.data import ImageSet
from ucbench.registry import Resolved
from ucbench.testing.samples import NUMERICS, TinySurrogate, make_run, sample_images
from ucbench.testing.subject import Subject, subject_of
from ucbench.training import arithmetic


def check_metric(
    metric: Resolved | Metric, *, record: MetricRecord | None = None, train: ImageSet | None = None
) -> None:
    """Check a metric: numbers or None under names, determinism, inputs and the model left alone.

    It is given only what its record says it reads.

    Args:
        train: the set before it was perturbed; 13 pictures in 3 classes. Another set of as many is the test set.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(metric, record, MetricRecord)
    train = train or sample_images()
    with arithmetic(NUMERICS):
        first = _compute(subject, train, 0)
        subject.require(
            isinstance(first, Mapping) and bool(first),
            "compute() must return a mapping of names to numbers",
            f"Got {type(first).__name__} {first!r}",
        )
        for name, value in first.items():
            subject.require(
                isinstance(name, str) and (value is None or math.isfinite(float(value))),
                "values must be finite numbers, or None where undefined",
                f"Got {name!r}: {value!r}",
            )
        again = _compute(subject, train, 1)
        subject.require(
            dict(first) == dict(again), "the same seed must give the same values", f"Got {first!r}, then {again!r}"
        )


def _compute(subject: Subject[MetricRecord], train: ImageSet, state: int) -> Any:
    published, test = train.with_images(train.images ^ np.uint8(7)), sample_images(seed=1, name="test")
    network = TinySurrogate().module(0, train).eval()
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    at_hand: dict[str, Any] = {
        "source": train,
        "published": published,
        "test": test,
        "perturbed_test": test.with_images(test.images ^ np.uint8(7)),
        "model": network,
        "history": ({"epoch": 1, "loss": 1.0, "lr": 0.1, "test_accuracy": 50.0},),
    }
    context = MetricContext(run=make_run(stage="metric"), **{name: at_hand[name] for name in subject.record.reads})
    with subject.calling("compute()", train, published, test, state=state):
        values = subject.build().compute(context)
    same = all(torch.equal(weights[name], tensor) for name, tensor in network.state_dict().items())
    subject.require(
        same and not network.training and all(p.requires_grad for p in network.parameters()),
        "compute() must leave the model as it was lent",
        "Its weights, its mode or its gradients' flags changed",
    )
    return values
