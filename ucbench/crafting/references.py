"""How the reference rows perturb; :mod:`ucbench.plugins.builtin` registers and explains them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ucbench.crafting.poisoner import Perturbation
from ucbench.data import ImageSet
from ucbench.errors import UsageError
from ucbench.plugins.params import Params

if TYPE_CHECKING:
    from ucbench.training.context import Run


class Clean:
    """No perturbation at all."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: Run) -> Perturbation:
        return Perturbation(np.zeros((1, 3, *train.size), np.float32), np.zeros(len(train), np.int64))


class CleanPixels:
    """The pictures as they were before anything was crafted, under the labels that were given to the published ones.

    Beside no defense it tells apart what a release does to labels made from it and to learning from its pixels: a
    machine labeling's own labels, and its ``annotate=clean``, on the published and on the clean pictures.
    """

    def __init__(self, params: Params) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run: Run) -> ImageSet:
        """``train`` with the clean pixels.

        Raises:
            UsageError: where no clean set is lent.
        """
        if run.clean is None:
            raise UsageError("clean-pixels works where the clean set is at hand, which is in a run's cells.")
        return train.with_images(run.clean.images)


class CleanPart:
    """What nobody protected, alone: the control of a mixture.

    The pictures that were published as they are, each as often as it takes to have as many as before, so that a victim
    takes equally many steps. Where their number does not divide, the pictures shown once more are drawn.
    """

    def __init__(self, params: Params) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run: Run) -> ImageSet:
        """``len(train)`` pictures out of those whose pixels were left alone; their order is the training set's.

        Raises:
            UsageError: where no clean set is lent, and where every picture was changed.
        """
        if run.clean is None:
            raise UsageError("clean-part works where the clean set is at hand, which is in a run's cells.")
        untouched = np.flatnonzero((train.images == run.clean.images).all((1, 2, 3)))
        if not len(untouched):
            raise UsageError("clean-part: every picture is protected, none is left. Give a --mixture below 1.")
        times, left_over = divmod(len(train), len(untouched))
        drawn = np.random.default_rng(run.seed("clean-part")).permutation(untouched)[:left_over]
        return train.subset(np.sort(np.concatenate([np.repeat(untouched, times), drawn])))


class Sham:
    """Noise without information.

    Uniform integers in [-epsilon, epsilon] (linf), a random direction of full length (l2), or random values in random
    places (l0).
    """

    def __init__(self, params: Params) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: Run) -> Perturbation:
        """Perturbations ``[N, 3, H, W]``.

        Raises:
            UsageError: for an unbounded budget, of which there is no sham.
        """
        budget = run.budget
        if budget is None or budget.epsilon is None:
            raise UsageError("There is no sham of an unbounded budget.")
        rng = np.random.default_rng(run.seed("sham"))
        shape = train.images.shape
        if budget.norm == "linf":
            limit = int(budget.epsilon)
            return Perturbation(rng.integers(-limit, limit, shape, np.int16, endpoint=True).astype(np.float32) / 255.0)
        delta = rng.standard_normal(shape, np.float32)
        if budget.norm == "l2":
            delta *= budget.epsilon / np.sqrt(np.square(delta).sum((1, 2, 3), keepdims=True))
        else:
            scores = rng.random((shape[0], shape[2] * shape[3]), np.float32)
            chosen = np.argsort(scores, 1)[:, : int(budget.epsilon)]
            mask = np.zeros_like(scores, bool)
            np.put_along_axis(mask, chosen, True, 1)
            delta *= mask.reshape(shape[0], 1, shape[2], shape[3])
        return Perturbation(delta)


class PositiveParams(Params):
    grid: int = Field(4, ge=1, description="blocks along each side of the pattern")


class Positive:
    """A random pattern of ``grid`` x ``grid`` blocks of +-epsilon a channel for every class."""

    def __init__(self, params: PositiveParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: Run) -> Perturbation:
        """Perturbations ``[K, 3, H, W]``, indexed by label."""
        # Here, not above: the parameters in this module must load without torch.
        from ucbench.crafting import on_grid

        assert run.budget is not None
        rng = np.random.default_rng(run.seed("blocks"))
        signs = rng.choice(np.array([-1, 1], np.float32), (len(train.classes), 3, self.params.grid, self.params.grid))
        patterns = on_grid(signs, train.size)
        radius = run.budget.radius
        if run.budget.norm == "l2":
            radius /= float(np.sqrt(patterns[0].size))
        return Perturbation(np.float32(radius) * patterns, train.known_labels)

    def assign(self, images: ImageSet, labels: NDArray[np.int64], state: object, run: Run) -> NDArray[np.int64]:
        """The pattern of each image's own class."""
        return labels


class ShuffledParams(Params):
    argument: ClassVar[str | None] = "poisoner"

    poisoner: str = Field(description="the poisoner whose perturbations are shuffled, as it is written elsewhere")


class Shuffled:
    """Another poisoner's perturbations, each given to an image drawn at random without replacement.

    Norm, spectrum and the number of images that share a perturbation stay; what ties a perturbation to its image is
    lost. The core makes it from the other poisoner's release, which is crafted once for both.
    """

    def __init__(self, params: ShuffledParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: Run) -> Perturbation:
        """Raises UsageError: there is nothing to craft."""
        raise UsageError(f"shuffled:{self.params.poisoner} is made from a release, which only a run has.")
