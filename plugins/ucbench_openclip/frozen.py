"""A CLIP that poisoners and annotators look through: resizing and normalisation inside, weights fixed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench import UsageError, resize
from ucbench_openclip.loading import LoadedClip
from ucbench_openclip.prompts import class_embeddings


class FrozenClip(nn.Module):
    """Both towers of a CLIP, taking images in [0, 1].

    Whole images are resized to the image tower's size and not rounded to 8 bits afterwards, so that every pixel has a
    gradient. (open_clip's transform of files crops the centre of pictures that are not square, and rounds.)

    Args:
        clip: the model; it stays in eval mode and without gradients on its weights.
        normalize: whether :meth:`features` have length 1.
    """

    mean: Tensor
    std: Tensor
    text: Tensor | None

    def __init__(self, clip: LoadedClip, *, normalize: bool = False) -> None:
        super().__init__()
        self.model = clip.model.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(clip.mean, dtype=torch.float32).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(clip.std, dtype=torch.float32).reshape(1, 3, 1, 1))
        self.register_buffer("text", None)
        self.normalize = normalize
        #: Arithmetic of the image tower's layers; pixels, embeddings and scores are float32 throughout.
        self.dtype = torch.float32
        self._clip = clip

    def name_classes(self, classes: Sequence[str], templates: Sequence[str]) -> None:
        """Make scores those of these classes; see :func:`ucbench_openclip.prompts.class_embeddings`."""
        self.text = class_embeddings(self._clip, classes, templates)

    def features(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to embeddings ``[B, D]`` float32."""
        embedded = self._embedded(x)
        return F.normalize(embedded, dim=1) if self.normalize else embedded

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to scores ``[B, K]`` float32: scaled cosines to the classes' texts.

        Raises:
            UsageError: before classes were named.
        """
        if self.text is None:
            raise UsageError(
                "A CLIP has scores for named classes only, and none are named here. Give class names, as in"
                " openclip:RN50/openai:classes=cat/dog, or use its features."
            )
        embedded = F.normalize(self._embedded(x), dim=1)
        with torch.autocast(x.device.type, enabled=False):
            scores: Tensor = self.model.logit_scale.exp() * (embedded @ self.text.T)
        return scores if self.model.logit_bias is None else scores + self.model.logit_bias

    #: What :func:`ucbench.crafting.predict_classes` asks of a model.
    logits = forward

    def _embedded(self, x: Tensor) -> Tensor:
        x = resize(x, self._clip.size, self._clip.mode)
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            embedded: Tensor = self.model.encode_image(x, normalize=False)
        return embedded.float()
