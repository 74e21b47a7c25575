"""What this poisoner does beyond the contract of its kind."""

import numpy as np
import pytest
from ucbench import Budget, UsageError
from ucbench.testing import make_run, sample_images

from ucbench_fourier.params import FourierParams
from ucbench_fourier.poisoner import Fourier, frequencies

IMAGES = sample_images(60, (16, 20), classes=5)


def craft(images=IMAGES, seed=0, epsilon=8.0, **values):
    return Fourier(FourierParams(**values)).craft(images, make_run(seed, budget=Budget("linf", epsilon)))


def spectrum(delta: np.ndarray) -> dict[tuple[int, int], float]:
    """The share of the energy at every frequency, in whole cycles per image, of one channel ``[H, W]``."""
    height, width = delta.shape
    power = np.abs(np.fft.fft2(delta)) ** 2
    u, v = (np.rint(np.fft.fftfreq(side) * side).astype(int) for side in (height, width))
    return {(int(a), int(b)): power[i, j] / power.sum() for i, a in enumerate(u) for j, b in enumerate(v)}


@pytest.mark.parametrize("values", [{}, {"waves": 3}, {"phases": 1, "waves": 2}, {"channels": "signs", "phases": 5}])
def test_every_channel_reaches_radius_and_none_exceeds_it(values):
    delta = craft(epsilon=12, **values).delta
    assert np.abs(delta).max((2, 3)) == pytest.approx(12 / 255, rel=1e-6)


def test_spectrum_of_perturbation_is_that_of_its_group():
    crafted = craft(waves=2)
    for group, own in enumerate(crafted.state["frequencies"].tolist()):
        both = {(u * sign, v * sign) for u, v in own for sign in (1, -1)}
        for phase in range(8):
            shares = spectrum(crafted.delta[8 * group + phase, 1])
            assert sum(shares[point] for point in both) == pytest.approx(1, abs=1e-6)
            assert min(shares[point] for point in both) == pytest.approx(1 / 4, abs=1e-6)


def test_groups_share_no_frequency():
    dealt = craft(waves=3).state["frequencies"].reshape(-1, 2)
    assert len(dealt) == 15
    assert len({min((u, v), (-u, -v)) for u, v in dealt.tolist()}) == 15


def test_peak_stays_in_band_after_rounding():
    crafted = craft(low=2, high=4, epsilon=4)
    for delta in np.rint(crafted.delta[:, 0] * 255):
        shares = spectrum(delta)
        u, v = max(shares, key=shares.get)
        assert 2 <= np.hypot(u, v) <= 4


def test_frequencies_of_8_pixels_lie_below_nyquist():
    every = frequencies((8, 8), 1, 8)
    assert len(every) == 24
    assert np.abs(every).max() == 3
    within = frequencies((8, 8), 1, 2).tolist()
    assert sorted(map(tuple, within)) == [(0, 1), (0, 2), (1, -1), (1, 0), (1, 1), (2, 0)]


def test_perturbations_of_class_have_zero_mean():
    crafted = craft()
    for group in range(5):
        used = np.unique(crafted.index[IMAGES.known_labels == group])
        assert len(used) > 1
        assert set(used // 8) == {group}
    assert np.abs(crafted.delta.reshape(5, 8, -1).mean(1)).max() < 1e-6


def test_phases_do_not_depend_on_labels():
    relabelled = IMAGES.with_labels((IMAGES.known_labels + 1) % 5, IMAGES.classes)
    assert (craft(relabelled).index % 8 == craft().index % 8).all()


def test_fixed_preset_has_one_perturbation_per_class():
    fixed = craft(**FourierParams.presets["fixed"])
    assert fixed.delta.shape == (5, 3, 16, 20)
    assert (fixed.index == IMAGES.known_labels).all()


def test_assign_follows_label_and_pixels():
    crafted, poisoner = craft(), Fourier(FourierParams())
    unseen = IMAGES.with_labels(None)
    assigned = poisoner.assign(unseen, IMAGES.known_labels, crafted.state, make_run())
    assert (assigned == crafted.index).all()
    assert poisoner.assign(unseen, None, crafted.state, make_run()) is None


def test_channels_are_equal_or_inverted():
    assert (np.ptp(craft().delta, axis=1) == 0).all()
    signed = craft(channels="signs").delta
    assert np.allclose(np.abs(signed), np.abs(craft().delta))
    assert (np.ptp(signed, axis=1) > 0).any()


def test_perturbation_depends_on_seed_alone():
    assert (craft(seed=3).delta == craft(seed=3).delta).all()
    assert (craft(seed=3).state["frequencies"] != craft(seed=4).state["frequencies"]).any()


def test_too_narrow_band_raises_usage_error_with_numbers():
    with pytest.raises(UsageError, match=r"have 2 frequencies, and 5 groups of 1 need 5"):
        craft(low=1, high=1)
    with pytest.raises(UsageError, match="must not be below"):
        FourierParams.resolve("fourier", options={"low": 4, "high": 3})
