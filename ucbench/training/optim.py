"""Single optimiser steps, for whole trainings and for bi-level poisoners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

_WEIGHTS, _MOMENTUM = "weights.", "momentum."
_NORMALISING = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


class Stepper:
    """SGD on a network, step by step, in an engine's precision.

    Args:
        network: images in [0, 1] to logits ``[B, K]``; already on its device.
        lr: learning rate, until :meth:`apply` or :meth:`step` gets another.
        momentum: of SGD.
        weight_decay: coupled decay of all weights.
        bias_lr: factor on the learning rate of normalisation layers' biases, whose decay in a step stays the same.
        nesterov: use Nesterov momentum.
        clip_norm: largest norm of the gradient of all weights together, or None.
        autocast: the scope of the forward pass.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        bias_lr: float = 1.0,
        nesterov: bool = False,
        clip_norm: float | None = None,
        autocast: torch.autocast,
    ) -> None:
        self.network, self.clip_norm = network, clip_norm
        self._autocast = autocast
        weights, biases = list(network.parameters()), []
        if bias_lr != 1:
            layers = (module for module in network.modules() if isinstance(module, _NORMALISING))
            biases = [layer.bias for layer in layers if layer.bias is not None]
            ids = {id(bias) for bias in biases}
            weights = [weight for weight in weights if id(weight) not in ids]
        groups = [{"params": weights, "factor": 1.0}]
        if biases:
            groups.append({"params": biases, "factor": bias_lr, "weight_decay": weight_decay / bias_lr})
        self._optimizer = torch.optim.SGD(
            groups,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            nesterov=nesterov and momentum > 0,
        )

    def step(self, x: Tensor, targets: Tensor, lr: float | None = None) -> Tensor:
        """One step on the cross-entropy of images ``[B, 3, H, W]``; returns the detached loss, still on its device.

        ``targets`` are class indices ``[B]`` or probabilities ``[B, K]``. The network is put into training mode.
        """
        self.network.train()
        with self._autocast:
            logits = self.network(x.contiguous(memory_format=torch.channels_last))
        return self.apply(F.cross_entropy(logits.float(), targets), lr)

    def apply(self, loss: Tensor, lr: float | None = None, rates: Mapping[Tensor, float] | None = None) -> Tensor:
        """One step on the gradient of ``loss``; returns the detached loss.

        Args:
            rates: factors on the learning rate of weights, and so on their decay too; 1 for others.
        """
        if lr is not None:
            for group in self._optimizer.param_groups:
                group["lr"] = lr * group["factor"]
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        before = [(weight, weight.detach().clone(), factor) for weight, factor in (rates or {}).items() if factor != 1]
        self._optimizer.step()
        with torch.no_grad():
            for weight, old, factor in before:
                weight.lerp_(old, 1 - factor)
        return loss.detach()

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of weights, buffers and momenta, for a checkpoint."""
        arrays = {f"{_WEIGHTS}{name}": tensor for name, tensor in self.network.state_dict().items()}
        for name, weight in self.network.named_parameters():
            momentum = self._optimizer.state.get(weight, {}).get("momentum_buffer")
            if momentum is not None:
                arrays[f"{_MOMENTUM}{name}"] = momentum
        return {name: tensor.detach().cpu().clone().contiguous().numpy() for name, tensor in arrays.items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the arrays of :meth:`state`; other entries are ignored."""
        tensors = {
            name.removeprefix(_WEIGHTS): torch.tensor(array)
            for name, array in arrays.items()
            if name.startswith(_WEIGHTS)
        }
        self.network.load_state_dict(tensors)
        for name, weight in self.network.named_parameters():
            momentum = arrays.get(f"{_MOMENTUM}{name}")
            if momentum is None:
                self._optimizer.state.pop(weight, None)
            else:
                # In the weight's layout; another would change the order of summation.
                buffer = torch.empty_like(weight).copy_(torch.tensor(momentum))
                self._optimizer.state[weight] = {"momentum_buffer": buffer}


def optimizer_state(network: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> dict[str, NDArray[Any]]:
    """Copies of weights, buffers and any optimiser's moments, for a checkpoint; see :func:`restore_optimizer`."""
    tensors = dict(network.state_dict())
    if optimizer is not None:
        for name, weight in network.named_parameters():
            tensors |= {f"{name}.{moment}": tensor for moment, tensor in optimizer.state[weight].items()}
    return {name: tensor.detach().cpu().clone().contiguous().numpy() for name, tensor in tensors.items()}


@torch.no_grad()
def restore_optimizer(
    network: nn.Module, optimizer: torch.optim.Optimizer | None, arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Continue from the arrays of :func:`optimizer_state`; other entries are ignored.

    Args:
        network: whose weights and buffers are overwritten, but for buffers that the arrays lack.
        optimizer: of all its weights; its moments have the shapes of the weights, but for Adam's number of steps.

    Raises:
        KeyError: if the arrays lack a weight.
    """
    absent = {name for name, _ in network.named_buffers() if name not in arrays}
    weights = {name: torch.tensor(arrays[name]) for name in network.state_dict() if name not in absent}
    network.load_state_dict(weights, strict=False)
    if optimizer is None:
        return
    for name, weight in network.named_parameters():
        moments = {key.removeprefix(f"{name}."): key for key in arrays if key.startswith(f"{name}.")}
        for moment, key in moments.items():
            array = torch.tensor(arrays[key])
            # In the weight's layout; another would change the order of summation. The steps stay on the CPU.
            optimizer.state[weight][moment] = array if moment == "step" else torch.empty_like(weight).copy_(array)


class Lookahead:
    """Weights that now and then meet their own moving average, and end there; as in airbench (arXiv 2404.00498).

    At every meeting the average moves towards the weights and the weights jump to it. The average keeps the share
    ``0.95**every * finished**3`` of itself, so that early in training nothing happens. After the last step the weights
    become the average as it is: a meeting that falls on that step, which counts in the published code, is left out.

    Args:
        network: its parameters and floating-point buffers take part.
        every: steps between two meetings.
        steps: of the whole training.
    """

    def __init__(self, network: nn.Module, every: int, steps: int) -> None:
        self._network, self._every, self._steps, self._step = network, every, steps, 0
        self._average = {name: tensor.clone() for name, tensor in self._tensors()}

    def _tensors(self) -> list[tuple[str, Tensor]]:
        state = self._network.state_dict()
        return [(name, tensor) for name, tensor in state.items() if tensor.is_floating_point()]

    def update(self) -> None:
        """Note one step; meet if it is time."""
        self._step += 1
        last = self._step == self._steps
        if self._step % self._every and not last:
            return
        share = 1.0 if last else 0.95**self._every * (self._step / self._steps) ** 3
        for name, tensor in self._tensors():
            average = self._average[name].lerp_(tensor, 1 - share)
            tensor.copy_(average)
