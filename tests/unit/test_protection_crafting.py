"""Working images of photos, the craft that settings ask for, and which pattern each photo gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny_components as tiny
from PIL import Image

from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError, UsageError
from ucbench.plugins.registry import installed
from ucbench.progress import Silent
from ucbench.protection import crafting, working
from ucbench.protection.crafting import (
    PatternSettings,
    assign_patterns,
    cluster_count,
    craft_of,
    craft_patterns,
)
from ucbench.protection.working import crafted_on, working_images
from ucbench.session import Session
from ucbench.store.store import Store

RNG = np.random.default_rng(0)


class TestWorkingImages:
    def test_working_images_are_central_squares_reduced_with_antialiasing(self):
        wide = np.zeros((40, 100, 3), np.uint8)
        wide[:, 30:70] = RNG.integers(0, 256, (40, 40, 3))
        (seen,) = working_images([wide], 8).images
        expected = np.asarray(Image.fromarray(wide[:, 30:70]).resize((8, 8), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(seen.transpose(1, 2, 0), expected)

    def test_working_images_keep_the_pixels_of_squares_of_the_working_size(self):
        photo = RNG.integers(0, 256, (9, 9, 3)).astype(np.uint8)
        np.testing.assert_array_equal(working_images([photo], 9).images[0], photo.transpose(2, 0, 1))

    def test_working_images_open_one_photo_at_a_time_and_keep_the_order(self):
        held = []

        def photos():
            for level in (10, 20, 30):
                held.append(level)
                yield np.full((12, 20, 3), level, np.uint8)

        images = working_images(photos(), 8)
        assert images.labels is None
        assert images.images[:, 0, 0, 0].tolist() == held == [10, 20, 30]

    def test_working_images_of_no_photo_raise(self):
        with pytest.raises(DataError, match="no photos"):
            working_images([])
        for size in (0, 513):
            with pytest.raises(UsageError, match=f"8 to 512 pixels, got {size}"):
                working_images([np.zeros((9, 9, 3), np.uint8)], size)

    def test_crafted_on_draws_a_part_by_the_seed_of_more_photos_than_the_most(self, monkeypatch):
        monkeypatch.setattr(working, "MOST_CRAFTED", 50)
        assert crafted_on(50, 0).tolist() == list(range(50))
        rows = crafted_on(200, 0)
        assert len(np.unique(rows)) == 50
        assert (np.diff(rows) > 0).all()
        assert rows.max() > 100
        assert (rows == crafted_on(200, 0)).all()
        assert (rows != crafted_on(200, 1)).any()


class TestCraftOf:
    @pytest.mark.parametrize(("photos", "groups"), [(4, 2), (8, 2), (23, 2), (24, 3), (159, 19), (160, 20), (9999, 20)])
    def test_uc_gets_a_group_for_every_eight_photos(self, photos, groups):
        assert cluster_count(photos) == groups
        craft = craft_of(PatternSettings(), photos, installed())
        assert craft.poisoner.params.clusters == groups
        assert (craft.poisoner.preset, craft.labels.source) == ("photos", "none")
        assert str(craft.budget) == "linf 8"

    @pytest.mark.parametrize(
        ("reference", "clusters", "groups"),
        [("uc", 3, 3), ("uc:clusters=5", None, 5), ("uc@paper", None, 10), ("uc@paper", 4, 4)],
    )
    def test_uc_keeps_the_number_of_groups_that_is_named(self, reference, clusters, groups):
        craft = craft_of(PatternSettings(reference, clusters=clusters), 100, installed())
        assert craft.poisoner.params.clusters == groups

    def test_label_based_poisoner_gets_clusters_of_the_default_model_as_craft_labels(self):
        craft = craft_of(PatternSettings("rand-class"), 100, installed())
        assert str(craft.labels) == "clusters:k=12"
        assert str(craft.surrogate) == "efficientnet-lite0@auto"

    def test_label_based_poisoner_that_trains_its_surrogate_gets_clusters_of_another_model(self):
        craft = craft_of(PatternSettings("eminn"), 100, installed())
        assert craft.surrogate.spec.untrained
        assert str(craft.labels.model) == "efficientnet-lite0@auto"

    @pytest.mark.parametrize("reference", ["adv-poison", "adv-poison@paper", "hypo"])
    def test_label_based_poisoner_whose_surrogate_needs_labels_gets_clusters_of_another_model(self, reference):
        craft = craft_of(PatternSettings(reference), 100, installed())
        assert craft.surrogate.spec.name == "trained"
        assert str(craft.labels.model) == "efficientnet-lite0@auto"

    @pytest.mark.parametrize(
        ("settings", "photos", "text"),
        [
            (PatternSettings(), 3, "3 photos are too few"),
            (PatternSettings("rand-class"), 3, "3 photos are too few"),
            (PatternSettings(clusters=9), 8, "8 photos make 2 to 8 groups, not 9"),
            (PatternSettings(clusters=1), 8, "2 to 8 groups, not 1"),
            (PatternSettings("uc:clusters=5", clusters=5), 80, "given twice: 5, and in uc:clusters=5"),
            (PatternSettings("positive"), 80, "for comparisons"),
            (PatternSettings("clean"), 80, "for comparisons"),
            (PatternSettings("ops"), 80, r"\(linf\); ops has"),
            (PatternSettings("uk"), 80, "Unknown poisoner 'uk'"),
        ],
    )
    def test_craft_of_refuses_what_cannot_protect(self, settings, photos, text):
        with pytest.raises(UsageError, match=text):
            craft_of(settings, photos, installed())


@pytest.fixture
def session(tmp_path, monkeypatch, tiny_log) -> Session:
    monkeypatch.setattr(crafting, "DEFAULT_LABELER", "eyes")
    return Session(Store(tmp_path / "store"), tiny.CPU, Silent(), tiny.registry())


def photos(count: int, seed: int = 0) -> ImageSet:
    """Images in three colours, by turns."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 90, (count, 3, 8, 8))
    pixels[np.arange(count), np.arange(count) % 3] += 120
    return ImageSet(pixels.astype(np.uint8), None, name="photos")


