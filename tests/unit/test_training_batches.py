"""Batches: every image once an epoch, cut and mirrored as a plain loop would, image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError
from ucbench.testing import sample_images
from ucbench.training.batches import ResidentSet, split_evenly


def resident(train: ImageSet, padding: int = 0, flip: bool = False, **options: Any) -> ResidentSet:
    return ResidentSet(train, padding=padding, flip=flip, device=torch.device("cpu"), **options)


def numbered(count: int) -> ImageSet:
    """Image i has the colour and the label i."""
    labels = np.arange(count, dtype=np.int64)
    images = np.broadcast_to(labels.astype(np.uint8)[:, None, None, None], (count, 3, 4, 4)).copy()
    return ImageSet(images, labels, tuple(map(str, labels)))


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 9))
@settings(max_examples=60)
def test_epoch_yields_every_image_once_with_its_label(count: int, batch: int, seed: int) -> None:
    batches = list(resident(numbered(count)).epoch(batch, torch.Generator().manual_seed(seed)))
    sizes = [len(labels) for _, labels in batches]
    assert sorted(torch.cat([labels for _, labels in batches]).tolist()) == list(range(count))
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) > 1 or count == 1
    assert len(batches) == split_evenly(count, batch)
    for x, labels in batches:
        assert torch.equal((x[:, 0, 0, 0] * 255).round().long(), labels)


@given(st.integers(1, 1000), st.integers(2, 1000))
def test_split_evenly_makes_the_fewest_batches(count: int, batch: int) -> None:
    parts = split_evenly(count, batch)
    largest = -(-count // parts)
    assert largest <= batch or largest == 3  # three images in batches of two: one batch rather than one of one
    assert parts == 1 or -(-count // (parts - 1)) > batch


def test_epoch_order_is_drawn_from_the_generator():
    def orders(seed: int) -> list[list[int]]:
        data, generator = resident(numbered(20)), torch.Generator().manual_seed(seed)
        return [torch.cat([labels for _, labels in data.epoch(7, generator)]).tolist() for _ in range(2)]

    first, second = orders(0)
    assert orders(0) == [first, second]
    assert first != second
    assert orders(1)[0] != first


@given(st.integers(0, 3), st.integers(0, 99))
@settings(max_examples=25)
def test_gather_equals_pad_crop_flip(padding: int, seed: int) -> None:
    train = sample_images(6, (5, 7), seed=seed)
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, 6, 4)
    offsets = rng.integers(0, 2 * padding + 1, (4, 2))
    mirrored = rng.random(4) < 0.5
    got = resident(train, padding).gather(*(torch.from_numpy(each) for each in (indices, offsets, mirrored)))
    padded = np.pad(train.images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    for row, (i, (top, left), mirror) in enumerate(zip(indices, offsets, mirrored, strict=True)):
        cut = padded[i, :, top : top + 5, left : left + 7]
        expected = cut[:, :, ::-1] if mirror else cut
        np.testing.assert_array_equal(got[row].numpy(), expected.astype(np.float32) / np.float32(255))
    assert got.dtype == torch.float32


def test_gather_with_reflected_border_equals_numpys_reflection():
    train = sample_images(1, (5, 7))
    corner = torch.zeros((1, 2), dtype=torch.int64)
    got = resident(train, 2, border="reflect").gather(torch.tensor([0]), corner, torch.tensor([False]))
    expected = np.pad(train.images, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")[:, :, :5, :7]
    np.testing.assert_array_equal((got * 255).round().byte().numpy(), expected)


def test_gather_of_enlarged_images_equals_windows_of_pillows_resize():
    train = sample_images(2, (14, 21))
    data = resident(train, enlarge=8 / 7)
    offsets = torch.tensor([[0, 3], [2, 1]])
    got = data.gather(torch.arange(2), offsets, torch.tensor([False, True]))
    for row, (image, (top, left)) in enumerate(zip(train.images, offsets.tolist(), strict=True)):
        large = Image.fromarray(image.transpose(1, 2, 0)).resize((24, 16), Image.Resampling.BILINEAR)
        window = np.asarray(large)[top : top + 14, left : left + 21].transpose(2, 0, 1)
        wanted = window[:, :, ::-1] if row else window
        assert np.abs(got[row].numpy() * 255 - wanted).max() < 1.01  # Pillow rounds after each direction


def test_draw_of_enlarged_images_reaches_every_window_and_none_beyond():
    drawn = resident(sample_images(400, (14, 21)), enlarge=8 / 7).draw(torch.Generator().manual_seed(0)).offsets
    assert drawn.amin(0).tolist() == [0, 0]
    assert drawn.amax(0).tolist() == [2, 3]
    assert len(drawn.unique(dim=0)) == 12


def test_epoch_with_alternating_flips_shows_every_image_both_ways_in_turn():
    pixels = numbered(30).images.copy()
    pixels[:, :, :, 0] = 200  # the left column; mirrored, it is the right one
    train = numbered(30).with_images(pixels)
    data, generator = resident(train, flip=True, alternate=True), torch.Generator().manual_seed(0)

    def mirrored() -> dict[int, bool]:
        batches = list(data.epoch(7, generator))
        return {
            int(n): bool(image[0, 0, -1] > 0.5) for x, labels in batches for image, n in zip(x, labels, strict=True)
        }

    epochs = [mirrored() for _ in range(4)]
    assert 5 < sum(epochs[0].values()) < 25
    assert epochs[1] == {number: not seen for number, seen in epochs[0].items()}
    assert epochs[2:] == epochs[:2]


def test_gather_returns_channels_last():
    train = sample_images(6, (5, 7))
    (x, _), *_ = resident(train, 2).epoch(6, torch.Generator())
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_draw_has_a_shift_and_flip_per_image():
    draws = resident(sample_images(400), padding=2, flip=True).draw(torch.Generator().manual_seed(0))
    places, counts = torch.unique(draws.offsets, dim=0, return_counts=True)
    assert len(places) == 25  # all (2 * 2 + 1) ** 2 of them, none much more often than another
    assert counts.min() >= 4
    assert counts.max() <= 40
    assert 150 < int(draws.mirrored.sum()) < 250


def test_draw_without_flip_changes_only_mirroring():
    with_flip, without = (
        resident(sample_images(50), padding=2, flip=flip).draw(torch.Generator().manual_seed(0))
        for flip in (True, False)
    )
    assert not without.mirrored.any()
    assert torch.equal(with_flip.order, without.order)
    assert torch.equal(with_flip.offsets, without.offsets)


def test_resident_set_raises_without_labels():
    with pytest.raises(DataError, match="no labels"):
        resident(sample_images().with_labels(None))
