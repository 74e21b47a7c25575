"""What a network computes on the way from an image to its scores: features at a named layer, or at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench.errors import UsageError
from ucbench.metrics.features import capture_features

#: Names of a layer that are no numbers.
INPUT, PENULTIMATE, LOGITS = "input", "penultimate", "logits"
_BATCH = 250


class LayerLog:
    """Outputs of every convolution and linear layer, in the order in which the network first runs them.

    Of a layer that runs more than once in a pass, as over several views, the last output counts.
    """

    def __init__(self) -> None:
        self._blocks: list[list[Tensor]] = []
        self._pass: dict[nn.Module, Tensor] = {}

    @property
    def layers(self) -> list[Tensor]:
        """Float32 ``[N, D]`` on the CPU for each layer, averaged over the positions of an image."""
        return [torch.cat(blocks) for blocks in zip(*self._blocks, strict=True)]

    def _layer(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Convolutions have positions behind the channels, transformers tokens before them.
        spread = output.flatten(2).mean(2) if isinstance(module, nn.Conv2d) else output
        self._pass[module] = (spread.flatten(1, -2).mean(1) if spread.ndim > 2 else spread).detach().float().cpu()

    def _model(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._blocks.append(list(self._pass.values()))
        self._pass = {}


@contextmanager
def _capture_layers(model: nn.Module) -> Iterator[LayerLog]:
    log = LayerLog()
    with ExitStack() as hooks:
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                hooks.enter_context(module.register_forward_hook(log._layer))
        hooks.enter_context(model.register_forward_hook(log._model))
        yield log


def layer_features(
    model: nn.Module, images: NDArray[np.uint8], layer: str = PENULTIMATE, device: torch.device | str = "cpu"
) -> Tensor:
    """Features of images at one layer of a network, float32 ``[N, D]`` on the CPU, computed without gradients.

    Args:
        model: in eval mode, images in [0, 1] to logits; unchanged.
        images: uint8 ``[N, 3, H, W]``.
        layer: ``input``, the pixels in [0, 1]; ``penultimate``, the input of the last linear layer; ``logits``; or a
            number from 1, the output of that convolution or linear layer in the order in which they run, averaged over
            positions. Negative numbers count from the end.
        device: of the model.

    Raises:
        UsageError: for a layer that the network does not have.
    """
    if layer == INPUT:
        return torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) / 255)
    if layer == LOGITS:
        return _scores(model, images, device)
    if layer == PENULTIMATE:
        with capture_features(model) as log:
            _scores(model, images, device)
        if log.features is None:
            raise UsageError("The victim's network does not end in a linear layer. Name a layer by number instead.")
        return log.features
    layers = all_layers(model, images, device)
    try:
        number = int(layer)
        if not 1 <= abs(number) <= len(layers):
            raise ValueError
    except ValueError:
        raise UsageError(
            f"The victim's network has no layer {layer!r}: it is {INPUT}, {PENULTIMATE}, {LOGITS}, or a number from 1"
            f" to {len(layers)}."
        ) from None
    return layers[number - 1 if number > 0 else number]


def all_layers(model: nn.Module, images: NDArray[np.uint8], device: torch.device | str = "cpu") -> list[Tensor]:
    """Outputs of every convolution and linear layer, as :func:`layer_features` gives one of them; the last: logits."""
    with _capture_layers(model) as log:
        _scores(model, images, device)
    return log.layers


@torch.no_grad()
def _scores(model: nn.Module, images: NDArray[np.uint8], device: torch.device | str) -> Tensor:
    blocks = []
    for first in range(0, len(images), _BATCH):
        block = torch.from_numpy(images[first : first + _BATCH].copy()).to(device)
        x = block.float().div_(255.0).contiguous(memory_format=torch.channels_last)
        blocks.append(model(x).float().cpu())
    return torch.cat(blocks)
