"""Single optimiser steps, for whole trainings and for bi-level poisoners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

_WEIGHTS, _MOMENTUM = "weights.", "momentum."


class Stepper:
    """SGD on a network, step by step, in an engine's precision.

    Args:
        network: images in [0, 1] to logits ``[B, K]``; already on its device.
        lr: learning rate, until :meth:`apply` or :meth:`step` gets another.
        momentum: of SGD.
        weight_decay: coupled decay of all weights.
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
        nesterov: bool = False,
        clip_norm: float | None = None,
        autocast: torch.autocast,
    ) -> None:
        self.network, self.clip_norm = network, clip_norm
        self._autocast = autocast
        self._optimizer = torch.optim.SGD(
            network.parameters(),
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

    def apply(self, loss: Tensor, lr: float | None = None) -> Tensor:
        """One step on the gradient of ``loss``; returns the detached loss."""
        if lr is not None:
            for group in self._optimizer.param_groups:
                group["lr"] = lr
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self._optimizer.step()
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
