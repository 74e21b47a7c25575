"""What the squeezing defenses share: their stages, all of which run one function of 8-bit pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from ucbench import ImageSet
from ucbench_squeeze.params import SqueezingParams

if TYPE_CHECKING:
    from ucbench.components import Run

P = TypeVar("P", bound=SqueezingParams)

#: Values squeezed at once by ``prepare``, which bounds the memory and changes no number.
_VALUES = 1 << 20


class Squeezing(ABC, Generic[P]):
    """A defense that squeezes 8-bit pictures.

    It has the stages that its parameters ask for, and no others: ``prepare``, which squeezes the training set once; or
    instead, with a range to draw from, ``augment``, which squeezes every picture of every batch anew, after the
    recipe's crop and flip; and ``at_test`` if so told.

    Test pictures are left as they are unless ``at_test`` is set: that is what the figures of ISS (its released code;
    squeezing both is an option there) and of APBench are of. There is no perturbation on them to be squeezed out, as
    there is in the literature on adversarial examples; to squeeze them too is to show the victim pictures of the kind
    it was trained on.

    ``augment`` and ``at_test`` round what they are given to 8 bits. Of pictures that are multiples of 1/255, which
    test pictures are, ``at_test`` makes exactly what ``prepare`` makes.
    """

    prepare: Callable[[ImageSet, Run], ImageSet]
    augment: Callable[[Tensor, Run, torch.Generator], Tensor]
    at_test: Callable[[Tensor], Tensor]

    def __init__(self, params: P) -> None:
        self.params = params
        # The core asks a defense which stages it has: a `prepare` that does nothing would store a copy of the set.
        if params.random:
            self.augment = self._squeeze_batch_at_random
        else:
            self.prepare = self._squeeze_set
        if params.at_test:
            self.at_test = self._squeeze_batch

    @abstractmethod
    def squeeze(self, pixels: Tensor) -> Tensor:
        """Squeeze uint8 pictures ``[B, 3, H, W]``, which stay as they are, to new ones of the same kind and place."""

    def squeeze_at_random(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """As :meth:`squeeze`, but as hard as is drawn for each picture; where ``params.random`` is set."""
        raise NotImplementedError(f"{type(self).__name__} draws nothing.")

    def _squeeze_set(self, train: ImageSet, run: Run) -> ImageSet:
        images = np.empty(train.images.shape, np.uint8)
        advance = run.progress("squeezing the training set", len(train))
        step = max(1, _VALUES // images[:1].size) if len(train) else 1
        for begin in range(0, len(train), step):
            block = slice(begin, begin + step)
            squeezed = self.squeeze(torch.from_numpy(train.images[block].copy()))
            images[block] = squeezed.numpy()
            advance(len(squeezed))
        return train.with_images(images)

    def _squeeze_batch_at_random(self, x: Tensor, run: Run, generator: torch.Generator) -> Tensor:
        return _from_8_bits(self.squeeze_at_random(_to_8_bits(x), generator))

    def _squeeze_batch(self, x: Tensor) -> Tensor:
        return _from_8_bits(self.squeeze(_to_8_bits(x)))


def _to_8_bits(x: Tensor) -> Tensor:
    return (x * 255.0).round_().clamp_(0, 255).to(torch.uint8)


def _from_8_bits(pixels: Tensor) -> Tensor:
    return pixels.float().div_(255.0)
