"""``check_poisoner`` of bare instances: granularity, resumed crafts, state, and what it must let pass."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ucbench import ContractError, Perturbation, PoisonerSpec, UsageError
from ucbench.testing import check_poisoner


class Good:
    """One random perturbation a class."""

    scale = 1.0

    def craft(self, train, run):
        noise = torch.rand((len(train.classes), 3, *train.size), generator=run.generator("noise")).numpy()
        return Perturbation(np.float32(run.budget.radius) * (2 * noise - 1), train.known_labels)

    def assign(self, images, labels, state, run):
        return labels


SPEC = PoisonerSpec(name="good", summary="", load="", label_access="full", granularity="class")


def refused(poisoner, text, **fields):
    with pytest.raises(ContractError, match=text):
        check_poisoner(poisoner, spec=dataclasses.replace(SPEC, **fields))


def test_conforming_component_passes():
    check_poisoner(Good(), spec=SPEC)


def test_budget_violation_is_found_unless_the_core_projects():
    class Loud(Good):
        def craft(self, train, run):
            good = super().craft(train, run)
            return Perturbation(2 * good.delta, good.index)

    refused(Loud(), r"poisoner .*Loud: The perturbation exceeds its budget \(linf 8\)")
    check_poisoner(Loud(), spec=dataclasses.replace(SPEC, projects=True))


def test_state_kept_in_the_instance_is_found():
    class Counting(Good):
        calls = 0

        def craft(self, train, run):
            self.calls += 1
            good = super().craft(train, run)
            return Perturbation(good.delta / self.calls, good.index)

    refused(Counting(), r"same seed must give the same perturbation\. delta differs in \d+ of \d+ values")


def test_wrong_granularity_is_found():
    class Own(Good):
        def craft(self, train, run):
            noise = torch.rand((len(train), 3, *train.size), generator=run.generator("noise")).numpy()
            return Perturbation(np.float32(run.budget.radius) * noise)

    refused(Own(), r"the images of 'class 0' share one perturbation\. They have 5")


def test_refusal_of_small_sets_passes():
    class Polite(Good):
        def craft(self, train, run):
            if len(train) < 2:
                raise UsageError("Two images, please.")
            return super().craft(train, run)

    check_poisoner(Polite(), spec=SPEC)


def test_assign_writing_to_the_state_is_found():
    class Stateful(Good):
        def craft(self, train, run):
            return dataclasses.replace(super().craft(train, run), state={"seen": np.zeros(1)})

        def assign(self, images, labels, state, run):
            state["seen"] += 1
            return labels

    refused(Stateful(), r"assign\(\) failed\. ValueError: .*read-only")


def test_checkpoint_that_is_saved_and_not_loaded_is_found():
    class Resuming(Good):
        def craft(self, train, run):
            step, arrays = run.checkpoint.load() or (0, {"delta": np.zeros((len(train.classes), 3, *train.size))})
            delta = arrays["delta"]
            for number in range(step, 4):
                noise = torch.rand(delta.shape, generator=run.generator(f"noise {number}")).numpy()
                delta = delta + (2 * noise - 1) * run.budget.radius / 4
                run.checkpoint.save(number + 1, {"delta": delta})
            return Perturbation(delta.astype(np.float32), train.known_labels)

    class Restarting(Resuming):
        def craft(self, train, run):
            run.checkpoint.load = lambda: None
            return super().craft(train, run)

    check_poisoner(Resuming(), spec=SPEC)
    refused(Restarting(), r"from the checkpoint of step 3 must go on after it\. It saved steps \[1, 2, 3\] once more")
