"""Batches, one picture at a time, for what Pillow does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def change_each(pixels: Tensor, change: Callable[..., Image.Image], *settings: Iterable[Any]) -> Tensor:
    """Apply ``change(picture, *setting)`` to every picture of uint8 ``[B, 3, H, W]``, each with its own settings.

    Pillow works on the host: a batch on an accelerator is brought there and back as a whole.

    Raises:
        ValueError: if there are not as many settings as pictures.
    """
    pictures = pixels.permute(0, 2, 3, 1).cpu().contiguous().numpy()
    changed = np.empty_like(pictures)
    for place, picture, *setting in zip(changed, pictures, *settings, strict=True):
        np.copyto(place, np.asarray(change(Image.fromarray(picture), *setting)))
    return torch.from_numpy(changed).permute(0, 3, 1, 2).to(pixels.device)
