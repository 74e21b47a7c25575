"""A pipeline of defenses: stages in the contract's order, parts in the exploiter's."""

from __future__ import annotations

import itertools

import pytest
import torch

from ucbench.data.imageset import ImageSet
from ucbench.errors import ContractError, UsageError
from ucbench.testing import make_run, sample_images
from ucbench.training.defenses import DefensePipeline

GENERATOR = torch.Generator()


class Affine:
    """Multiplies and adds in every stage, so that the order shows."""

    def __init__(self, factor: float, term: float) -> None:
        self.factor, self.term = factor, term

    def _apply(self, x):
        return self.factor * x + self.term

    def prepare(self, train, run):
        return train.with_images(self._apply(train.images.astype(int)).astype("uint8"))

    def augment(self, x, run, generator):
        return self._apply(x)

    def mix(self, x, targets, run, generator):
        return self._apply(x), self._apply(targets)

    def at_test(self, x):
        return self._apply(x)


class Loss:
    def loss(self, model, x, targets, run, generator):
        return torch.tensor(7.0)


@pytest.mark.parametrize("parts", list(itertools.permutations([Affine(2, 0), Affine(1, 3), Loss()])))
def test_pipeline_runs_each_stage_in_written_order(parts):
    pipeline = DefensePipeline([(type(part).__name__, part) for part in parts])
    doubled_first = parts.index(next(p for p in parts if getattr(p, "factor", 0) == 2)) < parts.index(
        next(p for p in parts if getattr(p, "term", 0) == 3)
    )
    expected = 2 * 5 + 3 if doubled_first else 2 * (5 + 3)
    run, x = make_run(stage="train"), torch.full((2, 3, 4, 4), 5.0)
    images = sample_images()
    fives = images.with_images(images.images * 0 + 5)
    assert set(pipeline.prepare(fives, run).images.flatten().tolist()) == {expected}
    assert set(pipeline.augment(x, run, GENERATOR).flatten().tolist()) == {expected}
    assert set(pipeline.at_test(x).flatten().tolist()) == {expected}
    mixed, targets = pipeline.mix(x, torch.full((2, 3), 5.0), run, GENERATOR)
    assert set(mixed.flatten().tolist()) == set(targets.flatten().tolist()) == {expected}
    assert pipeline.loss is not None
    assert pipeline.loss(None, x, targets, run, GENERATOR) == 7


def test_empty_pipeline_changes_nothing():
    pipeline, run, x = DefensePipeline(), make_run(stage="train"), torch.rand(2, 3, 4, 4)
    images, targets = sample_images(), torch.eye(3)
    assert pipeline.prepare(images, run) is images
    assert pipeline.augment(x, run, GENERATOR) is x
    assert pipeline.mix(x, targets, run, GENERATOR) == (x, targets)
    assert pipeline.at_test(x) is x
    assert pipeline.loss is None
    assert len(pipeline) == 0


def test_pipeline_raises_on_two_defenses_that_own_the_loss():
    with pytest.raises(UsageError, match="may replace the loss, but adversarial-training and peer both do"):
        DefensePipeline([("adversarial-training", Loss()), ("blur", Affine(1, 0)), ("peer", Loss())])


class Returning:
    """Returns what ``change`` makes of the images of a batch, or in ``mix`` of images and targets."""

    def __init__(self, change, mixed=None) -> None:
        self.augment = lambda x, run, generator: change(x)
        self.at_test = change
        self.mix = lambda x, targets, run, generator: (change(x), targets) if mixed is None else mixed(x, targets)


WRONG_IMAGES = pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda x: None, "Got NoneType"),
        (lambda x: x.numpy(), r"Got float32 \[2, 3, 4, 4\]"),
        (lambda x: x[1:], r"Got torch.float32 \[1, 3, 4, 4\]"),
        (lambda x: x.double(), r"Got torch.float64 \[2, 3, 4, 4\]"),
        (lambda x: 255 * torch.ones_like(x), "Values run from 255 to 255"),
        (lambda x: x * float("nan"), "Values run from nan to nan"),
        (lambda x: x.fill_(255), "Values run from 255 to 255"),
    ],
)


