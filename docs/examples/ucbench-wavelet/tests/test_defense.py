"""What this defense does beyond the contract of its kind."""

import subprocess
import sys

import numpy as np
import pytest
from ucbench import ImageSet, UsageError
from ucbench.testing import make_run, sample_images

from ucbench_wavelet.defense import WaveletDenoising
from ucbench_wavelet.params import WaveletParams

SETTINGS = [{}, {"rule": "visu"}, {"colours": "rgb"}, {"wavelet": "haar"}, {"sigma": 8.0}]


def denoised(images: np.ndarray, **values) -> np.ndarray:
    """The images uint8 ``[N, 3, H, W]`` as they would be trained on."""
    train = ImageSet(images, np.zeros(len(images), np.int64), ("all",))
    return WaveletDenoising(WaveletParams(**values)).prepare(train, make_run(stage="train")).images


def slope(side: int) -> np.ndarray:
    """A smooth image whose channels rise or fall evenly, float ``[1, 3, side, side]``."""
    rows, columns = np.mgrid[:side, :side] / side
    return np.stack([60 + 130 * columns, 70 + 110 * rows, 200 - 100 * rows])[None]


def noisy(clean: np.ndarray, sigma: float, count: int = 6) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, (count, *clean.shape[1:]))
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def energy(images: np.ndarray, clean: np.ndarray) -> float:
    return float(((images - clean) ** 2).mean())


@pytest.mark.parametrize("values", SETTINGS)
@pytest.mark.parametrize("side", [8, 15])
def test_denoising_keeps_flat_images(values, side):
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [17, 201, 90]], np.uint8)
    flat = np.broadcast_to(colours[:, :, None, None], (4, 3, side, side))
    assert (denoised(flat, **values) == flat).all()


@pytest.mark.parametrize("values", SETTINGS)
@pytest.mark.parametrize(("side", "left"), [(8, 0.75), (32, 0.4), (224, 0.2)])
def test_denoising_removes_energy_of_noise_on_smooth_image(values, side, left):
    clean = slope(side)
    published = noisy(clean, 12, count=6 if side < 200 else 1)
    assert energy(denoised(published, **values), clean) < left * energy(published, clean)


def test_denoising_keeps_edges_of_image_without_noise():
    image = np.full((1, 3, 32, 32), 40, np.uint8)
    image[:, :, 8:20, 8:24] = 220
    assert (denoised(image) == image).all()


def test_visu_is_smoother_than_bayes():
    texture = noisy(np.full((1, 3, 32, 32), 128.0), 6) // 2 + noisy(slope(32), 6) // 2
    assert denoised(texture, rule="visu").std() < denoised(texture, rule="bayes").std() < texture.std()


def test_larger_sigma_changes_image_more():
    published = noisy(slope(32), 12)
    changes = [np.abs(denoised(published, sigma=sigma).astype(int) - published).mean() for sigma in (2, 6, 18)]
    assert changes == sorted(changes)
    assert changes[0] < changes[2] / 2


def test_images_are_denoised_independently():
    images = noisy(slope(16), 20)
    together = denoised(images)
    assert all((denoised(images[i : i + 1])[0] == together[i]).all() for i in range(len(images)))


def test_block_size_does_not_change_result(monkeypatch):
    images = noisy(slope(16), 20)
    together = denoised(images)
    monkeypatch.setattr("ucbench_wavelet.defense._VALUES", 1)
    assert (denoised(images) == together).all()


def test_grey_images_stay_grey():
    grey = np.repeat(noisy(slope(8), 20)[:, :1], 3, axis=1)
    for colours in ("ycbcr", "rgb"):
        assert (np.ptp(denoised(grey, colours=colours), axis=1) == 0).all()


def test_odd_and_unequal_sides_keep_shape_labels_and_input():
    train = sample_images(size=(11, 17))
    before = train.images.copy()
    prepared = WaveletDenoising(WaveletParams()).prepare(train, make_run(stage="train"))
    assert prepared.images.dtype == np.uint8
    assert prepared.images.shape == before.shape
    assert (train.images == before).all()
    assert (prepared.images != before).any()
    assert (prepared.known_labels == train.known_labels).all()
    assert prepared.classes == train.classes
    assert set(prepared.label_sets) == set(train.label_sets)


@pytest.mark.parametrize(
    ("wavelet", "side", "levels"), [("db2", 8, 1), ("haar", 8, 3), ("db2", 32, 3), ("haar", 2, 1), ("sym8", 224, 3)]
)
def test_small_images_have_fewer_levels(wavelet, side, levels):
    assert WaveletDenoising(WaveletParams(wavelet=wavelet)).levels((side, side + 1)) == levels


def test_images_too_small_for_wavelet_raise_usage_error():
    with pytest.raises(UsageError, match=r"8x8 pixels are too small for a level of sym4"):
        denoised(noisy(slope(8), 5), wavelet="sym4")


def test_listing_imports_neither_torch_nor_pywavelets():
    code = "import ucbench_wavelet.params, sys; assert not {'torch', 'pywt'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
