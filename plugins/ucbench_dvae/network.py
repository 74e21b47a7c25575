"""The disentangling autoencoder: one encoder, a decoder of images, a decoder of perturbations."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Decoded(NamedTuple):
    """What the network makes of a batch.

    Attributes:
        image: float32 ``[B, 3, H, W]`` in [0, 1].
        perturbation: float32 ``[B, 3, H, W]``.
        rate: Kullback-Leibler divergence of the latent vectors from the prior in nats, the mean over all of them; a
            float32 scalar.
    """

    image: Tensor
    perturbation: Tensor
    rate: Tensor


class Disentangler(nn.Module):
    """A variational autoencoder whose second decoder also sees an embedding of the label.

    The encoder is a residual network that halves height and width once, so that a latent vector stands for 2 x 2
    pixels. Images of odd sides are padded.

    Args:
        classes: number of labels.
        size: height and width of the images.
        latent: channels of the latent vectors.
        width: channels of the encoder at full size; at half size there are twice as many.
    """

    def __init__(self, classes: int, size: tuple[int, int], latent: int, width: int) -> None:
        super().__init__()
        self.size = size
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _Residual(width, width),
            _Residual(width, width),
            _Residual(width, 2 * width, stride=2),
        )
        self.moments = nn.Conv2d(2 * width, 2 * latent, 1)
        self.spread = nn.Conv2d(latent, 2 * width, 1)
        self.image, self.perturbation = _decoder(width), _decoder(width)
        rows, columns = (-(-side // 2) for side in size)
        self.embedding = nn.Parameter(torch.randn(classes, 2 * width, rows, columns))

    def forward(self, x: Tensor, labels: Tensor, noise: Tensor) -> Decoded:
        """Decode images float32 ``[B, 3, H, W]`` in [0, 1].

        Args:
            labels: int64 ``[B]``.
            noise: standard normal, of the shape of :meth:`latents`.
        """
        height, width = self.size
        padded = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
        # In float32, whatever the layers' precision: bfloat16 rounds away what exp of a small value adds to 1.
        mean, log_variance = self.moments(self.encoder(padded)).float().chunk(2, 1)
        log_variance = log_variance.clamp(-20, 20)
        rate = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        z = self.spread(mean + (0.5 * log_variance).exp() * noise)
        image = self.image(z)[:, :, :height, :width].float().sigmoid()
        perturbation = self.perturbation(z + self.embedding[labels])[:, :, :height, :width]
        return Decoded(image, perturbation.float(), rate)

    def latents(self, count: int) -> tuple[int, int, int, int]:
        """Shape of the latent vectors of ``count`` images."""
        return count, self.spread.in_channels, *self.embedding.shape[2:]


def _decoder(width: int) -> nn.Sequential:
    half = max(1, width // 2)
    return nn.Sequential(
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
        nn.Conv2d(width, width, 3, padding=1),
        nn.InstanceNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, half, 3, padding=1),
        nn.InstanceNorm2d(half),
        nn.ReLU(),
        nn.Conv2d(half, 3, 3, padding=1),
    )


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layers(x) + self.shortcut(x))
