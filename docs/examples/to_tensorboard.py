# to_tensorboard.py
import functools
import json
import os
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from ucbench import hookimpl


@functools.cache
def writer(cell):
    root = Path(os.environ.get("UCBENCH_TENSORBOARD", "runs"))
    return SummaryWriter(str(root / cell))


def add(cell, values, step):
    for name, value in values.items():
        if value is not None:
            writer(cell).add_scalar(name, value, step)
    writer(cell).flush()


@hookimpl
def ucbench_epoch_finished(event):
    add(event.cell, event.values, event.epoch)


@hookimpl
def ucbench_cell_finished(event):
    record = event.record
    request = json.dumps(record["request"], indent=2)
    writer(record["cell"]).add_text("request", f"```\n{request}\n```")
    final = {f"final/{k}": v for k, v in record["metrics"].items()}
    add(record["cell"], final, record["epochs"] or 0)
