"""Pretrained surrogates: what they know they learned elsewhere, without the evaluated data's labels."""

from __future__ import annotations

from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg_value

from ucbench import DataError, UsageError
from ucbench_timm.checkpoints import State, load_by_name, load_by_position, read_state
from ucbench_timm.frozen import FrozenNetwork, NetworkSurrogate
from ucbench_timm.surrogate_params import EfficientNetLite0Params, TimmSurrogateParams
from ucbench_timm.weight_files import efficientnet_lite0_file
from ucbench_timm.zoo import check_name, create


class EfficientNetLite0(NetworkSurrogate):
    """EfficientNet-Lite0 (ImageNet-1k, 4.7 million weights): features ``[B, 1280]``, scores ``[B, 1000]``.

    Images are resized to ``size`` pixels square (bicubic) and normalised by mean = std = 0.5. The network was
    trained at 224 pixels; the default of 96 costs a fifth of that.

    Raises:
        DataError: if the installed weights are not the expected ones.
    """

    def __init__(self, params: EfficientNetLite0Params) -> None:
        super().__init__()
        network = timm.create_model("tf_efficientnet_lite0")
        weights = efficientnet_lite0_file()
        load_by_position(network, read_state(weights), str(weights))
        half = (0.5, 0.5, 0.5)
        self.adopt(FrozenNetwork(network, mean=half, std=half, size=(params.size, params.size)))


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
