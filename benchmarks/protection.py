"""What `ucbench protect` leaves of an exploiter's accuracy, on photos in folders named by what they show.

``python benchmarks/protection.py TRAIN TEST --out DIR --json docs/_data/protection.json``: the photos of TRAIN are
protected whole, with patterns and, as a control, with noise; an exploiter trains on the copies, resized, and is tested
on the photos of TEST as they are. The same once more with all training photos as JPEG of quality 90. What is done stays
in DIR, and the same command goes on from there; the JSON is written after every training.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from PIL import Image

import ucbench
from ucbench.numerics import versions
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import PoisonerSpec
from ucbench.protection.manifest import MANIFEST, read_manifest
from ucbench.store.files import replacing

VICTIM, QUALITY = "airbench@small", 90
#: Of each seed, in this order: name, and poisoner of ``protect``.
RELEASES = (("protected", None), ("sham", "sham"), ("clean", ""))


def copies(photos: Path, out: Path, poisoner: str | None, seed: int, threads: int) -> Path:
    """The folder of photos to train on; ``poisoner`` is that of ``protect``, its default if None, empty for none."""
    if poisoner == "":
        return photos
    ucbench.protect(photos, out, poisoner=poisoner, seed=seed, threads=threads)
    return out


def as_jpeg(photos: Path, out: Path) -> Path:
    """The photos in the folders of a folder, as JPEG files with Pillow's defaults but for their quality."""
    for source in sorted(photos.glob("*/*")):
        target = out / source.parent.name / f"{source.name}.jpg"
        if not target.exists():
            with Image.open(source) as image, replacing(target) as file:
                image.convert("RGB").save(file, "JPEG", quality=QUALITY)
    return out


def protect_settings(out: Path) -> dict[str, Any]:
    """What decided the patterns of a folder of copies, but for the seed."""
    settings = read_manifest(out / MANIFEST).settings
    version = installed().resolve(PoisonerSpec, settings.poisoner).spec.version
    return {
        "poisoner": settings.poisoner,
        "version": version,
        "epsilon": settings.epsilon,
        "pattern": settings.size,
    }


def data_set(folder: Path, train: Path, test: Path) -> Path:
    """A folder with links to the classes of both splits."""
    for split, photos in (("train", train), ("test", test)):
        for group in sorted(path for path in photos.iterdir() if path.is_dir()):
            (folder / split).mkdir(parents=True, exist_ok=True)
            link = folder / split / group.name
            if not link.is_symlink():
                link.symlink_to(group.resolve())
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=64, help="pixels to which the exploiter resizes")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for jpeg in (False, True):
        for seed in range(args.seeds):
            for name, poisoner in RELEASES:
                photos = copies(args.train, args.out / f"{name}-{seed}", poisoner, seed, args.threads)
                label = f"{name}-{seed}" + ("-jpeg" if jpeg else "")
                if jpeg:
                    photos = as_jpeg(photos, args.out / f"{name if poisoner == '' else label}-files")
                folder = data_set(args.out / "sets" / label, photos, args.test)
                table = ucbench.run(
                    dataset=f"imagefolder:{folder}:size={args.size}",
                    poisoner="clean",
                    victim=VICTIM,
                    seed=seed,
                    threads=args.threads,
                    out=args.out / "results" / label,
                )
                row = table.iloc[0]
                rows.append(
                    {
                        "release": name,
                        "jpeg": jpeg,
                        "seed": seed,
                        "accuracy": float(row["test_accuracy"]),
                        "train_accuracy": float(row["train_accuracy"]),
                    }
                )
                setting = {
                    "victim": VICTIM,
                    "size": args.size,
                    "quality": QUALITY,
                    "photos": len([*args.train.glob("*/*")]),
                    "test": len([*args.test.glob("*/*")]),
                    "classes": len([*args.test.glob("*")]),
                    **protect_settings(args.out / "protected-0"),
                    "versions": versions(),
                }
                args.json.write_text(json.dumps({**setting, "trainings": rows}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
