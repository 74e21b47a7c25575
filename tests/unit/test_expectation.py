"""Objectives in expectation over changes, and crafts that train a network first and perturb against it afterwards."""

from __future__ import annotations

import pytest
import torch
from resuming import check_resumes

from ucbench.crafting.bilevel import BiLevel
from ucbench.crafting.expectation import expected
from ucbench.crafting.stages import train_then_perturb
from ucbench.data.budget import Budget
from ucbench.testing import MemoryCheckpoint, TinySurrogate, make_run, sample_images
from ucbench.training.engine import DivergedError
from ucbench.training.recipe import Recipe


def test_expected_sums_over_changes_drawn_anew_at_every_call():
    def change(x, generator):
        return x * torch.rand((), generator=generator)

    total = expected(torch.sum, change, 3, torch.Generator().manual_seed(0))
    draws = torch.rand(6, generator=torch.Generator().manual_seed(0))
    x = torch.ones(2, 3, 4, 4)
    assert total(x).item() == pytest.approx(96 * float(draws[:3].sum()))
    assert total(x).item() == pytest.approx(96 * float(draws[3:].sum()))


def staged(checkpoint=None, keep=(), lr=0.05):
    """The perturbations of a craft whose batches are filled with what the kept networks say, and what was kept."""
    run = make_run(budget=Budget("linf", 255), surrogate=TinySurrogate(), checkpoint=checkpoint)
    state, kept = BiLevel(sample_images(), run, lr=lr), []

    def against(networks):
        kept.extend(networks)
        assert not any(network.training for network in networks)

        def perturb(number, indices):
            x = state.clean(indices)
            votes = sum(network(x).softmax(1)[:, 0] for network in networks) / len(networks)
            return (number + votes[:, None, None, None]) / 10 * torch.ones_like(x) - x

        return perturb

    recipe = Recipe(epochs=3, batch=5, lr=lr, schedule="constant")
    return train_then_perturb(state, run, recipe, against, batch=6, work=1, keep=keep), kept, run


def test_networks_are_kept_as_they_were_after_their_epochs():
    checkpoint = MemoryCheckpoint()
    _, networks, run = staged(checkpoint, keep=(1, 3))
    for epoch, network in zip((1, 3), networks, strict=True):
        saved = checkpoint.saved[epoch - 1][1]
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, torch.from_numpy(saved[f"weights.{name}"]))
    assert len(staged()[1]) == 1
    assert len(run.notes["train_losses"]) == 3
    assert 0 <= run.notes["clean_error"] < 1


@pytest.mark.parametrize("keep", [(), (1, 3)])
def test_two_stages_resumed_from_any_checkpoint_equal_an_uninterrupted_run(keep):
    check_resumes(lambda checkpoint: staged(checkpoint, keep)[::2], steps=6)


def test_network_that_knows_no_more_than_the_most_frequent_class_gives_a_warning():
    assert "trained too little" in staged(lr=1e-9)[2].warnings[0]


def test_diverging_first_stage_raises():
    with pytest.raises(DivergedError, match="diverged in epoch"):
        staged(lr=1e30)
