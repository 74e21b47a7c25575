"""The contract of metrics: measures beyond those that every record has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ucbench.errors import ContractError

if TYPE_CHECKING:
    from torch import nn

    from ucbench.data.imageset import ImageSet
    from ucbench.training.context import Run


class MetricContext:
    """What a metric may read: the run, and what its spec names in ``reads``; anything else raises ContractError.

    Attributes:
        run: what the core gives every component.
        source: the training images before they were perturbed, under the exploiter's labels.
        published: the training set as published, under the exploiter's labels.
        test: the clean test set under the scoring labels.
        perturbed_test: that set perturbed as the poisoner would have; None where the method cannot tell.
        model: the trained victim in eval mode, from images in [0, 1] to logits; defenses at test time are inside.
        history: one mapping per evaluated epoch of its training.
    """

    run: Run
    source: ImageSet
    published: ImageSet
    test: ImageSet
    perturbed_test: ImageSet | None
    model: nn.Module
    history: Sequence[Mapping[str, Any]]

    def __init__(self, run: Run, **values: Any) -> None:
        vars(self).update(values, run=run)

    def __getattr__(self, name: str) -> Any:
        if name in MetricContext.__annotations__:
            raise ContractError(f"A metric read {name!r}, which its spec does not name in reads.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


@runtime_checkable
class Metric(Protocol):
    """``Class(params)``; measures what every record does not already say."""

    def compute(self, context: MetricContext) -> Mapping[str, float | None]:
        """Values by name, None where one is undefined; tables call them ``<metric as requested>.<name>``."""
