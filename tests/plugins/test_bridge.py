"""BridgePure: the bridge's arithmetic, and what it does to patterns that images share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ucbench import ImageSet, UsageError
from ucbench.testing import make_run, sample_images
from ucbench_bridge.defense import BridgePure
from ucbench_bridge.network import BridgeNetwork
from ucbench_bridge.params import BridgeParams
from ucbench_bridge.schedule import bridged, coefficients, fresh_share, walked_back

TIMES = st.floats(0.01, 0.99)


def at(time: float) -> torch.Tensor:
    return torch.tensor(time, dtype=torch.float64)


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def test_bridge_starts_at_the_clean_and_ends_at_the_protected_image():
    clean, protected = images(2, 3, 4, 4), images(2, 3, 4, 4, seed=1)
    ends = bridged(clean, protected, torch.tensor([0.0, 1.0]), torch.ones_like(clean))
    torch.testing.assert_close(ends[0], clean[0])
    torch.testing.assert_close(ends[1], protected[1])


@given(TIMES)
def test_bridge_is_the_diffusion_given_its_end(time):
    """Gaussian conditioning of x_t on x_1, both with given x_0, by the schedule's own joint covariance."""
    alpha = np.exp(-0.5 * time**2 - 0.05 * time)
    last = np.exp(-0.55)
    ratio = last / alpha
    covariance, end_variance = ratio * (1 - alpha**2), 1 - last**2
    gain = covariance / end_variance
    end, start, deviation = (float(value) for value in coefficients(at(time)))
    assert end == pytest.approx(gain)
    assert start == pytest.approx(alpha - gain * last)
    assert deviation**2 == pytest.approx(1 - alpha**2 - gain * covariance)


@given(TIMES, TIMES)
def test_fresh_share_explains_the_noise_of_the_later_time(one, other):
    """Noise at the earlier time, carried by the diffusion on to the later one, has the covariance of the bridge."""
    after, now = sorted((one, other))
    if now - after < 1e-3:
        return
    share = fresh_share(at(now), at(after))
    (_, _, later), (_, _, deviation) = (tuple(map(float, coefficients(at(time)))) for time in (after, now))
    ratio = np.exp(-0.5 * (now**2 - after**2) - 0.05 * (now - after))
    less, least = (1 - np.exp(-(time**2) - 0.1 * time) for time in (after, now))
    # Cov(x_after, x_now | both ends) = ratio * Var_bridge(after) * (share of the way that is left)
    last = np.exp(-0.5 * (1 - now**2) - 0.05 * (1 - now))
    left = (1 - np.exp(-1.1) - last**2 * least) / (1 - np.exp(-1.1))
    expected = ratio * less * left
    assert (1 - share**2) ** 0.5 * later * deviation == pytest.approx(expected, rel=1e-4)


@given(st.integers(1, 6), st.floats(0, 1))
def test_walking_back_with_the_right_prediction_ends_at_the_clean_image(evaluations, eta):
    clean, protected = images(1, 3, 4, 4), images(1, 3, 4, 4, seed=1)
    generator = torch.Generator().manual_seed(0)

    def draw():
        return torch.randn(clean.shape, generator=generator, dtype=torch.float64)

    back = walked_back(protected, lambda x, end, time: clean, evaluations, eta, draw)
    torch.testing.assert_close(back, clean)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_images_on_the_way_back_have_the_noise_of_their_time(eta):
    clean, protected = torch.zeros(1, 3, 64, 64, dtype=torch.float64), torch.full((1, 3, 64, 64), 0.1).double()
    generator, seen = torch.Generator().manual_seed(0), {}

    def predict(x, end, time):
        seen[float(time[0])] = x
        return clean

    walked_back(protected, predict, 4, eta, lambda: torch.randn(clean.shape, generator=generator).double())
    assert list(seen) == [1.0, 0.75, 0.5, 0.25]
    for time, x in seen.items():
        _, _, deviation = coefficients(at(time))
        assert float(x.std()) == pytest.approx(float(deviation), rel=0.03)


def test_untrained_network_predicts_no_difference():
    network = BridgeNetwork((6, 8), 8, 2)
    x = images(2, 3, 6, 8).float()
    assert not network(x, x, torch.tensor([0.2, 1.0])).any()


def patterned(count: int, seed: int) -> tuple[ImageSet, ImageSet]:
    """Noisy images, before and after one of three patterns of single pixels, that of their class."""
    clean = sample_images(count, (8, 8), 3, seed=seed)
    clean = clean.with_images(np.clip(clean.images, 16, 239))
    patterns = np.random.default_rng(9).choice(np.array([-12, 12]), (3, 3, 8, 8))
    return clean, clean.with_images((clean.images + patterns[clean.known_labels]).astype(np.uint8))


def test_bridge_pure_removes_patterns_from_images_it_has_not_seen():
    run = make_run(stage="prepare", leaked=patterned(60, 1))
    clean, released = patterned(90, 2)
    params = BridgeParams(steps=150, lr=8e-3, width=16, blocks=2, evaluations=2)
    purified = BridgePure(params).prepare(released, run)
    before, after = (np.square(some.images - clean.images.astype(float)).mean() for some in (released, purified))
    assert before == 144
    assert after < 0.5 * before
    assert run.notes["pairs"] == 60
    assert run.notes["pair_difference"] == pytest.approx(12)
    assert run.notes["pair_rest"] < 9


def test_learning_rate_rises_for_a_twentieth_of_the_steps_and_falls_by_half_a_cosine(monkeypatch):
    rates, step = [], torch.optim.Adam.step

    def remembered(self, *rest):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *rest)

    monkeypatch.setattr(torch.optim.Adam, "step", remembered)
    run = make_run(stage="prepare", leaked=patterned(6, 1))
    BridgePure(BridgeParams(steps=42, lr=0.01, width=8, blocks=1, evaluations=1)).prepare(patterned(6, 2)[1], run)
    falling = [0.005 * (1 + np.cos(np.pi * step / 40)) for step in range(40)]
    assert rates == pytest.approx([0.005, 0.01, *falling])


def test_bridge_pure_leaves_the_set_alone_where_nothing_was_protected():
    trusted, train = sample_images(seed=1), sample_images()
    run = make_run(stage="prepare", leaked=(trusted, trusted))
    assert BridgePure(BridgeParams()).prepare(train, run) is train


def test_bridge_pure_refuses_without_pairs():
    with pytest.raises(UsageError, match="leaked"):
        BridgePure(BridgeParams()).prepare(sample_images(), make_run(stage="prepare", clean=sample_images()))
