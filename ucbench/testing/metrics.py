"""The contract of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ucbench.data.imageset import ImageSet
from ucbench.metrics.metric import Metric, MetricContext
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import MetricSpec
from ucbench.running.measuring import LIMIT
from ucbench.testing.rules import Rule
from ucbench.testing.samples import NUMERICS, TinySurrogate, make_run, sample_images
from ucbench.testing.subject import CALLS, Subject, subject_of
from ucbench.training.determinism import deterministic

VALUES = Rule(
    "values",
    "compute() must return a mapping of names to numbers",
    'Return a dict such as {"mean": 0.5}. Each value becomes a column, named by the metric and the key.',
)
FINITE = Rule(
    "finite",
    "values must be finite numbers between -2**63 and 2**63, or None where undefined",
    "Convert with float(), and return None instead of NaN if there is nothing to measure.",
)
SAME_SEED = Rule(
    "same-seed",
    "the same seed must give the same values",
    "Draw everything from context.run.generator(stream) or context.run.seed(stream), and keep no state between calls.",
)
MODEL = Rule(
    "model",
    "compute() must not change the model",
    "Do not change weights, eval mode or requires_grad; use copy.deepcopy(context.model) if they have to change.",
)
RULES = (*CALLS, VALUES, FINITE, SAME_SEED, MODEL)


def check_metric(
    metric: Component[Any] | Metric, *, spec: MetricSpec | None = None, train: ImageSet | None = None
) -> None:
    """Check a metric: numbers or None by name, determinism, unchanged inputs and model.

    It gets only the values that its spec names in ``reads``.

    Args:
        train: the set before it was perturbed; by default 13 images in 3 classes. The test set has 13 other images.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(metric, spec, MetricSpec)
    train = train or sample_images()
    with subject.isolated(), deterministic(NUMERICS):
        first = _compute(subject, train, 0)
        _check_values(subject, first)
        if "perturbed_test" in subject.spec.reads:
            with subject.isolated():
                _check_values(subject, _compute(subject, train, 0, perturbs=False))
        again = _compute(subject, train, 1)
        # As texts, in which NaN equals NaN: another rule forbids NaN.
        same = sorted(map(repr, first.items())) == sorted(map(repr, again.items()))
        subject.require(same, SAME_SEED, f"Got {first!r}, then {again!r}")


def _check_values(subject: Subject[MetricSpec], values: Any) -> None:
    subject.require(isinstance(values, Mapping) and bool(values), VALUES, f"Got {type(values).__name__} {values!r}")
    with subject.isolated():
        for name, value in values.items():
            subject.require(isinstance(name, str) and _is_number(value), FINITE, f"Got {name!r}: {value!r}")


def _is_number(value: Any) -> bool:
    try:
        return value is None or abs(float(value)) < LIMIT
    except (TypeError, ValueError, OverflowError):
        return False


def _compute(subject: Subject[MetricSpec], train: ImageSet, state: int, *, perturbs: bool = True) -> Any:
    """The values; ``perturbs`` says whether the poisoner can perturb new images."""
    published, test = train.with_images(train.images ^ np.uint8(7)), sample_images(seed=1, name="test")
    network = TinySurrogate().module(0, train).eval()
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    available: dict[str, Any] = {
        "source": train,
        "published": published,
        "test": test,
        "perturbed_test": test.with_images(test.images ^ np.uint8(7)) if perturbs else None,
        "model": network,
        "history": ({"epoch": 1, "loss": 1.0, "lr": 0.1, "test_accuracy": 50.0},),
    }
    context = MetricContext(run=make_run(stage="metric"), **{name: available[name] for name in subject.spec.reads})
    what = "compute()" if perturbs else "compute() where perturbed_test is None"
    with subject.calling(what, train, published, test, state=state):
        values = subject.build().compute(context)
    same = all(torch.equal(weights[name], tensor) for name, tensor in network.state_dict().items())
    with subject.isolated():
        subject.require(
            same and not network.training and all(p.requires_grad for p in network.parameters()),
            MODEL,
            "Its weights, its mode or its requires_grad flags changed",
        )
    return values
