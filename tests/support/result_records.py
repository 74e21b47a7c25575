"""Records of cells on ten balanced classes, and their rows."""

from __future__ import annotations

import boards

from ucbench.results.table import dicts, rows
from ucbench.store.keys import key


def record(poisoner: str, accuracy: float | None, *, data: str = "spots", dtype: str = "float32", **changes) -> dict:
    """A record of a cell on ten balanced classes; without an accuracy, of a failed one."""
    request = {
        "dataset": "spots",
        "poisoner": poisoner,
        "preset": "standard",
        "surrogate": "none",
        "craft_labels": "none",
        "labeling": "original",
        "defense": "none",
        "victim": "tiny",
        "norm": "linf",
        "epsilon": 8.0,
        "mixture": 1.0,
        "trusted": 0,
        "craft_seed": 0,
        "train_seed": 0,
    }
    if poisoner == "clean":
        request |= {"norm": "unbounded", "epsilon": None, "craft_seed": None}
    metrics = changes.pop("metrics", {})
    request |= changes
    found = {
        **boards.record(poisoner, 0, 0.0 if accuracy is None else accuracy),
        "cell": key("cell", [*request.values(), data, dtype]),
        "request": request,
        "data": {"train": data, "test": data, "test_images": 1000, "size": [3, 4]},
        "numerics": {"dtype": dtype, "threads": 1, "deterministic": True},
    }
    if accuracy is None:
        return boards.failed(found)
    return found | {
        "metrics": {
            "test_accuracy": accuracy,
            "balanced_accuracy": accuracy,
            "matched_accuracy": accuracy,
            "test_accuracy_best": min(accuracy + 1, 100.0),
            "train_accuracy": 99.0,
            "chance": 10.0,
            **metrics,
        },
        "epochs": 12,
        "budget": {"linf_max": 4.0, "psnr": 31.25, "l2_max": 0.0315, "l2_mean": 0.024, "l0_max": 64.0, "ssim": 0.98765},
        "cost": {"seconds": 12.3456, "craft_seconds": 1.0, "images_per_second": 100.0},
    }


def row_of(poisoner: str, records: list[dict], **where) -> dict:
    (found,) = [
        r for r in dicts(rows(records)) if r["poisoner"] == poisoner and all(r[k] == v for k, v in where.items())
    ]
    return found
