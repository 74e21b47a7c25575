"""Count the operations of passes through a network, and measure how many the device can do."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

#: Side of the square matrices whose product is timed, by the kind of device.
_SIDES = {"cuda": 8192}
_SIDE = 1024


@dataclass(frozen=True)
class Passes:
    """How many images pass through a network, by what is computed of each beside the prediction.

    Attributes:
        trained: gradients of the weights.
        attacked: the gradient of the image.
        predicted: nothing.
    """

    trained: int = 0
    attacked: int = 0
    predicted: int = 0

    def operations(self, network: nn.Module, batch: Tensor) -> float:
        """Floating-point operations of all passes; a multiply-add counts as two. ``batch`` tells the images' size."""
        counts = ((self.trained, True, False), (self.attacked, False, True), (self.predicted, False, False))
        return sum(count * _operations(network, batch, *kind) for count, *kind in counts if count)


def _operations(network: nn.Module, batch: Tensor, weights: bool, images: bool) -> float:
    """Operations per image of a forward pass and the gradients that are wanted."""
    network.requires_grad_(weights)
    with FlopCounterMode(display=False) as counter:
        loss = F.cross_entropy(
            network(batch.detach().requires_grad_(images)), torch.zeros(len(batch), dtype=torch.long)
        )
        if loss.requires_grad:
            loss.backward()
    return counter.get_total_flops() / len(batch)


def measured_peak(device: torch.device, dtype: torch.dtype, repeats: int = 10) -> float:
    """Operations per second of the product of two large square matrices, the best of ``repeats``."""
    side = _SIDES.get(device.type, _SIDE)
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats + 1):
        started = time.perf_counter()
        one @ other
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def notes(operations: float, seconds: float, peak: float) -> dict[str, Any]:
    """What a measurement's operations say beside the device's peak."""
    return {
        "gflop": round(operations / 1e9, 4),
        "matmul_peak_tflops": round(peak / 1e12, 3),
        "share_of_matmul_peak": round(operations / seconds / peak, 4),
    }
