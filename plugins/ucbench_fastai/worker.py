"""Training by fastai, in its own process; see :class:`ucbench.Framework`."""

import os
from typing import Any

os.environ["FASTAI_HOME"] = os.getcwd()

import numpy as np
import torch
from fastai.vision import all as vision
from numpy.typing import NDArray


def fit(images: NDArray[np.uint8], labels: NDArray[np.int64], options: dict[str, Any]) -> Any:
    torch.set_num_threads(options["threads"])
    vision.set_seed(options["seed"], reproducible=True)
    block = vision.DataBlock(
        blocks=(vision.ImageBlock, vision.CategoryBlock(vocab=list(range(options["classes"])), sort=False)),
        get_x=lambda place: _pixels(images[place]),
        get_y=lambda place: int(labels[place]),
        # Nothing is held out: an exploiter trains on all that it has.
        splitter=lambda places: (list(range(len(places))), []),
    )
    device = "cuda" if options["gpu"] else "cpu"
    count = len(images)
    loaders = block.dataloaders(list(range(count)), bs=min(64, count), device=device, num_workers=0)
    architecture = getattr(vision, options["model"])
    learner = vision.vision_learner(loaders, architecture, pretrained=False, n_out=options["classes"])
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(options["epochs"])
    return learner


def predict(learner: Any, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    model = learner.model.eval()
    device = next(model.parameters()).device
    with torch.no_grad():
        parts = [
            model(torch.from_numpy(images[start : start + 256]).to(device).float().div(255)).argmax(1).cpu().numpy()
            for start in range(0, len(images), 256)
        ]
    return np.concatenate(parts)


def _pixels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image.transpose(1, 2, 0)
