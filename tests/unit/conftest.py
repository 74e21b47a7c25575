"""What several test files begin with."""

from __future__ import annotations

import pytest
from photo_folder import write_folder
from protecting import protect


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
