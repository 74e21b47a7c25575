"""Adversarial poisoning: signed steps against a fixed classifier, through a random view of every image."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def view(x: Tensor, shifts: Tensor, mirrored: Tensor) -> Tensor:
    """View normalised images ``[B, 3, H, W]``, shifted by ``shifts`` ``[B, 2]`` pixels (down, right).

    Interpolation is bilinear, and pixels outside are 0. Images that are ``mirrored`` (bool ``[B]``) are flipped.
    """
    height, width = x.shape[2:]
    theta = torch.zeros(len(x), 2, 3, device=x.device, dtype=x.dtype)
    theta[:, 0, 0] = 1.0 - 2.0 * mirrored.float()
    theta[:, 1, 1] = 1.0
    theta[:, 0, 2] = 2 * shifts[:, 1] / width
    theta[:, 1, 2] = 2 * shifts[:, 0] / height
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def step_all(
    network: nn.Module,
    batches: Iterable,
    noise: Tensor,
    targets: Tensor,
    device: torch.device,
    *,
    mean: Tensor,
    std: Tensor,
    radius: float,
    step: float,
    reach: float,
) -> int:
    """Move every image's perturbation one step towards its target; return the number of batches.

    Args:
        noise: ``[N, 3, H, W]`` on the CPU.
        targets: int64 ``[N]``.
        mean: ``[1, 3, 1, 1]``, to normalise the network's input.
        std: likewise.
        reach: largest shift in pixels.
    """
    network.eval()
    done = 0
    for x, _, index in batches:
        x = x.to(device)
        delta = noise[index].to(device).requires_grad_()
        shifts = reach * (2 * torch.rand(len(x), 2, device=device) - 1)
        mirrored = torch.rand(len(x), device=device) < 0.5
        network.zero_grad()
        loss = F.cross_entropy(network(view((x + delta - mean) / std, shifts, mirrored)), targets[index].to(device))
        loss.backward()
        loss.item()
        with torch.no_grad():
            moved = (delta - step * delta.grad.sign()).clamp(-radius, radius)
            noise[index] = ((x + moved).clamp(0, 1) - x).cpu()
        done += 1
    return done
