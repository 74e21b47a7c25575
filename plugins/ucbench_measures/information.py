"""What a victim's features of clean images tell about those of the same images with their perturbation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ucbench import all_layers, layer_features
from ucbench_measures.dependence import gaussian_kernel, hsic, linear_cka
from ucbench_measures.estimators import Floats
from ucbench_measures.pairs import feature_pairs, pairs
from ucbench_measures.slicing import Estimate, projected, sliced

if TYPE_CHECKING:
    from ucbench import MetricContext
    from ucbench_measures.params import ByLayerParams, FeatureParams, InformationParams

Values = dict[str, float | None]


class MutualInformation:
    """Sliced mutual information of features g(X) of clean images and g(X') of the same images, perturbed.

    X is drawn among the images of the split, g is the trained victim up to a layer. All estimators see the same
    projections. Where X' = X, as in the clean reference, the value is the information that one random direction of the
    features has of another: high where few directions carry all variance.
    """

    def __init__(self, params: InformationParams) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> Values:
        """For every estimator its value in nats (``ksg``) and the standard error over projections (``ksg_se``)."""
        params = self.params
        pairs = feature_pairs(context, params)
        values: Values = {}
        for name in params.estimators:
            values[name] = values[f"{name}_se"] = None
        if pairs is not None:
            x, y = _projections(context, pairs.clean, pairs.perturbed, params.projections)
            for name in params.estimators:
                estimate: Estimate = sliced(x, y, name, context.run.generator(name))
                values[name], values[f"{name}_se"] = estimate
        return values


class InformationByLayer:
    """The same by one estimator at every layer, numbered in the order in which the victim runs them; 00 is the input.

    Convolutions are averaged over positions, pixels of the input are not.
    """

    def __init__(self, params: ByLayerParams) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> Values:
        """``layer_00``, ``layer_01``, ... in nats, with their standard errors (``layer_01_se``)."""
        params = self.params
        images = pairs(context, params.split, params.pairs)
        if images is None:
            return {"layer_00": None}
        clean, perturbed = (
            [layer_features(context.model, side, "input"), *all_layers(context.model, side, context.run.device)]
            for side in (images.clean, images.perturbed)
        )
        values: Values = {}
        for number, (before, after) in enumerate(zip(clean, perturbed, strict=True)):
            x, y = _projections(context, before, after, params.projections)
            name = f"layer_{number:02}"
            values[name], values[f"{name}_se"] = sliced(x, y, params.estimator, context.run.generator(name))
        return values


class Dependence:
    """HSIC and linear CKA of the same features, without bias: 0 on average if g(X) and g(X') are independent."""

    def __init__(self, params: FeatureParams) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> Values:
        """``hsic`` with Gaussian kernels of the median distance, and ``cka`` (None where features are constant)."""
        pairs = feature_pairs(context, self.params)
        if pairs is None:
            return {"hsic": None, "cka": None}
        return {
            "hsic": hsic(gaussian_kernel(pairs.clean), gaussian_kernel(pairs.perturbed)),
            "cka": linear_cka(pairs.clean, pairs.perturbed),
        }


def _projections(context: MetricContext, clean: Tensor, perturbed: Tensor, count: int) -> tuple[Floats, Floats]:
    """Both sides along random directions, drawn apart for each: ``[count, N]``."""
    run = context.run
    return (
        projected(clean, count, run.generator("clean directions")),
        projected(perturbed, count, run.generator("perturbed directions")),
    )
