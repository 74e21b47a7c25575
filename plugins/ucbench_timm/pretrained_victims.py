"""Victims that do not start from zero: exploiters with external weights (tier T4).

The default backbone is also the default surrogate of poisoners: exploiter and protector then use the same network, and
a perturbation meets the very features it was made against. With another ``backbone`` they use different ones.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Self

import torch
from timm.models import group_parameters
from torch import Tensor, nn

from ucbench import FrozenNetwork, UsageError
from ucbench_timm.params import EfficientNetLite0Params, FineTuneParams, LinearProbeParams, PretrainedVictimParams
from ucbench_timm.surrogates import EfficientNetLite0, TimmSurrogate


class PretrainedClassifier(nn.Module):
    """A surrogate's network under a fresh linear classifier: images ``[B, 3, H, W]`` in [0, 1] to logits ``[B, K]``.

    The network resizes and normalises images itself. At first all of it but the classifier is frozen: no
    gradients reach its weights, and it stays in eval mode while the classifier trains, so that neither its batch-norm
    statistics move nor those of the batch enter. Gradients reach the images all the same.

    Args:
        pretrained: the network, which is changed: its classifier is dropped.
        classes: K.
        size: height and width of an image, on which the features are counted.
    """

    def __init__(self, pretrained: FrozenNetwork, classes: int, size: tuple[int, int]) -> None:
        super().__init__()
        pretrained.network.reset_classifier(0)
        self.pretrained = pretrained
        self._frozen: list[nn.Module] = [pretrained]
        with torch.no_grad():
            width = self.features(torch.zeros(1, 3, *size)).shape[1]
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """The classifier's input ``[B, D]``."""
        # Not pretrained.features(), which sets its own precision: this network runs in the engine's.
        return self.pretrained.penultimate(self.pretrained.prepare(x))

    def thaw(self, but: Collection[nn.Parameter] = ()) -> None:
        """Let all weights learn but these; a module without any that learns stays in eval mode."""
        self.requires_grad_(True)
        for weight in but:
            weight.requires_grad_(False)
        self._frozen = [module for module in self.pretrained.modules() if _learns_nothing(module)]
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


def _learns_nothing(module: nn.Module) -> bool:
    weights = list(module.parameters())
    return bool(weights) and not any(weight.requires_grad for weight in weights)


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
    chosen = params.surrogate()
    surrogate = EfficientNetLite0(chosen) if isinstance(chosen, EfficientNetLite0Params) else TimmSurrogate(chosen)
    return PretrainedClassifier(surrogate.module(), classes, size)


def _stages(network: Any, name: str) -> list[list[nn.Parameter]]:
    """The weights of a network of timm by stage, from the images to the features."""
    try:
        matcher = network.group_matcher(coarse=True)
    except (AttributeError, AssertionError) as error:
        raise UsageError(f"timm does not divide {name} into stages. Fine-tune it with frozen=none.") from error
    groups = group_parameters(network, matcher, return_values=True)
    return [groups[stage] for stage in sorted(groups)]
