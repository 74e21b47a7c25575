"""An exploiter who starts from the image tower of a CLIP (tier T4: external weights)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ucbench import FrozenNetwork, PretrainedClassifier
from ucbench_openclip.loading import load_clip, weights_file
from ucbench_openclip.params import OpenClipProbeParams


class _ImageTower(FrozenNetwork):
    """A CLIP's image tower without the text tower; features are embeddings whose coordinates have a mean square of 1.

    Embeddings of different models differ in length, which their training disregards. At one length, the same rate suits
    the classifier on all of them.
    """

    def penultimate(self, x: Tensor) -> Tensor:
        output = self.network(x)
        embedded: Tensor = output[0] if isinstance(output, tuple) else output  # CoCa's tower also returns its tokens
        scaled: Tensor = F.normalize(embedded, dim=1) * embedded.shape[1] ** 0.5
        return scaled


class OpenClipProbe:
    """A linear classifier on the embeddings of a CLIP, whose image tower is frozen or, by ``method``, trained on.

    The embedding is that of the surrogate ``openclip``, after the tower's projection. Exploiter and protector may use
    the same CLIP: a perturbation then meets the very features it was made against. In ``fine-tune`` all of the tower
    learns, with its batch norm, if it has any, as in training from scratch.

    The rates are those of ``linear-probe`` and ``fine-tune``.

    Raises:
        UsageError: for a name that open_clip does not know, or weights that cannot be fetched; by :meth:`build` for a
            size that the image tower does not take.
        DataError: if there is no such file; by :meth:`build` if it cannot be read or does not fit.
    """

    def __init__(self, params: OpenClipProbeParams) -> None:
        self.recipe = params
        weights_file(params)  # where weights are missing, a cell fails before it crafts

    def build(self, classes: int, size: tuple[int, int]) -> PretrainedClassifier:
        clip = load_clip(self.recipe)
        tower = _ImageTower(
            clip.model.visual, mean=clip.mean, std=clip.std, size=clip.size, mode=clip.mode, note=clip.note
        )
        model = PretrainedClassifier(tower, classes, size)
        if self.recipe.method == "fine-tune":
            model.thaw()
        return model
