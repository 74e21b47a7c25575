"""The check of effect: classes, held-out photos, sham of equal strength, and a probe that a shortcut misleads."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import protected_folder as made
import pytest
import torch
from PIL import Image

from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.protection import effect
from ucbench.protection.effect import _classes, _probed, _read, _Sets, _sham, check_effect
from ucbench.session import open_session


def folders(**counts: int) -> list[str]:
    return [f"{name}/{number:02}.png" for name, count in counts.items() for number in range(count)]


def read(folder: made.Folder, by_folder: bool = True, seed: int = 0) -> _Sets:
    photos, labels, classes = _classes(folder.manifest.photos, by_folder, seed)
    return _read(photos, labels, classes, 16, folder.photos, folder.copies, seed)


def test_classes_by_folder_leave_out_small_folders_and_loose_photos(tmp_path):
    folder = made.make(tmp_path, [*folders(cats=9, dogs=8, few=7), *(f"loose{n}.png" for n in range(9))])
    photos, labels, classes = _classes(folder.manifest.photos, True, 0)
    assert classes == ("cats", "dogs")
    assert np.bincount(labels).tolist() == [9, 8]
    assert all(photo.source.startswith(f"{classes[label]}/") for photo, label in zip(photos, labels, strict=True))


def test_classes_draw_the_same_share_of_every_folder_where_there_are_many(tmp_path, monkeypatch):
    folder = made.make(tmp_path, folders(a=30, b=60), size=(20, 20))
    monkeypatch.setattr(effect, "MOST", 45)
    _, labels, _ = _classes(folder.manifest.photos, True, 0)
    assert np.bincount(labels).tolist() == [15, 30]


def test_one_class_is_refused_before_anything_is_read(tmp_path):
    folder = made.make(tmp_path, folders(cats=9, few=7), size=(20, 20))
    with pytest.raises(UsageError, match="at least two folders directly below PHOTOS with at least 8 photos"):
        check_effect(folder.manifest, tmp_path / "gone", tmp_path / "gone", None, by_folder=True)


def test_held_out_photos_are_clean_and_in_no_training_set(tmp_path):
    sets = read(made.make(tmp_path, folders(a=10, b=10), size=(48, 64)))
    assert len(sets.test) == 4
    assert np.bincount(sets.test.known_labels).tolist() == [2, 2]
    held_out = {image.tobytes() for image in sets.test.images}
    clean = {image.tobytes() for image in sets.kinds["clean"].images}
    assert not held_out & clean
    for images in sets.kinds.values():
        assert len(images) == 16
        assert (images.known_labels == sets.kinds["clean"].known_labels).all()
    assert (sets.kinds["protected"].images != sets.kinds["clean"].images).mean() > 0.5


def test_photos_are_held_out_for_any_seed(tmp_path):
    folder = made.make(tmp_path, folders(a=10, b=10), size=(20, 20))
    assert [len(read(folder, seed=seed).test) for seed in (-1, 2**40)] == [4, 4]


def test_sham_noise_has_the_strength_of_each_photos_change_and_differs_between_photos():
    clean = np.full((2, 3, 32, 32), 128, np.uint8)
    copies = clean.copy()
    copies[0] += 8
    copies[1, :, ::2] -= 4
    noise = _sham(clean, copies, 0).astype(float) - clean
    strength = np.sqrt((noise**2).mean((1, 2, 3)))
    assert strength == pytest.approx([8, 4 / 2**0.5], rel=0.05)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1


class Means:
    """A surrogate whose features are the mean colours of an image's left and right half."""

    def __init__(self, params: object) -> None:
        self.params = params

    def module(self, seed, train=None):
        raise NotImplementedError

    def logits(self, x):
        raise NotImplementedError

    def to(self, device, dtype):
        pass

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([half.mean((2, 3)) for half in x.chunk(2, 3)], 1)


