"""The example plugins for experiment trackers: on the trackers where they are installed, else on the least of them."""

from __future__ import annotations

import importlib.util
import re
import sys
import types
from pathlib import Path

import pytest
from doc_pages import DOCS

from ucbench.plugins import manager
from ucbench.plugins.specs import CellEvent, EpochEvent

REQUEST = {"poisoner": "uc", "epsilon": 8.0, "seed": None}
METRICS = {"test_accuracy": 31.5, "linear_probe": None, "robust-accuracy:epsilon=4.accuracy": 12.0}


def installed(name: str):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """Loads an example afresh in an empty folder; its caches end with the test."""
    monkeypatch.chdir(tmp_path)
    for name in ("UCBENCH_TENSORBOARD", "MLFLOW_TRACKING_URI", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.delenv(name, raising=False)
    modules = set(sys.modules)

    def load(name: str) -> manager.LoadedPlugin:
        plugin = manager.load_file(manager.PluginFile.read(DOCS / "examples" / name))
        assert plugin.problem is None
        return plugin

    yield load
    for name in set(sys.modules) - modules:
        if name.startswith("ucbench_file_"):
            del sys.modules[name]


def happen(plugin: manager.LoadedPlugin) -> None:
    """Two cells of two epochs: ``aa`` is finished, ``bb`` fails."""
    problems = []
    for cell in ("aa", "bb"):
        for epoch in (1, 2):
            values = {"loss": 1 / epoch, "lr": 0.1, "test_accuracy": 10.0 * epoch}
            problems += manager.notify("ucbench_epoch_finished", EpochEvent(cell, REQUEST, epoch, 2, values), [plugin])
    record = {"cell": "aa", "request": REQUEST, "metrics": METRICS, "epochs": 2}
    problems += manager.notify("ucbench_cell_finished", CellEvent(record), [plugin])
    problems += manager.notify("ucbench_cell_failed", CellEvent({"cell": "bb", "error": {}}), [plugin])
    assert problems == []


@installed("tensorboard")
def test_tensorboard_example_writes_every_epoch_and_the_final_metrics(loaded, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    happen(loaded("to_tensorboard.py"))
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["aa", "bb"]
    events = EventAccumulator(str(tmp_path / "runs" / "aa")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("test_accuracy")] == [(1, 10.0), (2, 20.0)]
    assert [(event.step, event.value) for event in events.Scalars("final/test_accuracy")] == [(2, 31.5)]
    assert "final/linear_probe" not in events.Tags()["scalars"]


def test_tensorboard_example_calls_a_writer_as_documented(loaded, monkeypatch):
    written: list[tuple[str, str, int]] = []

    class SummaryWriter:
        def __init__(self, log_dir: str) -> None:
            self.folder = Path(log_dir).name

        def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
            written.append((self.folder, tag, float(scalar_value), global_step))

        def add_text(self, tag: str, text_string: str) -> None:
            written.append((self.folder, tag, "uc" in text_string))

        def flush(self) -> None:
            """Nothing is kept back."""

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    happen(loaded("to_tensorboard.py"))
    assert {("aa", "loss", 0.5, 2), ("bb", "loss", 1.0, 1), ("aa", "request", True)} <= set(written)
    assert [entry for entry in written if entry[1].startswith("final/")] == [
        ("aa", "final/test_accuracy", 31.5, 2),
        ("aa", "final/robust-accuracy:epsilon=4.accuracy", 12.0, 2),
    ]


@installed("mlflow")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_example_writes_one_run_per_cell_with_its_state(loaded):
    happen(loaded("to_mlflow.py"))
    from mlflow import MlflowClient

    client = MlflowClient("file:./mlruns")
    found = client.get_experiment_by_name("ucbench")
    runs = {run.data.tags["cell"]: run for run in client.search_runs([found.experiment_id])}
    assert {cell: run.info.status for cell, run in runs.items()} == {"aa": "FINISHED", "bb": "FAILED"}
    history = client.get_metric_history(runs["aa"].info.run_id, "test_accuracy")
    assert [(point.step, point.value) for point in history] == [(1, 10.0), (2, 20.0)]
    assert runs["aa"].data.metrics["final/robust-accuracy_epsilon_4.accuracy"] == 12.0
    assert runs["aa"].data.params["poisoner"] == "uc"


def test_mlflow_example_calls_a_client_as_documented(loaded, monkeypatch):
    runs: dict[str, dict] = {}

    class MlflowClient:
        def __init__(self, tracking_uri: str) -> None:
            assert tracking_uri == "file:./mlruns"

        def get_experiment_by_name(self, name: str):
            return None

        def create_experiment(self, name: str) -> str:
            return name

        def search_runs(self, experiment_ids: list[str], filter_string: str, max_results: int) -> list:
            return []

        def create_run(self, experiment_id: str, tags: dict[str, str]):
            runs[tags["cell"]] = {"state": "RUNNING"}
            return types.SimpleNamespace(info=types.SimpleNamespace(run_id=tags["cell"]))

        def log_metric(self, run_id: str, key: str, value: float, step: int) -> None:
            assert re.fullmatch(r"[\w./ -]+", key)  # what every version accepts
            runs[run_id][key] = (float(value), step)

        def log_param(self, run_id: str, key: str, value: object) -> None:
            runs[run_id][key] = value

        def set_terminated(self, run_id: str, status: str = "FINISHED") -> None:
            runs[run_id]["state"] = status

    module = types.ModuleType("mlflow")
    module.MlflowClient = MlflowClient
    monkeypatch.setitem(sys.modules, "mlflow", module)
    happen(loaded("to_mlflow.py"))
    assert {cell: run["state"] for cell, run in runs.items()} == {"aa": "FINISHED", "bb": "FAILED"}
    assert runs["aa"]["poisoner"] == "uc"
    assert runs["aa"]["final/test_accuracy"] == (31.5, 2)
    assert runs["bb"]["loss"] == (0.5, 2)
