"""The contract of plugins: every hook, with a complete example.

A plugin is a module that an entry point of the group ``ucbench`` names, or a single file (``--plugin FILE.py``), as the
examples are. Its hooks yield specs. They run whenever components are listed, so the module of a package imports neither
torch nor other heavy dependencies: a spec names its class as ``"module:Class"``, imported when a cell needs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pluggy

from ucbench.plugins.specs import (
    CellEvent,
    DatasetSpec,
    DefenseSpec,
    EpochEvent,
    ExecutorSpec,
    ExporterSpec,
    LabelingSpec,
    MetricSpec,
    PoisonerSpec,
    SurrogateSpec,
    VictimSpec,
)

PROJECT = "ucbench"
ENTRY_POINT_GROUP = "ucbench"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ucbench_datasets() -> Iterable[DatasetSpec]:
    """Yield data sets.

    ```python
    # shapes.py
    import numpy as np
    from pydantic import Field

    from ucbench import DatasetParams, DatasetSpec, ImageSet, hookimpl

    SHAPES = ("disc", "square", "cross")


    class ShapesParams(DatasetParams):
        per_class: int = Field(100, ge=2, description="training images per class")
        seed: int = Field(0, ge=0, description="draws the images")


    class Shapes:
        def __init__(self, params):
            self.params = params

        def load(self, split):
            side = self.params.size or 16
            test = int(split == "test")
            count = len(SHAPES) * (self.params.per_class // (1 + test))
            rng = np.random.default_rng([self.params.seed, test])
            labels = np.arange(count, dtype=np.int64) % len(SHAPES)
            centre = rng.uniform(0.35, 0.65, (2, count, 1, 1)) * side
            radius = rng.uniform(0.2, 0.3, (count, 1, 1)) * side
            offsets = np.abs(np.mgrid[:side, :side][:, None] - centre)
            near, far = np.sort(offsets, axis=0)
            disc, square = np.hypot(near, far) <= radius, far <= radius
            cross = square & (near <= radius / 3)
            inside = np.choose(labels[:, None, None], [disc, square, cross])
            ground = rng.integers(0, 256, (count, 3, 1, 1))
            pixels = np.where(inside[:, None], (ground + 128) % 256, ground)
            noisy = pixels + rng.normal(0, 8, pixels.shape)
            images = np.clip(noisy, 0, 255).astype(np.uint8)
            return ImageSet(images, labels, SHAPES, name=f"shapes {split}")


    @hookimpl
    def ucbench_datasets():
        yield DatasetSpec(
            name="shapes",
            summary="Drawn discs, squares and crosses of any colour",
            load=f"{__name__}:Shapes",
            params=f"{__name__}:ShapesParams",
        )
    ```
    """
    return ()


@hookspec
def ucbench_surrogates() -> Iterable[SurrogateSpec]:
    """Yield models that poisoners optimise against.

    ```python
    # random_filters.py
    import torch
    from pydantic import Field
    from torch import nn
    from torch.nn.utils import skip_init

    from ucbench import Params, SurrogateSpec, UsageError, hookimpl


    class RandomFiltersParams(Params):
        width: int = Field(64, ge=1, description="number of features")
        seed: int = Field(0, ge=0, description="draws the weights")


    class RandomFilters:
        def __init__(self, params):
            self.params = params
            filters = skip_init(
                nn.Conv2d, 3, params.width, 5, stride=2, padding=2, bias=False
            )
            generator = torch.Generator().manual_seed(params.seed)
            nn.init.normal_(filters.weight, generator=generator)
            mean = nn.AdaptiveAvgPool2d(1)
            network = nn.Sequential(filters, nn.ReLU(), mean, nn.Flatten())
            self._network = network.eval().requires_grad_(False)

        def module(self, seed, train=None):
            return self._network

        def features(self, x):
            features = self._network(x - 0.5)
            return features.float()

        def logits(self, x):
            raise UsageError("random-filters has no classifier.")

        def to(self, device, dtype):
            self._network.to(device)


    @hookimpl
    def ucbench_surrogates():
        yield SurrogateSpec(
            name="random-filters",
            summary="One random convolution, frozen",
            load=f"{__name__}:RandomFilters",
            params=f"{__name__}:RandomFiltersParams",
            label_access="none",
        )
    ```
    """
    return ()


@hookspec
def ucbench_poisoners() -> Iterable[PoisonerSpec]:
    """Yield poisoners: methods that turn images into a release.

    ```python
    # quilt.py
    import numpy as np
    from pydantic import Field

    from ucbench import Params, Perturbation, PoisonerSpec, hookimpl


    class QuiltParams(Params):
        argument = "grid"

        grid: int = Field(2, ge=1, description="patches per side")


    class Quilt:
        def __init__(self, params):
            self.params = params

        def craft(self, train, run):
            grid, (height, width) = self.params.grid, train.size
            rng = np.random.default_rng(run.seed("patches"))
            signs = rng.choice([-1, 1], (len(train.classes), 3, grid, grid))
            rows = np.arange(height) * grid // height
            columns = np.arange(width) * grid // width
            delta = run.budget.radius * signs[:, :, rows[:, None], columns]
            return Perturbation(delta.astype(np.float32), train.known_labels)

        def assign(self, images, labels, state, run):
            return labels


    @hookimpl
    def ucbench_poisoners():
        yield PoisonerSpec(
            name="quilt",
            summary="One random pattern of coloured patches per class",
            load=f"{__name__}:Quilt",
            params=f"{__name__}:QuiltParams",
            label_access="full",
            granularity="class",
            native_epsilon=8,
        )
    ```
    """
    return ()


@hookspec
def ucbench_labelings() -> Iterable[LabelingSpec]:
    """Yield labelings: how an exploiter labels the images.

    ```python
    # remainder.py
    from pydantic import Field

    from ucbench import LabelingSpec, Params, UsageError, hookimpl


    class RemainderParams(Params):
        argument = "groups"

        groups: int = Field(2, ge=2, description="number of new classes")


    class Remainder:
        def __init__(self, params):
            self.params = params

        def apply(self, clean, published, test, run):
            groups, known = self.params.groups, len(clean.classes)
            if groups > known:
                raise UsageError(f"groups={groups}, but there are {known} classes.")
            names = tuple(f"remainder {number}" for number in range(groups))
            train_labels = clean.known_labels % groups
            test_labels = test.known_labels % groups
            return (
                published.with_labels(train_labels, names),
                test.with_labels(test_labels, names),
            )


    @hookimpl
    def ucbench_labelings():
        yield LabelingSpec(
            name="remainder",
            summary="The remainder of the class number: even and odd",
            load=f"{__name__}:Remainder",
            params=f"{__name__}:RemainderParams",
        )
    ```
    """
    return ()


@hookspec
def ucbench_defenses() -> Iterable[DefenseSpec]:
    """Yield defenses: what an exploiter does about a perturbation.

    ```python
    # soften.py
    import torch
    import torch.nn.functional as F
    from pydantic import Field

    from ucbench import DefenseSpec, Params, hookimpl


    class SoftenParams(Params):
        argument = "reach"

        reach: int = Field(1, ge=1, description="pixels averaged on every side")


    class Soften:
        def __init__(self, params):
            self.params = params

        def augment(self, x, run, generator):
            reach = self.params.reach
            padded = F.pad(x, (reach, reach, reach, reach), mode="replicate")
            blurred = F.avg_pool2d(padded, 2 * reach + 1, stride=1)
            share = torch.rand((len(x), 1, 1, 1), generator=generator)
            return torch.lerp(x, blurred, share.to(x.device))


    @hookimpl
    def ucbench_defenses():
        yield DefenseSpec(
            name="soften",
            summary="Every training image mixed with its box blur",
            load=f"{__name__}:Soften",
            params=f"{__name__}:SoftenParams",
            tier="T0",
        )
    ```
    """
    return ()


@hookspec
def ucbench_victims() -> Iterable[VictimSpec]:
    """Yield victims: architectures with a training recipe, or opaque trainers.

    ```python
    # small_net.py
    from pydantic import Field
    from torch import nn

    from ucbench import Recipe, VictimSpec, hookimpl


    class SmallNetParams(Recipe):
        presets = {"quick": {"epochs": 4}}

        width: int = Field(16, ge=1, description="channels of the first layer")


    class SmallNet:
        def __init__(self, params):
            self.params = params
            self.recipe = params

        def build(self, classes, size):
            width = self.params.width
            return nn.Sequential(
                *_convolution(3, width, stride=1),
                *_convolution(width, 2 * width, stride=2),
                *_convolution(2 * width, 4 * width, stride=2),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(4 * width, classes),
            )


    def _convolution(inputs, outputs, stride):
        layer = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        return layer, nn.BatchNorm2d(outputs), nn.ReLU()


    @hookimpl
    def ucbench_victims():
        yield VictimSpec(
            name="small-net",
            summary="A small convolutional network",
            load=f"{__name__}:SmallNet",
            params=f"{__name__}:SmallNetParams",
        )
    ```
    """
    return ()


@hookspec
def ucbench_metrics() -> Iterable[MetricSpec]:
    """Yield metrics: measures that a run adds with ``--metric``.

    ```python
    # confidence.py
    import torch
    from pydantic import Field

    from ucbench import MetricSpec, Params, hookimpl


    class ConfidenceParams(Params):
        sure: float = Field(0.9, gt=0, lt=1, description="least sure confidence")


    class Confidence:
        def __init__(self, params):
            self.params = params

        @torch.no_grad()
        def compute(self, context):
            device, test = context.run.device, context.test
            batches = torch.from_numpy(test.images.copy()).split(256)
            logits = [context.model(x.to(device).float() / 255) for x in batches]
            confidence, answer = torch.cat(logits).float().softmax(1).cpu().max(1)
            wrong = answer != torch.from_numpy(test.known_labels.copy())
            sure = confidence >= self.params.sure
            share = 100 * float(wrong[sure].float().mean()) if sure.any() else None
            return {"mean": float(confidence.mean()), "sure_and_wrong": share}


    @hookimpl
    def ucbench_metrics():
        yield MetricSpec(
            name="confidence",
            summary="How sure the victim is of its answers",
            load=f"{__name__}:Confidence",
            params=f"{__name__}:ConfidenceParams",
            reads=("model", "test"),
        )
    ```
    """
    return ()


@hookspec
def ucbench_executors() -> Iterable[ExecutorSpec]:
    """Yield executors: ways to compute many cells.

    ```python
    # last_first.py
    from ucbench import ExecutorSpec, compute, hookimpl, title


    class LastFirst:
        def __init__(self, params):
            self.params = params

        def run(self, tasks, session, on_done):
            for number, task in enumerate(reversed(tasks), 1):
                place = f"[{number}/{len(tasks)}]"
                session.progress.say(f"{place} {title(task.cell)}")
                on_done(task, compute(task, session))


    @hookimpl
    def ucbench_executors():
        yield ExecutorSpec(
            name="last-first",
            summary="One cell after another, the last first",
            load=f"{__name__}:LastFirst",
        )
    ```
    """
    return ()


@hookspec
def ucbench_exporters() -> Iterable[ExporterSpec]:
    r"""Yield exporters: formats of leaderboards.

    ```python
    # tsv.py
    from ucbench import HEADERS, ExporterSpec, hookimpl, sections


    class TSV:
        def __init__(self, params):
            self.params = params

        def export(self, leaderboard, title):
            lines = [f"# {_plain(title)}", _line(["block", "setting", *HEADERS])]
            for section in sections(leaderboard):
                common = [section.heading, section.setting]
                lines += [_line([*common, *line.texts]) for line in section.lines]
            return "".join(f"{line}\n" for line in lines)


    def _line(texts):
        return "\t".join(map(_plain, texts))


    def _plain(text):
        return " ".join(text.split())


    @hookimpl
    def ucbench_exporters():
        yield ExporterSpec(
            name="tsv",
            summary="Lines of tab-separated values",
            load=f"{__name__}:TSV",
        )
    ```
    """
    return ()


@hookspec
def ucbench_suites() -> Iterable[str | Path]:
    """Return paths of suites. A suite is named after its file.

    ```python
    # my_suites.py
    from pathlib import Path

    from ucbench import hookimpl


    @hookimpl
    def ucbench_suites():
        return [Path(__file__).parent / "my-suite.toml"]
    ```
    """
    return ()


@hookspec
def ucbench_epoch_finished(event: EpochEvent) -> None:
    """Called after every epoch of a victim that the engine trains, in the process that trains it.

    Not called for victims with a training of their own, for surrogates, and for cells that were done already.

    ```python
    # curve.py
    from ucbench import hookimpl


    @hookimpl
    def ucbench_epoch_finished(event):
        loss = event.values["loss"]
        print(f"{event.cell[:8]} {event.epoch}/{event.epochs}: {loss:.3f}")
    ```
    """


@hookspec
def ucbench_cell_finished(event: CellEvent) -> None:
    """Called after a cell was computed and its record written; not for cells that were done already.

    ```python
    # tally.py
    from ucbench import hookimpl


    @hookimpl
    def ucbench_cell_finished(event):
        poisoner = event.record["request"]["poisoner"]
        accuracy = event.record["metrics"]["test_accuracy"]
        print(f"{poisoner}: {accuracy:.1f} %")
    ```
    """


@hookspec
def ucbench_cell_failed(event: CellEvent) -> None:
    """Called after a cell failed; ``event.record["error"]`` has type and text of its error, and the place in a plugin.

    ```python
    # failures.py
    from ucbench import hookimpl


    @hookimpl
    def ucbench_cell_failed(event):
        poisoner = event.record["request"]["poisoner"]
        error = event.record["error"]
        print(f"{poisoner}: {error['type']}: {error['text']}")
    ```
    """
