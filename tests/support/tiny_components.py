"""Components that take milliseconds, and some that misbehave, for tests of what the core does with any component.

Every craft, fit and training leaves a line in the file that ``TINY_LOG`` names, so that work can be counted across
processes.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

import ucbench
from ucbench.data.imageset import ImageSet
from ucbench.data.params import DatasetParams
from ucbench.numerics import Numerics
from ucbench.plugins.manager import load_module
from ucbench.plugins.registry import Registry
from ucbench.progress import Silent
from ucbench.session import Session
from ucbench.store.store import Store

CPU = Numerics("cpu", "float32", 1)
HERE = __name__
CLASSES = ("red", "green", "blue")


def log(line: str) -> None:
    if path := os.environ.get("TINY_LOG"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def work_done() -> Counter[str]:
    """How often each piece of work was done since ``TINY_LOG`` was last emptied."""
    path = Path(os.environ["TINY_LOG"])
    return Counter(path.read_text(encoding="utf-8").splitlines() if path.exists() else [])


class SpotsParams(DatasetParams):
    per_class: int = 12
    brightness: int = 0


class Spots:
    """8x8 images with one bright channel, whose number is the label; noise elsewhere."""

    def __init__(self, params: SpotsParams) -> None:
        self.params = params

    def load(self, split: Literal["train", "test"]) -> ImageSet:
        rng = np.random.default_rng([self.params.brightness, split == "test"])
        labels = np.arange(3 * self.params.per_class, dtype=np.int64) % 3
        images = rng.integers(60, 180, (len(labels), 3, 8, 8), dtype=np.uint8)
        images[np.arange(len(labels)), labels] += np.uint8(40 + self.params.brightness)
        return ImageSet(images, labels, CLASSES, name="spots")


class TinyRecipe(ucbench.Recipe):
    epochs: int = 2
    batch: int = 9
    evaluate_every: int = 1
    crop: float = 0.0
    width: int = 4


class Logged(nn.Identity):
    """Logs its first use: networks are also built to see whether they can be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def forward(self, x):
        if self.text:
            log(self.text)
        self.text = ""
        return x


class TinyNet:
    """A convolution, an average and a linear layer."""

    def __init__(self, params: TinyRecipe) -> None:
        self.params = self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        width = getattr(self.params, "width", 4)
        return nn.Sequential(
            Logged(f"train {type(self).__name__}"),
            nn.Conv2d(3, width, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, classes),
        )


class FixedNet(TinyNet):
    """A victim whose recipe is no part of its parameters."""

    def __init__(self, params: ucbench.Params) -> None:
        self.params, self.recipe = params, ucbench.Recipe(epochs=3, crop=0)


class Nearest:
    """A trainer by itself: the nearest class mean of colours among the images it is trusted with."""

    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def fit(self, train: ImageSet, trusted: ImageSet | None, run) -> None:
        log(f"fit nearest {len(train)} {len(trusted)}")
        run.trained_with("nearest", {"python": "3.99.0"})
        colours = trusted.images.mean((2, 3))
        self.means = np.stack([colours[trusted.known_labels == c].mean(0) for c in range(len(trusted.classes))])

    def predict(self, images: ImageSet):
        assert images.labels is None
        return ((images.images.mean((2, 3))[:, None] - self.means) ** 2).sum(2).argmin(1)


class Wild(Nearest):
    def predict(self, images: ImageSet):
        return np.full(len(images), 7)


class StripesParams(ucbench.Params):
    period: int = 4
    share: float = 1.0

    presets = {"wide": {"period": 8}}  # noqa: RUF012


class Stripes:
    """The same stripes on every image."""

    def __init__(self, params: StripesParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run) -> ucbench.Perturbation:
        log("craft stripes")
        bright = np.arange(train.size[1]) // (self.params.period // 2) % 2 == 0
        row = np.where(bright, 1, -1).astype(np.float32) * np.float32(run.budget.radius * self.params.share)
        return ucbench.Perturbation(np.tile(row, (1, 3, train.size[0], 1)), np.zeros(len(train), np.int64))


