"""Unlearnable Clusters: a craft that is interrupted and resumed ends as one that is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ucbench.data.budget import Budget
from ucbench.plugins.registry import installed
from ucbench.store.store import Store
from ucbench.testing import MemoryCheckpoint, TinySurrogate, make_run, sample_images
from ucbench_uc import fitting
from ucbench_uc.poisoner import UnlearnableClusters

TRAIN = sample_images(20, (16, 16)).with_labels(None)
CRAFTS = {
    "direct, with students": "students=1,student='airbench@quick:width=0.125,epochs=1',steps=5,crop=scales,jpeg=90",
    "direct, at two scales": "students=0,coarser=4,steps=5",
    "generators together": "students=0,perturbation=generator,steps=5",
    "generators one after another": "students=0,perturbation=generator,together=false,steps=4,fit_on=all",
    "in stored order, for epochs": "students=0,shuffle=false,epochs=2,augment=images",
}


def craft(options: str, saved=None, train=TRAIN, checkpoint=None):
    checkpoint = checkpoint or MemoryCheckpoint(saved)
    run = make_run(budget=Budget("linf", 16), surrogate=TinySurrogate(), checkpoint=checkpoint)
    reference = f"uc:clusters=3,batch=3,width=4,residual_blocks=1,{options}"
    return installed().resolve("poisoner", reference).build().craft(train, run), run, getattr(checkpoint, "saved", [])


@pytest.mark.parametrize("options", CRAFTS.values(), ids=CRAFTS.keys())
def test_uc_resumed_from_any_checkpoint_equals_an_uninterrupted_craft(options, monkeypatch):
    monkeypatch.setattr(fitting, "SAVE_EVERY", 2)
    whole, run, saved = craft(options)
    assert [step for step, _ in saved] == list(range(1, len(saved) + 1))
    assert len(saved) >= 3
    for state in saved:
        torch.manual_seed(state[0])
        resumed, again, later = craft(options, state)
        np.testing.assert_array_equal(resumed.delta, whole.delta)
        assert again.notes == run.notes
        assert len(saved) == state[0] + len(later), "nothing that was saved is computed again"


def test_uc_resumed_trains_no_saved_student_again(monkeypatch):
    options = "students=2,student='airbench@quick:width=0.125,epochs=1',steps=1"
    _, _, saved = craft(options)
    trained = []
    plain = torch.optim.SGD.__init__
    monkeypatch.setattr(torch.optim.SGD, "__init__", lambda *a, **k: trained.append(1) or plain(*a, **k))
    craft(options, saved[0])
    assert len(trained) == 1


def test_uc_ignores_a_checkpoint_of_other_clusters(monkeypatch):
    monkeypatch.setattr(fitting, "SAVE_EVERY", 2)
    options = CRAFTS["generators together"]
    other = TRAIN.subset(np.arange(20)[::-1])
    _, _, saved = craft(options)
    resumed, _, _ = craft(options, saved[0], other)
    np.testing.assert_array_equal(resumed.delta, craft(options, train=other)[0].delta)


def test_uc_resumed_reports_every_step_of_the_bar(monkeypatch):
    monkeypatch.setattr(fitting, "SAVE_EVERY", 2)
    bars = []

    class Bar:
        def bar(self, text, total):
            bars.append([total, 0])
            return lambda steps: bars[-1].__setitem__(1, bars[-1][1] + steps)

    _, _, saved = craft("students=0,steps=5")
    run = make_run(budget=Budget("linf", 16), surrogate=TinySurrogate(), checkpoint=MemoryCheckpoint(saved[0]))
    run._progress = Bar()
    UnlearnableClusters(installed().resolve("poisoner", "uc:clusters=3,batch=3,students=0,steps=5").params).craft(
        TRAIN, run
    )
    assert bars == [[5, 5]]


def test_uc_resumes_from_the_file_of_a_store(tmp_path, monkeypatch):
    """Arrays go through their names and layout on disk."""
    monkeypatch.setattr(fitting, "SAVE_EVERY", 2)
    options = CRAFTS["direct, with students"]

    class KilledError(Exception):
        pass

    class Killing:
        """Stops the craft after the second state that is written."""

        def __init__(self) -> None:
            self.file, self.left = Store(tmp_path).checkpoint("release", "a", every=0), 2

        def load(self) -> None:
            assert self.file.load() is None

        def save(self, step, arrays) -> None:
            self.file.save(step, arrays)
            self.left -= 1
            if not self.left:
                raise KilledError

    with pytest.raises(KilledError):
        craft(options, checkpoint=Killing())
    resumed, _, _ = craft(options, checkpoint=Store(tmp_path).checkpoint("release", "a"))
    np.testing.assert_array_equal(resumed.delta, craft(options)[0].delta)
