"""The report of a folder of protected photos: one page without external files, limits first."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Any

from ucbench.leaderboard.site.render import asset, environment
from ucbench.numerics import versions
from ucbench.protection.boards import is_exploratory, measured
from ucbench.protection.effect import Effect
from ucbench.protection.illustrations import FACTOR, comparisons, groups
from ucbench.protection.manifest import MANIFEST, WEAK, Manifest
from ucbench.protection.survival import Survival
from ucbench.store.files import atomic_write_text

#: Rows of the table of photos, and of the one of files left out.
ROWS = 200


def write_report(
    path: Path,
    manifest: Manifest,
    photos_root: Path,
    out_root: Path,
    survival: Sequence[Survival] = (),
    effect: Effect | None = None,
) -> None:
    """Write the report; the same arguments and files give the same bytes. At most about 15 MB.

    Args:
        photos_root: the folder of the originals; ``out_root``: the folder of the copies.
        survival: what :func:`ucbench.protection.survival.survival` measured.
        effect: what :func:`ucbench.protection.effect.check_effect` measured, if it ran.

    Raises:
        DataError: if a photo that is shown cannot be read.
        StoreError: if the file cannot be written.
    """
    atomic_write_text(path, report(manifest, photos_root, out_root, survival, effect))


def report(
    manifest: Manifest, photos_root: Path, out_root: Path, survival: Sequence[Survival], effect: Effect | None
) -> str:
    """The page as HTML, see :func:`write_report`."""
    templates = environment("ucbench.protection")
    templates.globals |= {"is_exploratory": is_exploratory}
    own = files("ucbench.protection") / "templates"
    script = (own / "report.js").read_text(encoding="utf-8")
    return templates.get_template("report.html.j2").render(
        manifest=manifest,
        settings=manifest.settings,
        secret=(MANIFEST, manifest.patterns.file),
        summary=_summary(manifest),
        comparisons=comparisons(manifest.photos, photos_root, out_root),
        groups=groups(manifest.photos, photos_root),
        group_count=len({photo.pattern for photo in manifest.photos}),
        survival=survival,
        effect=effect,
        boards=measured(manifest.settings),
        command=command(manifest),
        versions={**versions(), "ucbench": manifest.ucbench},
        rows=ROWS,
        weak=WEAK,
        factor=FACTOR,
        style=asset("site.css").decode() + (own / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def command(manifest: Manifest) -> str:
    """The command that does the same to the same photos; folders are the reader's to name."""
    settings, output = manifest.settings, manifest.output
    options: dict[str, Any] = {
        "--poisoner": settings.poisoner,
        "--surrogate": settings.surrogate,
        "--epsilon": f"{settings.epsilon:g}",
        "--clusters": settings.clusters,
        "--size": settings.size,
        "--seed": settings.seed,
        "--format": output.format,
        "--quality": output.quality if output.format in ("jpeg", "same") else None,
    }
    words = [f"{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    return " \\\n    ".join(["ucbench protect PHOTOS --out SAFE", *words, *(["--keep-gps"] if output.keep_gps else [])])


def _summary(manifest: Manifest) -> dict[str, float]:
    """Counts, and means over photos; the largest change of any value."""
    photos = manifest.photos
    summary: dict[str, float] = {"photos": len(photos), "left": len(manifest.left)}
    if photos:
        summary |= {name: fmean(getattr(photo, name) for photo in photos) for name in ("psnr", "ssim", "changed")}
        summary["linf"] = max(photo.linf for photo in photos)
    return summary
