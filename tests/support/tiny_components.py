"""Components that take milliseconds, and some that misbehave, for tests of what the core does with any component.

Every craft, fit and training leaves a line in the file that ``TINY_LOG`` names, so that work can be counted across
processes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import tiny_exploiter as exploiter
import tiny_protector as protector
from tiny_base import CLASSES, Spots, SpotsParams, work_done

import ucbench
from ucbench import (
    DatasetSpec,
    DefenseSpec,
    LabelingSpec,
    MetricSpec,
    PoisonerSpec,
    SurrogateSpec,
    VictimSpec,
)
from ucbench.numerics import Numerics
from ucbench.plugins import builtin
from ucbench.plugins.manager import load_module
from ucbench.plugins.registry import Registry
from ucbench.plugins.specs import ComponentSpec
from ucbench.progress import Silent
from ucbench.session import Session
from ucbench.store.store import Store

__all__ = ["CLASSES", "CPU", "SPECS", "Plugin", "Spots", "SpotsParams", "registry", "session", "work_done"]

CPU = Numerics("cpu", "float32", 1)


def _of(
    kind: type[ComponentSpec], name: str, component: type, params: type = ucbench.Params, **fields: Any
) -> ComponentSpec:
    load, stated = (f"{part.__module__}:{part.__name__}" for part in (component, params))
    return kind(name=name, summary="", load=load, params=stated, **fields)


SPECS = (
    _of(DatasetSpec, "spots", Spots, SpotsParams, epsilon=24),
    _of(DatasetSpec, "ungated", Spots, SpotsParams),
    _of(VictimSpec, "tiny", exploiter.TinyNet, exploiter.TinyRecipe),
    _of(VictimSpec, "fixed", exploiter.FixedNet),
    _of(VictimSpec, "nearest", exploiter.Nearest, opaque=True, needs_trusted=True),
    _of(VictimSpec, "wild", exploiter.Wild, opaque=True),
    _of(
        PoisonerSpec, "stripes", protector.Stripes, protector.StripesParams, aliases=("bars",),
        granularity="universal", native_epsilon=12,
    ),
    _of(PoisonerSpec, "plain", protector.Stripes, protector.StripesParams),
    _of(PoisonerSpec, "blots", protector.Blots, budget="l2", native_epsilon=0.5, projects=True),
    _of(
        PoisonerSpec, "badge", protector.Badge, label_access="full", granularity="class", native_epsilon=8,
        paper="J. Doe: Badges. 2020. https://example.org/badges",
    ),
    _of(PoisonerSpec, "leaner", protector.Leaner, surrogate="eyes", granularity="universal"),
    _of(PoisonerSpec, "bad", protector.Bad, protector.BadParams, label_access="full"),
    _of(SurrogateSpec, "eyes", protector.Eyes),
    _of(SurrogateSpec, "others", protector.OtherEyes),
    _of(SurrogateSpec, "bare", protector.Eyes, untrained=True),
    _of(SurrogateSpec, "fitted", protector.FittedEyes, label_access="full"),
    _of(LabelingSpec, "original", exploiter.Original),
    _of(LabelingSpec, "shifted", exploiter.Shifted),
    _of(LabelingSpec, "pairs", exploiter.Pairs),
    _of(LabelingSpec, "clumsy", exploiter.Clumsy),
    _of(LabelingSpec, "seen", exploiter.Seen, exploiter.SeenParams, source="machine", surrogate="eyes"),
    _of(MetricSpec, "sharpness", exploiter.Sharpness, exploiter.CountParams),
    _of(MetricSpec, "change", exploiter.Change, reads=("source", "published")),
    _of(MetricSpec, "last-loss", exploiter.LastLoss, reads=("model", "history")),
    _of(MetricSpec, "no-number", exploiter.NoNumber, exploiter.NumberParams, reads=("published",)),
    _of(DefenseSpec, "fog", exploiter.Fog, static=True),
    _of(DefenseSpec, "undo", exploiter.Undo, static=True, leaked=True),
    _of(DefenseSpec, "outsider", exploiter.Outsider, static=True),
    _of(DefenseSpec, "trustee", exploiter.Trustee, static=True, needs_trusted=True),
    _of(DefenseSpec, "best", exploiter.Best, needs_trusted=True),
    _of(DefenseSpec, "dim", exploiter.Dim),
    _of(DefenseSpec, "dusk", exploiter.Dusk),
)  # fmt: skip


class Plugin:
    """All of the above as one plugin that also observes."""

    seen: list[tuple[str, str]]
    epochs: list[ucbench.EpochEvent]

    def __init__(self, *raised: tuple[str, int]) -> None:
        versions = dict(raised)
        self.specs = [replace(spec, version=versions.get(spec.name, 1)) for spec in SPECS]
        self.seen = []
        self.epochs = []

    def of(self, kind: str) -> list[ucbench.ComponentSpec]:
        return [spec for spec in self.specs if spec.kind == kind]

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
    core = load_module("ucbench", builtin, "ucbench", "0")
    tiny = load_module("tiny", plugin or Plugin(*raised), "ucbench-tiny", "1")
    assert tiny.problem is None, tiny.problem
    return Registry([core, tiny])


def session(home: Path, registry: Registry | None = None) -> Session:
    return Session(Store(home), CPU, Silent(), registry)
