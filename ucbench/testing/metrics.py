"""The contract of metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ucbench.data.imageset import ImageSet
from ucbench.metrics.metric import Metric, MetricContext
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import MetricSpec
from ucbench.testing.rules import Rule
from ucbench.testing.samples import NUMERICS, TinySurrogate, make_run, sample_images
from ucbench.testing.subject import CALLS, Subject, subject_of
from ucbench.training.determinism import deterministic

VALUES = Rule(
    "values",
    "compute() must return a mapping of names to numbers",
    'Return a dict such as {"mean": 0.5}. Each value becomes a column, called after the metric and its name.',
)
FINITE = Rule(
    "finite",
    "values must be finite numbers, or None where undefined",
    "Convert with float(), and return None where there is nothing to measure, instead of NaN.",
)
SAME_SEED = Rule(
    "same-seed",
    "the same seed must give the same values",
    "Draw everything from context.run.generator(stream) or context.run.seed(stream), and keep nothing between calls.",
)
MODEL = Rule(
    "model",
    "compute() must leave the model as it was lent",
    "Leave weights, eval mode and requires_grad alone; work on copy.deepcopy(context.model) where they must change.",
)
RULES = (*CALLS, VALUES, FINITE, SAME_SEED, MODEL)


def check_metric(
    metric: Component[Any] | Metric, *, spec: MetricSpec | None = None, train: ImageSet | None = None
) -> None:
    """Check a metric: numbers or None under names, determinism, inputs and the model left alone.

    It is given only what its spec says it reads.

    Args:
        train: the set before it was perturbed; 13 pictures in 3 classes. Another set of as many is the test set.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(metric, spec, MetricSpec)
    train = train or sample_images()
    with subject.apart(), deterministic(NUMERICS):
        first = _compute(subject, train, 0)
        subject.require(isinstance(first, Mapping) and bool(first), VALUES, f"Got {type(first).__name__} {first!r}")
        with subject.apart():
            for name, value in first.items():
                subject.require(isinstance(name, str) and _is_number(value), FINITE, f"Got {name!r}: {value!r}")
        again = _compute(subject, train, 1)
        # As texts, in which NaN equals NaN: that it is none of the numbers allowed is another rule's business.
        same = sorted(map(repr, first.items())) == sorted(map(repr, again.items()))
        subject.require(same, SAME_SEED, f"Got {first!r}, then {again!r}")


def _is_number(value: Any) -> bool:
    try:
        return value is None or math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _compute(subject: Subject[MetricSpec], train: ImageSet, state: int) -> Any:
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
    context = MetricContext(run=make_run(stage="metric"), **{name: at_hand[name] for name in subject.spec.reads})
    with subject.calling("compute()", train, published, test, state=state):
        values = subject.build().compute(context)
    same = all(torch.equal(weights[name], tensor) for name, tensor in network.state_dict().items())
    with subject.apart():
        subject.require(
            same and not network.training and all(p.requires_grad for p in network.parameters()),
            MODEL,
            "Its weights, its mode or its gradients' flags changed",
        )
    return values
