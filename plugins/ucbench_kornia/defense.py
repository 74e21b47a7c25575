"""Applying an augmentation of kornia to a batch: random per image, in [0, 1], repeatable."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ucbench import UsageError, as_double, seeded
from ucbench_kornia.catalogue import MIXING, options_of

if TYPE_CHECKING:
    from ucbench import Run
    from ucbench_kornia.params import KorniaParams

#: Augmentations that choose something once per call: operations, their order, the size of a kernel.
_ONE_BY_ONE = frozenset(
    {"AutoAugment", "ColorJiggle", "ColorJitter", "RandAugment", "RandomMotionBlur", "TrivialAugment"}
)

#: Height and width of the image that parameters are tried on: larger than most data, so that only values are refused
#: and not what is too large for some image.
_TRIED = 256

_CONTAINERS: Mapping[str, Callable[[Any], Any]] = {"tuple": tuple, "list": list, "tensor": torch.tensor}


class Kornia:
    """One augmentation of kornia (Riba et al. 2020), with its constructor's parameters.

    Everything is drawn per image: what kornia draws once per call (``_ONE_BY_ONE``) is called for one image at a time.
    ``p`` of the mixing ones, which kornia applies to whole batches, is the probability of each image, and kornia mixes
    those drawn; with ``gate=batch``, it is that of the batch. Values that leave [0, 1] are clamped. kornia draws from
    torch's global generators only; they are seeded from the given one, and restored.

    RandomBrightness adds, RandomContrast scales without regard to the mean, and RandomSaturation works in HSV: none of
    them is Pillow's operation. Images that RandomClahe, RandomEqualize, RandomMosaic and RandomPosterize change have no
    gradient, nor where a policy chooses one of those.

    Raises:
        UsageError: if kornia refuses the parameters, or fails with them on an image of :data:`_TRIED` pixels.
    """

    def __new__(cls, params: KorniaParams) -> Kornia:
        # Which methods there are says what stages a defense has.
        return super().__new__(_Mixing if params.augmentation in MIXING else _Augmenting)

    def __init__(self, params: KorniaParams) -> None:
        self.params = params
        # Refuses its parameters now rather than in the first batch; some of them kornia reads only when it is called.
        height, width = size = _tried(params.options.get("size"))
        module, images = self._module(size, p=1.0), torch.full((1, 3, height, width), 0.5)
        with seeded(0):
            try:
                module(images)
            except Exception as error:  # kornia and torch each raise their own
                raise UsageError(f"kornia fails at {params.augmentation} with {params.options}: {error}") from error

    def _module(self, size: tuple[int, int], p: float | None = None) -> Any:
        """A new instance for images of ``size``: cheap, and without the state of earlier calls.

        ``p`` replaces the probability where the class has one.
        It stays on the CPU, where kornia draws; it moves what it drew to the images.
        """
        name = self.params.augmentation
        package = importlib.import_module("kornia.augmentation")
        options = options_of(name)
        arguments = {
            key: _CONTAINERS[options[key].container](value) if isinstance(value, tuple) else value
            for key, value in self.params.options.items()
        }
        if "size" in options and arguments.get("size") is None:
            arguments["size"] = size
        if name in MIXING:
            p = 1.0
        if p is not None and "p" in options:
            arguments["p"] = p
        if name == "RandomCutMixV2":
            arguments["use_correct_lambda"] = True
        try:
            return (getattr(package, name, None) or getattr(package.auto, name))(**arguments)
        except (AssertionError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise UsageError(f"kornia refuses {name} with {self.params.options}: {error}") from error

    @staticmethod
    def _scope(generator: torch.Generator) -> AbstractContextManager[None]:
        return seeded(int(torch.randint(2**63 - 1, (), generator=generator)))


def _tried(size: Any) -> tuple[int, int]:
    """Height and width of the image that parameters are tried on: no smaller than a crop of ``size``."""
    height, width = size if isinstance(size, tuple) else (size or 0, size or 0)
    return max(_TRIED, height), max(_TRIED, width)


class _Augmenting(Kornia):
    def augment(self, x: Tensor, run: Run, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1], float32.

        Raises:
            UsageError: if the augmentation changes their size.
        """
        module = self._module((x.shape[2], x.shape[3]))
        parts = x.split(1) if self.params.augmentation in _ONE_BY_ONE else (x,)
        with self._scope(generator):
            out = torch.cat([module(part) for part in parts])
        if out.shape != x.shape:
            raise UsageError(
                f"kornia's {self.params.augmentation} makes images of {list(out.shape[2:])} pixels from "
                f"{list(x.shape[2:])}: leave its size out."
            )
        return out.clamp(0, 1)


class _Mixing(Kornia):
    def mix(self, x: Tensor, targets: Tensor, run: Run, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mixed images ``[B, 3, H, W]`` and targets ``[B, K]``, weighted by each source's share of the pixels.

        An image is mixed with probability ``p``, with others that are mixed too; with ``gate=batch``, all images are or
        none. What nothing is pasted on counts as the image's own.
        """
        options = self.params.model_dump()
        draws = torch.rand(1 if options["gate"] == "batch" else len(x), generator=generator)
        rows = (draws < options["p"]).expand(len(x)).nonzero().flatten()
        if not len(rows):
            return x, targets
        index = rows.to(x.device)
        with self._scope(generator):
            mixed, weights = self._mixed(x[index])
        # In float64, which no reduced precision of products touches.
        sources = as_double(targets[index])
        weighted = weights.to(sources.device) @ sources
        return x.index_copy(0, index, mixed.clamp(0, 1)), targets.index_copy(0, index, weighted.to(targets))

    def _mixed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed images, and the share of each image of ``x`` in each of them, float64 ``[B, B]`` on the CPU."""
        module, count = self._module((x.shape[2], x.shape[3])), len(x)
        if self.params.augmentation == "RandomMixUpV2":
            numbers = torch.arange(count)
            mixed, labels = module(x, numbers, data_keys=["input", "class"])
            _, partner, share = labels.double().unbind(1)
            weights = torch.diag(1 - share)
            weights[numbers, partner.long()] += share
            return mixed, weights
        # The same pasting of images that are all of one value, from 1: what comes from where.
        marks = torch.arange(1.0, count + 1).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
        sources = module(marks).long().flatten(1)
        shares = torch.zeros(count, count + 1, dtype=torch.float64)
        shares.scatter_add_(1, sources, torch.full(sources.shape, 1 / sources.shape[1], dtype=torch.float64))
        return module(x, params=module._params), shares[:, 1:] + torch.diag(shares[:, 0])