@WRONG_IMAGES
@pytest.mark.parametrize("through", [False, True])
def test_wrong_images_of_augment_are_an_error_that_names_the_defense(change, found, through):
    loss = Loss()
    loss.through = through
    loss.loss = lambda model, x, targets, run, generator: model(x).mean()
    pipeline = DefensePipeline([("dim", Affine(0.5, 0)), ("wrong:k=1", Returning(change)), ("attacked", loss)])
    run, x = make_run(stage="train"), torch.rand(2, 3, 4, 4)
    rule = r"Defense wrong:k=1: augment\(\) must return float32 images \[2, 3, 4, 4\] in \[0, 1\]\. "
    with pytest.raises(ContractError, match=f"^{rule}{found}\\.$"):
        pipeline.loss(torch.nn.Flatten(), pipeline.augment(x, run, GENERATOR), None, run, GENERATOR)


def test_only_the_first_batch_of_a_training_is_checked(monkeypatch):
    checked = []
    monkeypatch.setattr("ucbench.training.defenses.misfit", lambda x, returned: checked.append(len(x)) or "")
    pipeline, run = DefensePipeline([("dim", Affine(0.5, 0)), ("flat", Affine(0, 1))]), make_run(stage="train")
    for count in (2, 3):
        pipeline.augment(torch.rand(count, 3, 4, 4), run, GENERATOR)
    assert checked == [2, 2]
    for count in (4, 5):
        pipeline.mix(torch.rand(count, 3, 4, 4), torch.full((count, 3), 5.0), run, GENERATOR)
        pipeline.at_test(torch.rand(count, 3, 4, 4))
    assert checked == [2, 2, 4, 4, 4, 4]


@WRONG_IMAGES
@pytest.mark.parametrize("stage", ["mix", "at_test"])
def test_wrong_images_of_mix_and_at_test_are_errors_that_name_the_defense(change, found, stage):
    pipeline = DefensePipeline([("fine", Returning(torch.sqrt)), ("wrong:k=1", Returning(change))])
    x = torch.rand(2, 3, 4, 4)
    rule = rf"Defense wrong:k=1: {stage}\(\) must return float32 images \[2, 3, 4, 4\] in \[0, 1\]\. "
    with pytest.raises(ContractError, match=f"^{rule}{found}\\.$"):
        pipeline.at_test(x) if stage == "at_test" else pipeline.mix(x, torch.eye(2), make_run(stage="train"), GENERATOR)


def test_second_of_two_equally_named_parts_is_checked_too():
    pipeline = DefensePipeline([("same", Returning(lambda x: x)), ("same", Returning(lambda x: 255 * x + 1))])
    with pytest.raises(ContractError, match="Defense same: at_test"):
        pipeline.at_test(torch.rand(2, 3, 4, 4))


TARGETS = r"mix\(\) must return float32 targets \[2, 2\] that are probabilities\. "


@pytest.mark.parametrize(
    ("mixed", "said"),
    [
        (lambda x, targets: x, r"mix\(\) must return images and targets\. Got torch.float32 \[2, 3, 4, 4\]"),
        (lambda x, targets: (x, targets, 0.5), r"mix\(\) must return images and targets\. Got .*, float"),
        (lambda x, targets: (x, targets.argmax(1)), rf"{TARGETS}Got torch.int64 \[2\]"),
        (lambda x, targets: (x, targets.double()), rf"{TARGETS}Got torch.float64 \[2, 2\]"),
        (lambda x, targets: (x, 2 * targets), f"{TARGETS}Rows sum to 2 to 2, the smallest value is 0"),
        (lambda x, targets: (x, targets.mul_(2)), f"{TARGETS}Rows sum to 2 to 2, the smallest value is 0"),
        (lambda x, targets: (x, 2 * targets - 0.5), f"{TARGETS}Rows sum to 1 to 1, the smallest value is -0.5"),
        (lambda x, targets: (x, targets * float("nan")), f"{TARGETS}Rows sum to nan to nan, the smallest value is nan"),
    ],
)
def test_wrong_targets_of_mix_are_an_error_that_names_the_defense(mixed, said):
    pipeline = DefensePipeline([("wrong:k=1", Returning(None, mixed))])
    with pytest.raises(ContractError, match=f"^Defense wrong:k=1: {said}\\.$"):
        pipeline.mix(torch.rand(2, 3, 4, 4), torch.eye(2), make_run(stage="train"), GENERATOR)


