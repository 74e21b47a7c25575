"""What ``ucbench export`` wrote comes back as it was: classes sort otherwise than the training set."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_components as tiny
from imported_releases import crafted, published, refused

from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError, UcbenchError
from ucbench.export.croissant import About
from ucbench.export.release import export_release
from ucbench.matrix.matrix import Request, expand
from ucbench.running.sets import published_of, release_of
from ucbench_imported.params import ReleaseParams


@pytest.fixture
def exported(tmp_path) -> tuple[Path, ImageSet, np.ndarray]:
    """The folder, the clean images, and the published ones."""
    session = tiny.session(tmp_path / "store")
    axes = Request(["spots"], ["badge"], ["tiny"], ["original"], epsilons=[8.0])
    cell = expand(axes, tiny.registry())[-1]
    export_release(cell, session, tmp_path / "out", About())
    train = session.data(cell).train
    return tmp_path / "out", train, published_of(cell, release_of(cell, session), session).images


def relist(folder: Path, change: Callable[[list[dict[str, str]]], None]) -> None:
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_release_reads_an_exported_release_as_published(exported):
    folder, train, images = exported
    assert (images != train.images).any()
    np.testing.assert_array_equal(published(folder, train=train), images)
    relist(folder, lambda rows: rows.reverse())
    np.testing.assert_array_equal(published(folder, train=train), images)


def test_release_names_the_exported_folder_instead_of_its_part(exported):
    folder, train, _ = exported
    refused(folder / "images", rf"is part of an exported release. Name {folder} instead", DataError, train=train)


def test_release_refuses_an_exported_image_that_was_altered(exported):
    folder, train, _ = exported
    image = sorted(folder.rglob("*.png"))[3]
    image.write_bytes(sorted(folder.rglob("*.png"))[4].read_bytes())
    with pytest.raises(DataError, match=rf"{image.name} is missing or not what .*labels.csv says"):
        crafted(folder, train=train)


@pytest.mark.parametrize("way", ["absolute", "relative", "link"])
def test_release_refuses_an_exported_list_that_leads_outside(exported, tmp_path, way):
    folder, train, _ = exported
    outside = tmp_path / "outside.png"
    shutil.copy(sorted(folder.rglob("*.png"))[0], outside)
    name = {"absolute": str(outside), "relative": "../outside.png", "link": "images/link.png"}[way]
    (folder / "images" / "link.png").symlink_to(outside)
    digest = hashlib.sha256(outside.read_bytes()).hexdigest()
    relist(folder, lambda rows: rows[0].update(file=name, sha256=digest))
    with pytest.raises(DataError, match=f"lists '{name}', which is outside"):
        crafted(folder, train=train)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda rows: rows[0].update(index=1), "do not count the images from 0"),
        (lambda rows: rows.pop(), r"\[35, 3, 8, 8\], and spots has 36 images"),
        (lambda rows: rows.pop(0), "do not count the images from 0"),
        (lambda rows: rows[0].update(index="x"), "cannot be read .ValueError"),
        (lambda rows: [row.pop("sha256") for row in rows], "cannot be read .KeyError"),
        (lambda rows: rows[0].update(file="images"), "is missing or not what"),
    ],
)
def test_release_refuses_a_wrong_list_of_an_exported_release(exported, change, text):
    folder, train, _ = exported
    relist(folder, change)
    with pytest.raises(UcbenchError, match=text):
        crafted(folder, train=train)


def test_identity_of_an_exported_release_follows_its_order(exported):
    folder, _, _ = exported
    before = ReleaseParams(path=folder).identity()

    def exchange(rows):
        rows[0]["index"], rows[1]["index"] = rows[1]["index"], rows[0]["index"]

    relist(folder, exchange)
    assert ReleaseParams(path=folder).identity() != before
