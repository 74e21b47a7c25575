"""What is left of a photo's change after processing, where the answer is known."""

from __future__ import annotations

import numpy as np
import protected_folder as made
import pytest

from ucbench.errors import DataError
from ucbench.protection.sampling import by_pattern, sample
from ucbench.protection.survival import Remainder, remainders, survival

GREY = "Colours removed"
REDUCED = "Reduced to 224 pixels (shorter side)"


def of_change(change: np.ndarray) -> dict[str, Remainder]:
    original = made.smooth(*change.shape[:2], seed=0, contrast=20)
    return remainders(original, (original + change).astype(np.uint8))


def test_grey_keeps_a_change_equal_in_all_channels_and_one_third_of_one_in_green_only():
    grey = np.repeat(made.pattern(64, 96, 0)[:, :, :1], 3, axis=2)
    whole = of_change(grey)[GREY]
    assert whole.energy == pytest.approx(1, abs=0.05)
    assert whole.cosine > 0.99
    green = grey * [0, 1, 0]
    part = of_change(green)[GREY]
    # Luma takes 0.587 of green and writes it to three channels: energy 3 x 0.587², cosine 1 / sqrt(3).
    assert part.energy == pytest.approx(3 * 0.587**2, rel=0.05)
    assert part.cosine == pytest.approx(3**-0.5, rel=0.02)
    assert part.kept == pytest.approx(0.587**2, rel=0.06)


def test_blur_and_jpeg_remove_fine_changes_and_keep_coarse_ones():
    fine, coarse = (of_change(made.pattern(128, 192, 0, cell)) for cell in (1, 32))
    for name in ("Blurred a little (sigma 1 pixel)", "JPEG, quality 75"):
        assert fine[name].kept < 0.4
        assert coarse[name].kept > 0.8
    assert fine["JPEG, quality 75"].kept < fine["JPEG, quality 90"].kept


def test_reduction_is_compared_with_the_change_reduced_alike():
    # A coarse change outlives reduction; the fine one is averaged away in both, so that its share says little.
    found = of_change(made.pattern(450, 600, 0, 50))
    assert found[REDUCED].energy == pytest.approx(1, abs=0.1)
    assert found[REDUCED].cosine > 0.98


def test_reduction_leaves_out_photos_that_are_small_already():
    names = of_change(made.pattern(100, 300, 0))
    assert not any(name.startswith("Reduced") for name in names)
    assert any("social network" in name for name in names)


def test_equal_photos_have_nothing_to_survive_and_other_sizes_are_refused():
    photo = made.smooth(40, 40, 0)
    assert remainders(photo, photo) == {}
    with pytest.raises(DataError, match="not the same photo"):
        remainders(photo, photo[:30])


def test_reversed_change_counts_as_nothing_kept():
    assert Remainder(energy=1.0, cosine=-1.0).kept == 0


def test_rows_compared_in_blocks_give_the_sums_of_all(monkeypatch):
    change = made.pattern(70, 50, 0)
    whole = of_change(change)
    monkeypatch.setattr("ucbench.protection.survival._ROWS", 7)
    blocked = of_change(change)
    assert blocked.keys() == whole.keys()
    for name, value in whole.items():
        assert blocked[name] == pytest.approx(value, rel=1e-9)


def test_survival_of_a_folder_is_the_median_of_written_files(tmp_path):
    folder = made.make(tmp_path, [f"{n}.png" for n in range(3)])
    found = {one.processing: one for one in survival(folder.manifest.photos, folder.photos, folder.copies)}
    grey = found[GREY]
    assert set(grey.photos) == {"0.png", "1.png", "2.png"}
    assert grey.energy == sorted(one.energy for one in grey.photos.values())[1]


def test_survival_of_unchanged_copies_is_empty(tmp_path):
    folder = made.make(tmp_path, ["a.png"], same=True)
    assert survival(folder.manifest.photos, folder.photos, folder.copies) == ()


def test_sample_takes_turns_among_patterns_and_skips_unchanged_and_huge_photos(tmp_path):
    photos = made.make(tmp_path, [f"{n:02}.png" for n in range(9)], groups=3).manifest.photos
    unchanged = photos[0].model_copy(update={"linf": 0})
    huge = photos[1].model_copy(update={"width": 40_000, "height": 30_000})
    chosen = sample([unchanged, huge, *photos[2:]], 4)
    assert [photo.pattern for photo in chosen] == [0, 1, 2, 0]
    assert not {unchanged.source, huge.source} & {photo.source for photo in chosen}
    assert list(by_pattern(reversed(photos))) == [0, 1, 2]
