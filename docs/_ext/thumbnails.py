"""Small images of what each poisoner does, in ``docs/_static/methods``, and the figures that show them.

``python docs/_ext/thumbnails.py [NAME ...]`` draws them, on the embedded photographs and with the cheapest preset; all
take a few minutes on one core. Each is at most 15 kB.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import ucbench
from _ext.paths import DOCS
from ucbench.data.loading import load_dataset
from ucbench.plugins.registry import Registry, installed
from ucbench.plugins.specs import PoisonerSpec

FOLDER = DOCS / "_static" / "methods"
DATASET = "photos:train_per_class=16"
#: Radius of linf methods in 8-bit units; others have their native budget.
EPSILON = 8
#: Training images that are drawn, two of one class: one sees whether they share a perturbation.
DRAWN = (123, 125)
_GAP, _CLEAR = 2, (1, 2, 3)
#: The last one needs a CLIP, of which no weights come along.
_NOTHING_TO_DRAW = ("clean", "release", "shuffled", "one-for-all")


def reference(spec: PoisonerSpec, registry: Registry) -> str:
    """The poisoner as it is drawn: with its preset ``quick`` where it has one."""
    return f"{spec.name}@quick" if "quick" in registry.params_class(spec).preset_names() else spec.name


def poisoners(registry: Registry) -> list[PoisonerSpec]:
    """The poisoners of this distribution that perturb images on their own."""
    names = (name for name in registry.names("poisoner") if name not in _NOTHING_TO_DRAW)
    found = [registry.find(PoisonerSpec, name) for name in names]
    return [spec for spec in found if registry.origin("poisoner", spec.name).distribution == "ucbench"]


def drawing(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Image.Image:
    """Images uint8 ``[N, 3, H, W]`` one a row; beside each its perturbation, scaled to full range, and its release."""
    change = after.astype(np.float32) - before
    amplified = np.clip(127.5 + 127 / max(1, np.abs(change).max()) * change, 0, 255).astype(np.uint8)
    count, _, height, width = before.shape
    sheet = Image.new("RGB", (3 * (width + _GAP) - _GAP, count * (height + _GAP) - _GAP), _CLEAR)
    for column, images in enumerate((before, amplified, after)):
        for row, pixels in enumerate(images):
            tile = Image.fromarray(pixels.transpose(1, 2, 0))
            sheet.paste(tile, (column * (width + _GAP), row * (height + _GAP)))
    return sheet


def figure(spec: PoisonerSpec, registry: Registry) -> str:
    """The drawing of a poisoner as Markdown, empty if there is none."""
    path = FOLDER / f"{spec.name}.png"
    if not path.exists():
        return ""
    budget = {"linf": f"{EPSILON}/255", "unbounded": "no budget"}.get(spec.budget, f"its {spec.budget} budget")
    return (
        f"```{{figure}} ../_static/methods/{path.name}\n"
        f":alt: Two photographs, what {spec.name} changes, amplified, and the perturbed photographs.\n"
        ":class: pixels\n"
        ":figclass: thumbnails\n\n"
        f"Two images of one class, the perturbation that `{reference(spec, registry)}` makes at {budget}, scaled to "
        f"the full range, and the release. Crafted on `{DATASET}`, 144 images: an illustration, no measurement.\n```"
    )


def draw(names: list[str]) -> None:
    registry = installed()
    dataset = registry.resolve("dataset", DATASET)
    train = load_dataset(dataset.build(), dataset.params).train
    FOLDER.mkdir(exist_ok=True)
    for spec in poisoners(registry):
        if names and spec.name not in names:
            continue
        epsilon = EPSILON if spec.budget == "linf" else None
        release = ucbench.craft(train.images, train.known_labels, reference(spec, registry), epsilon=epsilon, threads=1)
        chosen = list(DRAWN)
        sheet = drawing(train.images[chosen], release[chosen])
        sheet.save(FOLDER / f"{spec.name}.png", optimize=True, transparency=_CLEAR)


if __name__ == "__main__":
    draw(sys.argv[1:])
