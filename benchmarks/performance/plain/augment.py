"""Augment image by image, with Pillow, tensor slices, torchvision, and kornia where it is installed.

Every function takes float32 ``[B, 3, H, W]`` in [0, 1] unless stated otherwise, and draws separately for each image.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import v2

HAS_KORNIA = importlib.util.find_spec("kornia") is not None


def random_box(height: int, width: int, sides: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of a box around a uniform pixel, clipped at the border."""
    y, x = np.random.randint(height), np.random.randint(width)
    top, left = y - sides[0] // 2, x - sides[1] // 2
    return max(top, 0), max(left, 0), min(top + sides[0], height), min(left + sides[1], width)


def paste(x: Tensor, targets: Tensor, partner: Tensor, boxes: list[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """CutMix with these boxes: image b gets its partner's pixels there; targets ``[B, K]`` mix by area."""
    mixed, mixed_targets = x.clone(), targets.clone()
    area = x.shape[2] * x.shape[3]
    for row, (top, left, bottom, right) in enumerate(boxes):
        other = int(partner[row])
        mixed[row, :, top:bottom, left:right] = x[other, :, top:bottom, left:right]
        weight = 1 - (bottom - top) * (right - left) / area
        mixed_targets[row] = weight * targets[row] + (1 - weight) * targets[other]
    return mixed, mixed_targets


def cutmix(x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    height, width = x.shape[2:]
    boxes = []
    for _ in range(len(x)):
        side = (1 - np.random.beta(1.0, 1.0)) ** 0.5
        boxes.append(random_box(height, width, (int(side * height), int(side * width))))
    return paste(x, targets, torch.randperm(len(x)), boxes)


def torchvision_cutmix(classes: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """torchvision draws one box per call, so it is called with each image and its partner."""
    transform = v2.CutMix(num_classes=classes)

    def mix(x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        labels, partner = targets.argmax(1), torch.randperm(len(x))
        pairs = [transform(x[[a, b]], labels[[a, b]]) for a, b in enumerate(partner.tolist())]
        return torch.stack([pair[0][0] for pair in pairs]), torch.stack([pair[1][0] for pair in pairs])

    return mix


def kornia_cutmix(classes: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """kornia returns both labels and a share; which label the share belongs to does not affect speed."""
    import kornia.augmentation as K

    transform = K.RandomCutMixV2(p=1.0, data_keys=["input", "class"], use_correct_lambda=True)

    def mix(x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        mixed, labels = transform(x, targets.argmax(1))
        first, second, share = labels.reshape(-1, 3).unbind(1)
        share = share[:, None]
        blended = share * F.one_hot(first.long(), classes) + (1 - share) * F.one_hot(second.long(), classes)
        return mixed, blended

    return mix


def erase(x: Tensor, boxes: list[tuple[int, ...]]) -> Tensor:
    """Cutout with these boxes, filled with black."""
    x = x.clone()
    for row, (top, left, bottom, right) in enumerate(boxes):
        x[row, :, top:bottom, left:right] = 0
    return x


def cutout(x: Tensor, side: int) -> Tensor:
    return erase(x, [random_box(x.shape[2], x.shape[3], (side, side)) for _ in range(len(x))])


def torchvision_erasing(share: float) -> Callable[[Tensor], Tensor]:
    """Random erasing of squares of one area, image by image."""
    transform = transforms.RandomErasing(p=1.0, scale=(share, share), ratio=(1.0, 1.0))
    return lambda x: torch.stack([transform(image) for image in x])


def kornia_erasing(share: float) -> Callable[[Tensor], Tensor]:
    import kornia.augmentation as K

    return K.RandomErasing(scale=(share, share), ratio=(1.0, 1.0), p=1.0)


def pillow_crop_flip(side: int, padding: int) -> Callable[[list[Image.Image]], Tensor]:
    transform = transforms.Compose(
        [transforms.RandomCrop(side, padding=padding), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    )
    return lambda images: torch.stack([transform(image) for image in images])


def tensor_crop_flip(side: int, padding: int) -> Callable[[Tensor], Tensor]:
    """Crop and flip uint8 tensors, image by image."""
    transform = v2.Compose(
        [v2.RandomCrop(side, padding=padding), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True)]
    )
    return lambda images: torch.stack([transform(image) for image in images])


def kornia_crop_flip(side: int, padding: int) -> Callable[[Tensor], Tensor]:
    """Crop and flip uint8 batches, converted as a whole."""
    import kornia.augmentation as K

    transform: Any = K.AugmentationSequential(
        K.RandomCrop((side, side), padding=padding), K.RandomHorizontalFlip(), data_keys=["input"]
    )
    return lambda images: transform(images.float() / 255)


def crop_flip(images: list[Image.Image], offsets: list[tuple[int, int]], mirrored: list[bool], padding: int) -> Tensor:
    """Crop the padded images at ``offsets`` (down, right), and mirror those that are ``mirrored``."""
    crops = []
    for image, (down, right), mirror in zip(images, offsets, mirrored, strict=True):
        width, height = image.size
        padded = transforms.functional.pad(image, padding)
        cut = transforms.functional.crop(padded, down, right, height, width)
        crops.append(transforms.functional.to_tensor(transforms.functional.hflip(cut) if mirror else cut))
    return torch.stack(crops)
