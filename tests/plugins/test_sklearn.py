"""scikit-learn's victims: the descriptor is that of Dalal and Triggs, and both learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ucbench import UsageError, VictimSpec, installed
from ucbench.matrix.compatibility import check_size
from ucbench.testing import sample_images
from ucbench.testing.samples import make_run
from ucbench_sklearn.hog import block_window, hog, l2_hys, orientation_votes


def grating(degrees: float, side: int = 32, period: float = 16.0, contrast: float = 100.0) -> np.ndarray:
    """One image ``[1, 3, side, side]`` whose brightness changes in this direction (0: across, 90: down)."""
    y, x = np.mgrid[:side, :side]
    angle = np.radians(degrees)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    return np.repeat(np.rint(127 + contrast * wave).astype(np.uint8)[None, None], 3, axis=1)


def slow_hog(image: np.ndarray, cell: int, orientations: int) -> np.ndarray:
    """The descriptor of one image ``[3, H, W]`` by loops over blocks, pixels and the eight bins of each vote."""
    pixels = np.pad(image.astype(float), ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = image.shape[1:]
    blocks = []
    top, left = height % cell // 2, width % cell // 2
    for block_y in range(height // cell - 1):
        for block_x in range(width // cell - 1):
            histogram = np.zeros((2, 2, orientations))
            for y in range(2 * cell):
                for x in range(2 * cell):
                    row, column = top + block_y * cell + y + 1, left + block_x * cell + x + 1
                    across = pixels[:, row, column + 1] - pixels[:, row, column - 1]
                    down = pixels[:, row + 1, column] - pixels[:, row - 1, column]
                    channel = np.argmax(across**2 + down**2)
                    size = np.hypot(across[channel], down[channel])
                    size *= np.exp(-((y + 0.5 - cell) ** 2 + (x + 0.5 - cell) ** 2) / (2 * cell**2))
                    turn = np.arctan2(down[channel], across[channel]) % np.pi / np.pi * orientations - 0.5
                    place_y, place_x = (y + 0.5) / cell - 0.5, (x + 0.5) / cell - 0.5
                    for in_y in (0, 1):
                        for in_x in (0, 1):
                            near = max(0, 1 - abs(place_y - in_y)) * max(0, 1 - abs(place_x - in_x))
                            low = int(np.floor(turn))
                            histogram[in_y, in_x, low % orientations] += size * near * (1 - (turn - low))
                            histogram[in_y, in_x, (low + 1) % orientations] += size * near * (turn - low)
            block = histogram.transpose(2, 0, 1).ravel()
            block = np.minimum(block / np.sqrt((block**2).sum() + 1e-12), 0.2)
            blocks.append(block / np.sqrt((block**2).sum() + 1e-12))
    return np.concatenate(blocks)


@pytest.mark.parametrize(("size", "cell", "orientations"), [((16, 16), 4, 9), ((13, 18), 5, 6), ((8, 8), 8, 9)])
def test_hog_equals_loops_over_pixels_and_votes(size, cell, orientations):
    images = sample_images(3, size, 2).images
    expected = [slow_hog(image, min(cell, min(size) // 2), orientations) for image in images]
    np.testing.assert_allclose(hog(images, cell, orientations), expected, atol=2e-4)


def test_hog_has_36_values_per_block_of_a_window_of_64_by_128_pixels():
    assert hog(sample_images(1, (128, 64), 2).images).shape == (1, 3780), "the dimension that the paper's detector has"


@pytest.mark.parametrize(("degrees", "bin_"), [(10, 0), (50, 2), (90, 4), (170, 8), (190, 0)])
def test_votes_go_to_the_bin_of_the_gradients_direction(degrees, bin_):
    votes = orientation_votes(torch.from_numpy(grating(degrees)).float(), 9)[0, :, 1:-1, 1:-1].sum((1, 2))
    assert int(votes.argmax()) == bin_
    assert votes[bin_] > 0.85 * votes.sum()


def test_votes_take_the_channel_with_the_largest_gradient():
    image = grating(0)
    image[:, 1] = grating(90, contrast=20)[:, 1]
    kept = orientation_votes(torch.from_numpy(grating(0)).float(), 9)
    mixed = orientation_votes(torch.from_numpy(image).float(), 9)
    strong = kept.sum(1) > 30
    torch.testing.assert_close(mixed.sum(1)[strong], kept.sum(1)[strong])


def test_hog_ignores_brightness_and_contrast():
    plain, other = grating(30, contrast=40), grating(30, contrast=40) + 50
    np.testing.assert_allclose(hog(other), hog(plain), atol=1e-6)
    np.testing.assert_allclose(hog(grating(30, contrast=120)), hog(plain), atol=0.04)


def test_window_gives_a_pixel_to_cells_in_shares_that_sum_to_its_gaussian_between_their_centres():
    window = block_window(8)
    inner = window.sum(0)[4:12, 4:12]
    places = torch.arange(4, 12) + 0.5 - 8
    torch.testing.assert_close(inner, torch.exp(-(places[:, None] ** 2 + places**2) / 128))


def test_normalised_blocks_have_length_one_and_zeros_stay_zero():
    blocks = torch.tensor([[5.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(l2_hys(blocks).norm(dim=1), torch.tensor([1.0, 1.0, 0.0]))


def fitted(reference: str, train):
    trainer = installed().resolve(VictimSpec, reference).build()
    run = make_run(stage="train")
    trainer.fit(train, None, run)
    return trainer, run


@pytest.mark.parametrize("reference", ["sklearn:hog-svm", "sklearn:forest:trees=20"])
def test_victim_learns_gratings_whatever_their_brightness(reference):
    directions = np.arange(60) % 3
    images = np.concatenate(
        [np.clip(grating(60 * d).astype(int) + s, 0, 255) for d, s in zip(directions, np.arange(60) - 30, strict=True)]
    ).astype(np.uint8)
    train = sample_images(60, (32, 32), 3).with_images(images).with_labels(directions, ("a", "b", "c"))
    trainer, _ = fitted(reference, train)
    assert (trainer.predict(train) == directions).all()


def test_unconverged_svm_is_a_warning_of_the_record():
    _, run = fitted("sklearn:hog-svm:c=1e9,loss=hinge", sample_images(200, (16, 16), 5))
    assert any("converge" in text for text in run.warnings)


def test_svm_takes_images_of_4_pixels_and_more_and_the_forest_any():
    svm, forest = (installed().resolve(VictimSpec, f"sklearn:{model}") for model in ("hog-svm", "forest"))
    check_size(svm, "dots", (4, 4))
    with pytest.raises(UsageError, match="takes images of 4 pixels and more, but those of dots have 3x8"):
        check_size(svm, "dots", (3, 8))
    check_size(forest, "dots", (1, 1))


def test_options_are_those_of_the_named_estimator():
    with pytest.raises(UsageError, match="no parameter 'trees'"):
        installed().resolve(VictimSpec, "sklearn:hog-svm:trees=5")
    with pytest.raises(UsageError, match="hog-svm"):
        installed().resolve(VictimSpec, "sklearn:svm")
