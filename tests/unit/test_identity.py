"""Keys and seeds: equal values have equal ones in every process, and nothing else has."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucbench.errors import ContractError, UnmetRequestError
from ucbench.store.keys import canonical, derive_seed, key, sha256_of

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def reordered(value: object) -> object:
    """The same value with every mapping built in the opposite order."""
    if isinstance(value, dict):
        return {name: reordered(entry) for name, entry in reversed(value.items())}
    return [reordered(entry) for entry in value] if isinstance(value, list) else value


@given(VALUES)
def test_canonical_text_ignores_mapping_order(value: object) -> None:
    assert key("release", value) == key("release", reordered(value))


@given(VALUES)
def test_canonical_text_parses_back_to_the_value(value: object) -> None:
    """An injective text: two values with the same text are the same value."""
    assert json.loads(canonical(value)) == value


@given(VALUES, VALUES)
def test_keys_and_seeds_differ_for_different_values(a: object, b: object) -> None:
    if canonical(a) != canonical(b):
        assert key("release", a) != key("release", b)
        assert derive_seed(a) != derive_seed(b)


def test_key_depends_on_the_kind() -> None:
    assert key("release", {"a": 1}) != key("prepared", {"a": 1})


@pytest.mark.parametrize(
    ("a", "b"), [(("a", "bc"), ("ab", "c")), ((1, 2), (12,)), ((0, "craft"), ("0", "craft")), (((),), ())]
)
def test_seed_separates_its_parts(a: tuple[object, ...], b: tuple[object, ...]) -> None:
    assert derive_seed(*a) != derive_seed(*b)


@given(VALUES)
def test_keys_and_seeds_have_the_documented_form(value: object) -> None:
    assert len(key("k", value)) == 32
    assert set(key("k", value)) <= set("0123456789abcdef")
    assert 0 <= derive_seed(value) < 2**63


def test_seeds_use_all_bits() -> None:
    assert max(derive_seed(i) for i in range(200)) > 0.9 * 2**63


def test_keys_and_seeds_are_equal_across_processes() -> None:
    value = {"b": [1, 2.5, "é"], "a": {"y": None, "x": True}}
    program = (
        "from ucbench.store.keys import key, derive_seed;"
        "print(key('release', {'a': {'x': True, 'y': None}, 'b': (1, 2.5, 'é')}), derive_seed(0, 'craft'))"
    )
    root = str(Path(__file__).parents[2])
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root, "PYTHONUTF8": "1"}
        printed = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert printed.stdout.split() == [key("release", value), str(derive_seed(0, "craft"))]


def test_keys_and_seeds_equal_pinned_values() -> None:
    """Frozen values: changing them orphans every stored object and changes every published number."""
    assert canonical({"b": (1, 8.0, None), "a": "é"}) == '{"a":"\\u00e9","b":[1,8.0,null]}'
    assert key("release", {"poisoner": "uc", "seed": 0}) == "5678fdb661f5d76104db0c97a5c511ff"
    assert derive_seed(0, "craft") == 6298187519359863983


def test_canonical_text_reads_numpy_scalars_as_numbers() -> None:
    plain = {"i": 3, "f": 0.5, "b": True, "s": "x", "z": 2}
    numpy = {"i": np.int16(3), "f": np.float32(0.5), "b": np.bool_(True), "s": np.str_("x"), "z": np.array(2)}
    assert canonical(numpy) == canonical(plain)


def test_canonical_text_distinguishes_int_from_float() -> None:
    assert canonical(8) != canonical(8.0)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, math.nan]}, r"value\.a\[1\] is nan"),
        ({"a": {"b": math.inf}}, r"value\.a\.b is inf"),
        ({"a": np.float32("nan")}, r"value\.a is nan"),
        ({"a": {1: 2}}, r"value\.a has the key 1"),
        ([{1, 2}], r"value\[0\] is of type builtins\.set"),
        ([np.zeros(2)], r"value\[0\] is of type numpy\.ndarray"),
        (Path("x"), r"value is of type pathlib\."),
        ({"a": b"x"}, r"value\.a is of type builtins\.bytes"),
    ],
)
def test_canonical_text_raises_with_the_path_of_an_unsupported_value(value: object, place: str) -> None:
    with pytest.raises(ContractError, match=place):
        key("release", value)


def test_file_digest_depends_only_on_content(tmp_path):
    content = bytes(range(256)) * 3
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(content)
        assert sha256_of(tmp_path / name) == hashlib.sha256(content).hexdigest()


def test_file_digest_changes_when_the_file_is_rewritten(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"first")
    assert sha256_of(path) == hashlib.sha256(b"first").hexdigest()
    path.write_bytes(b"other")
    os.utime(path, ns=(0, 0))  # as long as before, so that only the time tells
    assert sha256_of(path) == hashlib.sha256(b"other").hexdigest()


def test_file_digest_names_an_unreadable_file(tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(UnmetRequestError, match=re.escape(str(path))):
            sha256_of(path)
