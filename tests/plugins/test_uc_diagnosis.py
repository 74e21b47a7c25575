"""Unlearnable Clusters: what a craft keeps out of fitting, and what it notes and warns of."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench import Perturbation
from ucbench.data.budget import Budget
from ucbench.testing import TinySurrogate, make_run, sample_images
from ucbench_uc import diagnosis, fitting
from ucbench_uc.diagnosis import diagnose, held_out
from ucbench_uc.objective import discrepancy
from ucbench_uc.params import UCParams
from ucbench_uc.poisoner import UnlearnableClusters
from ucbench_uc.views import Views

TRAIN = sample_images(60, (16, 16)).with_labels(None)
PLAIN = Views("none", "resize", flip=True)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0, 0.5), st.integers(0, 9))
@settings(max_examples=60)
def test_held_out_is_the_share_of_every_cluster_and_leaves_one_to_fit(
    clusters: list[int], share: float, seed: int
) -> None:
    assignment = np.array(clusters, np.int64)
    chosen = held_out(assignment, share, torch.Generator().manual_seed(seed))
    for k in set(clusters):
        size, out = int((assignment == k).sum()), int(chosen[assignment == k].sum())
        least = 1 if share and size > 1 else 0
        assert out == max(least, int(share * size))
        assert out < size


def test_held_out_depends_on_the_seed():
    draws = [held_out(np.zeros(50, np.int64), 0.5, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    assert (draws[0] != draws[1]).any()


def craft(**options: object):
    run = make_run(budget=Budget("linf", 16), surrogate=TinySurrogate())
    params = UCParams(**{"clusters": 3, "steps": 20, "perturbation": "direct", **options})
    return UnlearnableClusters(params).craft(TRAIN, run), run


@pytest.mark.parametrize("fit_on", ["cluster", "all"])
def test_uc_fits_on_no_held_out_image_and_perturbs_them_all(fit_on, monkeypatch):
    seen, unfitted = set(), []
    plain, measured = fitting.Cycle, diagnosis.diagnose
    monkeypatch.setattr(fitting, "Cycle", lambda pool, *rest, **how: seen.update(pool) or plain(pool, *rest, **how))
    monkeypatch.setattr("ucbench_uc.poisoner.diagnose", lambda *parts: unfitted.append(parts[3]) or measured(*parts))
    made, run = craft(fit_on=fit_on, holdout=0.25, steps=1)
    assert seen == set(np.flatnonzero(~unfitted[0]))
    assert len(made.index) == len(TRAIN)
    sizes = np.bincount(made.index)
    assert run.notes["unfitted"] == run.notes["diagnosed"] == sum(max(1, size // 4) for size in sizes)


def test_uc_measures_all_images_without_holdout():
    _, run = craft(holdout=0, steps=1)
    assert (run.notes["unfitted"], run.notes["diagnosed"]) == (0, 60)


def pattern(strength: float) -> Perturbation:
    """Of three clusters, with centres apart from the images' features."""
    generator = torch.Generator().manual_seed(0)
    delta = strength * (2 * torch.rand((3, 3, 16, 16), generator=generator) - 1)
    goals = torch.randn((3, 64), generator=generator).numpy()
    return Perturbation(delta.numpy(), np.arange(60) % 3, {"goals": goals, "targets": np.array([1, 2, 0])})


def test_diagnose_measures_the_unfitted_images_alone():
    made, run = pattern(0.05), make_run(surrogate=TinySurrogate())
    unfitted = np.arange(60) < 20
    diagnose(TRAIN, made, run.surrogate.features, unfitted, PLAIN, run)
    x = torch.from_numpy(TRAIN.images[:20].copy()).float() / 255
    index, goals = torch.from_numpy(made.index[:20]), torch.from_numpy(made.state["goals"])
    goal = torch.tensor([1, 2, 0])[index]
    with torch.no_grad():
        clean = TinySurrogate().features(x)
        moved = TinySurrogate().features((x + torch.from_numpy(made.delta)[index]).clamp(0, 1))
    entropy, nearest = discrepancy("centres", goals, 0.1), torch.cdist(moved, goals).argmin(1)
    path = (moved - clean).norm(dim=1) / (goals[goal] - goals[index]).norm(dim=1)
    expected = {
        "cross_entropy_before": entropy(clean, goal),
        "cross_entropy_after": entropy(moved, goal),
        "nearest_is_target": nearest == goal,
        "nearest_is_own": nearest == index,
        "shift_over_centre_distance": path,
    }
    for name, values in expected.items():
        assert run.notes[name] == pytest.approx(float(values.float().mean()), rel=1e-4)
    assert run.notes["cluster_sizes"] == [20, 20, 20]
    assert run.notes["saturated"] == pytest.approx((np.abs(made.delta) >= 0.99 * 8 / 255).mean())
    assert not any(name.endswith("_augmented") for name in run.notes)


