"""UEraser: strong augmentation, and training on the view that is hardest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench_augment import plasma, spaces
from ucbench_augment.policies import Policy
from ucbench_augment.subset import on_share, uniform

if TYPE_CHECKING:
    from ucbench.components import Run
    from ucbench_augment.params import UEraserParams


class UEraser:
    """UEraser (Qin et al. 2023): of several views of a picture, the one of largest loss is learned from.

    A view is the picture after fractal brightness, fractal contrast and a shuffle of its channels, each with
    ``probability``, and then one operation of TrivialAugment. All views of a batch go through the network together,
    as in the official code's function (its scripts pass them one after another).

    - The default is the paper's UEraser: the worst of five views through the first 50 epochs (of 200), one view
      afterwards. A training of fewer epochs is UEraser-Max.
    - `released` has the 60 epochs of the official README; `max` is UEraser-Max, the worst of five to the end; `lite`
      is UEraser-Lite, one view throughout.

    Deviations: TrivialAugment is drawn for every view, with Pillow's operations in the nominal ranges of the library
    that the official code uses and with bilinear interpolation; that library draws one operation for a batch, defines
    some of them otherwise, and posterises to 4 bits or fewer, down to none. The fractals start from corners that are
    uniform in [0, 1], that library's from a third of that, which darkens. No preset compresses with JPEG, which the
    official code does against some poisons: an exploiter is not told the poison, and may write a chain with a
    compressing defense.
    """

    def __init__(self, params: UEraserParams) -> None:
        self.params = params
        self._policy = Policy(spaces.ueraser, mode="bilinear")

    def loss(self, model: nn.Module, x: Tensor, targets: Tensor, run: Run, generator: torch.Generator) -> Tensor:
        """Mean over the pictures ``[B, 3, H, W]`` of the largest cross-entropy of their views; float32 scalar.

        ``targets`` are probabilities ``[B, K]``. The model sees ``copies`` times the batch at once.
        """
        worst = self.params.epochs is None or run.epoch <= self.params.epochs
        copies = self.params.copies if worst else 1
        # Pixels are coarser in half precision than the changes that unlearnable examples make.
        with torch.autocast(x.device.type, enabled=False):
            views = self.view(x.repeat(copies, 1, 1, 1), generator)
        losses = F.cross_entropy(model(views).float(), targets.repeat(copies, 1), reduction="none")
        return losses.view(copies, -1).max(0).values.mean()

    def view(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A random view of every image ``[B, 3, H, W]`` in [0, 1]."""
        for change in (self._brightened, self._contrasted, _shuffled):
            x = on_share(x, self.params.probability, generator, change)
        return self._policy.apply(x, torch.rand(len(x), generator=generator), generator)

    def _brightened(self, x: Tensor, generator: torch.Generator) -> Tensor:
        roughness = uniform(self.params.roughness, len(x), generator)
        return plasma.brightness(x, roughness, uniform(self.params.intensity, len(x), generator), generator)

    def _contrasted(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return plasma.contrast(x, uniform(self.params.roughness, len(x), generator), generator)


def _shuffled(x: Tensor, generator: torch.Generator) -> Tensor:
    """Every image with its channels in a random order."""
    order = torch.rand(x.shape[:2], generator=generator).argsort(1).to(x.device)
    return x.take_along_dim(order[:, :, None, None], 1)
