"""What the squeezing defenses share: their stages, which all apply one function of 8-bit images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ucbench import ImageSet
from ucbench_squeeze.params import SqueezingParams

if TYPE_CHECKING:
    from ucbench import DefenseRun

P = TypeVar("P", bound=SqueezingParams)

#: Values squeezed at once by ``prepare``, which bounds the memory and changes no number.
_VALUES = 1 << 20


class Squeezing(ABC, Generic[P]):
    """A defense that squeezes 8-bit images.

    Its parameters decide which stages it has. ``prepare`` squeezes the training set once. With a range to draw from
    (``params.batchwise``) there is ``augment`` instead, which squeezes every image of every batch anew, after the
    recipe's crop and flip. ``at_test`` is there if the parameter of this name is set.

    By default test images are not squeezed: so are the published figures of ISS (its code has an option to squeeze
    both) and of APBench. Test images carry no perturbation that squeezing could remove, unlike in the literature on
    adversarial examples; squeezing them shows the victim images of the kind it was trained on.

    ``augment`` and ``at_test`` round their input to 8 bits. Of multiples of 1/255, which test images are, ``at_test``
    makes exactly what ``prepare`` makes.
    """

    prepare: Callable[[ImageSet, DefenseRun], ImageSet]
    augment: Callable[[Tensor, DefenseRun, torch.Generator], Tensor]
    at_test: Callable[[Tensor], Tensor]

    def __init__(self, params: P) -> None:
        self.params = params
        # The core asks a defense which stages it has: a `prepare` that does nothing would store a copy of the set.
        if params.batchwise:
            self.augment = self._augment
        else:
            self.prepare = self._squeeze_set
        if params.at_test:
            self.at_test = self._squeeze_batch

    @abstractmethod
    def squeeze(self, pixels: Tensor) -> Tensor:
        """Squeezed copies of uint8 images ``[B, 3, H, W]``: same shape, dtype and device."""

    def squeeze_at_random(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """As :meth:`squeeze`, at a strength drawn for each image; used where ``params.random`` is true."""
        raise NotImplementedError(f"{type(self).__name__} draws nothing.")

    def _squeeze_set(self, train: ImageSet, run: DefenseRun) -> ImageSet:
        images = np.empty(train.images.shape, np.uint8)
        advance = run.progress("squeezing the training set", len(train))
        step = max(1, _VALUES // images[:1].size) if len(train) else 1
        for begin in range(0, len(train), step):
            block = slice(begin, begin + step)
            squeezed = self.squeeze(torch.from_numpy(train.images[block].copy()))
            images[block] = squeezed.numpy()
            advance(len(squeezed))
        return train.with_images(images)

    def _augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        return _from_8_bits(self.squeeze_at_random(_to_8_bits(x), generator))

    def _squeeze_batch(self, x: Tensor) -> Tensor:
        return _from_8_bits(self.squeeze(_to_8_bits(x)))


def _to_8_bits(x: Tensor) -> Tensor:
    return (x * 255.0).round_().clamp_(0, 255).to(torch.uint8)


def _from_8_bits(pixels: Tensor) -> Tensor:
    return pixels.float().div_(255.0)


def change_each(pixels: Tensor, change: Callable[..., Image.Image], *settings: Iterable[Any]) -> Tensor:
    """Apply ``change(image, *setting)`` to every image of uint8 ``[B, 3, H, W]``, each with its own settings.

    Pillow works on the CPU: a batch on an accelerator is copied there and back as a whole.

    Raises:
        ValueError: if there are not as many settings as images.
    """
    images = pixels.permute(0, 2, 3, 1).cpu().contiguous().numpy()
    changed = np.empty_like(images)
    for place, image, *setting in zip(changed, images, *settings, strict=True):
        np.copyto(place, np.asarray(change(Image.fromarray(image), *setting)))
    return torch.from_numpy(changed).permute(0, 3, 1, 2).to(pixels.device)
