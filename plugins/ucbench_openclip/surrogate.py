"""CLIP as a surrogate: what it knows it learned from captions, without the evaluated data's labels."""

from __future__ import annotations

import torch
from torch import Tensor

from ucbench import ImageSet
from ucbench_openclip.frozen import FrozenClip
from ucbench_openclip.loading import load_clip
from ucbench_openclip.params import SIMPLE, OpenClipParams


class OpenClip:
    """The image tower of a CLIP; with class names also a zero-shot classifier.

    Features are the image embeddings ``[B, D]`` (1,024 numbers for RN50) and, as in UC's released code, not brought to
    length 1; ``normalize=true`` does so. They are small, so that the softmax of them that UC compares is nearly
    uniform. Normalisation of pixels, interpolation and (without ``size``) the input's size are the model's own.

    Scores exist for ``classes`` alone, under the prompt "a photo of a {class}.". A protector who names those of the
    data set has told the class names.

    Raises:
        UsageError: as :func:`ucbench_openclip.loading.load_clip`.
        DataError: likewise.
    """

    def __init__(self, params: OpenClipParams) -> None:
        self._network = FrozenClip(load_clip(params), normalize=params.normalize)
        if params.classes:
            self._network.name_classes(params.classes, (SIMPLE,))

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Set where the network runs, and whether its layers run in autocast to bfloat16."""
        self._network.to(device)
        self._network.dtype = dtype

    def module(self, seed: int = 0, train: ImageSet | None = None) -> FrozenClip:
        """The network with its weights, taking images in [0, 1] to scores; neither argument changes it."""
        return self._network

    def features(self, x: Tensor) -> Tensor:
        """Image embeddings ``[B, D]`` float32 for images ``[B, 3, H, W]`` in [0, 1]."""
        return self._network.features(x)

    def logits(self, x: Tensor) -> Tensor:
        """Scores ``[B, K]`` float32 of the named classes for images ``[B, 3, H, W]`` in [0, 1].

        Raises:
            UsageError: if no classes are named.
        """
        return self._network.logits(x)
