"""Cells on a Ray cluster have the records of one process, whatever happens to the workers."""

from __future__ import annotations

import csv
import functools
import importlib.util
import os
import time
from pathlib import Path

import disturbing_components as disturbing
import pytest
import torch

import ucbench_ray
from ucbench import DatasetSpec, PoisonerSpec, UsageError, hookimpl
from ucbench.matrix.matrix import Request, expand
from ucbench.numerics import Numerics
from ucbench.plugins import builtin
from ucbench.plugins.manager import load_module
from ucbench.plugins.registry import Registry
from ucbench.progress import Silent
from ucbench.results.table import rows, write_csv
from ucbench.running.executors.serial import Serial
from ucbench.running.runner import run_cells
from ucbench.session import Session
from ucbench.store.store import Store
from ucbench.testing import check_executor, sample_images
from ucbench.testing.cells import Few, Spots, small_cells
from ucbench.testing.samples import NUMERICS
from ucbench_ray.params import RayParams

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='ray is not installed: pip install "ucbench[ray]"'
)
#: Columns of results.csv that say how long something took.
COSTS = {"seconds", "craft_seconds", "images_per_second"}


class Telltale(Spots):
    """Notes the threads it is crafted with."""

    def craft(self, train, run):
        run.note("threads", [torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")])
        return super().craft(train, run)


class Mortal(disturbing.Deadly):
    """Leaves a line in the file UCBENCH_TEST_DEATHS, and dies."""

    def craft(self, train, run):
        with Path(os.environ["UCBENCH_TEST_DEATHS"]).open("a") as file:
            file.write("died\n")
        super().craft(train, run)


class Elsewhere(Few):
    """Has other images in processes other than UCBENCH_TEST_DRIVER."""

    def load(self, split):
        here = os.environ["UCBENCH_TEST_DRIVER"] == str(os.getpid())
        return sample_images(seed=(2 if here else 4) + (split == "test"), name=split)


class Plugin(disturbing.Plugin):
    @hookimpl
    def ucbench_poisoners(self):
        yield from super().ucbench_poisoners()
        for made in (Telltale, Mortal):
            name = made.__name__.lower()
            yield PoisonerSpec(name=name, summary="", load=f"{__name__}:{made.__name__}", granularity="universal")

    @hookimpl
    def ucbench_datasets(self):
        yield from super().ucbench_datasets()
        params = "ucbench.data.params:DatasetParams"
        yield DatasetSpec(name="elsewhere", summary="", load=f"{__name__}:Elsewhere", params=params, epsilon=8)


@functools.lru_cache(maxsize=1)
def registry() -> Registry:
    core = load_module("ucbench", builtin, "ucbench", "0")
    ours = load_module("ucbench_ray", ucbench_ray, "ucbench", "0")
    return Registry([core, ours, load_module("small", Plugin(), "ucbench", "0")], registry)


def session(home: Path) -> Session:
    return Session(Store(home), NUMERICS, Silent(), registry())


class TestShare:
    """A worker's share of the cluster. Importing the class needs ray."""

    pytestmark = needs_ray

    def share(self, device: str = "cpu", threads: int = 1, **params):
        from ucbench_ray.cluster import Share

        return Share.of(RayParams(**params), Numerics(device, "float32", threads))

    def test_share_is_threads_of_the_run_and_a_gpu_on_cuda(self):
        assert str(self.share(threads=3)) == "3 CPU"
        assert str(self.share("cuda", threads=2)) == "2 CPU and 1 GPU"
        assert str(self.share("cuda", cpus=1, gpus=0.5)) == "1 CPU and 0.5 GPU"

    @pytest.mark.parametrize(("device", "params"), [("cuda:1", {}), ("cuda", {"gpus": 0})])
    def test_numbered_gpu_or_none_on_cuda_raises_usage_error(self, device, params):
        with pytest.raises(UsageError, match="cuda"):
            self.share(device, **params)

    def test_places_of_a_node_follow_its_scarcest_resource(self):
        def node(cpu: int, gpu: int = 0, alive: bool = True):
            return {"Alive": alive, "Resources": {"CPU": float(cpu), "GPU": float(gpu)}}

        assert (
            self.share(threads=4).places([node(7), node(8), node(64, alive=False), {**node(0), "Resources": {}}]) == 3
        )
        assert self.share("cuda", threads=2, gpus=0.5).places([node(64, gpu=2), node(2, gpu=2), node(64)]) == 5


def test_gpus_above_one_must_be_whole():
    with pytest.raises(UsageError, match="whole ones"):
        registry().resolve("executor", "ray:gpus=1.5")


def test_missing_ray_names_the_extra_to_install(monkeypatch):
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else known(name))
    with pytest.raises(UsageError, match=r'pip install "ucbench\[ray\]"'):
        registry().resolve("executor", 'ray:2:address="ray://head:10001",limit=60').build()


@needs_ray
def test_missing_ray_client_names_the_extra_to_install(monkeypatch, tmp_path):
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "grpc" else known(name))
    executor = registry().resolve("executor", 'ray:address="ray://head:10001"').build()
    with pytest.raises(UsageError, match=r'pip install "ray\[client\]"'):
        executor.run([], session(tmp_path), None)


