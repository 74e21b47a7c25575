"""Unlearnable Clusters as released: one generator per cluster, one after another, each on the whole set."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def generator(width: int, blocks: int) -> nn.Sequential:
    """The residual image-to-image network of CycleGAN, without its tanh, for sides that are multiples of 4."""

    def conv(inside: int, outside: int) -> nn.Conv2d:
        return nn.Conv2d(inside, outside, 3, stride=2, padding=1, bias=False)

    def up(inside: int, outside: int) -> nn.ConvTranspose2d:
        return nn.ConvTranspose2d(inside, outside, 3, stride=2, padding=1, output_padding=1, bias=False)

    return nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        conv(width, 2 * width), nn.BatchNorm2d(2 * width), nn.ReLU(),
        conv(2 * width, 4 * width), nn.BatchNorm2d(4 * width), nn.ReLU(),
        *(Block(4 * width) for _ in range(blocks)),
        up(4 * width, 2 * width), nn.BatchNorm2d(2 * width), nn.ReLU(),
        up(2 * width, width), nn.BatchNorm2d(width), nn.ReLU(),
        nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7),
    )  # fmt: skip


class Surrogate(nn.Module):
    """Features of a timm network in eval mode, whose weights keep their gradients."""

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(True)
        self.register_buffer("mean", mean.view(1, 3, 1, 1))
        self.register_buffer("std", std.view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        features = self.network.forward_features((x - self.mean) / self.std)
        return self.network.forward_head(features, pre_logits=True)


def craft(
    generator: nn.Module,
    noise: Tensor,
    centre: Tensor,
    surrogate: Surrogate,
    batches: Iterable,
    device: torch.device,
    *,
    epochs: int,
    steps: int,
    radius: float,
    lr: float = 1e-4,
    final_lr: float = 1e-6,
    weight_decay: float = 5e-4,
) -> tuple[Tensor, list[float]]:
    """One cluster's perturbation ``[3, H, W]`` towards ``centre`` ``[D]``, and the losses of all steps.

    Args:
        noise: ``[1, 3, H, W]``, the generator's fixed input.
        batches: all images, whatever their cluster, once per epoch.
        steps: total over all epochs; the learning rate falls along a cosine over them.
    """
    optimizer = torch.optim.Adam(generator.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=final_lr)
    target = F.softmax(centre, 0)
    losses = []
    generator.train()
    for _ in range(epochs):
        for x, _, _ in batches:
            x = x.to(device)
            delta = torch.tanh(generator(noise)).clamp(-radius, radius)
            features = surrogate((x + delta).clamp(0, 1))
            loss = F.kl_div(F.log_softmax(features, 1), target.expand(len(x), -1), reduction="batchmean")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    with torch.no_grad():
        return torch.tanh(generator(noise)).clamp(-radius, radius)[0], losses
