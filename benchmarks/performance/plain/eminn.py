"""Error-minimising noise: some steps of the network on perturbed images, then a sweep over all perturbations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain.training import train_step


def endless(batches: Iterable) -> Iterator:
    while True:
        yield from batches


def network_steps(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterator,
    noise: Tensor,
    device: torch.device,
    *,
    steps: int,
    clip: float,
) -> int:
    """Take ``steps`` steps on perturbed images; return their number. ``noise`` is ``[N, 3, H, W]`` on the CPU."""
    for _ in range(steps):
        x, y, index = next(batches)
        x = (x.to(device) + noise[index].to(device)).clamp(0, 1)
        train_step(network, optimizer, x, y.to(device), clip)
    return steps


def pgd(network: nn.Module, x: Tensor, y: Tensor, delta: Tensor, *, radius: float, step: float, steps: int) -> Tensor:
    """Perturbations after ``steps`` signed steps that lower the cross-entropy of ``x + delta``."""
    perturbed = (x + delta).clamp(0, 1)
    for _ in range(steps):
        perturbed = perturbed.detach().requires_grad_()
        network.zero_grad()
        loss = F.cross_entropy(network(perturbed), y)
        loss.backward()
        loss.item()
        change = (perturbed - step * perturbed.grad.sign() - x).clamp(-radius, radius)
        perturbed = (x + change).clamp(0, 1)
    return (perturbed - x).detach()


def sweep(
    network: nn.Module,
    batches: Iterable,
    noise: Tensor,
    device: torch.device,
    *,
    radius: float,
    step: float,
    steps: int,
) -> int:
    """Update the perturbations of all images; return the number of steps."""
    network.eval()
    done = 0
    for x, y, index in batches:
        x, y = x.to(device), y.to(device)
        moved = pgd(network, x, y, noise[index].to(device), radius=radius, step=step, steps=steps)
        noise[index] = moved.cpu()
        done += steps
    return done
