"""Pretrained surrogates: what they know they learned elsewhere, without the evaluated data's labels."""

from __future__ import annotations

from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.models import get_pretrained_cfg_value
from torch import Tensor

from ucbench import DataError, UsageError
from ucbench_timm.checkpoints import State, load_by_name, load_by_position, read_state
from ucbench_timm.frozen import FrozenNetwork, NetworkSurrogate
from ucbench_timm.surrogate_params import EfficientNetLite0Params, TimmSurrogateParams
from ucbench_timm.weight_files import efficientnet_lite0_file
from ucbench_timm.zoo import check_name, create

#: Longest side, in pixels, below which ``features=auto`` looks through two depths.
TINY = 16


class EfficientNetLite0(NetworkSurrogate):
    """EfficientNet-Lite0 (ImageNet-1k, 4.7 million weights): features ``[B, 1280]``, scores ``[B, 1000]``.

    Images are resized to ``size`` pixels square (bicubic) and normalised by mean = std = 0.5. The network was
    trained at 224 pixels; 96 costs a fifth of that. With ``features=levels``, features are ``[B, 1600]``; ``auto`` has
    those for images below :data:`TINY` pixels.

    Raises:
        DataError: if the installed weights are not the expected ones.
    """

    def __init__(self, params: EfficientNetLite0Params) -> None:
        super().__init__()
        network = timm.create_model("tf_efficientnet_lite0")
        weights = efficientnet_lite0_file()
        load_by_position(network, read_state(weights), str(weights))
        half = (0.5, 0.5, 0.5)
        size = None if params.size is None else (params.size, params.size)
        kind = {"penultimate": _ScaledNetwork, "levels": _LevelsNetwork, "auto": _AutoNetwork}[params.features]
        self.adopt(kind(network, mean=half, std=half, size=size))


class _ScaledNetwork(FrozenNetwork):
    """Resizes small pictures in proportion where no size is given."""

    def input_size(self, x: Tensor) -> tuple[int, int]:
        if self.size is not None:
            return self.size
        longer = max(x.shape[-2:])
        side = 224 if longer > 96 else min(96, max(32, 3 * longer))
        return side, side


class _LevelsNetwork(_ScaledNetwork):
    """Features of two depths of an EfficientNet: the fourth stage by quadrant, and the penultimate ones."""

    def _penultimate(self, x: Tensor) -> Tensor:
        network = self.network
        x = network.bn1(network.conv_stem(x))
        for depth, stage in enumerate(network.blocks):
            x = stage(x)
            if depth == 3:
                quadrants = F.adaptive_avg_pool2d(x, 2).flatten(1)
        top = network.forward_head(network.bn2(network.conv_head(x)), pre_logits=True)
        # Unequal lengths would let the earlier level, whose activations are 2 to 20 times longer, decide alone.
        return torch.cat([F.normalize(quadrants.float(), dim=1), F.normalize(top.float(), dim=1)], 1)


class _AutoNetwork(_LevelsNetwork):
    """Two depths for pictures so small that ImageNet's classes say little of them, the penultimate one for others."""

    def features(self, x: Tensor) -> Tensor:
        tiny = max(x.shape[-2:]) < TINY
        return self._through(self._penultimate if tiny else super(_LevelsNetwork, self)._penultimate, x)


class TimmSurrogate(NetworkSurrogate):
    """A pretrained model of timm, or a model of timm with the weights of a local checkpoint.

    Normalisation, interpolation and (without ``size``) the input's size are those of the model's own
    configuration. Whole images are resized, not cropped. A checkpoint may have any number of classes, or no
    classifier.

    Raises:
        UsageError: for a name timm does not know.
        DataError: if the weights cannot be had, or do not fit.
    """

    def __init__(self, params: TimmSurrogateParams) -> None:
        super().__init__()
        self._name = params.model
        check_name(params.model)
        _, *own_size = get_pretrained_cfg_value(params.model, "input_size")
        height, width = (params.size, params.size) if params.size else own_size
        if params.checkpoint is None:
            network = _with_timms_weights(params.model, (height, width))
        else:
            state = read_state(params.checkpoint)
            network = create(params.model, (height, width), num_classes=_classes(params.model, state))
            load_by_name(network, state, f"{params.checkpoint} ({params.model} at {height}x{width} pixels)")
        self._classes = network.num_classes
        config = network.pretrained_cfg
        self.adopt(
            FrozenNetwork(
                network,
                mean=config["mean"],
                std=config["std"],
                size=(height, width),
                mode="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
            )
        )

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores ``[B, K]`` float32 for images ``[B, 3, H, W]`` in [0, 1].

        Raises:
            UsageError: if the weights come without a classifier.
        """
        if not self._classes:
            raise UsageError(f"The weights of timm:{self._name} have no classifier, only features.")
        return super().logits(x)


def _with_timms_weights(name: str, size: tuple[int, int]) -> Any:
    try:
        return create(name, size, pretrained=True)
    except Exception as error:  # the hub's client, the network and timm each raise their own
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"timm cannot get the weights of {name} ({type(error).__name__}: {reason})."
            f" Without a network, give a local file: timm:{name}:checkpoint=PATH"
        ) from error


def _classes(name: str, state: State) -> int:
    """The number of classes of the checkpoint's classifier; 0 if it has none."""
    classifier = get_pretrained_cfg_value(name, "classifier") or ""
    first = classifier if isinstance(classifier, str) else classifier[0]
    weight = state.get(f"{first}.weight")
    return 0 if weight is None else len(weight)
