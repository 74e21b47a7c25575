"""The perturbation generators of UC, several of them advanced as one network.

The released generator is the residual network of CycleGAN, followed by tanh, trained on a batch of *one* fixed noise
image, so its batch norm normalises every channel by that sample's own statistics. Here K generators form one network of
K groups: grouped convolutions keep their weights apart and instance norm keeps their statistics apart, so that a
:class:`GeneratorBank` of K equals K separate generators.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from ucbench import ResidualGenerator


class GeneratorBank(ResidualGenerator):
    """K independent generators, each with its own fixed input noise.

    Args:
        noise: float32 ``[K, 3, H, W]``, the fixed inputs (sigma of the paper), uniform in [0, 1].
        width: channels after the first layer.
        blocks: residual blocks.
    """

    noise: Tensor

    def __init__(self, noise: Tensor, width: int, blocks: int) -> None:
        super().__init__(width, blocks, groups=len(noise), norm=partial(nn.InstanceNorm2d, affine=True))
        self.shape = noise.shape
        self.register_buffer("noise", noise.reshape(1, -1, *noise.shape[2:]))

    def forward(self) -> Tensor:  # type: ignore[override]
        """The raw outputs ``[K, 3, H, W]``, before tanh."""
        return super().forward(self.noise).view(self.shape)