def test_probe_is_misled_by_a_shortcut_and_not_by_sham(monkeypatch):
    """Classes differ on the left; copies have on the right what would say the same, stronger, and not at test time."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2

    def images(right: int) -> np.ndarray:
        pixels = rng.integers(90, 160, (80, 3, 1, 1)) + rng.integers(-8, 9, (80, 3, 8, 8))
        pixels[:, :, :, :4] += (labels * 6)[:, None, None, None]
        pixels[:, :, :, 4:] += (labels * right)[:, None, None, None]
        return pixels.astype(np.uint8)

    kinds = {"clean": images(0), "sham": images(0), "protected": images(40)}
    sets = _Sets(
        ImageSet(images(0), labels, ("0", "1")), {k: ImageSet(v, labels, ("0", "1")) for k, v in kinds.items()}
    )
    monkeypatch.setattr("ucbench.crafting.surrogate.open_pretrained", lambda *_: Means(None))
    found = _probed(sets, "efficientnet-lite0", open_session(device="cpu", threads=1))
    assert found.kind == "linear probe on the surrogate"
    assert found.means["clean"] > 90
    assert found.means["sham"] > 90
    assert found.means["protected"] < 75
    assert (found.classes, found.fitted, found.tested, found.trainings, found.chance) == (2, 80, 80, 1, 50.0)


def test_every_kind_is_trained_with_three_seeds_and_scored_on_held_out_photos(tmp_path, monkeypatch):
    folder = made.make(tmp_path, folders(a=10, b=10), size=(32, 32))
    trainings, scored = [], []

    def recorded(victim, images, test, trusted, pipeline, run):
        def predict(asked):
            scored.append(asked)
            return asked.known_labels if images.name == "clean photos" else 0 * asked.known_labels

        trainings.append((images, test, run.seed("init")))
        return SimpleNamespace(predict=predict)

    monkeypatch.setattr("ucbench.exploit.train.train", recorded)
    monkeypatch.setattr(effect, "SIDE", 16)
    session = open_session(device="cpu", threads=1)
    found = check_effect(folder.manifest, folder.photos, folder.copies, session, by_folder=True)
    sets = read(folder)
    assert len(trainings) == len(scored) == 9
    for name, images in sets.kinds.items():
        of_kind = [training for training in trainings if training[0].name == images.name]
        assert all(trained.fingerprint == images.fingerprint for trained, _, _ in of_kind), name
        assert len({seed for _, _, seed in of_kind}) == len(of_kind) == 3
    assert {test.fingerprint for test in (*scored, *(test for _, test, _ in trainings))} == {sets.test.fingerprint}
    assert (found.clean, found.sham, found.protected) == ((100.0,) * 3, (50.0,) * 3, (50.0,) * 3)
    assert (found.kind, found.classes, found.fitted, found.tested) == ("training", 2, 16, 4)


@pytest.mark.slow
def test_trainings_are_misled_by_a_shortcut_and_less_by_sham(tmp_path, monkeypatch):
    """Red says the class; copies have more of it the other way round. Nine real trainings: 5 seconds of one core."""
    folder = made.make(tmp_path, folders(a=20, b=20), size=(32, 32))
    for number, photo in enumerate(folder.manifest.photos):
        sign = 1 if photo.source.startswith("a/") else -1
        pixels = made.smooth(32, 32, number, contrast=30).astype(int)
        for path, red in ((folder.photos / photo.source, 12), (folder.copies / photo.output, -28)):
            shifted = pixels + np.array([red * sign, 0, 0])
            Image.fromarray(shifted.clip(0, 255).astype(np.uint8)).save(path)
    monkeypatch.setattr(effect, "SIDE", 16)
    session = open_session(device="cpu", threads=1)
    found = check_effect(folder.manifest, folder.photos, folder.copies, session, by_folder=True)
    assert found.means["clean"] > 90
    assert found.means["protected"] < 30
    assert found.means["sham"] > found.means["protected"] + 30
    assert len(found.clean) == len(found.sham) == len(found.protected) == 3


def test_check_without_surrogate_and_folders_says_what_to_do(tmp_path):
    folder = made.make(tmp_path, [f"{n:02}.png" for n in range(16)], size=(20, 20))
    with pytest.raises(UsageError, match="--by-folder"):
        check_effect(folder.manifest, folder.photos, folder.copies, None)