class Halting(Stripes):
    """Saves a state and fails, unless it goes on from one; notes which."""

    def craft(self, train: ImageSet, run) -> ucbench.Perturbation:
        saved = run.checkpoint.load()
        if saved is None:
            run.checkpoint.save(7, {"row": np.ones(3)})
            raise RuntimeError("the power failed")
        run.note("resumed", saved[0])
        return super().craft(train, run)


class Blots:
    """Random noise of full size in l2."""

    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def craft(self, train: ImageSet, run) -> ucbench.Perturbation:
        delta = torch.randn(train.images.shape, generator=run.generator("blots")).numpy()
        return ucbench.Perturbation(delta * (run.budget.radius / np.sqrt((delta**2).sum((1, 2, 3), keepdims=True))))


class Badge:
    """One pattern per label; notes the labels it receives."""

    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def craft(self, train: ImageSet, run) -> ucbench.Perturbation:
        log("craft badge")
        run.note("labels", train.known_labels.tolist())
        run.note("classes", list(train.classes))
        rng = np.random.default_rng(run.seed("badge"))
        signs = rng.choice(np.array([-1, 1], np.float32), (len(train.classes), 3, *train.size))
        return ucbench.Perturbation(np.float32(run.budget.radius) * signs, train.known_labels)

    def assign(self, images: ImageSet, labels, state, run):
        assert images.labels is None
        log(f"assign {'nothing' if labels is None else ''.join(map(str, labels[:6]))}")
        return labels


class Leaner:
    """Moves every image along the surrogate's weights."""

    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def craft(self, train: ImageSet, run) -> ucbench.Perturbation:
        log("craft leaner")
        assert train.labels is None
        step = run.surrogate.weights.sign().numpy().astype(np.float32) * np.float32(run.budget.radius)
        return ucbench.Perturbation(
            np.broadcast_to(step[None, :, None, None], (1, 3, *train.size)), np.zeros(len(train), int)
        )


class Eyes:
    """A frozen surrogate: features are the means of the channels."""

    weights = torch.tensor([1.0, -1.0, 1.0])

    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        pass

    def module(self, seed: int, train: ImageSet | None = None) -> nn.Module:
        return nn.Identity()

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return self.features(x)


class OtherEyes(Eyes):
    weights = torch.tensor([1.0, 2.0, 1.0])


class FittedEyes(Eyes):
    """One that is trained on the protector's images."""

    def fit(self, train: ImageSet, run):
        log("fit eyes")
        return {"weights": np.array([len(train), run.seed("fit") % 3 - 1, -1.0], np.float32)}

    def restore(self, state, train: ImageSet, run) -> None:
        self.weights = torch.tensor(np.array(state["weights"]))


class Original:
    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run):
        return published.with_labels(clean.known_labels, clean.classes), test


class Shifted(Original):
    """Every label is the next one's."""

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run):
        return tuple(
            images.with_labels((labels.known_labels + 1) % 3, CLASSES)
            for images, labels in ((published, clean), (test, test))
        )


class Pairs(Original):
    """The first two classes are one."""

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run):
        return tuple(
            images.with_labels(np.maximum(labels.known_labels - 1, 0), ("either", "other"))
            for images, labels in ((published, clean), (test, test))
        )


class Fog:
    """Changes the training set, and nothing else."""

    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run) -> ImageSet:
        return train.with_images(train.images // 2 + 90)


class Undo:
    """Subtracts what the craft added to the first of the trusted images."""

    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run) -> ImageSet:
        log("prepare undo")
        before, after = run.leaked
        run.note("pairs", len(before))
        added = after.images[0].astype(int) - before.images[0]
        return train.with_images(np.clip(train.images - added, 0, 255).astype(np.uint8))


