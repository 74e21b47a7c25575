"""Small networks trained to tell the clusters apart, which are attacked in place of the surrogate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench import FrozenNetwork, Normalized, seeded, split_evenly

if TYPE_CHECKING:
    import numpy as np

    from ucbench import Component, CraftRun, ImageSet, VictimSpec
    from ucbench_uc.saved import Saved

#: Images ``[B, 3, H, W]`` in [0, 1] to features ``[B, D]`` float32.
Features = Callable[[Tensor], Tensor]


def train_students(
    victim: Component[VictimSpec],
    count: int,
    train: ImageSet,
    assignment: NDArray[np.int64],
    run: CraftRun,
    saved: Saved,
) -> Features:
    """Train ``count`` networks, which differ in their seeds, to predict the cluster of an image; return their features.

    The features of every network are what enters its last linear layer, scaled to length 1; all stand side by side.
    Each is saved when it is trained; an interrupted craft trains again the one that it was at.
    """
    clusters = int(assignment.max()) + 1
    labeled = train.with_labels(assignment, tuple(map(str, range(clusters))))
    networks = []
    for number in range(count):
        built, seed, part = victim.build(), run.seed(f"student-{number}"), f"student-{number}"
        with seeded(seed):
            network = built.build(clusters, train.size)
        if weights := saved[part]:
            model = Normalized(network, torch.zeros(3), torch.ones(3)).to(run.device)
            model.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
        else:
            steps = built.recipe.epochs * split_evenly(len(train), built.recipe.batch)
            progress = run.progress(f"training student {number + 1}/{count}", steps)
            model = run.engine.fit(network, labeled, built.recipe, seed=seed, progress=progress).model
            saved[part] = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}
        student = _Student(model.model, mean=model.mean, std=model.std)
        student.dtype = run.engine.dtype
        networks.append(student)
    return lambda x: torch.cat([F.normalize(network.features(x), dim=1) for network in networks], dim=1)


class _Student(FrozenNetwork):
    """A victim's network; its features are what enters its last linear layer."""

    def penultimate(self, x: Tensor) -> Tensor:
        classifier = [layer for layer in self.network.modules() if isinstance(layer, nn.Linear)][-1]
        entered: list[Tensor] = []
        with classifier.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0])):
            self.network(x)
        return entered[0].flatten(1)