def test_diagnose_crops_images_alike_before_and_after():
    run = make_run(surrogate=TinySurrogate())
    views = Views("perturbed", "resize", flip=True)
    diagnose(TRAIN, pattern(0.0), run.surrogate.features, np.ones(60, bool), views, run)
    notes = run.notes
    assert notes["cross_entropy_after_augmented"] == pytest.approx(notes["cross_entropy_before_augmented"], rel=1e-5)
    assert notes["cross_entropy_after_augmented"] != pytest.approx(notes["cross_entropy_after"], rel=1e-5)


def test_diagnose_measures_stored_images_without_the_jpeg_of_the_craft():
    notes = []
    for views in (PLAIN, replace(PLAIN, jpeg=5)):
        run = make_run(surrogate=TinySurrogate())
        diagnose(TRAIN, pattern(0.05), run.surrogate.features, np.ones(60, bool), views, run)
        notes.append(run.notes)
    assert notes[0]["cross_entropy_after"] == notes[1]["cross_entropy_after"]
    assert notes[1]["cross_entropy_after_augmented"] != pytest.approx(notes[1]["cross_entropy_after"], rel=1e-4)


def test_uc_warns_of_a_craft_above_equal_scores_with_both_figures():
    _, run = craft(steps=1, direct_lr=1e-6, augment="none")
    after = run.notes["cross_entropy_after"]
    assert after > math.log(3)
    (text,) = run.warnings
    assert f"{after:.2f} nats" in text
    assert f"the {math.log(3):.2f} of" in text


def test_uc_warns_where_a_low_mean_hides_that_few_images_move(monkeypatch):
    found = {"cross_entropy_after": 0.1, "nearest_is_target": 0.3, "nearest_is_own": 0.4}
    monkeypatch.setattr("ucbench_uc.diagnosis._measured", lambda *_: dict(found))
    for own, warnings in ((0.4, 1), (0.2, 0)):
        found["nearest_is_own"], run = own, make_run(surrogate=TinySurrogate())
        diagnose(TRAIN, pattern(0.05), run.surrogate.features, np.ones(60, bool), PLAIN, run)
        assert len(run.warnings) == warnings
        assert all("30% come nearest" in text and "40% stay" in text for text in run.warnings)


def test_uc_does_not_warn_of_a_craft_that_reaches_its_targets():
    """With the budget of a visible change, which on noise images is enough."""
    run = make_run(budget=Budget("linf", 128), surrogate=TinySurrogate())
    UnlearnableClusters(UCParams(clusters=3, steps=60, perturbation="direct", direct_lr=0.1)).craft(TRAIN, run)
    assert run.notes["cross_entropy_after_augmented"] < math.log(3)
    assert run.warnings == []


def test_uc_judges_a_craft_by_its_crops_and_flips_where_it_has_some():
    """Stored, the images are at their targets; mirrored, two of three kinds take each other's place."""
    pixels = np.zeros((30, 3, 16, 16), np.uint8)
    pixels[0::3, ..., :8] = 255
    pixels[1::3, ..., 8:] = 255
    train, index = TRAIN.subset(np.arange(30)).with_images(pixels), np.arange(30) % 3
    goals = TinySurrogate().features(torch.from_numpy(pixels[:3]).float() / 255)[[2, 0, 1]].detach().numpy()
    made = Perturbation(np.zeros((3, 3, 16, 16), np.float32), index, {"goals": goals, "targets": np.array([1, 2, 0])})
    for views, warnings in ((PLAIN, 0), (Views("images", "zeros", flip=True), 1)):
        run = make_run(surrogate=TinySurrogate())
        diagnose(train, made, run.surrogate.features, np.zeros(30, bool), views, run)
        assert run.notes["cross_entropy_after"] < math.log(3)
        assert len(run.warnings) == warnings
