"""Random views of images, and the loss that compares them: SimCLR (Chen et al., ICML 2020, arXiv 2002.05709).

Section 3 of the paper, its equation 1, and appendices A and B.9.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ucbench.training.cropping import shifted

#: Boxes drawn for an image until one lies inside it, as in torchvision.
TRIES = 10
#: Largest ratio of a box's sides, either way.
ASPECT = 4 / 3
#: Luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)
#: Ranges of the four changes at strength 1 (appendix A).
_REACH = (0.8, 0.8, 0.8, 0.2)
_NEUTRAL = (1.0, 1.0, 1.0, 0.0)


class ContrastiveViews:
    """Makes a random view of every image, differentiable in the images; each has draws from a CPU generator.

    A crop of random area and shape, resized to the image's size; mirrored in half of the cases where a mirrored
    image keeps its meaning; jittered in colour with probability 0.8; grey with probability 0.2; above
    :attr:`SMALL` pixels blurred with probability 0.5.

    Where none of :data:`TRIES` boxes lies inside the image, the first is cut off at its sides.

    Args:
        size: height and width of the images.
        flip: whether they may be mirrored.
        crop: least share of the area.
        strength: of the jitter; None: 0.5 for small images, else 1.
        often: factor on the probabilities of jitter and grey, at most 1.
        blur: whether to blur; None: large images only.

    Attributes:
        SMALL: longest side, in pixels, of images that count as small: no blur, half the jitter (and another stem).
    """

    SMALL = 64

    def __init__(
        self,
        size: tuple[int, int],
        *,
        flip: bool,
        crop: float,
        strength: float | None = None,
        often: float = 1.0,
        blur: bool | None = None,
    ) -> None:
        self.size, self.flip, self.crop, self.often = size, flip, crop, often
        small = max(size) <= self.SMALL
        self.blur = not small if blur is None else blur
        self.strength = (0.5 if small else 1.0) if strength is None else strength

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Views float32 ``[B, 3, H, W]`` in [0, 1] of images of that shape and range, in their order."""
        x = windowed(x, *self._windows(len(x), generator))
        x = on_share(x, 0.8 * self.often, generator, lambda some: jittered(some, self.strength, generator))
        x = on_share(x, 0.2 * self.often, generator, lambda some: grey(some).expand_as(some))
        if self.blur:
            x = on_share(
                x, 0.5, generator, lambda some: blurred(some, 0.1 + 1.9 * torch.rand(len(some), generator=generator))
            )
        return x.clamp(0, 1)

    def _windows(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Sides and corners ``[B, 2]`` of crops (vertical, horizontal; shares of the image's), which to mirror."""
        height, width = self.size
        area, shape = torch.rand((2, count, TRIES), generator=generator)
        area = self.crop + (1 - self.crop) * area
        ratio = torch.exp(math.log(ASPECT) * (2 * shape - 1)) * (height / width)
        tried = torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()], 2)
        # argmax gives the first of equals.
        first = (tried <= 1).all(2).int().argmax(1)
        sides = tried[torch.arange(count), first].clamp(max=1)
        corners = torch.rand((count, 2), generator=generator) * (1 - sides)
        mirrored = torch.rand(count, generator=generator) < (0.5 if self.flip else 0.0)
        return sides, corners, mirrored


