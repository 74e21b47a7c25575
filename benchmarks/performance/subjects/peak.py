"""Count the operations of a training step, and measure how many the device can do."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

#: Side of the square matrices whose product is timed, by the kind of device.
_SIDES = {"cuda": 8192}
_SIDE = 1024


def training_flops(network: nn.Module, batch: Tensor) -> float:
    """Floating-point operations per image of forward and backward pass; a multiply-add counts as two."""
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(network(batch), torch.zeros(len(batch), dtype=torch.long)).backward()
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
