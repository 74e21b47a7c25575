"""Shared by all subjects: sizes, measurements, and the criteria of equality."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from subjects.peak import Passes, measured_peak, notes
from ucbench.crafting.poisoner import CraftRun
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.numerics import Numerics
from ucbench.plugins.registry import installed
from ucbench.progress import Silent
from ucbench.training.determinism import seeded
from ucbench.training.engine import Engine
from ucbench.training.surrogate import Surrogate


def _size(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Sizes:
    """Sizes of the workloads. The defaults take a quarter of an hour on two cores."""

    width: int = _size(16, "of the ResNet-18: 64 is the literature's")
    side: int = _size(32, "of the images, in pixels; a multiple of 4")
    batch: int = _size(128, "images per step of training, and of EMinN")
    images: int = _size(1000, "of the victim's epoch")
    evaluated: int = _size(10_000, "images of the evaluation")
    evaluation_batch: int = _size(500, "images of a batch of the evaluation")
    attacked: int = _size(256, "images of EMinN, AdvPoison and adversarial training")
    attack_steps: int = _size(10, "steps on a batch of perturbations")
    network_steps: int = _size(10, "steps of EMinN's network before a sweep")
    gathered: int = _size(512, "images of MI-UE, and images per batch there")
    uc_images: int = _size(320, "photographs of UC")
    uc_clusters: int = _size(5, "clusters")
    uc_batch: int = _size(32, "images of a step of UC's released procedure")
    uc_epochs: int = _size(2, "passes of the released procedure, which has 50")
    uc_width: int = _size(64, "channels of the released generator")
    uc_blocks: int = _size(6, "residual blocks of the released generator")
    uc_most: int = _size(400, "most steps that ucbench's craft may take to that effect")
    uc_craft: str = _size("students=0,augment=none", "parameters of the craft that goes to the same effect")
    augmented: int = _size(512, "images of a batch to augment")
    rounds: int = _size(20, "batches that are augmented")
    encoded: int = _size(20_000, "images in parquet")
    held: int = _size(11_000, "images of the larger run whose memory is measured")
    most_workers: int = _size(4, "most worker processes of a DataLoader; up to this 0, 1, 2 and 4 are tried")
    checked: int = _size(32, "images on which both sides are shown to compute the same")


TINY = Sizes(
    batch=8, images=24, evaluated=40, evaluation_batch=20, attacked=12, attack_steps=2, network_steps=2, gathered=16,
    uc_images=24, uc_clusters=2, uc_batch=12, uc_epochs=1, uc_width=8, uc_blocks=1, uc_most=2, augmented=16,
    rounds=2, encoded=30, held=300, most_workers=1, checked=16,
)  # fmt: skip

CLASSES = 10
#: Radius of the perturbations, and of adversarial training's ball, in 8-bit units.
EPSILON = 8.0


@dataclass(frozen=True)
class Setting:
    """Sizes, numerics (the engine's defaults unless options override them), and a folder for files.

    ``official`` is the folder with clones of the official repositories, if they are measured.
    """

    sizes: Sizes
    numerics: Numerics
    scratch: Path
    official: Path | None = None

    @property
    def device(self) -> torch.device:
        return torch.device(self.numerics.device)

    def exact(self) -> Setting:
        """The same setting in float32, in which both sides are compared."""
        return replace(self, numerics=replace(self.numerics, dtype="float32"))


@dataclass(frozen=True)
class Measured:
    """One measurement.

    Attributes:
        seconds: wall time.
        images: passes of images through the network for a gradient or a prediction, or images handled.
        updates: gradient steps of weights and of batches of perturbations.
        notes: further values to report.
    """

    seconds: float
    images: int
    updates: int = 0
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """Numbers that both sides should agree on.

    Attributes:
        close: arrays equal up to float32 rounding in another order of operations.
        decided: by name a pair of equally shaped arrays: values that a discontinuity decides (sign of a gradient,
            arg max), and their distance from it (the gradient, the margin). Rounding may change a value only where
            that distance is almost 0; everywhere else the values are equal.
        mostly: arrays behind discontinuities whose distance is not known: nearly all of their values are equal.
    """

    close: dict[str, Any] = field(default_factory=dict)
    decided: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    mostly: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Agreement:
    """``largest``: the largest difference as a share of its limit's unit, and of which number it is."""

    agrees: bool
    largest: float
    of: str


#: Largest difference of ``close`` arrays over the largest value.
CLOSE = 1e-3
#: Values behind a discontinuity differ if by more than this over the largest value; the share that may of ``mostly``
#: arrays, and of the clear values of ``decided`` ones.
APART, MOSTLY, DECIDED = 0.1, 5e-3, 1e-4
#: A value is clear if its distance exceeds this share of the root mean square of all distances, on both sides. A
#: comparison with fewer than half of its values clear says nothing.
CLEAR, LEAST_CLEAR = 1e-3, 0.5


def agreement(one: Evidence, other: Evidence) -> Agreement:
    """Compare the evidence of two sides, which must name the same numbers."""
    differences = []
    for kind, limit in (("close", CLOSE), ("decided", DECIDED), ("mostly", MOSTLY)):
        here, there = getattr(one, kind), getattr(other, kind)
        if here.keys() != there.keys():
            raise ValueError(f"the sides state different numbers: {sorted(here)} and {sorted(there)}")
        for name in here:
            pairs = ((here[name],), (there[name],)) if kind != "decided" else (here[name], there[name])
            (a, *near), (b, *far) = (tuple(np.asarray(values, np.float64) for values in pair) for pair in pairs)
            shapes = {values.shape for values in (a, b, *near, *far)}
            if len(shapes) > 1 or not all(np.isfinite(values).all() for values in (a, b, *near, *far)):
                differences.append((float("inf"), limit, name))
                continue
            apart = np.abs(a - b) / max(float(np.abs(a).max()), 1e-30)
            if kind == "close":
                differences.append((float(apart.max()), limit, name))
                continue
            clear = np.logical_and.reduce([_clear(values) for values in (*near, *far)] or [np.ones(a.shape, bool)])
            share = float((apart[clear] > APART).mean()) if clear.mean() >= LEAST_CLEAR else float("inf")
            differences.append((share, limit, f"{name} (share of values)"))
    if not differences:
        raise ValueError("the sides state no number to agree on")
    difference, limit, name = max(differences, key=lambda entry: entry[0] / entry[1])
    return Agreement(difference <= limit, difference, name)


def _clear(distance: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Where a distance from a discontinuity is more than rounding."""
    return np.abs(distance) > CLEAR * np.sqrt(np.mean(distance**2))


class Side:
    """One side of a comparison, prepared once and measured several times."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.sizes = setting, setting.sizes

    @property
    def device(self) -> torch.device:
        return self.setting.device

    @cached_property
    def engine(self) -> Engine:
        return Engine(self.setting.numerics)

    def clock(self) -> float:
        """Seconds, after all work on the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @cached_property
    def _peak(self) -> float:
        return measured_peak(self.device, self.engine.dtype)

    def beside_peak(self, passes: Passes, seconds: float) -> dict[str, Any]:
        """Notes on the share of the device's peak at which the ResNet-18 ran."""
        sizes = self.sizes
        return notes(passes.operations(network(sizes), torch.zeros(2, 3, sizes.side, sizes.side)), seconds, self._peak)

    def aim(self, notes: dict[str, Any]) -> None:
        """Use the notes of the other side's warm-up."""

    def measure(self) -> Measured:
        raise NotImplementedError


class Stopwatch(Silent):
    """A progress report that adds the seconds of all bars: of a craft between ``start`` and ``stop`` units.

    Other bars, such as those of students that a craft trains first, count in full.
    """

    def __init__(self, side: Side, stop: int, start: int = 0) -> None:
        self._side, self._start, self._stop = side, start, stop
        self.seconds = 0.0

    def bar(self, text: str, total: int) -> Callable[[int], None]:
        done, begun = 0, self._side.clock()
        start, stop = (self._start, self._stop) if text.startswith("crafting") else (0, total)

        def advance(steps: int) -> None:
            nonlocal done, begun
            done += steps
            if done == start:
                begun = self._side.clock()
            if done == stop and steps:  # not again when a craft closes its bar
                self.seconds += self._side.clock() - begun

        return advance


@dataclass(frozen=True)
class Comparison:
    """Two sides in ``module``, classes ``Plain`` and ``Fast``, and how many times faster the second is to be.

    ``plain`` is ``module:Class`` of another first side.
    """

    name: str
    title: str
    module: str
    cpu: float | None = None
    cuda: float | None = None
    plain: str = ""

    def load(self, kind: str) -> str:
        """Where the side ``plain`` or ``ucbench`` is."""
        return self.plain or self.module if kind == "plain" else self.module

    def target(self, device: str) -> float | None:
        return self.cuda if device.startswith("cuda") else self.cpu


@dataclass(frozen=True)
class Figure:
    """A number of ucbench alone: ``load`` is ``module[:Class]``, and the number is to be at most ``limit``."""

    name: str
    title: str
    load: str
    unit: str
    limit: float


def synthetic_images(count: int, side: int, seed: int = 0) -> ImageSet:
    """Synthetic images: one coarse pattern per class, shifted in brightness, with mild noise."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(7).integers(40, 216, (CLASSES, 3, side // 4, side // 4))
    patterns = patterns.repeat(4, 2).repeat(4, 3).astype(np.int16)
    labels = np.arange(count, dtype=np.int64) % CLASSES
    images = np.empty((count, 3, side, side), np.uint8)
    for row, label in enumerate(labels):
        noisy = patterns[label] + rng.integers(-30, 31) + rng.integers(-8, 9, (3, side, side), dtype=np.int16)
        images[row] = noisy.clip(0, 255)
    return ImageSet(images, labels, tuple(map(str, range(CLASSES))), name="synthetic images")


def victim(sizes: Sizes, **options: Any) -> Any:
    """The victim component: ResNet-18 of the requested width."""
    values = {"width": sizes.width, "epochs": 1, "batch": sizes.batch, **options}
    written = ",".join(f"{name}={value}" for name, value in values.items())
    return installed().resolve("victim", f"resnet18:{written}").build()


def network(sizes: Sizes) -> torch.nn.Module:
    """The victim's network; the same weights at every call."""
    with seeded(0):
        return victim(sizes).build(CLASSES, (sizes.side, sizes.side))


def bilevel_surrogate(sizes: Sizes) -> Surrogate:
    """The surrogate that bi-level poisoners train: the victim's architecture."""
    return installed().resolve("surrogate", f"resnet18:width={sizes.width}").build()


class _Quiet(CraftRun):
    """Keeps warnings out of the table: an untrained surrogate is intended here."""

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def crafting(side: Side, progress: Silent, surrogate: Surrogate, epsilon: float = EPSILON) -> CraftRun:
    """The run that is passed to a poisoner."""
    surrogate.to(side.engine.device, side.engine.dtype)
    return _Quiet(side.engine, 0, progress, budget=Budget("linf", epsilon), surrogate=surrogate)


def array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().float().cpu().numpy()