class Reader:
    """Changes nothing; notes by name what it may read, and its fingerprint."""

    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run) -> ImageSet:
        read = {}
        for name in ("clean", "trusted", "leaked"):
            with suppress(ucbench.UsageError):
                images = getattr(run, name)
                read[name] = (images[1] if name == "leaked" else images).fingerprint
        run.note(type(self).__name__, read)
        return train


class Outsider(Reader):
    """One without access."""


class Trustee(Reader):
    """One with trusted images."""


class Best:
    """Keeps the best epoch."""

    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def select(self, scores) -> int:
        return int(np.argmax(scores))


class SeenParams(ucbench.Params):
    model: str | None = None


class Seen(Original):
    """Labels by the highest score of the available model; notes one draw."""

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run):
        run.note("drawn", run.seed("labels") % 1000)

        def seen(images: ImageSet) -> ImageSet:
            scores = run.surrogate.logits(torch.from_numpy(images.images.copy()).float() / 255)
            return images.with_labels((scores * run.surrogate.weights).argmax(1).numpy(), CLASSES)

        return seen(published), seen(test)


class Dim:
    """Halves the contrast before training and at test time."""

    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run) -> ImageSet:
        log("prepare dim")
        run.note("prepared", run.seed("dim") % 1000)
        return train.with_images(train.images // 2 + 64)

    def at_test(self, x: torch.Tensor) -> torch.Tensor:
        return x / 2 + 0.25


class Dusk(Dim):
    """Another component that draws and notes under the names of the first."""


class CountParams(ucbench.Params):
    scale: float = 1.0


class Sharpness:
    """Share of test images predicted as class 0, and what was available."""

    def __init__(self, params: CountParams) -> None:
        self.params = params

    def compute(self, context: ucbench.MetricContext):
        log("measure sharpness")
        with pytest.raises(ucbench.ContractError, match="does not name in reads"):
            _ = context.published
        x = torch.from_numpy(context.test.images.copy()).float() / 255
        with torch.no_grad():
            share = float((context.model(x).argmax(1) == 0).float().mean())
        return {"share": 100 * share * self.params.scale, "undefined": None}


class Change:
    """Mean absolute change of the images, in 8-bit units; reads no model."""

    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def compute(self, context: ucbench.MetricContext):
        log("measure change")
        with pytest.raises(ucbench.ContractError, match="does not name in reads"):
            _ = context.model
        return {"mean": float(np.abs(context.published.images.astype(float) - context.source.images).mean())}


class LastLoss:
    """The victim's last loss, which its record states too."""

    def __init__(self, params: ucbench.Params) -> None:
        self.params = params

    def compute(self, context: ucbench.MetricContext):
        log("measure last-loss")
        return {"value": context.history[-1]["loss"]}


class NumberParams(ucbench.Params):
    value: str = "nan"


class NoNumber:
    """Returns a number that no record can hold."""

    def __init__(self, params: NumberParams) -> None:
        self.params = params

    def compute(self, context: ucbench.MetricContext):
        value = self.params.value
        return {"value": 10**400 if value == "vast" else float(value)}


class BadParams(ucbench.Params):
    how: str

    argument = "how"


class Bad:
    """A poisoner that breaks the contract in the way that its argument names."""

    def __init__(self, params: BadParams) -> None:
        self.how = params.how

    def craft(self, train: ImageSet, run):
        log(f"craft bad {self.how}")
        count = len(train)
        delta = np.zeros((count, 3, *train.size), np.float32)
        match self.how:
            case "shape":
                delta = delta[..., 1:]
            case "nan":
                delta[3, 1, 2, 0] = np.nan
            case "budget":
                delta += 0.5
            case "index":
                return ucbench.Perturbation(delta, np.arange(count - 1))
            case "range":
                return ucbench.Perturbation(delta[:2], np.arange(count))
            case "twice":
                delta = np.concatenate([delta, delta])
            case "release":
                return train.images
            case "overwrites":
                train.images[0] = 0
            case "overwrites-with-torch":
                torch.from_numpy(train.images)[0] = 0
            case "spoils-and-raises":
                torch.from_numpy(train.images)[0] = 0
                raise RuntimeError("spoiled")
            case "patches":
                right = torch.nn.functional.cross_entropy
                torch.nn.functional.cross_entropy = lambda *args, **options: 3 * right(*args, **options)
            case "resets":
                torch.backends.mkldnn.enabled = False
                torch.set_default_dtype(torch.float64)
            case "draws":
                torch.manual_seed(5)
                np.random.seed(5)
            case "relabels":
                torch.from_numpy(train.known_labels)[0] = 2
            case "gibberish":
                raise ValueError("\ud800bad")
            case "raises":
                raise RuntimeError("the optimiser gave up")
            case "exits":
                raise SystemExit("done")
            case "interrupts":
                raise KeyboardInterrupt
        return ucbench.Perturbation(delta)


class Clumsy(Original):
    """A labeling that writes into the clean test images."""

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run):
        torch.from_numpy(test.images)[0] = 0
        return super().apply(clean, published, test, run)


