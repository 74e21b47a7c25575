"""The report of protected photos: everything in one file, limits first, figures as measured."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re

import numpy as np
import protected_folder as made
import pytest
from PIL import Image

from ucbench.protection.boards import is_exploratory, measured
from ucbench.protection.effect import Effect
from ucbench.protection.illustrations import CROP, FACTOR, comparisons, groups
from ucbench.protection.report import command, report, write_report
from ucbench.protection.survival import Remainder, Survival

HOSTILE = 'a"><img src=x onerror=alert(1)>\u202egpj'
SURVIVAL = (Survival("JPEG, quality 90", {"a": Remainder(0.5, 0.8), "b": Remainder(0.7, 1.0)}),)
EFFECT = Effect("training", (90.0, 92.0), (88.0, 90.0), (41.0, 43.0), 50.0, 2, 2, 16, 4, "What was done.")


def page(folder: made.Folder, survival=(), effect=None) -> str:
    return report(folder.manifest, folder.photos, folder.copies, survival, effect)


def text_of(page: str) -> str:
    body = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def pixels_of(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> made.Folder:
    names = ["trip/a.png", "trip/b.png", f"{HOSTILE.replace('/', '')}.png", "d.png"]
    return made.make(tmp_path_factory.mktemp("protected"), names, left=(("clip.gif", "it is animated"),))


def test_report_requests_nothing_and_runs_only_its_own_script(folder):
    text = page(folder, SURVIVAL, EFFECT)
    sources = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", re.sub(r"alt=\"[^\"]*\"", "", text))
    assert sources
    assert all(source.startswith("data:") for source in sources if "onerror" not in source and source != "x")
    policy = re.search(r"script-src '(sha256-[^']+)'", text)[1]
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    assert policy == "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in text


def test_report_shows_hostile_names_as_text(folder):
    text = page(folder)
    assert "<img src=x" not in text
    assert "\u202e" not in text
    assert r"\u202egpj" in text


def test_report_puts_limits_and_the_secret_before_everything_else(folder):
    text = text_of(page(folder, SURVIVAL, EFFECT))
    order = ["A protected photo is not a safe photo", "Publish the copies only", "ucbench.npz", "What was done",
             "Before and after", "What is left", "What it does to a training", "in measurements", "Every photo",
             "Left out", "How to do it again"]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_report_gives_the_figures_of_manifest_survival_and_effect(folder):
    text = text_of(page(folder, SURVIVAL, EFFECT))
    assert "4 photos were changed slightly and saved as copies; 1 file was left out." in text
    assert "clip.gif it is animated" in text
    assert "JPEG, quality 90 51 % 60 % 0.90 2" in text  # kept is the mean of 0.32 and 0.70
    assert "your changed copies 42 % (41, 43)" in text
    assert "One photo more or less is 25.0 points" in text
    for photo in folder.manifest.photos:
        assert f"{photo.width} x {photo.height} {photo.pattern + 1} {photo.linf} {photo.psnr:.1f}" in text


def test_report_says_what_was_not_measured(folder):
    text = text_of(page(folder))
    assert "This was not measured." in text
    assert "This was not checked." in text


def test_report_lists_the_first_rows_and_counts_the_rest(folder):
    many = [folder.manifest.photos[0].model_copy(update={"source": f"n{n:04}.png", "linf": 0}) for n in range(450)]
    text = page(folder._replace(manifest=folder.manifest.model_copy(update={"photos": tuple(many)})))
    assert "n0199.png" in text
    assert "n0200.png" not in text
    assert "The first 200 of 450 photos" in text


def test_report_without_photos_says_so(folder):
    text = text_of(page(folder._replace(manifest=folder.manifest.model_copy(update={"photos": ()}))))
    assert "No photo was changed; 1 file was left out." in text
    assert "Left out" in text


def test_report_written_twice_is_the_same_file(folder, tmp_path):
    for name in ("one.html", "two.html"):
        write_report(tmp_path / name, folder.manifest, folder.photos, folder.copies, SURVIVAL, EFFECT)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_comparison_holds_the_exact_middle_of_both_photos_and_the_amplified_change(tmp_path):
    folder = made.make(tmp_path, ["large.png"], size=(401, 603))
    (one,) = comparisons(folder.manifest.photos, folder.photos, folder.copies)
    before, after, change = map(pixels_of, (one.before, one.after, one.change))
    width, height = CROP
    assert before.shape == (height, width, 3)
    original = np.asarray(Image.open(folder.photos / "large.png"))
    top, left = (401 - height) // 2, (603 - width) // 2
    assert (before == original[top : top + height, left : left + width]).all()
    assert (change == np.clip(128 + FACTOR * (after.astype(int) - before), 0, 255)).all()
    assert not one.whole


def test_report_of_noise_photos_stays_below_fifteen_megabytes(tmp_path):
    """Noise is what compresses worst; six crops and forty groups are the most a report shows."""
    rng = np.random.default_rng(0)
    folder = made.make(tmp_path, ["a.png"], size=CROP[::-1])
    for path in (folder.photos / "a.png", folder.copies / "a.png"):
        Image.fromarray(rng.integers(0, 256, (CROP[1], CROP[0], 3), np.uint8)).save(path)
    photos = [folder.manifest.photos[0].model_copy(update={"pattern": group}) for group in range(1)]
    (one,) = comparisons(photos, folder.photos, folder.copies)
    ((group),) = groups(photos, folder.photos)
    thumbnail = len(group.thumbnails[0][1])
    assert 6 * sum(map(len, (one.before, one.after, one.change))) + 40 * 6 * thumbnail < 15e6


def test_groups_are_the_largest_first_with_originals_that_can_be_read(tmp_path):
    folder = made.make(tmp_path, [f"{n}.png" for n in range(5)], groups=2)
    (folder.photos / "1.png").unlink()
    found = groups(folder.manifest.photos, folder.photos)
    assert [(group.pattern, group.count) for group in found] == [(0, 3), (1, 2)]
    assert [name for name, _ in found[1].thumbnails] == ["3.png"]


def test_command_quotes_its_arguments_and_leaves_out_what_has_no_effect(folder):
    settings = folder.manifest.settings.model_copy(update={"poisoner": "uc:students=0,crop=scales; rm"})
    text = command(folder.manifest.model_copy(update={"settings": settings}))
    assert "--poisoner 'uc:students=0,crop=scales; rm'" in text
    assert "--quality" not in text
    assert "--surrogate" not in text


def test_boards_are_those_of_the_poisoner_and_say_what_differs(folder):
    settings = folder.manifest.settings
    same = measured(settings.model_copy(update={"size": 32}))
    assert same.accuracy is not None
    assert same.differences == ()
    assert same.defended is not None
    assert same.defended["restoring"]
    other = measured(settings.model_copy(update={"poisoner": "uc@photos", "epsilon": 16.0}))
    assert other.accuracy == same.accuracy
    assert [part.partition(" (")[0] for part in other.differences] == [
        "the settings", "the strength", "the size of the pattern"
    ]  # fmt: skip
    lsp = measured(settings.model_copy(update={"poisoner": "lsp"}))
    assert (lsp.accuracy, lsp.defended) == (None, None)


def test_report_names_the_settings_of_which_remedies_took_the_change_back(folder):
    settings = folder.manifest.settings.model_copy(update={"poisoner": "uc@photos"})
    text = text_of(page(folder._replace(manifest=folder.manifest.model_copy(update={"settings": settings}))))
    assert "remedies were tried on photographs changed by uc (photos-defenses/v1, network airbench@small" in text
    assert re.search(r"named \d+\.\d \(\d+\.\d, \d+\.\d\) % correctly without a remedy", text)  # of two crafts


def test_few_crafts_are_exploratory():
    assert is_exploratory({"mean": 1, "half": 1, "n": 3})
    assert not is_exploratory({"mean": 1, "half": 1, "n": 4})


def test_table_of_photos_says_where_a_copy_has_another_name(folder):
    renamed = folder.manifest.photos[0].model_copy(update={"output": "a-jpg.png", "notes": ("16 bits",), "linf": 0})
    text = text_of(page(folder._replace(manifest=folder.manifest.model_copy(update={"photos": (renamed,)}))))
    assert "saved as a-jpg.png; 16 bits" in text
    assert text_of(page(folder)).count("saved as") == 1  # "saved as copies"
