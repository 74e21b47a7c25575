"""Runs of crafts with the smallest surrogate, and checks of the modes of its networks and of what crafts draw from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch

from ucbench.crafting.poisoner import Checkpoint, CraftRun
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.testing import TinySurrogate, make_run
from ucbench.testing.samples import TinyNetwork
from ucbench.training.surrogate import Surrogate


def craft_run(checkpoint: Checkpoint | None = None, epsilon: float = 8, surrogate: Surrogate | None = None) -> CraftRun:
    return make_run(budget=Budget("linf", epsilon), surrogate=surrogate or TinySurrogate(), checkpoint=checkpoint)


class _Watched(TinySurrogate):
    """Remembers of every call of a network: is it in train mode, and does it learn from the images."""

    def __init__(self) -> None:
        self.calls: set[tuple[bool, bool]] = set()
        super().__init__()

    def module(self, seed: int, train: ImageSet | None = None) -> TinyNetwork:
        network = super().module(seed, train)
        # Gradients are recorded, but not those of the images.
        network[0].register_forward_pre_hook(
            lambda layer, given: self.calls.add(
                (layer.training, torch.is_grad_enabled() and not given[0].requires_grad)
            )
        )
        return network


def check_modes(craft: Callable[[CraftRun], object]) -> None:
    """Check that a craft trains a network, and has it in train mode where it learns and in eval mode elsewhere.

    The smallest surrogate has no layer for which the mode matters; those that people use have batch norm.
    """
    surrogate = _Watched()
    craft(craft_run(surrogate=surrogate))
    assert surrogate.calls == {(True, True), (False, False)}


#: Streams that learning begins again in every call, to go on in them from where it was.
_CONTINUED = ("layers", "pass-")


def check_streams(craft: Callable[[CraftRun], object]) -> None:
    """Check that a craft begins no stream of random numbers twice, which would give equal draws in two places."""
    run, begun = craft_run(), Counter[str]()
    seed = run.seed

    def counted(stream: str, bits: int = 63) -> int:
        begun[stream] += 1
        return seed(stream, bits)

    run.seed = counted
    craft(run)
    assert [stream for stream, times in begun.items() if times > 1 and not stream.startswith(_CONTINUED)] == []
