# to_mlflow.py
import functools
import os
import re

from mlflow import MlflowClient

from ucbench import hookimpl

STORE = os.environ.get("MLFLOW_TRACKING_URI", "file:./mlruns")
if STORE.startswith("file:"):  # later versions refuse folders without it
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")


@functools.cache
def client():
    return MlflowClient(STORE)


@functools.cache
def run_of(cell):
    found = client().get_experiment_by_name("ucbench")
    ident = found.experiment_id if found else client().create_experiment("ucbench")
    tagged = client().search_runs([ident], f"tags.cell = '{cell}'", max_results=1)
    run = tagged[0] if tagged else client().create_run(ident, tags={"cell": cell})
    return run.info.run_id


def add(cell, values, step):
    for name, value in values.items():
        if value is not None:
            name = re.sub(r"[^\w./ -]", "_", name)
            client().log_metric(run_of(cell), name, value, step=step)


@hookimpl
def ucbench_epoch_finished(event):
    add(event.cell, event.values, event.epoch)


@hookimpl
def ucbench_cell_finished(event):
    record = event.record
    for name, value in record["request"].items():
        client().log_param(run_of(record["cell"]), name, value)
    final = {f"final/{k}": v for k, v in record["metrics"].items()}
    add(record["cell"], final, record["epochs"] or 0)
    client().set_terminated(run_of(record["cell"]))


@hookimpl
def ucbench_cell_failed(event):
    client().set_terminated(run_of(event.record["cell"]), "FAILED")