class TestPatterns:
    SETTINGS = PatternSettings("badge", clusters=3)

    def test_patterns_of_a_label_based_poisoner_are_one_per_group(self, session):
        release = craft_patterns(photos(30), self.SETTINGS, session)
        assert release.changes.shape == (3, 3, 8, 8)
        assert np.abs(release.changes).max() == 8
        groups = [release.index[k::3] for k in range(3)]
        assert all(len(set(group)) == 1 for group in groups)
        assert len({int(group[0]) for group in groups}) == 3

    def test_patterns_are_crafted_once_for_equal_photos_and_settings(self, session):
        first = craft_patterns(photos(30), self.SETTINGS, session)
        again = craft_patterns(photos(30), self.SETTINGS, session)
        assert tiny.work_done()["craft badge"] == 1
        np.testing.assert_array_equal(first.changes, again.changes)
        craft_patterns(photos(30), replace(self.SETTINGS, epsilon=4), session)
        assert tiny.work_done()["craft badge"] == 2

    def test_interrupted_craft_goes_on_from_its_checkpoint(self, session, monkeypatch):
        monkeypatch.setattr(Store.checkpoint, "__defaults__", (0.0,))
        monkeypatch.setattr(tiny.protector, "Stripes", tiny.protector.Halting)
        with pytest.raises(RuntimeError, match="the power failed"):
            craft_patterns(photos(30), PatternSettings("stripes"), session)
        assert craft_patterns(photos(30), PatternSettings("stripes"), session).meta["notes"] == {"resumed": 7}

    def test_surrogate_that_needs_labels_learns_the_groups(self, session, monkeypatch):
        learned, fit = [], tiny.protector.FittedEyes.fit

        def record(self, train, run):
            learned.append(train.known_labels)
            return fit(self, train, run)

        monkeypatch.setattr(tiny.protector.FittedEyes, "fit", record)
        release = craft_patterns(photos(30), replace(self.SETTINGS, surrogate="fitted"), session)
        np.testing.assert_array_equal(learned, [release.index])

    def test_later_photos_get_the_pattern_of_their_nearest_group(self, session):
        release = craft_patterns(photos(30), self.SETTINGS, session)
        index = assign_patterns(release, photos(12, seed=1), self.SETTINGS, session)
        np.testing.assert_array_equal(index, release.index[:12])

    def test_later_photos_without_a_pattern_raise(self, session):
        release = craft_patterns(photos(30), PatternSettings("stripes"), session)
        with pytest.raises(UsageError, match="stripes has no change for photos"):
            assign_patterns(release, photos(4), PatternSettings("stripes"), session)

    def test_later_photos_get_no_pattern_of_a_poisoner_that_changes_each_by_itself(self, session, monkeypatch):
        release = craft_patterns(photos(30), self.SETTINGS, session)
        monkeypatch.setattr(tiny.protector.Badge, "transform", lambda *_: None, raising=False)
        with pytest.raises(UsageError, match="badge has no change for photos"):
            assign_patterns(release, photos(4), self.SETTINGS, session)

    def test_later_photos_need_the_first_ones_where_the_surrogate_was_trained_on_them(self, session):
        settings = replace(self.SETTINGS, surrogate="fitted")
        release = craft_patterns(photos(30), settings, session)
        with pytest.raises(UsageError, match="has to be trained first"):
            assign_patterns(release, photos(4), settings, session)
