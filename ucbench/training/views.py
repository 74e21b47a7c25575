"""Scores averaged over views of an image when a trained network predicts."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ucbench.training.padding import reflect_pad


def averaged(model: Callable[[Tensor], Tensor], x: Tensor, views: int, mirror: bool) -> Tensor:
    """Scores ``[B, K]`` of ``model``, averaged over views of each image as K. Jordan does (arXiv 2404.00498).

    The image itself comes last, so that features that are captured on the way are its own.

    Args:
        model: images ``[B, 3, H, W]`` in [0, 1] to scores ``[B, K]``.
        x: such images.
        views: 1, 2 or 6 as in :class:`ucbench.Recipe`. The two images moved by a pixel along the diagonal, which show
            the reflection where nothing is, together weigh as much as the one in its place.
        mirror: whether to average over mirror images; without, 2 is 1, and 6 are 3.
    """

    def scores(view: Tensor) -> Tensor:
        return (model(view.flip(-1)) + model(view)) / 2 if mirror and views > 1 else model(view)

    if views < 6:
        return scores(x)
    height, width = x.shape[2:]
    padded = reflect_pad(x, 1)
    moved = scores(padded[:, :, :height, :width]) + scores(padded[:, :, 2:, 2:])
    return moved / 4 + scores(x) / 2
