"""Training by the Trainer of transformers, in its own process; see :class:`ucbench.Framework`."""

import os
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": os.getcwd()}

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    ConvNextImageProcessor,
    ResNetConfig,
    ResNetForImageClassification,
    Trainer,
    TrainingArguments,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    set_seed,
)


def fit(images: NDArray[np.uint8], labels: NDArray[np.int64], options: dict[str, Any]) -> Any:
    torch.set_num_threads(options["threads"])
    set_seed(options["seed"])
    side = options["size"] or min(images.shape[2:])
    processor, model = _vit(side, options) if options["model"] == "vit" else _resnet(side, options)
    arguments = TrainingArguments(
        output_dir=os.getcwd(),
        num_train_epochs=options["epochs"],
        seed=options["seed"],
        use_cpu=not options["gpu"],
        # A single image has no variance, which batch norm divides by.
        dataloader_drop_last=len(images) % 8 == 1,
        # What follows changes no number.
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=options["gpu"],
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=_Pairs(processor, images, labels))
    trainer.train()
    return trainer, processor


def predict(state: Any, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    trainer, processor = state
    trainer.args.dataloader_drop_last = False  # it is the same for both
    classes: NDArray[np.int64] = trainer.predict(_Pairs(processor, images)).predictions.argmax(1)
    return classes


def _vit(side: int, options: dict[str, Any]) -> Any:
    small = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768, "patch_size": max(1, side // 8)}
    config = ViTConfig(image_size=side, num_labels=options["classes"], **({} if options["base"] else small))
    return ViTImageProcessor(size={"height": side, "width": side}), ViTForImageClassification(config)


def _resnet(side: int, options: dict[str, Any]) -> Any:
    config = ResNetConfig(num_labels=options["classes"])
    return ConvNextImageProcessor(size={"shortest_edge": side}), ResNetForImageClassification(config)


class _Pairs(torch.utils.data.Dataset[dict[str, Any]]):
    """Processed images, with labels if there are any."""

    def __init__(self, processor: Any, images: NDArray[np.uint8], labels: NDArray[np.int64] | None = None) -> None:
        self._processor, self._images, self._labels = processor, torch.from_numpy(images), labels

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, place: int) -> dict[str, Any]:
        pixels = self._processor(self._images[place], return_tensors="pt")["pixel_values"][0]
        return (
            {"pixel_values": pixels}
            if self._labels is None
            else {"pixel_values": pixels, "labels": int(self._labels[place])}
        )
