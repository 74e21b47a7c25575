"""The measures of an analysis, and the cells that are measured by them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ucbench.matrix.cell import Cell
from ucbench.matrix.compatibility import can_measure
from ucbench.metrics.layers import PENULTIMATE
from ucbench.plugins.grammar import ComponentRef
from ucbench.plugins.registry import Component, Registry
from ucbench.plugins.specs import MetricSpec

INFORMATION, BY_LAYER, COVARIANCE = "mutual-information", "mutual-information-by-layer", "covariance"
#: Metrics of a victim's features at one layer, and all others.
_AT_LAYER = (INFORMATION, "dependence", COVARIANCE, "uniformity")
_OTHERS = (BY_LAYER, "separability", "spectrum")


@dataclass(frozen=True)
class AnalysisRequest:
    """What is measured of cells.

    Attributes:
        layer: of the victim, see :func:`ucbench.metrics.layers.layer_features`.
        pairs: images that are measured at most, with and without perturbation.
        maps: images in each map of features; 0 for no maps.
    """

    layer: str = PENULTIMATE
    pairs: int = 2000
    maps: int = 500

    def references(self) -> list[ComponentRef]:
        """References to the metrics of the analysis."""
        # Default values are not written, so that columns have short names.
        common = () if self.pairs == AnalysisRequest.pairs else (("pairs", str(self.pairs)),)
        at_layer = () if self.layer == PENULTIMATE else (("layer", self.layer),)
        refs = [ComponentRef(name, options=(*at_layer, *common)) for name in _AT_LAYER]
        return refs + [ComponentRef(name, options=common) for name in _OTHERS]

    def metrics(self, registry: Registry) -> list[Component[MetricSpec]]:
        """The metrics of the analysis.

        Raises:
            UsageError: if a metric is not installed, or refuses the values.
        """
        return [registry.resolve(MetricSpec, ref) for ref in self.references()]


def measured(cells: Iterable[Cell], metrics: Iterable[Component[MetricSpec]]) -> list[Cell]:
    """The cells with these metrics beside their own, and with trained networks that are kept.

    A trainer that shows no network is measured by what needs none.
    """
    metrics = list(metrics)
    return [replace(cell, metrics=_joined(cell, metrics), keep_victim=not cell.victim.spec.opaque) for cell in cells]


def _joined(cell: Cell, metrics: Iterable[Component[MetricSpec]]) -> tuple[Component[MetricSpec], ...]:
    fitting = [metric for metric in metrics if can_measure(metric, cell.victim)]
    return tuple({str(metric): metric for metric in (*cell.metrics, *fitting)}.values())