@needs_ray
def test_own_cluster_keeps_contract_of_executors_and_ends_with_the_run():
    import ray

    assert not ray.is_initialized()
    check_executor(registry().resolve("executor", "ray:2"))
    assert not ray.is_initialized()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster that this process is connected to before any executor; its workers see ENDLESS_MARK."""
    from ucbench_ray.cluster import ray, start

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ENDLESS_MARK", str(tmp_path_factory.mktemp("marks") / "begun"))
        start(cpus=2, gpus=0)
        yield ray
        ray.shutdown()


@pytest.fixture(scope="module")
def disturbed(cluster, tmp_path_factory) -> tuple[Path, dict[str, dict]]:
    """A folder and the records, by poisoner or unusual data set, of a run in which almost everything goes wrong.

    Its one worker has another store than the driver.
    """
    folder = tmp_path_factory.mktemp("disturbed")
    cells = small_cells("mortal", "endless", "telltale", seeds=1, registry=registry())
    cells += expand(Request(["elsewhere"], ["spots"], ["linear"], ["own"]), registry())
    mark, now = Path(os.environ["ENDLESS_MARK"]), time.monotonic
    with pytest.MonkeyPatch.context() as patch:
        # Not the number of processors, which ray would set.
        patch.setenv("OMP_NUM_THREADS", "3")
        patch.setenv("UCBENCH_TEST_DEATHS", str(folder / "deaths"))
        patch.setenv("UCBENCH_TEST_DRIVER", str(os.getpid()))
        # The clock leaps once, while the endless job runs: no machine is too slow for the others, and nobody waits.
        patch.setattr("ucbench.running.executors.dispatcher.monotonic", lambda: now() + 10**6 * mark.exists())
        executor = registry().resolve("executor", f"ray:1:limit=1e5,home={folder / 'node'}").build()
        records = run_cells(cells, session(folder / "home"), out=folder / "out", executor=executor)
    names = [record["request"][{"few": "poisoner"}.get(record["request"]["dataset"], "dataset")] for record in records]
    return folder, dict(zip(names, records, strict=True))


@needs_ray
class TestDisturbances:
    def test_each_disturbance_fails_only_its_own_job(self, disturbed):
        _, records = disturbed
        assert {name: record["status"] for name, record in records.items()} == {
            "clean": "ok",
            "sham": "ok",
            "telltale": "ok",
            "mortal": "failed",
            "endless": "failed",
            "elsewhere": "failed",
        }

    def test_job_of_a_killed_worker_is_tried_twice(self, disturbed):
        folder, records = disturbed
        assert (folder / "deaths").read_text().split() == ["died", "died"]
        assert records["mortal"]["error"]["type"] == "WorkerDied"

    def test_job_beyond_the_limit_is_stopped(self, disturbed):
        _, records = disturbed
        assert records["endless"]["error"] == {"type": "TimeLimit", "text": "Stopped after 100000 seconds, the limit."}

    def test_node_with_other_data_computes_nothing_under_the_drivers_key(self, disturbed):
        folder, records = disturbed
        assert records["elsewhere"]["error"]["type"] == "NodeDiffers"
        assert Store(folder / "node").get("cell", records["elsewhere"]["cell"]) is None

    def test_records_equal_those_of_serial_with_the_same_threads(self, disturbed, tmp_path, monkeypatch):
        _, records = disturbed
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        cells = small_cells("telltale", seeds=1, registry=registry())
        alone = run_cells(cells, session(tmp_path), executor=Serial())
        together = [records[record["request"]["poisoner"]] for record in alone]
        assert table(together, tmp_path / "together") == table(alone, tmp_path / "alone")
        assert [record["history"] for record in together] == [record["history"] for record in alone]
        notes = [record["crafting"].get("notes") for record in together]
        assert notes == [record["crafting"].get("notes") for record in alone]
        assert {"threads": [NUMERICS.threads, "3"]} in notes

    def test_releases_stay_with_workers_and_cells_reach_the_driver(self, disturbed):
        folder, records = disturbed
        own, workers = Store(folder / "home"), Store(folder / "node")
        telltale = records["telltale"]
        assert workers.get("release", telltale["release"]) is not None
        assert own.get("release", telltale["release"]) is None
        assert {name for name, record in records.items() if own.get("cell", record["cell"])} == {
            "clean",
            "sham",
            "telltale",
        }
        # The next run finds them done, even without the folder of results.
        cells = small_cells("telltale", seeds=1, registry=registry())
        again = run_cells(cells, session(folder / "home"), executor=Never())
        assert again == [records[record["request"]["poisoner"]] for record in again]


class Never:
    def run(self, tasks, session, on_done):
        raise AssertionError(f"{len(tasks)} cells are not done")


def table(records: list[dict], folder: Path) -> list[dict[str, str]]:
    """The rows of results.csv without the columns of costs."""
    with write_csv(folder, rows(records)).open(newline="") as file:
        return [{name: value for name, value in row.items() if name not in COSTS} for row in csv.DictReader(file)]


@needs_ray
def test_interruption_ends_the_workers_but_not_a_cluster_that_was_joined(cluster, tmp_path):
    def interrupt(task, record):
        raise KeyboardInterrupt

    from ucbench.running.tasks import task_of

    at = session(tmp_path)
    tasks = [task_of(cell, at) for cell in small_cells("spots", seeds=1, registry=registry())]
    with pytest.raises(KeyboardInterrupt):
        registry().resolve("executor", "ray:1").build().run(tasks, at, interrupt)
    assert cluster.is_initialized()
    deadline = time.monotonic() + 60
    while cluster.available_resources().get("CPU") != 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert cluster.available_resources().get("CPU") == 2
