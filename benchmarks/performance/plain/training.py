"""An epoch of training, ordinary and adversarial."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Normalize(nn.Module):
    """Normalisation as the network's first layer, for loops that perturb pixels."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.view(1, 3, 1, 1))
        self.register_buffer("std", std.view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def sgd(network: nn.Module, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay)


def train_step(network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, clip: float = 0.0) -> float:
    """Take one step on the cross-entropy; return the loss."""
    network.train()
    optimizer.zero_grad()
    loss = F.cross_entropy(network(x), y)
    loss.backward()
    if clip:
        nn.utils.clip_grad_norm_(network.parameters(), clip)
    optimizer.step()
    return loss.item()


def train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterable, device: torch.device
) -> tuple[float, int]:
    """Train for one epoch; return its mean loss and number of steps."""
    total = seen = steps = 0
    for x, y, _ in batches:
        x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
        total += train_step(network, optimizer, x, y) * len(y)
        seen, steps = seen + len(y), steps + 1
    return total / seen, steps


def pgd(network: nn.Module, x: Tensor, y: Tensor, start: Tensor, *, epsilon: float, step: float, steps: int) -> Tensor:
    """Adversarial examples within linf ``epsilon`` of ``x``, from ``x + start``; lengths on the [0, 1] scale."""
    network.eval()
    perturbed = (x + start).clamp(0, 1)
    for _ in range(steps):
        perturbed = perturbed.detach().requires_grad_()
        network.zero_grad()
        F.cross_entropy(network(perturbed), y).backward()
        change = (perturbed + step * perturbed.grad.sign() - x).clamp(-epsilon, epsilon)
        perturbed = (x + change).clamp(0, 1)
    network.train()
    return perturbed.detach()


def adversarial_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable,
    device: torch.device,
    *,
    epsilon: float,
    step: float,
    steps: int,
) -> tuple[float, int]:
    """As :func:`train_epoch`, each batch replaced by adversarial examples; every step of the attack counts as one."""
    total = seen = done = 0
    for x, y, _ in batches:
        x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
        start = torch.empty_like(x).uniform_(-epsilon, epsilon)
        perturbed = pgd(network, x, y, start, epsilon=epsilon, step=step, steps=steps)
        total += train_step(network, optimizer, perturbed, y) * len(y)
        seen, done = seen + len(y), done + steps + 1
    return total / seen, done


@torch.no_grad()
def evaluate(network: nn.Module, batches: Iterable, device: torch.device) -> tuple[float, Tensor]:
    """Accuracy in percent, and the predictions ``[N]`` of the images in stored order."""
    network.eval()
    correct = seen = 0
    predictions = []
    for x, y, _ in batches:
        x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
        predicted = network(x).argmax(1)
        correct += (predicted == y).sum().item()
        seen += len(y)
        predictions.append(predicted.cpu())
    return 100.0 * correct / seen, torch.cat(predictions)
