"""The protocol of metrics: measures beyond those in every record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ucbench.errors import ContractError

if TYPE_CHECKING:
    from torch import nn

    from ucbench.data.imageset import ImageSet
    from ucbench.training.context import Run


class MetricContext:
    """What a metric may read: the run, and the fields that its spec names in ``reads``.

    Attributes:
        run: engine, device, seeds and notes.
        source: the unperturbed training images with the exploiter's labels.
        published: the published training set with the exploiter's labels.
        test: the clean test set with the scoring labels.
        perturbed_test: the test set perturbed by the poisoner; None if the method cannot perturb new images.
        model: the trained victim in eval mode, images in [0, 1] to logits, with the defenses' ``at_test``.
        history: one mapping per evaluated epoch of its training.

    Raises:
        ContractError: on reading a field that the spec does not name.
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

    if not TYPE_CHECKING:  # a type checker would take every name for a field

        def __getattr__(self, name: str) -> Any:
            if name in MetricContext.__annotations__:
                raise ContractError(f"A metric read {name!r}, which its spec does not name in reads.")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


@runtime_checkable
class Metric(Protocol):
    """``Class(params)``; a measure beyond those in every record."""

    def compute(self, context: MetricContext) -> Mapping[str, float | None]:
        """Values by name, None where undefined; tables call them ``<metric as requested>.<name>``."""