RECORDS = (
    ucbench.DatasetSpec(name="spots", summary="", load=f"{HERE}:Spots", params=f"{HERE}:SpotsParams", epsilon=24),
    ucbench.DatasetSpec(name="ungated", summary="", load=f"{HERE}:Spots", params=f"{HERE}:SpotsParams"),
    ucbench.VictimSpec(name="tiny", summary="", load=f"{HERE}:TinyNet", params=f"{HERE}:TinyRecipe"),
    ucbench.VictimSpec(name="fixed", summary="", load=f"{HERE}:FixedNet"),
    ucbench.VictimSpec(name="nearest", summary="", load=f"{HERE}:Nearest", opaque=True, needs_trusted=True),
    ucbench.VictimSpec(name="wild", summary="", load=f"{HERE}:Wild", opaque=True),
    ucbench.PoisonerSpec(
        name="stripes",
        summary="",
        load=f"{HERE}:Stripes",
        params=f"{HERE}:StripesParams",
        aliases=("bars",),
        granularity="universal",
        native_epsilon=12,
    ),
    ucbench.PoisonerSpec(name="plain", summary="", load=f"{HERE}:Stripes", params=f"{HERE}:StripesParams"),
    ucbench.PoisonerSpec(
        name="blots", summary="", load=f"{HERE}:Blots", budget="l2", native_epsilon=0.5, projects=True
    ),
    ucbench.PoisonerSpec(
        name="badge",
        summary="",
        load=f"{HERE}:Badge",
        label_access="full",
        granularity="class",
        native_epsilon=8,
        paper="J. Doe: Badges. 2020. https://example.org/badges",
    ),
    ucbench.PoisonerSpec(name="leaner", summary="", load=f"{HERE}:Leaner", surrogate="eyes", granularity="universal"),
    ucbench.PoisonerSpec(name="bad", summary="", load=f"{HERE}:Bad", params=f"{HERE}:BadParams", label_access="full"),
    ucbench.SurrogateSpec(name="eyes", summary="", load=f"{HERE}:Eyes"),
    ucbench.SurrogateSpec(name="others", summary="", load=f"{HERE}:OtherEyes"),
    ucbench.SurrogateSpec(name="bare", summary="", load=f"{HERE}:Eyes", untrained=True),
    ucbench.SurrogateSpec(name="fitted", summary="", load=f"{HERE}:FittedEyes", label_access="full"),
    ucbench.LabelingSpec(name="original", summary="", load=f"{HERE}:Original"),
    ucbench.LabelingSpec(name="shifted", summary="", load=f"{HERE}:Shifted"),
    ucbench.LabelingSpec(name="pairs", summary="", load=f"{HERE}:Pairs"),
    ucbench.LabelingSpec(name="clumsy", summary="", load=f"{HERE}:Clumsy"),
    ucbench.LabelingSpec(
        name="seen", summary="", load=f"{HERE}:Seen", params=f"{HERE}:SeenParams", source="machine", surrogate="eyes"
    ),
    ucbench.MetricSpec(name="sharpness", summary="", load=f"{HERE}:Sharpness", params=f"{HERE}:CountParams"),
    ucbench.MetricSpec(name="change", summary="", load=f"{HERE}:Change", reads=("source", "published")),
    ucbench.MetricSpec(name="last-loss", summary="", load=f"{HERE}:LastLoss", reads=("model", "history")),
    ucbench.MetricSpec(
        name="no-number", summary="", load=f"{HERE}:NoNumber", params=f"{HERE}:NumberParams", reads=("published",)
    ),
    ucbench.DefenseSpec(name="fog", summary="", load=f"{HERE}:Fog", static=True),
    ucbench.DefenseSpec(name="undo", summary="", load=f"{HERE}:Undo", static=True, leaked=True),
    ucbench.DefenseSpec(name="outsider", summary="", load=f"{HERE}:Outsider", static=True),
    ucbench.DefenseSpec(name="trustee", summary="", load=f"{HERE}:Trustee", static=True, needs_trusted=True),
    ucbench.DefenseSpec(name="best", summary="", load=f"{HERE}:Best", needs_trusted=True),
    ucbench.DefenseSpec(name="dim", summary="", load=f"{HERE}:Dim"),
    ucbench.DefenseSpec(name="dusk", summary="", load=f"{HERE}:Dusk"),
)


