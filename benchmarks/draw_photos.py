#!/usr/bin/env python
"""Draw the sheet of the data set ``photos`` from parquet files of Caltech-101.

    benchmarks/draw_photos.py DATA/caltech101 plugins/ucbench_datasets/photos.png

One row per class, in the order of the files' class names: the training images first, then the test images, all at 32 px
as ``parquet:DATA/caltech101:size=32`` has them. PNG is lossless, so the sheet holds exactly these pixels.
"""

import sys

import numpy as np
from PIL import Image

from ucbench.data.loading import load_dataset
from ucbench.plugins.registry import installed

source, out = sys.argv[1:]
dataset = installed().resolve("dataset", f"parquet:{source}:size=32")
data = load_dataset(dataset.build(), dataset.params)
splits = [
    np.stack([images.images[images.known_labels == label] for label in range(len(images.classes))])
    for images in (data.train, data.test)
]
tiles = np.concatenate(splits, axis=1).transpose(0, 3, 1, 4, 2)
Image.fromarray(tiles.reshape(tiles.shape[0] * 32, -1, 3)).save(out, optimize=True)
