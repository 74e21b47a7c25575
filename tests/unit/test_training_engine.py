"""The training engine: what is learned follows from the seed, the recipe and the data, and from nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ucbench.data.imageset import ImageSet
from ucbench.errors import ContractError, UsageError
from ucbench.numerics import Numerics
from ucbench.testing import make_run, sample_images
from ucbench.training.defenses import DefensePipeline
from ucbench.training.determinism import seeded
from ucbench.training.engine import DivergedError, Engine, TrainResult
from ucbench.training.recipe import Recipe, learning_rate

ENGINE = Engine(Numerics("cpu", "float32", threads=1))
#: Options of a recipe, with values other than their defaults.
CHANGED = {
    "epochs": 2,
    "batch": 5,
    "lr": 0.1,
    "momentum": 0.5,
    "nesterov": True,
    "weight_decay": 0.05,
    "schedule": "linear",
    "final_lr": 0.01,
    "warmup": 0.5,
    "bias_lr": 4.0,
    "clip_norm": 1e-3,
    "label_smoothing": 0.2,
    "lookahead": 2,
    "crop": 0.25,
    "border": "reflect",
    "enlarge": 1.25,
    "flip": "alternate",
    "normalize": "half",
}
#: Options that change no weight by themselves: test_training_schedules and test_training_views test most of them.
DEPENDENT = {"initial_lr", "milestones", "gamma", "evaluate_every", "test_views"}


def small(classes: int = 3, dropout: float = 0.0, seed: int = 0) -> nn.Sequential:
    with seeded(seed):
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(64, classes),
        )


def fit(
    recipe: Recipe | None = None,
    train: ImageSet | None = None,
    seed: int = 0,
    defenses: tuple[tuple[str, object], ...] = (),
    dropout: float = 0.0,
    **options: object,
) -> TrainResult:
    return ENGINE.fit(
        small(dropout=dropout),
        train or sample_images(21, (8, 12)),
        recipe or Recipe(epochs=2, batch=8),
        seed=seed,
        run=make_run(stage="train") if defenses else None,
        defenses=DefensePipeline(defenses),
        **options,
    )


def weights(result: TrainResult) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in result.model.state_dict().values())


def test_history_lr_is_the_rate_of_the_epochs_last_step():
    recipe = Recipe(epochs=3, batch=8, lr=0.1, evaluate_every=2)
    history = fit(recipe).history
    assert [point["epoch"] for point in history] == [2, 3]
    assert [point["lr"] for point in history] == [learning_rate(recipe, step, 3) for step in (5, 8)]


class TestRepeating:
    def test_fit_repeats_exactly_for_one_seed(self):
        assert weights(fit()) == weights(fit())

    def test_fit_differs_for_another_seed(self):
        assert weights(fit(seed=1)) != weights(fit(seed=0))

    def test_fit_ignores_global_generators_with_dropout(self):
        with seeded(1):
            first = weights(fit(dropout=0.5))
        with seeded(2):
            assert weights(fit(dropout=0.5)) == first

    def test_fit_leaves_global_generators_unchanged(self):
        before = torch.get_rng_state()
        fit(dropout=0.5)
        assert torch.equal(torch.get_rng_state(), before)

    def test_evaluation_between_epochs_changes_nothing(self):
        recipe = Recipe(epochs=3, batch=8, evaluate_every=1)
        capture_features = fit(recipe, dropout=0.5, evaluate={"test": sample_images(9, (8, 12), seed=1)})
        assert weights(capture_features) == weights(fit(recipe, dropout=0.5))
        assert len(capture_features.history) == 3

    def test_fit_modifies_neither_images_nor_labels(self):
        train = sample_images(21, (8, 12))
        kept = train.images.copy(), train.known_labels.copy()
        fit(train=train)
        np.testing.assert_array_equal(train.images, kept[0])
        np.testing.assert_array_equal(train.known_labels, kept[1])


class TestRecipe:
    @pytest.mark.parametrize("option", CHANGED)
    def test_fit_learns_other_weights_for_another_value_of_an_option(self, option):
        base = Recipe(epochs=3, batch=8)
        changed = base.model_copy(update={option: CHANGED[option]})
        assert weights(fit(changed)) != weights(fit(base))

    def test_every_option_is_tried_or_changes_nothing_by_itself(self):
        assert CHANGED.keys() | DEPENDENT == Recipe.model_fields.keys()

    def test_flip_follows_the_flag_of_the_image_set(self):
        one_way = ImageSet(*(getattr(sample_images(21, (8, 12)), name) for name in ("images", "labels", "classes")))
        mirrored, kept = (
            weights(fit(Recipe(epochs=1, batch=8, crop=0.0, flip=flip), one_way)) for flip in ("always", "never")
        )
        assert mirrored != kept
        for flip, expected in ((True, mirrored), (False, kept)):
            train = ImageSet(one_way.images, one_way.labels, one_way.classes, flip=flip)
            assert weights(fit(Recipe(epochs=1, batch=8, crop=0.0, flip="auto"), train)) == expected

    def test_crop_is_a_share_of_the_shorter_side(self):
        seen: list[torch.Tensor] = []
        recipe = Recipe(epochs=1, batch=21, crop=0.25, flip="never", normalize="none")
        white = ImageSet(np.full((200, 3, 8, 12), 255, np.uint8), np.arange(200) % 3, ("a", "b", "c"))
        fit(recipe, white, defenses=(("recording", Recording(seen)),))
        black = torch.cat(seen)[:, 0] == 0
        assert int(black.any(2).sum(1).max()) == 8  # a whole column is black somewhere
        assert int(black.all(2).sum(1).max()) == 2  # rows: a quarter of 8
        assert int(black.all(1).sum(1).max()) == 2  # columns: a quarter of 8, not of 12

    def test_gradients_are_clipped_to_the_norm(self):
        before = small().state_dict()
        recipe = Recipe(epochs=1, batch=21, lr=1.0, momentum=0, weight_decay=0, schedule="constant", clip_norm=1e-3)
        model = fit(recipe).model.model
        moved = [(after.detach() - before[name]).flatten() for name, after in model.named_parameters()]
        assert float(torch.cat(moved).norm()) == pytest.approx(1e-3, rel=1e-2)

    def test_fit_returns_an_eval_model_that_takes_pixels(self):
        result = fit()
        assert not result.model.training
        x = torch.rand(1, 3, 8, 12)
        torch.testing.assert_close(result.model(x), result.model.model((x - result.model.mean) / result.model.std))

    def test_epoch_loss_is_the_mean_over_images(self):
        train = sample_images(21, (8, 12))
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 12, 3))
        logits = model(torch.from_numpy(train.images.copy()).float() / 255)
        expected = F.cross_entropy(logits, torch.from_numpy(train.known_labels.copy())).item()
        recipe = Recipe(epochs=1, batch=5, lr=1e-12, crop=0.0, flip="never", normalize="none")
        assert ENGINE.fit(model, train, recipe, seed=0).history[0]["loss"] == pytest.approx(expected, rel=1e-5)

    def test_fit_learns_separable_classes(self):
        train = sample_images(60, (8, 12))
        result = fit(Recipe(epochs=8, batch=10, evaluate_every=1), train, evaluate={"train": train})
        assert result.history[-1]["train_accuracy"] >= 90
        assert result.history[-1]["loss"] < result.history[0]["loss"] / 2

    @pytest.mark.parametrize("batch", [1, 2, 5, 8, 100])
    def test_fit_reports_every_step(self, batch):
        steps: list[int] = []
        fit(Recipe(epochs=2, batch=batch), progress=steps.append)
        assert len(steps) == 2 * max(1, min(math.ceil(21 / batch), 21 // 2))


class Recording:
    """A defense that remembers what it is given and changes nothing."""

    def __init__(self, seen: list[torch.Tensor]) -> None:
        self.seen = seen

    def augment(self, x, run, generator):
        self.seen.append(x.clone())
        return x


class KeepTargets:
    """Mixes nothing, but turns targets into probabilities on the way."""

    def mix(self, x, targets, run, generator):
        assert targets.shape == (len(x), 3)
        return x, targets


class OwnLoss:
    """The recipe's loss without its smoothing, which the targets bring."""

    def loss(self, model, x, targets, run, generator):
        return F.cross_entropy(model(x), targets)


