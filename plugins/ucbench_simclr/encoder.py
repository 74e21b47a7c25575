"""The encoder, its projection head, and its features of whole sets."""

from __future__ import annotations

from collections.abc import Callable

import timm
import torch
from torch import Tensor, nn

from ucbench import Engine, ImageSet, Normalized
from ucbench_simclr.views import SMALL


def resnet18(width: int, size: tuple[int, int]) -> nn.Module:
    """timm's ResNet-18 without classifier: normalised images ``[B, 3, H, W]`` to features ``[B, 8 * width]``.

    The stages have 1, 2, 4 and 8 times ``width`` channels. Up to :data:`SMALL` pixels the stem is a 3x3 convolution of
    stride 1 without max-pool (appendix B.9), above it is ImageNet's. Weights are drawn from the global generator.
    """
    small = max(size) <= SMALL
    kernel, stride = (3, 1) if small else (7, 2)
    # timm can scale only a stem of three convolutions; the single one takes its place.
    network: nn.Module = timm.create_model(
        "resnet18",
        num_classes=0,
        channels=tuple(width * times for times in (1, 2, 4, 8)),
        stem_type="deep",
        stem_width=width // 2,
        zero_init_last=False,
    )
    network.conv1 = nn.Conv2d(3, width, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    if small:
        network.maxpool = nn.Identity()
    return network


class Projector(nn.Module):
    """An encoder and the head that is thrown away after training.

    The head is the paper's, linear - ReLU - linear with as many hidden units as features, with batch norm after both
    linear layers as in the paper's code and in AUE's. (UC's code has none; AUE's has 2,048 hidden units.)

    Args:
        encoder: images ``[B, 3, H, W]`` in [0, 1] to ``[B, features]``.
        features: their number.
        dimensions: of the projections.
    """

    def __init__(self, encoder: Normalized, features: int, dimensions: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Linear(features, features, bias=False),
            nn.BatchNorm1d(features),
            nn.ReLU(),
            nn.Linear(features, dimensions, bias=False),
            nn.BatchNorm1d(dimensions),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to projections ``[B, dimensions]``."""
        projections: Tensor = self.head(self.encoder(x))
        return projections


@torch.no_grad()
def features_of(
    encoder: nn.Module,
    images: ImageSet,
    engine: Engine,
    view: Callable[[Tensor], Tensor] | None = None,
    batch: int = 250,
) -> Tensor:
    """Features float32 ``[N, D]``, on the engine's device, of all images, or of what ``view`` makes of them."""
    parts = []
    for start in range(0, len(images), batch):
        block = torch.from_numpy(images.images[start : start + batch].copy()).to(engine.device)
        x = block.float().div_(255.0)
        if view is not None:
            x = view(x)
        with engine.autocast():
            parts.append(encoder(x.contiguous(memory_format=torch.channels_last)).float())
    return torch.cat(parts)
