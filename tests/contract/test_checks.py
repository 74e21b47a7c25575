"""The contract checks find what they are there to find, and say which rule was broken."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from kornia.augmentation.auto import TrivialAugment
from torch import nn

import ucbench
from ucbench import (
    ContractError,
    DataError,
    DefenseSpec,
    LabelingSpec,
    MetricSpec,
    Perturbation,
    PoisonerSpec,
    Recipe,
    SurrogateSpec,
    UsageError,
    seeded,
)
from ucbench.plugins.registry import installed
from ucbench.testing import (
    TinySurrogate,
    check_dataset,
    check_defense,
    check_labeling,
    check_metric,
    check_poisoner,
    check_surrogate,
    check_victim,
    sample_images,
)


def writable(images: ucbench.ImageSet) -> np.ndarray:
    """The pixels as torch.from_numpy would let one write to them."""
    array = images.images
    while not array.flags.writeable:
        array = array.base
    return array


def test_samples_hold_every_class_and_extreme_pixels():
    images = sample_images(7, (4, 9), classes=5, seed=3)
    assert images.images.shape == (7, 3, 4, 9)
    assert set(images.known_labels.tolist()) == set(range(5))
    assert images.images[0].max() == 0
    assert images.images[-1].min() == 255
    assert images.fingerprint == sample_images(7, (4, 9), classes=5, seed=3).fingerprint
    assert images.fingerprint != sample_images(7, (4, 9), classes=5, seed=4).fingerprint


def test_check_raises_on_a_component_of_another_kind():
    with pytest.raises(UsageError, match="clean is a poisoner, and this check is for a victim"):
        check_victim(installed().resolve("poisoner", "clean"))


class TestPoisoners:
    class Good:
        """One random perturbation a class."""

        scale = 1.0

        def craft(self, train, run):
            noise = torch.rand((len(train.classes), 3, *train.size), generator=run.generator("noise")).numpy()
            return Perturbation(np.float32(run.budget.radius) * (2 * noise - 1), train.known_labels)

        def assign(self, images, labels, state, run):
            return labels

    SPEC = PoisonerSpec(name="good", summary="", load="", label_access="full", granularity="class")

    def refused(self, poisoner, text, **fields):
        with pytest.raises(ContractError, match=text):
            check_poisoner(poisoner, spec=dataclasses.replace(self.SPEC, **fields))

    def test_conforming_component_passes(self):
        check_poisoner(self.Good(), spec=self.SPEC)

    @pytest.mark.parametrize("norm", ["l2", "l0"])
    def test_other_norms_need_a_default_radius(self, norm):
        self.refused(self.Good(), f"must name the native_epsilon of its norm. A budget in {norm} needs", budget=norm)

    def test_budget_violation_is_found(self):
        class Loud(self.Good):
            def craft(self, train, run):
                good = super().craft(train, run)
                return Perturbation(2 * good.delta, good.index)

        self.refused(Loud(), r"poisoner .*Loud: The perturbation exceeds its budget \(linf 8\)")
        check_poisoner(Loud(), spec=dataclasses.replace(self.SPEC, projects=True))

    def test_given_budget_ignored_for_the_default_is_found(self):
        class Stubborn(self.Good):
            def craft(self, train, run):
                good = super().craft(train, run)
                return Perturbation(good.delta / np.float32(run.budget.radius) * np.float32(8 / 255), good.index)

        self.refused(Stubborn(), r"exceeds its budget \(linf 4\)")

    def test_wrong_perturbation_count_is_found(self):
        class Short(self.Good):
            def craft(self, train, run):
                good = super().craft(train, run)
                return Perturbation(good.delta, good.index[: len(train) // 4 * 4])

        self.refused(Short(), r"must be int64 \[13\].*got \[12\]")

    @pytest.mark.parametrize(
        ("draw", "text"),
        [
            (lambda: torch.rand(()).item(), r"craft\(\) must leave the global generators alone"),
            (lambda: np.random.rand(), r"craft\(\) must leave the global generators alone"),
            (lambda: random.random(), "same seed must give the same perturbation"),
        ],
    )
    def test_use_of_global_generators_is_found(self, draw, text):
        class Careless(self.Good):
            def craft(self, train, run):
                good = super().craft(train, run)
                return Perturbation(np.float32(draw()) * good.delta, good.index)

        self.refused(Careless(), text)

    def test_seeding_of_the_global_generator_is_found(self):
        class Seeding(self.Good):
            def craft(self, train, run):
                torch.manual_seed(0)
                return super().craft(train, run)

        self.refused(Seeding(), r"craft\(\) must leave the global generators alone")

    def test_state_kept_in_the_instance_is_found(self):
        class Counting(self.Good):
            calls = 0

            def craft(self, train, run):
                self.calls += 1
                good = super().craft(train, run)
                return Perturbation(good.delta / self.calls, good.index)

        self.refused(Counting(), r"same seed must give the same perturbation\. delta differs in \d+ of \d+ values")

    def test_modified_inputs_are_found(self):
        class Writing(self.Good):
            def craft(self, train, run):
                writable(train)[0] = 1
                return super().craft(train, run)

        self.refused(Writing(), r"craft\(\) must not modify its inputs\. The image set 'sample' changed")

    def test_labels_required_without_label_access_are_found(self):
        self.refused(self.Good(), "must work without labels. sample has no labels here", label_access="none")

    def test_undeclared_reading_of_labels_is_found(self):
        class Peeking:
            def craft(self, train, run):
                level = 0 if train.labels is None else 1 / 255
                return Perturbation(np.full((1, 3, *train.size), level, np.float32), np.zeros(len(train), np.int64))

        spec = PoisonerSpec(name="peeking", summary="", load="")
        with pytest.raises(ContractError, match="label_access='none' or 'names' must not read labels"):
            check_poisoner(Peeking(), spec=spec)

    def test_wrong_granularity_is_found(self):
        class Own(self.Good):
            def craft(self, train, run):
                noise = torch.rand((len(train), 3, *train.size), generator=run.generator("noise")).numpy()
                return Perturbation(np.float32(run.budget.radius) * noise)

        self.refused(Own(), r"the images of 'class 0' share one perturbation\. They have 5")
        self.refused(self.Good(), r"all images share one perturbation\. They have 3", granularity="universal")

    def test_failure_on_small_sets_is_found(self):
        class Greedy(self.Good):
            def craft(self, train, run):
                assert len(train) > 1, "too few"
                return super().craft(train, run)

        class Polite(self.Good):
            def craft(self, train, run):
                if len(train) < 2:
                    raise UsageError("Two images, please.")
                return super().craft(train, run)

        self.refused(Greedy(), r"craft\(\) failed\. AssertionError: too few")
        check_poisoner(Polite(), spec=self.SPEC)

    def test_assign_of_wrong_range_or_type_is_found(self):
        class Beyond(self.Good):
            def assign(self, images, labels, state, run):
                return labels + 1

        class Floats(self.Good):
            def assign(self, images, labels, state, run):
                return labels.astype(float)

        self.refused(Beyond(), r"assign\(\) must return int64 \[7\] in 0\.\.2 for 7 images\. .*values \[1, 2, 3\]")
        self.refused(Floats(), r"assign\(\) must return int64 .*It returned float64 \[7\]")

    def test_assign_depending_on_other_images_is_found(self):
        class Ranking(self.Good):
            def assign(self, images, labels, state, run):
                return np.argsort(images.images.mean((1, 2, 3))).argsort().astype(np.int64) % 3

        self.refused(Ranking(), r"every image by itself, but image \d alone")

    def test_assign_writing_to_the_state_is_found(self):
        class Stateful(self.Good):
            def craft(self, train, run):
                return dataclasses.replace(super().craft(train, run), state={"seen": np.zeros(1)})

            def assign(self, images, labels, state, run):
                state["seen"] += 1
                return labels

        self.refused(Stateful(), r"assign\(\) failed\. ValueError: .*read-only")

    def test_checkpoint_that_is_saved_and_not_loaded_is_found(self):
        class Resuming(self.Good):
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

        check_poisoner(Resuming(), spec=self.SPEC)
        self.refused(
            Restarting(), r"from the checkpoint of step 3 must go on after it\. It saved steps \[1, 2, 3\] once more"
        )


class TestLabelings:
    class Good:
        def apply(self, clean, published, test, run):
            return published.with_labels(clean.known_labels, clean.classes), test

    def refused(self, labeling, text, source="semantic"):
        with pytest.raises(ContractError, match=text):
            check_labeling(labeling, spec=LabelingSpec(name="some", summary="", load="", source=source))

    def by_brightness(self, images):
        return images.with_labels((images.images[:, 0, 0, 0] > 127).astype(np.int64), ("dark", "bright"))

    def test_conforming_component_passes(self):
        check_labeling(self.Good())

    def test_published_pixels_are_reserved_for_machine_labelings(self):
        by_brightness = self.by_brightness

        class Machine:
            def apply(self, clean, published, test, run):
                return by_brightness(published), by_brightness(test)

        self.refused(Machine(), "source='semantic' must not read the published pixels")
        check_labeling(Machine(), spec=LabelingSpec(name="machine", summary="", load="", source="machine"))

    def test_scoring_labels_depending_on_the_release_are_found(self):
        class Leaking(self.Good):
            def apply(self, clean, published, test, run):
                train, test = super().apply(clean, published, test, run)
                return train, test.with_labels((test.known_labels + published.images[0, 0, 0, 0]) % 3, test.classes)

        for source in ("semantic", "machine"):
            self.refused(Leaking(), "test set's labels must not depend on the published pixels", source)

    def test_changed_images_or_order_are_found(self):
        class Shuffling(self.Good):
            def apply(self, clean, published, test, run):
                train, test = super().apply(clean, published, test, run)
                return train.subset(np.arange(len(train))[::-1]), test

        class Restoring(self.Good):
            def apply(self, clean, published, test, run):
                return clean, test

        self.refused(Shuffling(), "published and the test images, in their order. For the set 'sample'")
        self.refused(Restoring(), "published and the test images, in their order. For the set 'sample'")

    def test_disagreeing_classes_are_found(self):
        class Renaming(self.Good):
            def apply(self, clean, published, test, run):
                return published.with_labels(clean.known_labels, ("x", "y", "z")), test

        self.refused(Renaming(), "labelled in the same classes")

    def test_missing_labels_are_found(self):
        class Silent:
            def apply(self, clean, published, test, run):
                return published.with_labels(None), test

        self.refused(Silent(), "must label every image. The set 'sample' has no labels")


class TestMetrics:
    SPEC = MetricSpec(name="good", summary="", load="", reads=("model", "test"))

    class Good:
        def compute(self, context):
            x = torch.from_numpy(context.test.images.copy()).float() / 255
            with torch.no_grad():
                return {"mean": float(context.model(x).mean()), "undefined": None}

    def refused(self, metric, text, **fields):
        with pytest.raises(ContractError, match=text):
            check_metric(metric, spec=dataclasses.replace(self.SPEC, **fields))

    def test_conforming_component_passes(self):
        check_metric(self.Good(), spec=self.SPEC)

    @pytest.mark.parametrize(
        ("values", "text"),
        [
            (None, "mapping of names to numbers. Got NoneType"),
            ({}, "mapping of names to numbers. Got dict"),
            ({"mean": float("inf")}, "finite numbers .* Got 'mean': inf"),
            ({"mean": float("nan")}, "finite numbers .* Got 'mean': nan"),
            ({"mean": -(2.0**63)}, "finite numbers .* Got 'mean': -9"),
            ({"mean": 10**400}, "finite numbers .* Got 'mean': 10"),
            ({3: 1.0}, "finite numbers .* Got 3: 1.0"),
        ],
    )
    def test_values_that_are_not_numbers_are_found(self, values, text):
        class Odd:
            def compute(self, context):
                return values

        self.refused(Odd(), text)

    def test_metric_that_needs_a_perturbed_test_set_is_found(self):
        class Needy:
            def compute(self, context):
                return {"images": len(context.perturbed_test)}

        class Prudent:
            def compute(self, context):
                return {"images": None if context.perturbed_test is None else len(context.perturbed_test)}

        reads = ("perturbed_test",)
        self.refused(Needy(), r"compute\(\) where perturbed_test is None failed\. TypeError", reads=reads)
        check_metric(Prudent(), spec=dataclasses.replace(self.SPEC, reads=reads))

    def test_undeclared_reading_is_found(self):
        class Curious(self.Good):
            def compute(self, context):
                return {"images": len(context.source)}

        self.refused(Curious(), "read 'source', which its spec does not name in reads")
        check_metric(Curious(), spec=dataclasses.replace(self.SPEC, reads=("source",)))

    def test_undeclared_draws_are_found(self):
        class Careless(self.Good):
            def compute(self, context):
                return {"value": float(torch.rand(()))}

        self.refused(Careless(), r"compute\(\) must leave the global generators alone")

    def test_modified_model_is_found(self):
        class Training(self.Good):
            def compute(self, context):
                context.model.train()
                return super().compute(context)

        self.refused(Training(), "must not change the model")


class TestVictims:
    class Good:
        recipe = Recipe(epochs=2)

        def layers(self, classes, size):
            return [nn.Flatten(), nn.Linear(3 * size[0] * size[1], classes)]

        def build(self, classes, size):
            return nn.Sequential(*self.layers(classes, size))

    def refused(self, victim, text):
        with pytest.raises(ContractError, match=text):
            check_victim(victim, sizes=[(4, 5)])

    def test_conforming_component_passes(self):
        check_victim(self.Good())

    def test_invalid_recipe_is_found(self):
        class Recipeless(self.Good):
            recipe = None

        self.refused(Recipeless(), "victim .*Recipeless: a victim must have a recipe")

    def test_initialisation_off_the_global_generator_is_found(self):
        class Own(self.Good):
            generator = torch.Generator().manual_seed(0)

            def build(self, classes, size):
                model = super().build(classes, size)
                nn.init.normal_(model[1].weight, generator=self.generator)
                return model

        class Fixed(self.Good):
            def build(self, classes, size):
                torch.manual_seed(0)
                return super().build(classes, size)

        self.refused(Own(), "must draw from torch's global generator, and from nothing else. 1.weight differs")
        self.refused(Fixed(), "initialise from torch's global generator. Two seeds gave the same weights")

    @pytest.mark.parametrize(
        ("last", "evidence"),
        [
            (nn.Unflatten(1, (5, 1)), r"It returned torch.float32 \[2, 5, 1\]"),
            (nn.Softmax(1), "They are probabilities"),
            (nn.LogSoftmax(1), "They are logarithms of probabilities"),
        ],
    )
    def test_wrong_logits_are_found(self, last, evidence):
        class Odd(self.Good):
            def layers(self, classes, size):
                return [*super().layers(classes, size), last]

        self.refused(Odd(), rf"finite float32 logits \[2, 5\] .*{evidence}")

    def test_softmax_only_for_tests_is_found(self):
        class Softmax(nn.Softmax):
            def forward(self, x):
                return x if self.training else super().forward(x)

        class Probabilities(self.Good):
            def layers(self, classes, size):
                return [*super().layers(classes, size), Softmax(1)]

        self.refused(Probabilities(), r"finite float32 logits \[1, 5\] .*They are probabilities")

    def test_unused_weights_are_found(self):
        class Idle(self.Good):
            def build(self, classes, size):
                model = super().build(classes, size)
                model.register_parameter("spare", nn.Parameter(torch.rand(1)))
                return model

        self.refused(Idle(), "reach all trainable weights. No gradient at spare")

    def test_batch_dependence_in_eval_mode_is_found(self):
        class Batchwise(self.Good):
            def layers(self, classes, size):
                return [nn.BatchNorm2d(3, track_running_stats=False), *super().layers(classes, size)]

        self.refused(Batchwise(), "in eval mode an image's logits must not depend on the rest of its batch")


class TestSurrogates:
    def refused(self, surrogate, text):
        with pytest.raises(ContractError, match=text):
            check_surrogate(surrogate)

    def test_conforming_component_passes(self):
        check_surrogate(TinySurrogate())

    def test_tiny_surrogate_is_drawn_from_its_seed(self):
        x = torch.rand(2, 3, 5, 6)
        assert torch.equal(TinySurrogate(1).features(x), TinySurrogate(1).features(x))
        assert not torch.equal(TinySurrogate(1).features(x), TinySurrogate(2).features(x))
        assert TinySurrogate().features(x).shape == (2, 64)

    def test_missing_gradients_are_found(self):
        class Detached(TinySurrogate):
            def features(self, x):
                return super().features(x).detach()

        class Trainable(TinySurrogate):
            def __init__(self):
                super().__init__()
                self._network.requires_grad_(True)

            def module(self, seed, train=None):
                return getattr(self, "_network", None) or super().module(seed, train)

        self.refused(Detached(), "must be differentiable in the images. They have no gradient")
        self.refused(Trainable(), "leave no gradient on the weights. There is one on 0.weight")

    def test_trainable_weights_behind_another_module_are_found(self):
        class Hidden(TinySurrogate):
            def __init__(self):
                super().__init__()
                self._network.requires_grad_(True)

        self.refused(Hidden(), "leave no gradient on the weights. Features of images that take no gradient have one")

    def test_batch_dependence_is_found(self):
        class Batchwise(TinySurrogate):
            def features(self, x):
                return super().features(x - x.mean(0))

        self.refused(Batchwise(), r"features\(\) of an image must not depend on the rest of its batch")

    def test_surrogate_without_a_classifier_passes(self):
        class Headless(TinySurrogate):
            def logits(self, x):
                raise UsageError("No classifier.")

        check_surrogate(Headless())

    class Fitted(TinySurrogate):
        shift = 0.0

        def features(self, x):
            return super().features(x) + self.shift

        def logits(self, x):
            return super().logits(x) + self.shift

        def fit(self, train, run):
            self.shift = float(train.images.mean())
            return {"shift": np.array(self.shift)}

        def restore(self, state, train, run):
            self.shift = float(state["shift"])

    def test_state_that_does_not_restore_is_found(self):
        class Forgetful(self.Fitted):
            def restore(self, state, train, run):
                self.shift = 0.0

        class Headless(Forgetful):
            def logits(self, x):
                raise UsageError("No classifier.")

        class NewHead(self.Fitted):
            bias = 0.0

            def logits(self, x):
                return super().logits(x) + self.bias

            def fit(self, train, run):
                self.bias = 1.0
                return super().fit(train, run)

            def restore(self, state, train, run):
                super().restore(state, train, run)
                self.bias = 0.0

        check_surrogate(self.Fitted())
        text = "restored surrogate must have the features and scores of the fitted one"
        self.refused(Forgetful(), f"{text}. features differs")
        self.refused(Headless(), f"{text}. features differs")
        self.refused(NewHead(), f"{text}. logits differs")

    def test_undeclared_reading_of_labels_is_found(self):
        class Supervised(self.Fitted):
            def fit(self, train, run):
                self.classes = np.unique(train.known_labels)
                return super().fit(train, run)

        self.refused(Supervised(), "sample has no labels here")
        check_surrogate(Supervised(), spec=SurrogateSpec(name="some", summary="", load="", label_access="full"))

    def test_fresh_network_of_another_seed_must_differ(self):
        class Untrained(TinySurrogate):
            def features(self, x):
                raise UsageError("It has no weights.")

            logits = features

        class Constant(Untrained):
            def module(self, seed, train=None):
                return super().module(0, train)

        spec = SurrogateSpec(name="some", summary="", load="", untrained=True)
        check_surrogate(Untrained(), spec=spec)
        with pytest.raises(ContractError, match=r"must follow its seed\. Two seeds gave the same weights"):
            check_surrogate(Constant(), spec=spec)


class TestDatasets:
    class Good:
        def load(self, split):
            return sample_images(seed=["train", "test"].index(split), name=split)

    def refused(self, dataset, text):
        with pytest.raises(ContractError, match=text):
            check_dataset(dataset)

    def test_conforming_component_passes(self):
        check_dataset(self.Good())

    def test_loads_that_differ_are_found(self):
        class Growing(self.Good):
            seed = 0

            def load(self, split):
                self.seed += 1
                return sample_images(seed=self.seed)

        self.refused(Growing(), "same images in the same order. Two loads of the train split")

    def test_disagreeing_splits_are_found(self):
        class Other(self.Good):
            def load(self, split):
                return sample_images(classes=3 if split == "train" else 2)

        self.refused(Other(), "disagree about the classes")

    def test_wrong_return_type_is_found(self):
        class Raw(self.Good):
            def load(self, split):
                return super().load(split).images

        self.refused(Raw(), r"load\('train'\) must return a ucbench.ImageSet. Got uint8 \[13, 3, 10, 14\]")

    def test_data_error_of_a_load_is_passed_on(self):
        class Absent:
            def load(self, split):
                raise DataError("No such folder.")

        with pytest.raises(DataError, match="No such folder"):
            check_dataset(Absent())


class TestDefenses:
    class Good:
        """Every stage at once."""

        def prepare(self, train, run):
            return train.with_images(train.images // 2)

        def augment(self, x, run, generator):
            return (x + 0.1 * torch.rand((len(x), 1, 1, 1), generator=generator)).clamp(0, 1)

        def mix(self, x, targets, run, generator):
            share = torch.rand((), generator=generator)
            order = torch.randperm(len(x), generator=generator)
            mixed = share * x + (1 - share) * x[order]
            return mixed, share * targets + (1 - share) * targets[order]

        def loss(self, model, x, targets, run, generator):
            return F.cross_entropy(model(x), targets)

        def at_test(self, x):
            return x.round()

    def refused(self, defense, text):
        with pytest.raises(ContractError, match=text):
            check_defense(defense, spec=DefenseSpec(name="some", summary="", load=""))

    def test_conforming_component_passes(self):
        check_defense(self.Good())

    def test_defense_without_effect_is_found(self):
        class Misspelt:
            def agument(self, x, run, generator):
                return x

        self.refused(Misspelt(), "has at least one of prepare, augment, mix, loss, rates, at_test, select. It has none")

    @pytest.mark.parametrize(
        ("stage", "method", "text"),
        [
            ("prepare", lambda self, train, run: train.subset(np.arange(5)), "as many labelled images"),
            ("prepare", lambda self, train, run: train.with_labels(None), "as many labelled images"),
            ("augment", lambda self, x, run, generator: x + 1, r"augment\(\) must return .* run from 1 to 2"),
            ("augment", lambda self, x, run, generator: x[..., 1:], r"augment\(\) must return float32 images \[13,"),
            ("augment", lambda self, x, run, generator: x.mul_(0.5), r"augment\(\) must not modify its inputs"),
            (
                "augment",
                lambda self, x, run, generator: x * torch.rand((), generator=generator),
                "draw for every image, not once for a batch",
            ),
            (
                "augment",
                lambda self, x, run, generator: x * torch.rand(len(x), 1, 1, 1),
                r"augment\(\) must leave the global generators alone",
            ),
            ("mix", lambda self, x, targets, run, generator: (x, 2 * targets), "probabilities. Rows sum to 2"),
            ("mix", lambda self, x, targets, run, generator: (x, targets.argmax(1)), r"targets \[13, 10\]"),
            ("mix", lambda self, x, targets, run, generator: x[0], r"mix\(\) failed"),
            (
                "loss",
                lambda self, model, x, targets, run, generator: F.cross_entropy(model(x), targets, reduction="none"),
                "finite scalar",
            ),
            ("loss", lambda self, model, x, targets, run, generator: torch.tensor(1.0), "must have a gradient"),
            ("rates", lambda self, model, run: {"no such": 0.5}, "by names of the model's parameters"),
            ("rates", lambda self, model, run: dict.fromkeys(dict(model.named_parameters()), -1), "factors from 0"),
            ("at_test", lambda self, x: x / x.max() * x.mean(), "must not depend on the rest of its batch"),
            ("at_test", lambda self, x: 255 * x, r"at_test\(\) must return .* in \[0, 1\]"),
        ],
    )
    def test_violation_in_each_stage_is_found(self, stage, method, text):
        self.refused(type("Bad", (self.Good,), {stage: method})(), text)

    @pytest.mark.parametrize(
        ("change", "evidence"),
        [
            (lambda model: model[1][0].weight.data.mul_(0.5), "1.0.weight"),
            (lambda model: model[0].requires_grad_(False), "0.bias, 0.weight"),
            (lambda model: model[0].eval(), "0.training"),
        ],
    )
    @pytest.mark.parametrize("stage", ["loss", "rates"])
    def test_changed_model_is_found(self, stage, change, evidence):
        class Changing(self.Good):
            def loss(self, model, x, targets, run, generator):
                if stage == "loss":
                    change(model)
                return super().loss(model, x, targets, run, generator)

            def rates(self, model, run):
                if stage == "rates":
                    change(model)
                return {}

        self.refused(Changing(), rf"{stage}\(\) must not change the model. It changed {evidence}\.$")


class SharedChoice:
    """Defenses that make one random choice for a whole batch, and others by image."""

    class OperationOfThree:
        """The operation by batch, its strength by image: the policies of kornia do so."""

        def augment(self, x, run, generator):
            strength = torch.rand((len(x), 1, 1, 1), generator=generator)
            operation = int(torch.randint(3, (), generator=generator))
            return (x * (1 - strength), x + strength * (1 - x), x + strength * (x.flip(3) - x))[operation]

    class Gate:
        """Whether there is noise, by batch; the noise by image."""

        def augment(self, x, run, generator):
            noise = 0.05 * torch.randn(x.shape, generator=generator)
            return (x + noise).clamp(0, 1) if torch.rand((), generator=generator) < 0.5 else x

    class Strength:
        """How strong the noise is, by batch; the noise by image."""

        def augment(self, x, run, generator):
            strength = 0.2 * torch.rand((), generator=generator)
            return (x + strength * torch.randn(x.shape, generator=generator)).clamp(0, 1)

    class Everything:
        def augment(self, x, run, generator):
            return x * torch.rand((), generator=generator)

    class KorniaPolicy:
        """kornia's TrivialAugment, called once for the batch."""

        def augment(self, x, run, generator):
            with seeded(int(torch.randint(2**62, (), generator=generator))):
                return TrivialAugment()(x).clamp(0, 1)


class OwnChoice:
    """Defenses that keep the rule, though their outputs are not all different."""

    class Operation:
        def augment(self, x, run, generator):
            return torch.cat([SharedChoice.OperationOfThree().augment(one, run, generator) for one in x.split(1)])

    class RareFlip:
        def augment(self, x, run, generator):
            chosen = torch.rand(len(x), generator=generator) < 0.02
            return torch.where(chosen[:, None, None, None], x.flip(3), x)

    class ExactlyHalf:
        def augment(self, x, run, generator):
            chosen = torch.randperm(len(x), generator=generator) < len(x) // 2
            return torch.where(chosen[:, None, None, None], x.flip(3), x)


def choices(of: type) -> list[object]:
    return [pytest.param(made, id=made.__name__) for made in vars(of).values() if isinstance(made, type)]


@pytest.mark.parametrize("made", choices(SharedChoice))
def test_per_image_choice_shared_by_a_batch_is_found(made):
    with pytest.raises(ContractError, match=r"draw for every image, not once for a batch\..* standard deviations"):
        check_defense(made())


@pytest.mark.parametrize("made", choices(OwnChoice))
def test_per_image_choice_of_every_image_passes(made):
    check_defense(made())