class TestTargets:
    @pytest.mark.parametrize("smoothing", [0.0, 0.2])
    def test_one_hot_targets_train_as_class_labels(self, smoothing):
        recipe = Recipe(epochs=2, batch=8, label_smoothing=smoothing)
        hard = fit(recipe)
        for defense in (KeepTargets(), OwnLoss()):
            soft = fit(recipe, defenses=(("soft", defense),))
            for name, tensor in hard.model.state_dict().items():
                torch.testing.assert_close(soft.model.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)

    def test_defenses_draw_from_the_training_seed(self):
        class Noise:
            def augment(self, x, run, generator):
                return 0.9 * x + 0.1 * torch.rand(x.shape, generator=generator)

        noisy = (("noise", Noise()),)
        assert weights(fit(defenses=noisy)) == weights(fit(defenses=noisy))
        assert weights(fit(defenses=noisy)) != weights(fit())

    def test_fit_raises_on_defenses_without_a_run(self):
        with pytest.raises(UsageError, match="pass run="):
            ENGINE.fit(
                small(),
                sample_images(21, (8, 12)),
                Recipe(epochs=1),
                seed=0,
                defenses=DefensePipeline([("soft", KeepTargets())]),
            )


class TestDiverging:
    def test_fit_raises_on_a_non_finite_loss(self):
        class Broken:  # after the first batch, in which its images are checked
            batches = 0

            def mix(self, x, targets, run, generator):
                self.batches += 1
                return (x if self.batches == 1 else x * torch.nan), targets

        with pytest.raises(DivergedError, match="diverged in epoch 1: the mean loss is nan"):
            fit(defenses=(("broken", Broken()),))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return fit().model


