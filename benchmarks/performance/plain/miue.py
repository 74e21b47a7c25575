"""MI-UE: an epoch on perturbed images, then steps that gather the features of each class."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain.training import train_step


def similarity_loss(features: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Mean over images of -log(share of an image's similarities that belong to its class)."""
    unit = F.normalize(features, dim=1)
    similarity = torch.exp(unit @ unit.T / temperature)
    same = (labels[:, None] == labels).float()
    return -torch.log((similarity * same).sum(1) / similarity.sum(1)).mean()


def learn(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable,
    noise: Tensor,
    device: torch.device,
) -> int:
    """Train for one epoch on perturbed images; return the number of steps. ``noise`` is ``[N, 3, H, W]`` on the CPU."""
    steps = 0
    for x, y, index in batches:
        x = (x.to(device) + noise[index].to(device)).clamp(0, 1)
        train_step(network, optimizer, x, y.to(device))
        steps += 1
    return steps


def perturb(
    network: nn.Module,
    batches: Iterable,
    noise: Tensor,
    device: torch.device,
    *,
    radius: float,
    step: float,
    steps: int,
    temperature: float,
) -> int:
    """Update the perturbations of all images on ``network.features``; return the number of steps."""
    network.eval()
    done = 0
    for x, y, index in batches:
        x, y = x.to(device), y.to(device)
        delta = noise[index].to(device)
        for _ in range(steps):
            delta = delta.detach().requires_grad_()
            network.zero_grad()
            loss = similarity_loss(network.features(x + delta), y, temperature)
            loss.backward()
            loss.item()
            delta = (delta - step * delta.grad.sign()).clamp(-radius, radius)
            delta = (x + delta).clamp(0, 1) - x
            done += 1
        noise[index] = delta.detach().cpu()
    return done
