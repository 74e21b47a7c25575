"""Purification by diffusion: its arithmetic, what it may touch, and the files it reads."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import benchmark_scripts
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ucbench import DataError, ImageSet, UsageError
from ucbench.data.loading import load_dataset
from ucbench.data.selection import set_aside
from ucbench.exploit.defend import pipeline_of, prepare
from ucbench.numerics import Numerics
from ucbench.plugins.registry import installed
from ucbench.session import Session
from ucbench.store.store import Store
from ucbench.testing import make_run, sample_images

diffusers = pytest.importorskip("diffusers", reason="needs diffusers: pip install 'ucbench[purify]'")

from tiny_denoiser import save_denoiser  # noqa: E402

from ucbench_purify.diffusion import (  # noqa: E402
    Denoiser,
    DiffusionPurify,
    noised,
    pixel_hash,
    purified,
    shares,
    step_back,
    times,
)
from ucbench_purify.eclipse import Eclipse  # noqa: E402
from ucbench_purify.params import EclipseParams, PurifyParams  # noqa: E402

CPU = torch.device("cpu")


def schedule(**options: object) -> diffusers.DDIMScheduler:
    return diffusers.DDIMScheduler(num_train_timesteps=1000, beta_schedule="linear", **options)


KEPT = shares(schedule().alphas_cumprod)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return save_denoiser(tmp_path_factory.mktemp("denoiser") / "saved")


@given(st.integers(1, 1000).flatmap(lambda start: st.tuples(st.just(start), st.integers(1, start))))
def test_times_are_different_and_end_at_zero(way):
    start, steps = way
    found = times(start, steps)
    assert (found[0], found[-1], len(found)) == (start, 0, steps + 1)
    assert all(now > after for now, after in itertools.pairwise(found))


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("now", "after"), [(100, 99), (100, 90), (510, 10), (1, 0)])
def test_step_back_equals_diffusers(eta, now, after):
    x, predicted, noise = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1), normal(2, 3, 4, 4, seed=2)
    reference = schedule(clip_sample=True, set_alpha_to_one=True)
    reference.num_inference_steps = 1000 // (now - after)  # which is all it derives the next time from
    expected = reference.step(
        predicted, now - 1, x, eta=eta, use_clipped_model_output=True, variance_noise=noise if eta else None
    ).prev_sample
    found = step_back(x, predicted, KEPT[now], KEPT[after], eta, noise if eta else None)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_purified_with_the_true_noise_returns_the_images(eta):
    x = normal(3, 3, 8, 8).clamp(-1, 1)

    def predict(at: torch.Tensor, time: int) -> torch.Tensor:
        return (at - KEPT[time].sqrt() * x) / (1 - KEPT[time]).sqrt()

    back = purified(x, predict, KEPT, start=150, steps=7, eta=eta, draw=lambda: normal(3, 3, 8, 8, seed=4))
    torch.testing.assert_close(back, x)


def test_purified_with_the_best_estimate_removes_a_perturbation():
    """Images of one colour: all that a network could know, that pixels are equal, in closed form."""
    flat = normal(64, 3, 1, 1, seed=5).clamp(-0.8, 0.8).expand(64, 3, 8, 8)
    perturbed = flat + 0.06 * normal(64, 3, 8, 8, seed=6).sign()

    def predict(at: torch.Tensor, time: int) -> torch.Tensor:
        return (at - at.mean((2, 3), keepdim=True)) / (1 - KEPT[time]).sqrt()

    back = purified(perturbed, predict, KEPT, start=100, steps=10, eta=0.0, draw=lambda: normal(64, 3, 8, 8, seed=7))
    assert (back - back.mean((2, 3), keepdim=True)).abs().max() < 1e-6
    assert (back - flat).abs().mean() < 0.06


def test_noised_has_the_variance_of_its_time():
    at = noised(torch.zeros(4, 3, 64, 64, dtype=torch.float64), normal(4, 3, 64, 64), KEPT[100])
    assert at.var().item() == pytest.approx(1 - KEPT[100].item(), rel=0.02)


def test_prepare_draws_noise_per_image_from_the_seed(folder):
    train = sample_images(count=130, size=(16, 16))
    same = train.with_images(np.repeat(train.images[:1], len(train), axis=0))
    first, again, other = (
        DiffusionPurify(PurifyParams(denoiser=folder, time=50, steps=2)).prepare(same, make_run(seed=seed))
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)
    assert len(np.unique(first.images, axis=0)) == len(train)


def test_prepare_keeps_labels_and_order(folder):
    train = sample_images(count=12, size=(16, 16))
    found = DiffusionPurify(PurifyParams(denoiser=folder, time=1, steps=1)).prepare(train, make_run())
    assert np.array_equal(found.known_labels, train.known_labels)
    # One step of the smallest noise leaves every image nearest to itself.
    distance = np.abs(found.images[:, None].astype(int) - train.images[None]).mean((2, 3, 4))
    assert np.array_equal(distance.argmin(1), np.arange(12))


def test_identity_depends_only_on_the_content_of_the_files(folder, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "moved")
    assert PurifyParams(denoiser=moved).identity() == PurifyParams(denoiser=folder).identity()
    other = save_denoiser(tmp_path / "other", seed=1)
    assert PurifyParams(denoiser=other).identity() != PurifyParams(denoiser=folder).identity()


def test_denoiser_reads_a_model_saved_without_a_pipeline(folder, tmp_path):
    flat = tmp_path / "flat"
    shutil.copytree(folder / "unet", flat)
    shutil.copy(folder / "scheduler" / "scheduler_config.json", flat)
    x = normal(1, 3, 16, 16)
    assert torch.equal(Denoiser(flat, CPU)(x, 3), Denoiser(folder, CPU)(x, 3))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda folder: shutil.rmtree(folder / "unet"), "is missing"),
        (lambda folder: (folder / "scheduler" / "scheduler_config.json").unlink(), "scheduler_config.json"),
    ],
)
def test_identity_names_a_missing_file(folder, tmp_path, change, text):
    broken = shutil.copytree(folder, tmp_path / "broken")
    change(broken)
    with pytest.raises(DataError, match=text):
        PurifyParams(denoiser=broken).identity()


def test_denoiser_with_broken_weights_names_the_folder(folder, tmp_path):
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"none")
    with pytest.raises(DataError, match="broken cannot be read"):
        Denoiser(broken, CPU)


def test_denoiser_refuses_other_channels_and_predictions(tmp_path):
    with pytest.raises(DataError, match="1 channels"):
        Denoiser(save_denoiser(tmp_path / "grey", channels=1), CPU)
    with pytest.raises(UsageError, match="v_prediction"):
        Denoiser(save_denoiser(tmp_path / "velocity", prediction="v_prediction"), CPU)


def test_prepare_refuses_sizes_and_times_beyond_the_model(folder):
    with pytest.raises(UsageError, match="multiples of 2 pixels"):
        Denoiser(folder, CPU).check((15, 16), 10)
    with pytest.raises(UsageError, match="200 steps"):
        DiffusionPurify(PurifyParams(denoiser=folder, time=201)).prepare(sample_images(), make_run())
    with pytest.raises(ValueError, match="steps=11"):
        PurifyParams(denoiser=folder, time=10, steps=11)


def test_prepare_warns_of_images_of_another_size(folder):
    run = make_run()
    DiffusionPurify(PurifyParams(denoiser=folder, time=1, steps=1)).prepare(sample_images(count=4, size=(8, 8)), run)
    assert "16 pixels" in run.warnings[0]


def learned_from(folder: Path, tmp_path: Path, images: ImageSet, **facts) -> Path:
    """The denoiser with facts as if it had been trained on ``images``."""
    copy = shutil.copytree(folder, tmp_path / "learned")
    stated = {"dataset": "samples", "images": len(images), "pixels": pixel_hash(images), **facts}
    (copy / "ucbench.json").write_text(json.dumps(stated))
    return copy


@pytest.mark.parametrize(("name", "left", "warned"), [("a", 7, True), ("a", 8, False), ("b", 7, False)])
def test_prepare_warns_if_the_release_holds_images_of_the_denoiser(folder, tmp_path, name, left, warned):
    train = replace(sample_images(8, (16, 16)), name="a")
    copy = learned_from(folder, tmp_path, train, name=name, left=left)
    run = make_run()
    DiffusionPurify(PurifyParams(denoiser=copy, time=1, steps=1)).prepare(train, run)
    assert ["in the release" in text for text in run.warnings] == [True] * warned


def test_prepare_warns_of_a_time_that_the_denoiser_has_not_learned(folder, tmp_path):
    train = sample_images(4, (16, 16))
    copy, run = learned_from(folder, tmp_path, train, latest=12), make_run()
    for time in (12, 13):
        DiffusionPurify(PurifyParams(denoiser=copy, time=time, steps=1)).prepare(train, run)
    assert run.warnings == ["The denoiser knows noise up to time 12, not 13."]


def test_eclipse_takes_only_a_denoiser_of_the_trusted_images(folder, tmp_path):
    trusted, train = (sample_images(8, (16, 16), seed=seed) for seed in range(2))
    copy = learned_from(folder, tmp_path, trusted)
    eclipse = Eclipse(EclipseParams(denoiser=copy, time=1, steps=1))
    run = make_run(stage="prepare", trusted=trusted.with_labels(1 - trusted.known_labels % 2, ("a", "b")))
    eclipse.prepare(train, run)
    assert run.warnings == []
    with pytest.raises(UsageError, match="trained on 8 images of samples, which are not the 7 trusted"):
        eclipse.prepare(train, make_run(stage="prepare", trusted=trusted.subset(np.arange(7))))


def test_eclipse_warns_where_the_training_of_the_denoiser_is_not_known(folder):
    train, run = sample_images(4, (16, 16)), make_run(stage="prepare", trusted=sample_images())
    Eclipse(EclipseParams(denoiser=folder, time=1, steps=1)).prepare(train, run)
    assert "is not known" in run.warnings[0]


def test_eclipse_behind_a_purifier_adds_other_noise(folder, tmp_path, monkeypatch):
    noise = []
    monkeypatch.setattr("ucbench_purify.diffusion.noised", lambda x, drawn, kept: noise.append(drawn) or x)
    options = f"denoiser='{folder}',time=1,steps=1"
    chain = [installed().resolve("defense", f"{name}:{options}") for name in ("diffusion-purify", "eclipse")]
    train, trusted = sample_images(4, (16, 16)), sample_images(4, (16, 16), seed=1)
    session = Session(Store(tmp_path), Numerics("cpu", "float32", 1))
    prepare(chain, pipeline_of(chain), train, train, 0, session, trusted)
    first, second = noise
    assert not torch.equal(first, second)
    prepare(chain[:1], pipeline_of(chain[:1]), train, train, 0, session)
    assert torch.equal(noise[2], first)


@pytest.fixture(scope="module")
def script():
    with benchmark_scripts.script("train_denoiser") as module:
        yield module


def test_trained_denoiser_denoises_and_notes_its_training_data(script, tmp_path):
    options = f"digits {tmp_path}/out --trusted 200 --steps 150 --width 8 --batch 32 --threads 1"
    result = CliRunner().invoke(script.app, options.split())
    assert result.exit_code == 0, result.output
    before, after = (float(found) for found in re.findall(r"(\d+\.\d) dB", result.output))
    assert after > before

    facts = json.loads((tmp_path / "out" / "ucbench.json").read_text())
    chosen = installed().resolve("dataset", "digits")
    rest, granted = set_aside(load_dataset(chosen.build(), chosen.params).train, 200)
    assert facts["fingerprint"] == granted.fingerprint
    assert facts["pixels"] == pixel_hash(granted)
    assert (facts["name"], facts["left"]) == (rest.name, len(rest))
    run = make_run()
    DiffusionPurify(PurifyParams(denoiser=tmp_path / "out", steps=2)).prepare(granted.subset(np.arange(4)), run)
    assert run.notes["purifier"] == facts


def test_train_denoiser_refuses_a_width_that_groups_do_not_divide(script, tmp_path):
    result = CliRunner().invoke(script.app, ["digits", str(tmp_path), "--width", "12"])
    assert result.exit_code == 2
    assert "multiple of 8" in result.output


def test_eclipse_greys_its_share_of_images_and_adds_its_noise(folder):
    x = torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.25
    noisy, plain = (
        Eclipse(EclipseParams(denoiser=folder, grey=0.4, sigma=sigma)).augment(
            x, make_run(stage="train"), torch.Generator().manual_seed(0)
        )
        for sigma in (0.05, 0.0)
    )
    grey = (plain == plain[:, :1]).flatten(1).all(1)
    assert 0.3 < grey.float().mean() < 0.5
    assert torch.equal(plain[~grey], x[~grey])
    luma = 0.299 * x[grey, 0] + 0.587 * x[grey, 1] + 0.114 * x[grey, 2]
    torch.testing.assert_close(plain[grey, 2], luma)
    assert float((noisy - plain).std()) == pytest.approx(0.05, rel=0.02)


def test_eclipse_noises_as_much_as_the_published_cosine_schedule():
    """12 of 1,000 linear steps and 100 of 4,000 cosine steps leave nearly the same noise."""
    at = [np.cos((time + 0.008) / 1.008 * np.pi / 2) ** 2 for time in (0.0, 100 / 4000)]
    published = float(np.sqrt(1 - at[1] / at[0]))
    ours = float((1 - KEPT[EclipseParams.model_fields["time"].default]).sqrt())
    assert ours == pytest.approx(published, rel=0.05)
