"""One optimiser step after another: the inner loop of whole trainings and of bi-level poisoners alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

_WEIGHTS, _MOMENTUM = "weights.", "momentum."


class Stepper:
    """SGD on a network, one step at a time, in an engine's precision.

    Args:
        network: takes images in [0, 1] to scores; lies on its device already.
        lr: learning rate, until :meth:`apply` or :meth:`step` names another.
        momentum: of SGD.
        weight_decay: coupled decay of all weights.
        nesterov: look ahead along the momentum.
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
            scores = self.network(x.contiguous(memory_format=torch.channels_last))
        return self.apply(F.cross_entropy(scores.float(), targets), lr)

    def apply(self, loss: Tensor, lr: float | None = None) -> Tensor:
        """One step along the gradient of ``loss``; returns the loss, detached."""
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
        """Weights, buffers and momenta, to be saved in a checkpoint; copies, which later steps leave alone."""
        arrays = {f"{_WEIGHTS}{name}": tensor for name, tensor in self.network.state_dict().items()}
        for name, weight in self.network.named_parameters():
            momentum = self._optimizer.state.get(weight, {}).get("momentum_buffer")
            if momentum is not None:
                arrays[f"{_MOMENTUM}{name}"] = momentum
        return {name: tensor.detach().cpu().clone().contiguous().numpy() for name, tensor in arrays.items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what :meth:`state` returned; entries of other names are left alone."""
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
                # The weight's own layout, or its sums would be taken in another order than without interruption.
                buffer = torch.empty_like(weight).copy_(torch.tensor(momentum))
                self._optimizer.state[weight] = {"momentum_buffer": buffer}