def nt_xent(projections: Tensor, temperature: float) -> Tensor:
    """The normalised temperature-scaled cross-entropy of SimCLR (equation 1), the mean over all 2B views.

    View i, and its partner j among the 2B - 1 others, cost ``-log(exp(s_ij / T) / sum_{k != i} exp(s_ik / T))``, s
    being cosines.

    Args:
        projections: floating ``[2B, D]``; rows i and B + i are two views of one image. Cosines with a projection of
            length 0 are 0.
        temperature: T.

    Returns:
        A scalar, 0 where there is one image.
    """
    views = F.normalize(projections, dim=1)
    count = len(views)
    others = torch.arange(count, device=views.device)
    scores = (views @ views.T / temperature).masked_fill(
        torch.eye(count, dtype=torch.bool, device=views.device), -torch.inf
    )
    return F.cross_entropy(scores, others.roll(count // 2))


def windowed(x: Tensor, sides: Tensor, corners: Tensor, mirrored: Tensor) -> Tensor:
    """Cut a window out of each image and enlarge it to the image's size, bilinearly.

    Args:
        x: ``[B, 3, H, W]``.
        sides: ``[B, 2]``, height and width of the windows as shares of the image's.
        corners: ``[B, 2]``, their upper left corners, likewise.
        mirrored: bool ``[B]``, which windows to mirror horizontally.
    """
    if x.requires_grad:
        # The same values but for rounding, with a gradient that is deterministic on GPUs; twice as slow where none is.
        return shifted(x, corners * torch.tensor(x.shape[2:]), mirrored, scale=sides, border="repeat")
    theta = torch.zeros((len(x), 2, 3))
    # torch counts from -1 to 1 between opposite edges, the horizontal coordinate first.
    theta[:, 0, 0] = torch.where(mirrored, -sides[:, 1], sides[:, 1])
    theta[:, 1, 1] = sides[:, 0]
    theta[:, :, 2] = (2 * corners + sides - 1).flip(1)
    grid = F.affine_grid(theta.to(x.device), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def blurred(x: Tensor, sigma: Tensor) -> Tensor:
    """Convolve each image with a Gaussian of ``sigma`` ``[B]`` pixels, over a tenth of the height (appendix A).

    Beyond the border the outermost pixels are repeated.
    """
    radius = max(1, round(x.shape[2] / 20))
    places = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (places / sigma[:, None]).square())
    weights = (weights / weights.sum(1, keepdim=True)).to(x)[:, :, None, None, None]
    for dimension in (2, 3):
        side = x.shape[dimension]
        # Sums of shifted images: a convolution may be computed in reduced precision.
        parts = (x.index_select(dimension, (torch.arange(side) + p).clamp(0, side - 1).to(x.device)) for p in places)
        x = sum((w * part for w, part in zip(weights.unbind(1), parts, strict=True)), torch.zeros_like(x))
    return x


def on_share(x: Tensor, probability: float, generator: torch.Generator, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Replace each image, independently with ``probability``, by what ``change`` makes of all chosen ones together."""
    rows = (torch.rand(len(x), generator=generator) < probability).nonzero().flatten()
    if not len(rows):
        return x
    index = rows.to(x.device)
    return x.index_copy(0, index, change(x[index]))


# Changes of colour take images [B, 3, H, W] in [0, 1] and one amount per image [B] on their device. Brightness,
# contrast and saturation blend by a factor: 1 leaves an image as it is, 0 leaves black, its mean grey or its grey. They
# and the turn of the hue are defined as in torchvision, from which the paper's appendix A takes them.


def grey(x: Tensor) -> Tensor:
    """Luma ``[B, 1, H, W]``."""
    return (x * x.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    return _blended(torch.zeros_like(x), x, factor)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    return _blended(grey(x).mean((2, 3), keepdim=True), x, factor)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    return _blended(grey(x), x, factor)


def hue(x: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue by ``turn`` of a full circle in HSV; greys stay as they are."""
    high, which = x.max(1)
    spread = high - x.amin(1)
    # From the largest channel on, the next two in the circle red, green, blue.
    following, last = (x.gather(1, ((which + step) % 3)[:, None])[:, 0] for step in (1, 2))
    sixth = 2 * which + (following - last) / torch.where(spread > 0, spread, 1.0) + 6 * turn[:, None, None]
    channels = []
    for offset in (5, 3, 1):
        place = (sixth + offset) % 6
        channels.append(high - spread * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(channels, 1).clamp(0, 1)


def jittered(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """All four changes, by random amounts and in a random order for each image."""
    amounts = torch.tensor(_NEUTRAL) + strength * torch.tensor(_REACH) * (
        2 * torch.rand((len(x), 4), generator=generator) - 1
    )
    order = torch.rand((len(x), 4), generator=generator).argsort(1)
    for turn in order.unbind(1):
        # Whose turn it is was decided on the CPU: no device is waited for.
        groups = [(turn == which).nonzero().flatten() for which in range(4)]
        parts = [
            change(x[group.to(x.device)], amounts[group, which].to(x.device))
            for which, (change, group) in enumerate(zip(_CHANGES, groups, strict=True))
        ]
        x = torch.cat(parts)[torch.cat(groups).argsort().to(x.device)]
    return x


def _blended(origin: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(origin.expand_as(x), x, factor[:, None, None, None]).clamp(0, 1)


_CHANGES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (brightness, contrast, saturation, hue)