class TestThrough:
    """A loss with ``through`` gets a model that augments, instead of augmented images."""

    class Attack:
        through = True

        def loss(self, model, x, targets, run, generator):
            return torch.stack([model(x), model(x.clone().requires_grad_())])

    class Draw:
        def augment(self, x, run, generator):
            return x + torch.rand((), generator=generator)

    class Rounded:
        def augment(self, x, run, generator):
            return x.detach().round()

    def test_augmentations_act_in_the_model_and_not_before(self):
        pipeline = DefensePipeline([("draw", self.Draw()), ("attack", self.Attack()), ("double", Affine(2, 0))])
        run, x, generator = make_run(stage="train"), torch.full((2, 3, 4, 4), 5.0), torch.Generator().manual_seed(0)
        assert pipeline.augment(x, run, generator) is x
        values = pipeline.loss(torch.nn.Identity(), x, None, run, generator)
        draws = torch.rand(2, generator=torch.Generator().manual_seed(0)).view(2, 1, 1, 1, 1)
        torch.testing.assert_close(values, 2 * (5 + draws).expand(2, 2, 3, 4, 4))

    def test_augmentation_without_gradient_is_named(self):
        pipeline = DefensePipeline([("draw", self.Draw()), ("round", self.Rounded()), ("attack", self.Attack())])
        with pytest.raises(UsageError, match="No attack can go through the defense round: it passes no gradient"):
            pipeline.loss(torch.nn.Identity(), torch.zeros(1, 3, 2, 2), None, make_run(stage="train"), GENERATOR)

    def test_augmentations_stay_in_float32_under_autocast(self):
        seen = []

        class Matrix:
            def augment(self, x, run, generator):
                seen.append((x @ x).dtype)
                return x

        pipeline = DefensePipeline([("matrix", Matrix()), ("attack", self.Attack())])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            pipeline.loss(torch.nn.Identity(), torch.rand(1, 3, 2, 2), None, make_run(stage="train"), GENERATOR)
        assert seen == [torch.float32] * 2

    def test_test_images_stay_in_float32_under_autocast(self):
        class Matrix:
            def at_test(self, x):
                return x @ torch.eye(2)

        x = torch.rand(1, 3, 2, 2)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(DefensePipeline([("matrix", Matrix())]).at_test(x), x)


def test_pipeline_refuses_a_defense_without_any_stage():
    """Else it would look like one that does not help."""

    class Misspelt:
        def augmnt(self, x, run, generator):
            return x

    with pytest.raises(UsageError, match="typo does nothing: its class has none of the methods prepare, augment"):
        DefensePipeline([("typo", Misspelt())])


def test_pipeline_makes_soft_targets_only_when_a_defense_reads_them():
    class Blur:
        def augment(self, x, run, generator):
            return x

    assert not DefensePipeline([("blur", Blur())]).soft_targets
    assert DefensePipeline([("blur", Blur()), ("mixup", Affine(1, 0))]).soft_targets
    assert DefensePipeline([("loss", Loss())]).soft_targets


@pytest.mark.parametrize(
    "returned",
    [lambda train: train.subset([0, 1]), lambda train: train.images, lambda train: None],
    ids=["fewer", "array", "nothing"],
)
def test_pipeline_raises_when_prepare_changes_the_image_count(returned):
    class Dropping:
        def prepare(self, train: ImageSet, run: object) -> object:
            return returned(train)

    pipeline = DefensePipeline([("sieve", Dropping())])
    with pytest.raises(ContractError, match=r"Defense sieve: prepare\(\) must return .* same 13 images"):
        pipeline.prepare(sample_images(), make_run(stage="train"))


def test_pipeline_raises_on_two_defenses_that_select_the_epoch():
    class Selects:
        def select(self, scores):
            return 0

    with pytest.raises(UsageError, match="may select the epoch, but first and second both do"):
        DefensePipeline([("first", Selects()), ("second", Selects())])