class TestPredicting:
    @pytest.mark.parametrize("batch", [1, 4, 9])
    def test_predict_is_independent_of_the_batch_size(self, model, batch):
        images = sample_images(9, (8, 12), seed=1)
        np.testing.assert_array_equal(ENGINE.predict(model, images, batch=batch), ENGINE.predict(model, images))

    @pytest.mark.parametrize("mode", [True, False])
    def test_predict_keeps_mode_and_weights(self, model, mode):
        before = [tensor.clone() for tensor in model.state_dict().values()]
        predicted = ENGINE.predict(model.train(mode), sample_images(9, (8, 12), seed=1))
        assert model.training is mode
        assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values(), strict=True))
        assert (predicted.shape, predicted.dtype) == ((9,), np.int64)

    def test_predict_applies_test_time_defenses(self, model):
        class Black:
            def at_test(self, x):
                return torch.zeros_like(x)

        images = sample_images(9, (8, 12), seed=1)
        black = ENGINE.predict(model, images.with_images(np.zeros_like(images.images)))
        np.testing.assert_array_equal(ENGINE.predict(model, images, DefensePipeline([("black", Black())])), black)

    def test_predict_works_without_labels(self, model):
        images = sample_images(9, (8, 12), seed=1)
        np.testing.assert_array_equal(ENGINE.predict(model, images.with_labels(None)), ENGINE.predict(model, images))


def test_bfloat16_keeps_weights_and_losses_in_float32():
    engine = Engine(Numerics("cpu", "bfloat16", threads=1))
    dtypes: set[torch.dtype] = set()

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.inner(x)
            dtypes.add(out.dtype)
            return out

    result = engine.fit(Watching(), sample_images(21, (8, 12)), Recipe(epochs=1, batch=8), seed=0)
    assert dtypes == {torch.bfloat16}
    assert {weight.dtype for weight in result.model.parameters()} == {torch.float32}


