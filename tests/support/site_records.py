"""Records of imagined cells, for tests of the site: no training, all the fields that a run's records have."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import boards

#: The second positive, without which no gate is passed.
SECOND = "rand-class:pattern=sign"
#: Accuracy by poisoner, without defense and with jpeg.
ACCURACY = {
    "clean": (90, 84),
    "sham": (88, 83),
    "positive": (12, 20),
    "uc": (40, 60),
    "lsp": (20, 75),
    SECOND: (11, 12),
}
#: The suite of such a board, as a file has it.
SUITE = """
name = "small"
version = 3
title = "Spots"
[[table]]
poisoner = "uc"
[ranking]
defenses = ["none", "jpeg"]
"""
#: A poisoner's name that would be a script where somebody forgot to escape it.
HOSTILE = "<img src=x onerror=\"document.title='broken'\"></script>&'"


def record(poisoner: str, *, defense: str = "none", seed: int = 0, accuracy: float = 50.0, **changes: Any) -> dict:
    """One record; ``changes`` replace values of its request, or of the record itself."""
    clean = poisoner == "clean"
    request = {
        "dataset": "digits", "poisoner": poisoner, "preset": "standard", "surrogate": "none", "craft_labels": "none",
        "labeling": "original", "defense": defense, "victim": "resnet18:width=16",
        "norm": "unbounded" if clean else "linf", "epsilon": None if clean else 8.0, "mixture": 1.0, "trusted": 0,
        "craft_seed": None if clean else seed, "train_seed": seed,
    }  # fmt: skip
    request |= {name: value for name, value in changes.items() if name in request}
    cell = _digits(request)
    made: dict[str, Any] = {
        "schema": 1,
        "cell": cell,
        "release": None if clean else f"{cell[::-1]}",
        "request": request,
        "components": {"poisoner": boards.component(poisoner.partition(":")[0], grid=4)},
        "label_access": "full" if poisoner in ("lsp", "positive", SECOND) else "none",
        "oracle": poisoner == "positive",
        "granularity": "sample",
        "data": {
            "train": "a" * 64,
            "test": "b" * 64,
            "test_images": 1000,
            "classes": 10,
            "note": "kept at 8x8, height x width",
        },
        "numerics": {"deterministic": True, "dtype": "float32", "threads": 1},
        "environment": {"device": "cpu", "processor": "Imagined", "versions": {"ucbench": "0.1.0"}},
        "status": "ok",
        "epochs": 4,
        "metrics": {"test_accuracy": accuracy, "chance": 10.0, "train_accuracy": 97.0},
        "history": [{"epoch": e, "loss": 2 / e, "lr": 0.1, "test_accuracy": accuracy * e / 4} for e in (2, 4)],
        "budget": {} if clean else {"linf_max": 8.0, "psnr": 33.2},
        "crafting": {} if clean else {"notes": {"rounds": [0.5, 0.25]}, "warnings": []},
        "cost": {"seconds": 9.0 + seed, "craft_seconds": 0.0 if clean else 2.0 + len(poisoner), "train_seconds": 8.0},
        "notes": {},
        "warnings": [],
    }
    made |= {name: value for name, value in changes.items() if name not in request}
    return made


def failed(poisoner: str, **changes: Any) -> dict:
    """The record of a cell that could not be computed."""
    made = record(poisoner, **changes)
    for name in ("metrics", "history", "budget", "crafting", "cost", "epochs", "notes", "warnings"):
        del made[name]
    return {**made, "status": "failed", "error": {"type": "ValueError", "text": "the <optimiser> gave up"}}


def board(seeds: int = 4) -> list[dict]:
    """Six poisoners under two defenses."""
    return [
        record(name, defense=defense, seed=seed, accuracy=float(accuracy + seed))
        for name, accuracies in ACCURACY.items()
        for defense, accuracy in zip(("none", "jpeg"), accuracies, strict=True)
        for seed in range(seeds)
    ]


def write(folder: Path, records: list[dict], *, sheets: bool = True) -> Path:
    """A leaderboard's folder with these records and, of the first ``uc`` release, a image sheet."""
    (folder / "records").mkdir(parents=True, exist_ok=True)
    for one in records:
        text = json.dumps(one, indent=1, sort_keys=True)
        (folder / "records" / f"{one['cell']}.json").write_text(text, encoding="utf-8")
    if sheets:
        (folder / "sheets").mkdir(exist_ok=True)
        for one in [one for one in records if one["request"]["poisoner"] == "uc"][:1]:
            (folder / "sheets" / f"uc-{one['release'][:12]}.png").write_bytes(png(3, 2))
    return folder


def png(width: int, height: int) -> bytes:
    """A grey image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _digits(value: Any) -> str:
    from ucbench.store.keys import key

    return key("cell", value)


def many(folder: Path, boards_: int, victims: int = 2, methods: int = 6, defenses: int = 12, seeds: int = 4) -> int:
    """Write a folder of boards for measuring, each with four references or oracles beside ``methods`` poisoners.

    Returns:
        The number of records: boards x victims x (methods + 4) x defenses x seeds.
    """
    import random

    draw, count = random.Random(0), 0
    levels = {"clean": 90.0, "sham": 89.0, "positive": 12.0, SECOND: 11.0}
    for board_ in range(boards_):
        records = []
        for name in [*levels, *(f"method-{n}" for n in range(methods))]:
            level = levels.get(name, draw.uniform(20, 80))
            for victim in (f"resnet18:width={8 * (n + 1)}" for n in range(victims)):
                for number in range(defenses):
                    defense = f"defense-{number}" if number else "none"
                    records += [
                        record(name, defense=defense, seed=seed, accuracy=level + draw.random(), victim=victim)
                        for seed in range(seeds)
                    ]
        write(folder / f"board-{board_}" / "v1", records, sheets=False)
        count += len(records)
    return count
