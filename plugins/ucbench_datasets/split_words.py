"""Which split a file or folder is named for."""

from __future__ import annotations

import re
from typing import Literal

from ucbench import SplitName

Role = Literal["train", "test", "validation"]

_ROLES: dict[str, Role] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
}
#: What serves as which split, the first that there is.
SERVES: dict[SplitName, tuple[Role, ...]] = {"train": ("train",), "test": ("test", "validation")}


def role_of_word(name: str) -> Role | None:
    """The split that is all of a name, in any case (``Train``)."""
    return _ROLES.get(name.lower())


def roles_in(name: str) -> list[Role]:
    """The splits whose words stand in a name between other characters than letters (``pets-test``, ``train2017``)."""
    return list(dict.fromkeys(_ROLES[word] for word in _words(name) if word in _ROLES))


def naming(name: str) -> str:
    """How a name names its split: the name up to the end of the split's word (``data_test`` of ``data_test-0``), its
    numbers as 0."""
    word = next(word for word in _words(name) if word in _ROLES)
    place = re.search(rf"(?<![a-z]){word}(?![a-z])", name, re.IGNORECASE)
    assert place is not None
    return re.sub(r"\d+", "0", name[: place.end()])


def _words(name: str) -> list[str]:
    return re.findall("[a-z]+", name.lower())
