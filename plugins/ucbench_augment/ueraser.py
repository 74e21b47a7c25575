"""UEraser: strong augmentation by plasma fractals and TrivialAugment, and training on the hardest view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from kornia import augmentation as K
from kornia.augmentation.auto import TrivialAugment
from kornia.augmentation.auto.trivial_augment.trivial_augment import default_policy
from torch import Tensor, nn

from ucbench import seeded
from ucbench_augment.drawing import by_choice, on_share, uniform
from ucbench_augment.policies import Policy, ueraser_space

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_augment.params import UEraserParams


class UEraser:
    """UEraser (Qin et al. 2023): of several views of an image, learn from the one of largest loss.

    A view is the image after fractal brightness, fractal contrast and a shuffle of its channels, each with
    ``probability``, and then one operation of TrivialAugment. All views of a batch go through the network together,
    as in the official code's function (its scripts pass them one after another).

    After the hard epochs, one view in all counts. Views are ours, or with ``views=kornia`` those of
    :class:`KorniaView`.
    """

    def __init__(self, params: UEraserParams) -> None:
        self.params = params
        self._policy = Policy(ueraser_space, mode="bilinear")
        self._kornia = KorniaView(params) if params.views == "kornia" else None

    def loss(self, model: nn.Module, x: Tensor, targets: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """Mean over the images ``[B, 3, H, W]`` of the largest cross-entropy of their views; float32 scalar.

        ``targets`` are probabilities ``[B, K]``. The model sees ``copies`` times the batch at once.
        """
        copies = self.params.copies if self._is_hard(run) else 1
        # Pixels are coarser in half precision than the changes that unlearnable examples make.
        with torch.autocast(x.device.type, enabled=False):
            views = self.view(x.repeat(copies, 1, 1, 1), generator)
        losses = F.cross_entropy(model(views).float(), targets.repeat(copies, 1), reduction="none")
        return losses.view(copies, -1).max(0).values.mean()

    def _is_hard(self, run: DefenseRun) -> bool:
        share, last = self.params.share, self.params.epochs
        if share is not None:
            last = round(share * run.epochs)
        return last is None or run.epoch <= last

    def view(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A random view of every image ``[B, 3, H, W]`` in [0, 1]."""
        if self._kornia is not None:
            return self._kornia(x, generator)
        for change in (self._brightened, self._contrasted, _shuffled):
            x = on_share(x, self.params.probability, generator, change)
        return self._policy.apply(x, torch.rand(len(x), generator=generator), generator)

    def _brightened(self, x: Tensor, generator: torch.Generator) -> Tensor:
        roughness = uniform(self.params.roughness, len(x), generator)
        return fractal_brightness(x, roughness, uniform(self.params.intensity, len(x), generator), generator)

    def _contrasted(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return fractal_contrast(x, uniform(self.params.roughness, len(x), generator), generator)


class KorniaView:
    """The official code's view: kornia's plasma brightness and contrast, channel shuffle and TrivialAugment.

    - In kornia, TrivialAugment draws one operation for a whole batch. Here, every image draws one, and images that drew
      the same one are changed in one call. Magnitudes are drawn per image in both.
    - Its operations are not Pillow's: shears reach 54 degrees, posterizing keeps 0 to 4 bits. Images that it posterizes
      or equalizes have no gradient.
    - kornia draws from torch's global generators only; they are seeded from the given one, and restored.
    """

    def __init__(self, params: UEraserParams) -> None:
        p = params.probability
        self._light = nn.Sequential(
            K.RandomPlasmaBrightness(roughness=params.roughness, intensity=params.intensity, p=p),
            K.RandomPlasmaContrast(roughness=params.roughness, p=p),
            K.RandomChannelShuffle(p=p),
        )
        operations = [TrivialAugment([operation]) for operation in default_policy]
        self._changes = [lambda x, _, change=change: change(x) for change in operations]

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A random view of every image ``[B, 3, H, W]`` in [0, 1], of at least 3 pixels a side."""
        choice = torch.randint(len(self._changes), (len(x),), generator=generator)
        with seeded(int(torch.randint(2**63 - 1, (), generator=generator))):
            return by_choice(self._light(x), choice, torch.zeros(len(x)), self._changes).clamp(0, 1)


def _shuffled(x: Tensor, generator: torch.Generator) -> Tensor:
    """Every image with its channels in a random order."""
    order = torch.rand(x.shape[:2], generator=generator).argsort(1).to(x.device)
    return x.take_along_dim(order[:, :, None, None], 1)


def fractal_brightness(x: Tensor, roughness: Tensor, intensity: Tensor, generator: torch.Generator) -> Tensor:
    """Add to every channel of every image a fractal that reaches from ``-intensity`` to ``intensity``.

    Args:
        x: images ``[B, 3, H, W]`` in [0, 1]; so is what comes back.
        roughness: ``[B]`` in [0, 1], see :func:`fractals`.
        intensity: ``[B]``.
    """
    maps = 2 * _channelwise(x, roughness, generator) - 1
    return (x + intensity.to(x)[:, None, None, None] * maps).clamp(0, 1)


def fractal_contrast(x: Tensor, roughness: Tensor, generator: torch.Generator) -> Tensor:
    """Multiply the distance from 0.5 by a fractal that reaches from 0 to 4, one per channel and image."""
    return ((x - 0.5) * (4 * _channelwise(x, roughness, generator)) + 0.5).clamp(0, 1)


def _channelwise(x: Tensor, roughness: Tensor, generator: torch.Generator) -> Tensor:
    maps = fractals(roughness.repeat_interleave(x.shape[1]), (x.shape[2], x.shape[3]), generator, x.device)
    return maps.view(x.shape)


def fractals(roughness: Tensor, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Maps ``[N, H, W]`` with values in [0, 1], by the diamond-square algorithm (Fournier et al. 1982).

    The corners of a square of ``2**n + 1`` pixels are uniform in [0, 1]. Every division sets a new point to
    ``(1 - s)`` times the mean of its neighbours plus ``s`` times a uniform number, where s is 0 at first and
    ``roughness**j`` at division j that follows. The upper left part of the square is the map.

    Args:
        roughness: ``[N]`` in [0, 1], on the CPU; 0 gives smooth maps.
    """
    divisions = max(1, (max(size) - 2).bit_length()) if max(size) > 1 else 0
    span = 2**divisions
    grid = torch.rand((len(roughness), span + 1, span + 1), generator=generator).to(device)
    rough = roughness.to(grid)[:, None, None]
    for division in range(divisions):
        _divide(grid, span >> division, rough**division if division else torch.zeros_like(rough))
    return grid[:, : size[0], : size[1]]


def _divide(grid: Tensor, step: int, random: Tensor) -> None:
    """Set the points half-way between those ``step`` apart, which hold uniform numbers as yet."""
    half = step // 2
    corners = grid[:, ::step, ::step]
    middles = grid[:, half::step, half::step]
    pairs = corners[:, :, :-1] + corners[:, :, 1:]
    middles.copy_(torch.lerp((pairs[:, :-1] + pairs[:, 1:]) / 4, middles, random))
    # Points on the border have three neighbours, the others four.
    neighbours = torch.full((corners.shape[1],), 4.0, device=grid.device)
    neighbours[0] = neighbours[-1] = 3.0
    upper = grid[:, ::step, half::step]
    around = pairs + F.pad(middles, (0, 0, 1, 0)) + F.pad(middles, (0, 0, 0, 1))
    upper.copy_(torch.lerp(around / neighbours[:, None], upper, random))
    left = grid[:, half::step, ::step]
    around = corners[:, :-1] + corners[:, 1:] + F.pad(middles, (1, 0)) + F.pad(middles, (0, 1))
    left.copy_(torch.lerp(around / neighbours, left, random))
