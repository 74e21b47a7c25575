"""One for All: what the generator minimises, the names it reads, its budgets, and going on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from resuming import check_resumes
from safetensors.torch import save_file

import ucbench
from ucbench.crafting.craft import craft_labels
from ucbench.crafting.generator import ResidualGenerator
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.plugins.registry import installed
from ucbench.testing import make_run
from ucbench_openclip.concept_params import OneForAllParams
from ucbench_openclip.concepts import OneForAll, objective, windows

CONFIG: dict[str, Any] = {
    "embed_dim": 12,
    "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
CLASSES = ("cat", "sea_lion", "owl", "pickup truck")
SMALL = {"epochs": 2, "batch": 7, "width": 4, "blocks": 1}


pytestmark = pytest.mark.usefixtures("exact_arithmetic")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A random CLIP whose embeddings depend on the pixels and on the words, as an untrained one's hardly do."""
    torch.manual_seed(0)
    model = open_clip.CLIP(**CONFIG).eval().requires_grad_(False)
    model.token_embedding.weight.normal_()
    for dominating in (model.visual.class_embedding, model.visual.positional_embedding):
        dominating.zero_()
    folder = tmp_path_factory.mktemp("clip")
    content = {"model_cfg": CONFIG, "preprocess_cfg": {"mean": [0.4] * 3, "std": [0.25] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    save_file(model.state_dict(), folder / "weights.safetensors")
    return folder / "weights.safetensors"


def images(count: int = 20, classes: tuple[str, ...] = CLASSES) -> ImageSet:
    """Without labels, but with the classes' names."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 3, 1, 1)) * rng.random((count, 3, 16, 16))
    return ImageSet(pixels.astype(np.uint8), None, classes)


def crafted(checkpoint, run=None, train=None, **options):
    run = run or make_run(budget=Budget(options.get("norm", "linf"), 16))
    poisoner = OneForAll(OneForAllParams(checkpoint=checkpoint, **{**SMALL, **options}))
    return torch.from_numpy(poisoner.craft(train or images(), run).delta), run


def test_objective_is_a_difference_of_mean_cosines_or_has_a_reciprocal():
    embedded = torch.eye(3)[:2]
    similar = torch.tensor([[[1.0, 0, 0], [0, 0, 1]], [[0.0, 1, 0], [0, 1, 0]]])
    opposite = torch.tensor([[0.6, 0.8, 0.0], [0.6, 0.8, 0.0]])
    near, far = (0.5 + 1) / 2, (0.6 + 0.8) / 2
    assert objective(embedded, similar, opposite, "difference", 2.0) == pytest.approx(near - 2 * far)
    assert objective(embedded, similar, opposite, "reciprocal", 0.1) == pytest.approx(near + 0.1 / far)


def test_objective_of_all_pairs_averages_cosines_over_the_batch():
    torch.manual_seed(0)
    embedded, opposite = F.normalize(torch.randn(2, 4, 5), dim=2)
    similar = F.normalize(torch.randn(4, 2, 5), dim=2)
    near = torch.stack([(embedded @ similar[:, i].T).mean() for i in range(2)]).mean()
    expected = near - 0.5 * (embedded @ opposite.T).mean()
    torch.testing.assert_close(objective(embedded, similar, opposite, "difference", 0.5, pairs="batch"), expected)


@pytest.mark.parametrize("pairs", ["own", "batch"])
@pytest.mark.parametrize("form", ["difference", "reciprocal"])
def test_gradient_of_the_objective_equals_finite_differences(form, pairs):
    generator = torch.Generator().manual_seed(0)
    embedded, opposite = F.normalize(torch.randn(2, 4, 5, generator=generator, dtype=torch.float64), dim=2)
    similar = F.normalize(torch.randn(4, 2, 5, generator=generator, dtype=torch.float64), dim=2)
    assert torch.autograd.gradcheck(
        lambda e: objective(F.normalize(e, dim=1), similar, opposite, form, 0.1, pairs=pairs), embedded.requires_grad_()
    )


def test_perturbed_images_leave_their_concept_for_the_opposite_one(checkpoint):
    _, run = crafted(checkpoint, make_run(budget=Budget("linf", 32)), images(40), epochs=8, lr=1e-2)
    clean, perturbed = run.notes["cosines"]["clean"], run.notes["cosines"]["perturbed"]
    before, after = (cosines["similar"] - cosines["opposite"] for cosines in (clean, perturbed))
    assert after < before - 0.06
    assert run.notes["losses"][-1] < run.notes["losses"][0]
    assert run.notes["concepts_kept"] < 1


def test_l2_perturbations_have_exactly_the_radius_for_length(checkpoint):
    delta, _ = crafted(checkpoint, make_run(budget=Budget("l2", 2.0)), norm="l2")
    torch.testing.assert_close(delta.flatten(1).norm(dim=1), torch.full((20,), 2.0))


@pytest.mark.parametrize(("norm", "radius"), [("linf", 16), ("l2", 2.0)])
def test_unseen_images_are_perturbed_by_the_trained_generator(checkpoint, norm, radius):
    params = OneForAllParams(checkpoint=checkpoint, norm=norm, **SMALL)
    train = images()
    made = OneForAll(params).craft(train, make_run(budget=Budget(norm, radius)))
    x, delta = torch.from_numpy(train.images.copy()).float() / 255, torch.from_numpy(made.delta)
    again = OneForAll(params).transform(x, torch.zeros(len(train), dtype=torch.int64), made.state)
    torch.testing.assert_close(again, (x + delta).clamp(0, 1), rtol=0, atol=1e-5)
    assert (again - x).abs().max() > 1e-3


def test_concepts_replace_the_names_of_the_classes(checkpoint):
    named, _ = crafted(checkpoint)
    same, _ = crafted(checkpoint, train=images(classes=()), concepts=CLASSES)
    other, _ = crafted(checkpoint, train=images(classes=()), concepts=("cat", "dog", "bus"))
    assert torch.equal(named, same)
    assert not torch.equal(named, other)


def test_images_without_names_are_refused(checkpoint):
    with pytest.raises(UsageError, match="at least two concepts"):
        crafted(checkpoint, train=images(classes=()))


def test_imagenet_names_a_thousand_concepts():
    params = OneForAllParams(clip="RN50", weights="random", concepts=("imagenet",))
    assert len(OneForAll(params)._names(images())) == 1000


def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one(checkpoint):
    check_resumes(lambda memory: crafted(checkpoint, make_run(checkpoint=memory)), steps=2)


def test_windows_show_seven_eighths_of_the_image_and_nothing_beside_it():
    ramp = torch.linspace(0, 1, 64).expand(40, 3, 64, 64)
    seen = windows(ramp, True, torch.Generator().manual_seed(0))
    shown = (seen[:, 0, 0, -1] - seen[:, 0, 0, 0]).abs()
    torch.testing.assert_close(shown, torch.full((40,), 7 / 8), rtol=0, atol=0.03)
    mirrored = seen[:, 0, 0, -1] < seen[:, 0, 0, 0]
    assert 5 < mirrored.sum() < 35
    assert not (windows(ramp, False, torch.Generator().manual_seed(0))[:, 0, 0].diff() < -1e-6).any()


@pytest.mark.parametrize("size", [(16, 16), (10, 14)])
def test_generator_reads_the_condition_and_keeps_the_size(size):
    torch.manual_seed(0)
    generator = ResidualGenerator(4, 1, halvings=3, condition=5).eval()
    x = torch.rand(2, 3, *size)
    one, other = (generator(x, torch.full((2, 5), value)) for value in (0.0, 1.0))
    assert one.shape == x.shape
    assert not torch.equal(one, other)


def test_poisoner_of_names_gets_names_without_labels_and_its_rows_say_so(checkpoint):
    poisoner = f"one-for-all:checkpoint='{checkpoint}'"
    cells = [planned.cell for planned in ucbench.plan(dataset="digits", poisoner=poisoner, victim="linear")]
    (cell,) = [cell for cell in cells if cell.craft.poisoner.spec.name == "one-for-all"]
    assert cell.nature["label_access"] == "names"
    assert str(cell.craft.labels) == "names"
    labelled = images().with_labels(np.zeros(20, np.int64), CLASSES)
    named = craft_labels(cell.craft, labelled, None, None)
    assert named.labels is None
    assert named.classes == CLASSES


def test_released_preset_equals_the_official_settings():
    released = installed().resolve("poisoner", "one-for-all@released").params
    assert (released.clip, released.similar, released.weight) == ("ViT-B-32/openai", 3, 0.1)
    assert (released.width, released.blocks, released.epochs, released.batch) == (64, 24, 200, 30)
    assert (released.lr, released.weight_decay, released.norm) == (1e-3, 5e-4, "l2")
    assert installed().resolve("poisoner", "14a@paper").params.similar == 5
