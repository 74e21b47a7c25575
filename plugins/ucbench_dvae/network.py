"""The disentangling autoencoder: one encoder, a decoder of images, a decoder of perturbations."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Decoded(NamedTuple):
    """What the network makes of a batch.

    Attributes:
        image: float32 ``[B, 3, H, W]``, near [0, 1] but not bound to it.
        perturbation: float32 ``[B, 3, H, W]``.
        rate: Kullback-Leibler divergence of the latent vectors from the prior in nats, the mean over all of them.
    """

    image: Tensor
    perturbation: Tensor
    rate: Tensor


class Disentangler(nn.Module):
    """A variational autoencoder whose second decoder also sees an embedding of the label.

    Args:
        classes: number of labels.
        size: height and width of the images.
        latent: channels of the latent vectors.
        width: channels within.
        patch: side in pixels of what a latent vector stands for; images are padded to multiples of it.
    """

    def __init__(self, classes: int, size: tuple[int, int], latent: int, width: int, patch: int) -> None:
        super().__init__()
        self.size, self.patch = size, patch
        self.padding = tuple(-side % patch for side in size)
        rows, columns = (-(-side // patch) for side in size)
        values = 3 * patch * patch
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(patch), nn.Conv2d(values, width, 3, padding=1), _Residual(width), _Residual(width)
        )
        self.moments = nn.Conv2d(width, 2 * latent, 1)
        self.image = _decoder(latent, width, values, patch)
        self.perturbation = _decoder(2 * latent, width, values, patch)
        self.embedding = nn.Parameter(0.1 * torch.randn(classes, latent, rows, columns))

    def forward(self, x: Tensor, labels: Tensor, noise: Tensor | None = None) -> Decoded:
        """Decode images float32 ``[B, 3, H, W]`` in [0, 1].

        Args:
            labels: int64 ``[B]``.
            noise: standard normal, of the shape of :meth:`latents`; None takes the mean of every latent vector.
        """
        below, beside = self.padding
        mean, log_variance = self.moments(self.encoder(F.pad(x, (0, beside, 0, below), mode="replicate"))).chunk(2, 1)
        log_variance = log_variance.clamp(-20, 20)
        z = mean if noise is None else mean + (0.5 * log_variance).exp() * noise
        rate = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        height, width = self.size
        image = self.image(z)[:, :, :height, :width]
        perturbation = self.perturbation(torch.cat([z, self.embedding[labels]], 1))[:, :, :height, :width]
        return Decoded(image.float(), perturbation.float(), rate.float())

    def latents(self, count: int) -> tuple[int, int, int, int]:
        """Shape of the latent vectors of ``count`` images."""
        channels, rows, columns = self.embedding.shape[1:]
        return count, channels, rows, columns


def _decoder(inputs: int, width: int, values: int, patch: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1),
        _Residual(width),
        _Residual(width),
        nn.Conv2d(width, values, 3, padding=1),
        nn.PixelShuffle(patch),
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out
