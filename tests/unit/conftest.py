"""What several test files begin with."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from photo_folder import photograph, write_folder
from protecting import protect, small_folder


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """A folder of photos of many kinds, and why some get no copy; tests that change it take a copy of it."""
    folder = tmp_path_factory.mktemp("original")
    return folder, write_folder(folder, plain=6)


@pytest.fixture(scope="session")
def protected(original, tmp_path_factory):
    """The copies of ``original`` and what their run returned; tests that change them take a copy of them."""
    safe = tmp_path_factory.mktemp("protected") / "safe"
    return safe, protect(original[0], safe)


@pytest.fixture
def deep(tmp_path):
    """Photos, one of them below more folders than Python has frames; ``shutil.rmtree``, as pytest, cannot remove it."""
    photos = small_folder(tmp_path / "photos")
    folder = str(photos)
    for _ in range(sys.getrecursionlimit() + 100):
        folder += "/d"
        os.mkdir(folder)
    photograph(9).save(f"{folder}/deep.jpg")
    yield photos
    subprocess.run(["rm", "-r", *map(str, tmp_path.iterdir())], check=True)