class Selecting:
    """Keeps the given epoch, once that is over."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.heard: list[tuple[float, ...]] = []

    def select(self, scores):
        self.heard.append(scores)
        return min(len(scores) - 1, self.wanted)


def test_fit_restores_the_weights_of_the_selected_epoch():
    trusted = sample_images(9, (8, 12), seed=5)
    recipe = Recipe(epochs=4, batch=8, schedule="constant")
    chosen = Selecting(1)
    result = fit(recipe, defenses=(("best", chosen),), trusted=trusted)
    stopped = fit(recipe.model_copy(update={"epochs": 2}))
    for name, tensor in stopped.model.state_dict().items():
        assert torch.equal(result.model.state_dict()[name], tensor), name
    accuracies = chosen.heard[-1]
    assert [len(scores) for scores in chosen.heard] == [1, 2, 3, 4]
    predicted = ENGINE.predict(result.model, trusted)
    assert accuracies[1] == pytest.approx(100 * (predicted == trusted.known_labels).mean())


def test_accuracies_of_epochs_are_of_images_as_the_defenses_show_them_at_test():
    """All black, so that every image gets the same class; without the defense most are recognised."""

    class Black:
        def at_test(self, x):
            return torch.zeros_like(x)

    images, last = sample_images(60, (8, 12)), Selecting(99)
    result = fit(
        Recipe(epochs=4, batch=10),
        images,
        defenses=(("black", Black()), ("last", last)),
        evaluate={"test": images},
        trusted=images,
    )
    assert (ENGINE.predict(result.model, images) == images.known_labels).mean() > 0.6
    assert result.history[-1]["test_accuracy"] == last.heard[-1][-1] == pytest.approx(100 / 3)


def test_fit_sets_the_epoch_and_their_number_for_defenses():
    class Watching:
        def __init__(self):
            self.seen = []

        def augment(self, x, run, generator):
            self.seen.append((run.epoch, run.epochs))
            return x

    watching = Watching()
    fit(Recipe(epochs=3, batch=21), defenses=(("watching", watching),))
    assert watching.seen == [(1, 3), (2, 3), (3, 3)]


def test_fit_raises_when_the_selected_epoch_was_not_kept():
    class Fickle:
        def select(self, scores):
            return (0, 1, 0)[len(scores) - 1]

    trusted = sample_images(9, (8, 12), seed=5)
    with pytest.raises(ContractError, match=r"select\(\) returned epoch 0; it may return the last one, 2, or 1 again"):
        fit(Recipe(epochs=3, batch=8), defenses=(("fickle", Fickle()),), trusted=trusted)


def test_fit_raises_on_epoch_selection_without_a_trusted_set():
    with pytest.raises(UsageError, match="needs a trusted set"):
        fit(defenses=(("best", Selecting(0)),))


def test_compiled_engine_trains_the_same_and_leaves_a_defenses_loss_alone(monkeypatch):
    """Traced as for a GPU, but run by torch itself: generating code takes a minute."""
    traced, compiler = [], torch.compile

    def compiled(module, **options):
        traced.append(options)
        return compiler(module, backend="eager", dynamic=options["dynamic"])

    monkeypatch.setattr(torch, "compile", compiled)
    engine = Engine(Numerics("cpu", "float32", threads=1, compiled=True))
    recipe, images = Recipe(epochs=2, batch=8), sample_images(21, (8, 12))
    result = engine.fit(small(), images, recipe, seed=0)
    assert weights(result) == weights(fit(recipe, images))
    assert traced == [{"mode": "reduce-overhead", "dynamic": False}]
    engine.fit(
        small(), images, recipe, seed=0, run=make_run(stage="train"), defenses=DefensePipeline([("own", OwnLoss())])
    )
    assert len(traced) == 1
