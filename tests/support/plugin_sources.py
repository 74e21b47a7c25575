"""Plugins in one file, one for every kind of component, and what ``ucbench check-plugin`` says of them."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from ucbench.cli.app import main

HEAD = """
import itertools

import numpy as np
import torch
from torch import nn

import ucbench
from ucbench import Params

CALLS = itertools.count()
"""

#: A small component of every kind that keeps its contract, as a plugin in one file.
GOOD = {
    "poisoner": """
        class Thing:
            def __init__(self, params):
                self.params = params

            def craft(self, train, run):
                noise = torch.rand((1, 3, *train.size), generator=run.generator("noise")).numpy()
                delta = np.float32(run.budget.radius) * (2 * noise - 1)
                return ucbench.Perturbation(delta, np.zeros(len(train), np.int64))

            def assign(self, images, labels, state, run):
                return np.zeros(len(images), np.int64)

        @ucbench.hookimpl
        def ucbench_poisoners():
            yield ucbench.PoisonerSpec(
                name="thing", summary="A thing", load=f"{__name__}:Thing", granularity="universal", native_epsilon=8
            )
    """,
    "labeling": """
        class Thing:
            def __init__(self, params):
                self.params = params

            def apply(self, clean, published, test, run):
                names = ("even", "odd")
                return published.with_labels(clean.known_labels % 2, names), test.with_labels(
                    test.known_labels % 2, names
                )

        @ucbench.hookimpl
        def ucbench_labelings():
            yield ucbench.LabelingSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "defense": """
        class Thing:
            def __init__(self, params):
                self.params = params

            def augment(self, x, run, generator):
                return x * torch.rand((len(x), 1, 1, 1), generator=generator)

        @ucbench.hookimpl
        def ucbench_defenses():
            yield ucbench.DefenseSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "victim": """
        class Thing:
            def __init__(self, params):
                self.recipe = ucbench.Recipe(epochs=1)

            def build(self, classes, size):
                return nn.Sequential(nn.Flatten(), nn.Linear(3 * size[0] * size[1], classes))

        @ucbench.hookimpl
        def ucbench_victims():
            yield ucbench.VictimSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "surrogate": """
        class Thing:
            def __init__(self, params):
                with torch.random.fork_rng():
                    torch.manual_seed(0)
                    self.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
                self.network.requires_grad_(False)

            def module(self, seed, train=None):
                return self.network

            def features(self, x):
                return self.network(x)

            def logits(self, x):
                raise ucbench.UsageError("It has none.")

            def to(self, device, dtype):
                self.network.to(device)

        @ucbench.hookimpl
        def ucbench_surrogates():
            yield ucbench.SurrogateSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "dataset": """
        class Thing:
            def __init__(self, params):
                self.params = params

            def load(self, split):
                rng = np.random.default_rng(len(split))
                images = rng.integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
                return ucbench.ImageSet(images, np.arange(6) % 2, ("a", "b"), name=split)

        @ucbench.hookimpl
        def ucbench_datasets():
            yield ucbench.DatasetSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "metric": """
        class Thing:
            def __init__(self, params):
                self.params = params

            def compute(self, context):
                x = torch.from_numpy(context.test.images.copy()).float() / 255
                with torch.no_grad():
                    return {"mean": float(context.model(x).mean())}

        @ucbench.hookimpl
        def ucbench_metrics():
            yield ucbench.MetricSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "executor": """
        from ucbench import compute

        class Thing:
            def __init__(self, params):
                self.params = params

            def run(self, tasks, session, on_done):
                for task in tasks:
                    on_done(task, compute(task, session))

        @ucbench.hookimpl
        def ucbench_executors():
            yield ucbench.ExecutorSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
    "exporter": """
        class Thing:
            def __init__(self, params):
                self.params = params

            def export(self, leaderboard, title):
                entries = (entry for block in leaderboard.blocks for entry in block.entries)
                return "".join(f"{e.values['poisoner']} {e.undefended.interval.mean}\\n" for e in entries)

        @ucbench.hookimpl
        def ucbench_exporters():
            yield ucbench.ExporterSpec(name="thing", summary="A thing", load=f"{__name__}:Thing")
    """,
}


def source(kind: str, old: str = "", new: str = "") -> str:
    text = textwrap.dedent(GOOD[kind])
    assert old in text
    return HEAD + text.replace(old, new)


def checked(capsys, *arguments: str) -> tuple[int, dict]:
    """Exit code and report of a check."""
    code = main(["check-plugin", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def checked_source(capsys, folder: Path, text: str, *arguments: str) -> tuple[int, dict]:
    """Exit code and report on the one component of a plugin file with this text."""
    (folder / "thing.py").write_text(text)
    code, report = checked(capsys, *arguments, "--plugin", str(folder / "thing.py"))
    (entry,) = report["components"]
    assert report["passed"] is (code == 0)
    return code, entry


def verdicts(entry: dict) -> dict[str, str]:
    return {line["rule"]: line["verdict"] for line in entry["rules"]}


def failed(entry: dict) -> set[str]:
    return {rule for rule, verdict in verdicts(entry).items() if verdict == "failed"}
