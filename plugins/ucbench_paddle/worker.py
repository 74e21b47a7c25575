"""Training by PaddlePaddle, in its own process; see :class:`ucbench.Framework`."""

import random
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

#: Images a step in prediction.
_IMAGES = 256


def fit(images: NDArray[np.uint8], labels: NDArray[np.int64], options: dict[str, Any]) -> Any:
    paddle.set_device("gpu" if options["gpu"] else "cpu")
    paddle.seed(options["seed"])
    np.random.seed(options["seed"])  # draws the order of images
    random.seed(options["seed"])
    network = getattr(paddle.vision.models, options["model"])(num_classes=options["classes"])
    model = paddle.Model(network)
    model.prepare(paddle.optimizer.Adam(parameters=model.parameters()), paddle.nn.CrossEntropyLoss())
    # Scaled image by image: the whole set in float32 takes four times the memory.
    pairs = _Pairs(images, labels)
    model.fit(pairs, epochs=options["epochs"], batch_size=options["batch"], verbose=0)
    return model


def predict(model: Any, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    parts = [
        model.predict_batch([_scaled(images[start : start + _IMAGES])])[0].argmax(1)
        for start in range(0, len(images), _IMAGES)
    ]
    return np.concatenate(parts)


class _Pairs(paddle.io.Dataset):  # type: ignore[misc]
    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        self._images, self._labels = images, labels

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, place: int) -> Any:
        return _scaled(self._images[place]), self._labels[place : place + 1]


def _scaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (images.astype(np.float32) - 127.5) / 127.5
