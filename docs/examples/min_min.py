# min_min.py
import math

import torch.nn.functional as F
from pydantic import Field

from ucbench import (
    BiLevel,
    DivergedError,
    Params,
    Perturbation,
    PoisonerSpec,
    UsageError,
    hookimpl,
    pgd,
)


class MinMinParams(Params):
    presets = {"quick": {"rounds": 2}}

    rounds: int = Field(10, ge=1, description="turns of both sides")
    network_steps: int = Field(10, ge=1, description="SGD steps per round")
    steps: int = Field(5, ge=1, description="signed steps per round")
    batch: int = Field(128, ge=2, description="images per step")


class MinMin:
    def __init__(self, params):
        self.params = params

    def craft(self, train, run):
        if len(train) < 2:
            raise UsageError("min-min trains a network: it needs 2 images.")
        params = self.params
        bilevel = BiLevel(train, run, lr=0.1, clip_norm=5.0)
        done, _ = bilevel.resume()
        advance = run.progress("crafting", params.rounds - done)
        for number in range(done, params.rounds):
            first = number * params.network_steps
            loss = bilevel.learn(first, params.network_steps, params.batch)
            if not math.isfinite(loss):
                raise DivergedError(f"The loss is {float(loss)}.")
            self._lower_loss(bilevel)
            bilevel.history.append({"loss": float(loss)})
            bilevel.save(number + 1)
            advance(1)
        run.note("losses", [row["loss"] for row in bilevel.history])
        return Perturbation(bilevel.delta.cpu().numpy())

    def _lower_loss(self, bilevel):
        network = bilevel.frozen()
        for indices in bilevel.batches(self.params.batch):
            self._descend(bilevel, network, indices)
        bilevel.thaw()

    def _descend(self, bilevel, network, indices):
        labels = bilevel.labels[indices]
        delta = pgd(
            bilevel.clean(indices),
            bilevel.delta[indices],
            lambda x: F.cross_entropy(network(x), labels, reduction="sum"),
            steps=self.params.steps,
            step=0.2 * bilevel.radius,
            radius=bilevel.radius,
        )
        bilevel.put(indices, delta)


@hookimpl
def ucbench_poisoners():
    yield PoisonerSpec(
        name="min-min",
        summary="Error-minimising noise, one perturbation per image",
        load=f"{__name__}:MinMin",
        params=f"{__name__}:MinMinParams",
        label_access="full",
        granularity="sample",
        native_epsilon=8,
        surrogate="resnet18:width=16",
        trains_surrogate=True,
    )
