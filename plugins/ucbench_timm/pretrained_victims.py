"""Victims that do not start from zero: exploiters with external weights (tier T4).

The default backbone is also the default surrogate of poisoners: exploiter and protector then use the same network, and
a perturbation meets the very features it was made against. With another ``backbone`` they use different ones.
"""

from __future__ import annotations

from typing import Any

from timm.models import group_parameters
from torch import nn

from ucbench import PretrainedClassifier, UsageError
from ucbench_timm.params import EfficientNetLite0Params, FineTuneParams, LinearProbeParams, PretrainedVictimParams
from ucbench_timm.surrogates import EfficientNetLite0, TimmSurrogate


class LinearProbe:
    """A linear classifier on the features of a frozen pretrained network (tier T4: external weights).

    Raises:
        UsageError: for a name timm does not know.
        DataError: if the weights are not available, or do not fit.
    """

    def __init__(self, params: LinearProbeParams) -> None:
        self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> PretrainedClassifier:
        return _classifier(self.recipe, classes, size)


class FineTune:
    """A pretrained network that is trained on, whole or without its first stages (tier T4: external weights).

    Stages are those of timm, which counts the stem as the first: 8 in EfficientNet-Lite0, 5 in a ResNet, and each block
    of a transformer is one. Batch norm of the stages that learn works as in training from scratch.

    Raises:
        UsageError: for a name timm does not know, and where there are not more stages than are to be frozen.
        DataError: if the weights are not available, or do not fit.
    """

    def __init__(self, params: FineTuneParams) -> None:
        self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> PretrainedClassifier:
        model = _classifier(self.recipe, classes, size)
        model.thaw(but=self._shallow(model.pretrained.network))
        return model

    def _shallow(self, network: nn.Module) -> list[nn.Parameter]:
        """The weights that keep their values."""
        if self.recipe.frozen == "none":
            return []
        stages = _stages(network, self.recipe.backbone)
        count = len(stages) // 2 if self.recipe.stages is None else self.recipe.stages
        if count >= len(stages):
            raise UsageError(
                f"{self.recipe.backbone} has {len(stages)} stages, of which fine-tune can freeze {len(stages) - 1},"
                f" not {count}. To train the classifier alone, use linear-probe."
            )
        return [weight for stage in stages[:count] for weight in stage]


def _classifier(params: PretrainedVictimParams, classes: int, size: tuple[int, int]) -> PretrainedClassifier:
    source = params.surrogate()
    surrogate = EfficientNetLite0(source) if isinstance(source, EfficientNetLite0Params) else TimmSurrogate(source)
    pretrained = surrogate.module()
    pretrained.network.reset_classifier(0)
    return PretrainedClassifier(pretrained, classes, size)


def _stages(network: Any, name: str) -> list[list[nn.Parameter]]:
    """The weights of a network of timm by stage, from the images to the features."""
    try:
        matcher = network.group_matcher(coarse=True)
    except (AttributeError, AssertionError) as error:
        raise UsageError(f"timm does not divide {name} into stages. Fine-tune it with frozen=none.") from error
    groups = group_parameters(network, matcher, return_values=True)
    return [groups[stage] for stage in sorted(groups)]