class Plugin:
    """All of the above as one plugin that also observes."""

    seen: list[tuple[str, str]]
    epochs: list[ucbench.EpochEvent]

    def __init__(self, *raised: tuple[str, int]) -> None:
        versions = dict(raised)
        self.specs = [replace(record, version=versions.get(record.name, 1)) for record in RECORDS]
        self.seen = []
        self.epochs = []

    def of(self, kind: str) -> list[ucbench.ComponentSpec]:
        return [record for record in self.specs if record.kind == kind]

    @ucbench.hookimpl
    def ucbench_datasets(self):
        return self.of("dataset")

    @ucbench.hookimpl
    def ucbench_surrogates(self):
        return self.of("surrogate")

    @ucbench.hookimpl
    def ucbench_poisoners(self):
        return self.of("poisoner")

    @ucbench.hookimpl
    def ucbench_labelings(self):
        return self.of("labeling")

    @ucbench.hookimpl
    def ucbench_defenses(self):
        return self.of("defense")

    @ucbench.hookimpl
    def ucbench_victims(self):
        return self.of("victim")

    @ucbench.hookimpl
    def ucbench_metrics(self):
        return self.of("metric")

    @ucbench.hookimpl
    def ucbench_epoch_finished(self, event):
        self.epochs.append(event)

    @ucbench.hookimpl
    def ucbench_cell_finished(self, event):
        self.seen.append(("finished", event.record["request"]["poisoner"]))

    @ucbench.hookimpl
    def ucbench_cell_failed(self, event):
        self.seen.append(("failed", event.record["request"]["poisoner"]))


def registry(*raised: tuple[str, int], plugin: Plugin | None = None) -> Registry:
    """The core's references and the tiny components; ``raised`` are ``(name, version)`` pairs."""
    from ucbench.plugins import builtin

    core = load_module("ucbench", builtin, "ucbench", "0")
    tiny = load_module("tiny", plugin or Plugin(*raised), "ucbench-tiny", "1")
    assert tiny.problem is None, tiny.problem
    return Registry([core, tiny])


def session(home: Path, registry: Registry | None = None) -> Session:
    return Session(Store(home), CPU, Silent(), registry)
