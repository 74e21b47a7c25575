"""What the official scripts take for crafts and trainings: the seconds of one step, times the steps of their settings.

Steps are those of the plain loops (``plain/``) in float32 on the literature's ResNet-18, without loading images; UC's
on a ResNet-50 at 224 pixels with random weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from plain import eminn as plain_eminn
from plain import training as plain_training
from subjects.base import CLASSES, Sizes, network
from torchvision.models import resnet50

#: Passes of every training image by kind of step, as the repositories' defaults have it.
#: EMinN: 20 steps in each of the 10 sweeps of its notebook. MI-UE: 100 epochs, 10 steps after each. AdvPoison: 40
#: epochs, then 250 steps in each of 8 restarts, on weights that keep their gradients. UC: 10 clusters, one after
#: another, 50 epochs of all images for each. The others need no network, or next to none.
CRAFTS: Mapping[str, Mapping[str, float]] = {
    "eminn": {"attack": 10 * 20},
    "mi-ue": {"train": 100, "attack": 100 * 10},
    "adv-poison": {"train": 40, "attack with weights": 250 * 8},
    "uc": {"uc": 10 * 50},
}
#: Epochs of APBench's victim. Its static defenses and CutMix cost next to nothing beside a step.
EPOCHS = 200
#: Side of UC's images and images of its timed step.
_UC_SIDE, _UC_BATCH = 224, 4


@dataclass(frozen=True)
class Script:
    """A craft or a training by a script: passes of every image and seconds of one, by kind of step."""

    name: str
    passes: dict[str, float]
    per_image: dict[str, float]
    count: int
    seconds: float


def step_seconds(width: int, batch: int, steps: Mapping[str, float] | set[str]) -> dict[str, float]:
    """Seconds per image of every kind of step, the best of three."""
    x, y = torch.rand(batch, 3, 32, 32), torch.arange(batch) % CLASSES
    model = network(Sizes(width=width, side=32))
    frozen = network(Sizes(width=width, side=32)).eval().requires_grad_(False)
    optimizer = plain_training.sgd(model, 0.1, 0.9, 5e-4)
    still, large = torch.zeros_like(x), resnet50().eval()

    def uc() -> None:
        images = torch.rand(_UC_BATCH, 3, _UC_SIDE, _UC_SIDE, requires_grad=True)
        F.log_softmax(large(images), 1).sum().backward()

    def attack(attacked: torch.nn.Module) -> None:
        plain_eminn.pgd(attacked.eval(), x, y, still, radius=0.03, step=0.003, steps=1)

    kinds: dict[str, tuple[int, Callable[[], object]]] = {
        "train": (batch, lambda: plain_training.train_step(model.train(), optimizer, x, y)),
        "attack": (batch, lambda: attack(frozen)),
        "attack with weights": (batch, lambda: attack(model)),
        "uc": (_UC_BATCH, uc),
    }
    return {kind: _best(step) / images for kind, (images, step) in kinds.items() if kind in steps}


def _best(step: Callable[[], object], repeats: int = 3) -> float:
    step()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return min(times)


def script_costs(crafts: Mapping[str, int], trainings: int, images: int, width: int, batch: int) -> list[Script]:
    """Crafts by poisoner and all trainings, at the scripts' own settings.

    Args:
        crafts: number of releases by the poisoner's name.
        trainings: number of victims.
        images: of the training set.
    """
    wanted = {name: dict(CRAFTS.get(name, {})) for name, count in crafts.items() if count}
    seconds = step_seconds(width, batch, {"train", *(step for passes in wanted.values() for step in passes)})
    rows = [(f"craft {name}", passes, crafts[name]) for name, passes in wanted.items() if passes]
    rows.append(("train and evaluate", {"train": float(EPOCHS)}, trainings))
    return [
        Script(name, passes, seconds, count, count * images * sum(passes[step] * seconds[step] for step in passes))
        for name, passes, count in rows
    ]
