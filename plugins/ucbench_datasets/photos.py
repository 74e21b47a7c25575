"""Photographs of Caltech-101, embedded, so that they are there offline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ucbench import FramedDataset, LabelSet, LazyImage, Split, SplitName
from ucbench_datasets.params import PhotosParams

#: Row for row a class, column for column an image; see PHOTOS.md.
_SHEET = Path(__file__).with_name("photos.png")
_SIDE = 32
#: Training images per class; the test images follow them.
_TRAIN = 40

#: The nine coarse classes and the 41 fine ones in them.
_GROUPS = {
    "land animals": ("cougar_face", "dalmatian", "elephant", "kangaroo", "Leopards", "llama"),
    "water animals": ("crab", "crayfish", "dolphin", "hawksbill", "starfish", "trilobite"),
    "birds and insects": ("butterfly", "dragonfly", "flamingo", "ibis", "scorpion"),
    "plants": ("bonsai", "joshua_tree", "lotus", "sunflower"),
    "vehicles": ("airplanes", "helicopter", "Motorbikes"),
    "boats": ("ferry", "ketch", "schooner"),
    "musical instruments": ("electric_guitar", "euphonium", "grand_piano"),
    "furnishings": ("chair", "chandelier", "ewer", "menorah", "umbrella"),
    "other things": ("brain", "buddha", "laptop", "minaret", "soccer_ball", "watch"),
}
#: In the order of the sheet's rows, which is alphabetical whatever the case.
_CLASSES = tuple(sorted((name for names in _GROUPS.values() for name in names), key=str.lower))


class Photos(FramedDataset):
    """1,640 training and 492 test photographs at 32x32 pixels, 40 and 12 of each of 41 classes of Caltech-101.

    Label sets: ``coarse``, nine groups of classes (three to six classes each), and ``fine``, the 41 classes. So
    a protector and an exploiter may name the same photographs differently.
    """

    name = "photos"
    flip = True
    params: PhotosParams

    def find(self, split: SplitName) -> Split:
        sheet = np.asarray(Image.open(_SHEET))
        tiles = sheet.reshape(len(_CLASSES), _SIDE, -1, _SIDE, 3).swapaxes(1, 2)
        columns = range(_TRAIN) if split == "train" else range(_TRAIN, tiles.shape[1])
        group_of = {name: number for number, names in enumerate(_GROUPS.values()) for name in names}
        fine = np.repeat(np.arange(len(_CLASSES)), len(columns))
        label_sets = {
            "coarse": LabelSet(np.array([group_of[name] for name in _CLASSES])[fine], tuple(_GROUPS)),
            "fine": LabelSet(fine, _CLASSES),
        }
        learned = label_sets[self.params.label]
        return Split(
            [LazyImage(tiles[row, column], f"photos row {row}, column {column}")
             for row in range(len(_CLASSES)) for column in columns],
            learned.labels, learned.classes, label_sets,
        )  # fmt: skip
