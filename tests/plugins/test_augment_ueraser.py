"""UEraser: its fractals, its views, and the loss of the hardest view."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.contrib import diamond_square
from kornia.enhance import equalize, normalize_min_max
from torch import Tensor, nn

from ucbench import seeded
from ucbench.testing import TinySurrogate, make_run
from ucbench_augment import ueraser
from ucbench_augment.params import UEraserParams
from ucbench_augment.ueraser import UEraser

RUN = make_run(stage="train")
CPU = torch.device("cpu")


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 8) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=drawn(7))


class Counting(nn.Module):
    """A network that remembers its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.network = TinySurrogate().module(0)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return self.network(x)


def plain_fractal(uniform: np.ndarray, roughness: float) -> np.ndarray:
    """Diamond-square point by point, over the uniform numbers of one map."""
    grid, last = uniform.astype(np.float64), len(uniform) - 1
    step, random = last, 0.0
    for division in itertools.count(1):
        half = step // 2
        if half == 0:
            return grid
        done = grid.copy()
        for i, j in itertools.product(range(half, last, step), repeat=2):
            mean = np.mean([grid[i + a, j + b] for a in (-half, half) for b in (-half, half)])
            done[i, j] = (1 - random) * mean + random * uniform[i, j]
        grid = done.copy()
        for i, j in itertools.product(range(0, last + 1, half), repeat=2):
            if (i // half + j // half) % 2:
                around = [(i - half, j), (i + half, j), (i, j - half), (i, j + half)]
                mean = np.mean([grid[p] for p in around if min(p) >= 0 and max(p) <= last])
                done[i, j] = (1 - random) * mean + random * uniform[i, j]
        grid, step, random = done, half, roughness**division
    return grid


class TestFractals:
    @pytest.mark.parametrize("size", [(17, 17), (16, 11), (3, 2), (5, 6)])
    def test_fractals_equal_the_plain_algorithm(self, size: tuple[int, int]) -> None:
        roughness = torch.tensor([0.0, 0.3, 0.7, 1.0])
        maps = ueraser.fractals(roughness, size, drawn(), CPU)
        span = max(2, 1 << (max(size) - 2).bit_length()) + 1
        uniform = torch.rand(4, span, span, generator=drawn()).numpy()
        for found, numbers, rough in zip(maps, uniform, roughness, strict=True):
            wanted = plain_fractal(numbers, float(rough))[: size[0], : size[1]]
            np.testing.assert_allclose(found.numpy(), wanted, atol=1e-6)

    @given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
    @settings(max_examples=30)
    def test_fractals_of_any_size_stay_in_range(self, height: int, width: int, roughness: float) -> None:
        maps = ueraser.fractals(torch.full((3,), roughness), (height, width), drawn(), CPU)
        assert maps.shape == (3, height, width)
        assert 0 <= float(maps.min()) <= float(maps.max()) <= 1 + 1e-6

    @pytest.mark.parametrize("rough", [0.3, 0.7])
    def test_fractals_are_distributed_as_those_of_kornia(self, rough: float) -> None:
        roughness = torch.full((900,), rough)
        ours = ueraser.fractals(roughness, (32, 32), drawn(), CPU)
        with seeded(0):
            theirs = diamond_square((900, 1, 32, 32), roughness)[:, 0]
        for statistic in (Tensor.mean, Tensor.std, lambda maps: maps.diff(dim=2).abs().mean()):
            assert float(statistic(ours)) == pytest.approx(float(statistic(theirs)), rel=0.03)

    def test_fractals_neighbours_differ_with_roughness(self) -> None:
        maps = ueraser.fractals(torch.tensor([0.1, 0.9]).repeat(50), (32, 32), drawn(), CPU)
        difference = maps.diff(dim=2).abs().mean((1, 2)).view(50, 2).mean(0)
        assert difference[1] > 3 * difference[0]


class TestChanges:
    def test_fractal_brightness_reaches_its_intensity(self) -> None:
        x = torch.full((200, 3, 16, 16), 0.5)
        intensity = torch.tensor([0.1, 0.4]).repeat(100)
        change = ueraser.fractal_brightness(x, torch.full((200,), 0.5), intensity, drawn()) - x
        reach = change.abs().flatten(1).amax(1).view(100, 2).amax(0)
        assert 0.08 < float(reach[0]) <= 0.1 + 1e-6
        assert 0.3 < float(reach[1]) <= 0.4 + 1e-6
        assert float(change.mean()) == pytest.approx(0, abs=0.02)
        assert not torch.allclose(change[:, 0], change[:, 1])

    def test_fractal_contrast_keeps_mid_grey_and_spreads_the_rest(self) -> None:
        grey = torch.full((4, 3, 8, 8), 0.5)
        assert torch.equal(ueraser.fractal_contrast(grey, torch.full((4,), 0.5), drawn()), grey)
        factors = (ueraser.fractal_contrast(grey + 0.1, torch.full((4,), 0.5), drawn()) - 0.5) / 0.1
        assert 0 <= float(factors.min()) < 1.5
        assert 2.5 < float(factors.max()) <= 4 + 1e-5

    def test_shuffle_gives_every_order_of_channels(self) -> None:
        x = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(300, 3, 2, 2)
        out = ueraser._shuffled(x, drawn())
        orders = {tuple(image[:, 0, 0].tolist()) for image in out}
        assert orders == set(itertools.permutations((1.0, 2.0, 3.0)))
        assert torch.equal(out, out[:, :, :1, :1].expand_as(out))


class TestKorniaViews:
    def test_kornia_views_repeat_from_the_generator_and_restore_the_global_one(self) -> None:
        component = UEraser(UEraserParams(views="kornia"))
        before = torch.get_rng_state()
        view = component.view(images(40), drawn())
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(5)
        assert torch.equal(component.view(images(40), drawn()), view)
        assert not torch.equal(component.view(images(40), drawn(1)), view)
        assert 0 <= float(view.min()) <= float(view.max()) <= 1

    def test_kornia_views_draw_an_operation_per_image(self) -> None:
        x = (0.2 + 0.5 * images(1)).repeat(600, 1, 1, 1)
        out = UEraser(UEraserParams(views="kornia", probability=0)).view(x, drawn())
        # One operation of twelve stretches the contrast, one evens out the histogram.
        for operation in (normalize_min_max, equalize):
            chosen = torch.isclose(out, operation(x), atol=1e-5).flatten(1).all(1)
            assert float(chosen.float().mean()) == pytest.approx(1 / 12, abs=0.05)

    def test_kornia_views_have_finite_gradients(self) -> None:
        x = images(200).requires_grad_()
        UEraser(UEraserParams(views="kornia")).view(x, drawn()).sum().backward()
        assert torch.isfinite(x.grad).all()
        assert float((x.grad != 0).flatten(1).any(1).float().mean()) > 0.6


class TestLoss:
    def test_loss_is_the_mean_of_every_images_largest_loss(self) -> None:
        x, targets, model = images(), torch.rand(8, 10).softmax(1), TinySurrogate().module(0)
        component = UEraser(UEraserParams(copies=4))
        found = component.loss(model, x, targets, RUN, drawn())
        views = component.view(torch.cat([x] * 4), drawn()).split(8)
        found = found.detach()
        model.requires_grad_(False)
        worst = [
            max(float(F.cross_entropy(model(view[b : b + 1]), targets[b : b + 1])) for view in views) for b in range(8)
        ]
        assert float(found) == pytest.approx(np.mean(worst), rel=1e-5)

    def test_loss_has_gradients_only_in_the_hardest_views(self) -> None:
        x, targets, model = images(), torch.eye(10)[:8], Counting()
        loss = UEraser(UEraserParams(copies=5)).loss(model, x.requires_grad_(), targets, RUN, drawn())
        model.seen[0].retain_grad()
        loss.backward()
        reached = (model.seen[0].grad != 0).flatten(1).any(1).view(5, 8)
        assert reached.sum(0).tolist() == [1] * 8
        assert (x.grad != 0).any()

    def test_loss_takes_one_view_after_the_given_epochs(self) -> None:
        model, run = Counting(), make_run(stage="train")
        component = UEraser(UEraserParams(copies=3, epochs=2))
        for run.epoch in (1, 2, 3, 2):
            component.loss(model, images(), torch.eye(10)[:8], run, drawn())
        assert [len(seen) for seen in model.seen] == [24, 24, 8, 24]

    @pytest.mark.parametrize(("epochs", "hard"), [(200, 60), (30, 9), (6, 2), (1, 0)])
    def test_share_of_hard_epochs_follows_the_recipe(self, epochs: int, hard: int) -> None:
        model, run = Counting(), make_run(stage="train")
        component = UEraser(UEraserParams.resolve("ueraser", "released", options={"copies": 2}))
        run.epochs = epochs
        for run.epoch in range(1, epochs + 1):
            component.loss(model, images(2), torch.eye(10)[:2], run, drawn())
        assert [len(seen) for seen in model.seen] == [4] * hard + [2] * (epochs - hard)

    @pytest.mark.parametrize(
        ("preset", "views"), [("lite", [1, 1, 1]), ("standard", [5, 1, 1]), ("released", [5, 5, 1]), ("max", [5, 5, 5])]
    )
    def test_presets_number_of_views(self, preset: str, views: list[int]) -> None:
        model, run = Counting(), make_run(stage="train")
        component = UEraser(UEraserParams.resolve("ueraser", preset))
        run.epochs = 200  # of the publication
        for run.epoch in (50, 60, 61):
            component.loss(model, images(), torch.eye(10)[:8], run, drawn())
        assert [len(seen) / 8 for seen in model.seen] == views

    def test_views_of_one_image_differ(self) -> None:
        views = UEraser(UEraserParams()).view(images(1).repeat(16, 1, 1, 1), drawn())
        assert len({view.numpy().tobytes() for view in views}) == 16

    def test_loss_is_full_precision_under_autocast(self) -> None:
        model, plain = Counting(), Counting()
        targets = torch.eye(10)[:8]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = UEraser(UEraserParams()).loss(model, images(), targets, RUN, drawn())
        UEraser(UEraserParams()).loss(plain, images(), targets, RUN, drawn())
        assert loss.dtype == torch.float32
        assert torch.equal(model.seen[0], plain.seen[0])
