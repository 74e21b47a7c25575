"""The fast victim and its network as a surrogate: whitening from images, identities, fixed scales."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ucbench import BiLevel, ImageSet, UsageError
from ucbench.data.budget import Budget
from ucbench.testing import make_run, sample_images
from ucbench.testing.samples import NUMERICS
from ucbench.training.engine import Engine
from ucbench_airbench import network
from ucbench_airbench.network import Airbench, AirbenchNet
from ucbench_airbench.params import AirbenchParams, UntrainedAirbenchParams
from ucbench_airbench.surrogate import UntrainedAirbench

TINY = AirbenchParams(width=0.125, epochs=4, batch=20, evaluate_every=4)


def textured(count: int = 400, side: int = 12) -> torch.Tensor:
    noise = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    return (noise + 3 * F.avg_pool2d(noise, 3, 1, 1)) * torch.tensor([3.0, 1.0, 0.5])[:, None, None]


def test_whitened_patches_have_unit_second_moments():
    net, x = AirbenchNet(0.125, 10), textured()
    net.initialize_from(x)
    with torch.no_grad():
        responses = F.conv2d(x, net.whiten.weight).transpose(0, 1).flatten(1)
    moments = responses @ responses.T / responses.shape[1]
    torch.testing.assert_close(moments[:12, :12], torch.eye(12), rtol=0, atol=0.05)
    torch.testing.assert_close(responses[12:], -responses[:12])


@pytest.mark.parametrize(("block", "most"), [(network._BLOCK, 400), (10 * 12 * 12, 10), (1, 1)])
def test_whitening_holds_the_patches_of_one_block_of_images_at_a_time(monkeypatch, block, most):
    counts, unfold, x = [], F.unfold, textured()
    patches = unfold(x, 2).transpose(1, 2).reshape(-1, 12).double()
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    expected = (vectors / (values + 5e-4).sqrt()).T.reshape(12, 3, 2, 2).float()
    monkeypatch.setattr(network, "_BLOCK", block)
    monkeypatch.setattr(F, "unfold", lambda part, size: counts.append(len(part)) or unfold(part, size))
    net = AirbenchNet(0.125, 10)
    net.initialize_from(x)
    assert (sum(counts), max(counts)) == (400, most)
    found = net.whiten.weight[:12]
    if most == 400:
        assert torch.equal(found, expected)
    # The order of sums may turn the sign of a vector.
    torch.testing.assert_close(*(filters.flatten(1).T @ filters.flatten(1) for filters in (found, expected)))


def test_larger_epsilon_amplifies_faint_noise_less():
    smooth = 4 * F.avg_pool2d(torch.randn(400, 3, 28, 28, generator=torch.Generator().manual_seed(0)), 9, 1)
    noise = 0.01 * torch.randn(smooth.shape, generator=torch.Generator().manual_seed(1))
    response = {}
    for epsilon in (5e-4, 0.02):
        net = AirbenchNet(0.125, 10, epsilon)
        net.initialize_from(smooth)
        with torch.no_grad():
            response[epsilon] = F.conv2d(noise, net.whiten.weight).std() / F.conv2d(smooth, net.whiten.weight).std()
    assert response[0.02] < 0.7 * response[5e-4]


def test_whitening_of_grey_images_passes_on_their_grey_and_ignores_colour():
    net, grey = AirbenchNet(0.5, 10), textured().mean(1, keepdim=True).expand(-1, 3, -1, -1)
    net.initialize_from(grey)
    colour = torch.randn(50, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    colour -= colour.mean(1, keepdim=True)
    with torch.no_grad():
        assert net.whiten(colour).abs().max() < 1e-4
        passed_on = net.groups[0].conv1(net.whiten(grey))[:, :24]
    assert passed_on.std((0, 2, 3)).min() > 0.5


def test_the_papers_epsilon_leaves_older_keys_as_they_were():
    assert "whitening_eps" not in AirbenchParams().identity()
    assert AirbenchParams.resolve("airbench", "small").identity()["whitening_eps"] == 0.02


def test_group_starts_as_an_identity_on_the_channels_it_was_given():
    net = AirbenchNet(0.5, 10)
    conv = net.groups[0].conv1
    x = torch.randn(1, 24, 6, 6)
    torch.testing.assert_close(conv(x)[:, :24], x)


def test_training_leaves_filters_and_scales_of_norms_fixed_and_trains_the_rest():
    train = sample_images(60, (16, 16), 3)
    torch.manual_seed(0)
    model = Airbench(TINY).build(3, (16, 16))
    result = Engine(NUMERICS).fit(model, train, TINY, seed=0)
    fresh = AirbenchNet(0.125, 3)
    wrapped = result.model
    fresh.initialize_from((torch.from_numpy(train.images.copy()).float() / 255 - wrapped.mean) / wrapped.std)
    torch.testing.assert_close(model.whiten.weight, fresh.whiten.weight, rtol=1e-4, atol=1e-5)
    assert all((group.norm1.weight == 1).all() and (group.norm2.weight == 1).all() for group in model.groups)
    assert all(group.norm1.bias.abs().max() > 0 for group in model.groups)
    assert model.whiten.bias.abs().max() > 0


def test_airbench_learns_colours_of_classes():
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    images = rng.integers(0, 200, (120, 3, 16, 16), dtype=np.uint8)
    images[np.arange(120), labels] += 55
    train = ImageSet(images, labels, ("red", "green", "blue"))
    torch.manual_seed(0)
    result = Engine(NUMERICS).fit(Airbench(TINY).build(3, (16, 16)), train, TINY, seed=0, evaluate={"train": train})
    assert result.history[-1]["train_accuracy"] >= 90


@pytest.mark.parametrize(("classes", "size"), [(10, (32, 32)), (1000, (64, 64)), (41, (9, 64))])
def test_airbench_takes_any_number_of_classes_and_small_images(classes, size):
    model = Airbench(AirbenchParams(width=0.125)).build(classes, size)
    x = torch.rand(4, 3, *size)
    model.initialize_from(x)
    assert model(x).shape == (4, classes)


def test_airbench_raises_below_nine_pixels():
    with pytest.raises(UsageError, match="9 pixels and more, not 8x32"):
        Airbench(TINY).build(10, (8, 32))


@pytest.mark.parametrize(("preset", "paper"), [("standard", 6), ("full", 11.5)])
def test_rates_are_the_papers_per_summed_example(preset, paper):
    params = AirbenchParams.resolve("airbench", preset)
    unit = 1024 * (1 + 1 / (1 - params.momentum))
    assert params.lr * unit / params.batch == pytest.approx(paper, rel=1e-3)
    assert params.initial_lr / params.lr == pytest.approx(0.2, rel=1e-2)
    assert params.final_lr / params.lr == pytest.approx(0.07, rel=1e-2)
    assert params.weight_decay * paper == pytest.approx(0.0153, rel=1e-2)


def surrogate(**parameters: float) -> UntrainedAirbench:
    return UntrainedAirbench(UntrainedAirbenchParams(width=0.125, **parameters))


def test_surrogate_whitens_with_the_clean_images_own_statistics_as_the_victim_does():
    train = sample_images(40, (12, 12))
    net = surrogate().module(0, train)
    seen = (torch.from_numpy(train.images.copy()).float() / 255 - net.mean) / net.std
    victim = AirbenchNet(0.125, len(train.classes))
    victim.initialize_from(seen)
    torch.testing.assert_close(net.model.whiten.weight, victim.whiten.weight)
    torch.testing.assert_close(seen.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-4)


def test_scores_of_the_surrogate_are_its_head_on_its_features():
    train = sample_images(4, (12, 12))
    net, x = surrogate().module(0, train).eval(), torch.from_numpy(train.images.copy()).float() / 255
    torch.testing.assert_close(net(x), net.model.head(net.features(x)) / 9)


@pytest.mark.parametrize("train", [None, sample_images(size=(8, 12))], ids=["no images", "8 pixels"])
def test_surrogate_without_images_it_can_see_is_a_usage_error(train):
    with pytest.raises(UsageError):
        surrogate().module(0, train)


def test_bi_level_rounds_train_the_surrogate_and_leave_its_whitening_and_scales():
    train = sample_images(24, (12, 12))
    bilevel = BiLevel(train, make_run(budget=Budget("linf", 8), surrogate=surrogate()), lr=0.1)
    net = bilevel.network.model
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    for first in (0, 2):
        bilevel.learn(first, 2, 12)
        assert not any(weight.requires_grad for weight in bilevel.frozen().parameters())
        bilevel.thaw()
    fixed = {name for name, weight in net.named_parameters() if torch.equal(weight, before[name])}
    norms = {f"groups.{group}.norm{norm}.weight" for group in range(3) for norm in (1, 2)}
    assert fixed == {"whiten.weight", *norms}
