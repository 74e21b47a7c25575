"""A folder of photos, copies of them with patterns, and the manifest, as a run of ``protect`` leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ucbench.data.distortion import measure
from ucbench.protection.manifest import LeftOut, Manifest, Output, Patterns, ProtectedPhoto, Settings

EPSILON = 8


class Folder(NamedTuple):
    photos: Path
    copies: Path
    manifest: Manifest


def smooth(height: int, width: int, seed: int, contrast: float = 60.0) -> np.ndarray:
    """A photo-like image, uint8 ``[H, W, 3]``: a few soft shapes between 64 and 192."""
    rng = np.random.default_rng(seed)
    grid = rng.uniform(-1, 1, (6, 8, 3)) * contrast + 128
    channels = [
        Image.fromarray(grid[:, :, channel].astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
        for channel in range(3)
    ]
    return np.clip(np.stack([np.asarray(channel) for channel in channels], axis=2), 20, 235).astype(np.uint8)


def pattern(height: int, width: int, seed: int, cell: int = 8) -> np.ndarray:
    """Blocks of plus and minus :data:`EPSILON`, int16 ``[H, W, 3]``."""
    signs = np.random.default_rng(seed).choice([-EPSILON, EPSILON], (-(-height // cell), -(-width // cell), 3))
    return np.kron(signs, np.ones((cell, cell, 1), int))[:height, :width].astype(np.int16)


def make(
    root: Path,
    names: list[str],
    *,
    groups: int = 2,
    size: tuple[int, int] = (120, 160),
    left: tuple[tuple[str, str], ...] = (),
    same: bool = False,
) -> Folder:
    """Photos of these paths, each with the pattern of group ``number % groups``; ``same``: unchanged copies."""
    photos, copies = root / "photos", root / "safe"
    entries = []
    for number, name in enumerate(sorted(names)):
        original = smooth(*size, seed=number)
        protected = original if same else (original + pattern(*size, seed=1000 + number % groups)).astype(np.uint8)
        output = str(Path(name).with_suffix(".png"))
        for path, pixels in ((photos / name, original), (copies / output, protected)):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        entries.append(entry(name, output, original, protected, number % groups))
    manifest = Manifest(
        ucbench="1.2.3",
        settings=Settings(poisoner="uc", params={}, surrogate=None, epsilon=EPSILON, size=96, clusters=groups),
        output=Output(),
        patterns=Patterns(file="ucbench.npz", sha256="0" * 64, count=groups),
        photos=tuple(entries),
        left=tuple(LeftOut(path=path, reason=reason) for path, reason in left),
    )
    return Folder(photos, copies, manifest)


def entry(name: str, output: str, original: np.ndarray, protected: np.ndarray, group: int) -> ProtectedPhoto:
    change = protected.astype(int) - original
    sizes = measure(*(pixels.transpose(2, 0, 1)[None] for pixels in (original, protected)))
    return ProtectedPhoto(
        source=name, source_sha256="1" * 64, source_bytes=1, output=output, output_sha256="2" * 64,
        width=original.shape[1], height=original.shape[0], pattern=group, linf=int(abs(change).max()),
        psnr=sizes["psnr"], ssim=sizes["ssim"], changed=float((change != 0).mean()),
    )  # fmt: skip
