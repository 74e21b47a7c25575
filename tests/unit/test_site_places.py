"""Places of a machine, which a site does not publish."""

from __future__ import annotations

import json
import re

import pytest
import site_records as made
from hypothesis import given
from hypothesis import strategies as st

from ucbench.leaderboard.site.places import without_places
from ucbench.plugins.grammar import parse_chain
from ucbench.store.places import last_part

PART = st.from_regex(r"[a-z][a-z0-9_]{2,8}", fullmatch=True)


@given(st.lists(PART, min_size=2, max_size=5, unique=True))
def test_record_keeps_no_folder_of_a_path_wherever_it_stands(parts):
    path = "/".join(["", *(f"q{part}" for part in parts)])
    record = made.record(
        "uc", dataset=f"imagefolder:{path}:holdout=0.2", warnings=[f"3 files of {path}/x.png left out"]
    )
    record["components"]["dataset"] = {**record["components"]["poisoner"], "params": {"path": path}}
    (short,) = without_places([record])
    assert short["request"]["dataset"] == f"imagefolder:q{parts[-1]}:holdout=0.2"
    assert short["components"]["dataset"]["params"]["path"] == f"q{parts[-1]}"
    text = json.dumps(short)
    assert not any(f"q{part}/" in text for part in parts[:-1])
    assert f"/q{parts[-1]}" not in text


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ('imagefolder:"/home/a b/my photos"', 'imagefolder:"my photos"'),
        ("parquet:DATA/caltech101:validation=0.2", "parquet:caltech101:validation=0.2"),
        ("cifar10:root=/data/cifar", "cifar10:root=cifar"),
        ("cifar10:train_per_class=500", "cifar10:train_per_class=500"),
    ],
)
def test_data_set_is_shown_by_the_last_part_of_its_path(dataset, expected):
    (short,) = without_places([made.record("uc", dataset=dataset)])
    assert short["request"]["dataset"] == expected


def test_record_without_paths_stays_the_same_object():
    record = made.record("uc", warnings=["8/255 of https://arxiv.org/abs/2301.01217, and a / b"])
    assert without_places([record])[0] is record


def test_data_sets_of_one_last_part_stay_apart():
    one, other = (made.record("uc", dataset=f"imagefolder:/{name}/train") for name in ("a", "b"))
    other["data"] = {**other["data"], "train": "c" * 64}
    names = [record["request"]["dataset"] for record in without_places([one, other])]
    assert names == ["imagefolder:train (aaaaaaaa)", "imagefolder:train (cccccccc)"]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("poisoner", "release:{}:norm=l2"),
        ("poisoner", "shuffled:'release:{}'"),
        ("craft_labels", "predicted:model={}"),
        ("defense", "jpeg+mine:weights={}+grayscale"),
        ("victim", "mine:weights=unquoted {}"),
    ],
)
def test_components_of_one_last_part_stay_apart(name, form):
    folders = ("uc/", "lsp/", "uc/") if name == "poisoner" else ("/x/uc/", "/x/lsp/", "/x/uc/")
    originals = [form.format(f"{folder}noise.npy") for folder in (*folders, "")]
    shown = [
        short["request"][name]
        for short in without_places(made.record(**{"poisoner": "uc", name: text}) for text in originals)
    ]
    assert shown[0] == shown[2]
    assert len(set(shown)) == 3
    assert not any("/" in text for text in shown)
    assert shown[3] == originals[3]
    assert all(re.search("noise.npy-[0-9a-f]{8}", text) for text in shown[:3])
    if "unquoted" not in form:
        parsed, original = (parse_chain(text) for text in (shown[0], originals[0]))
        assert [(part.name, len(part.options)) for part in parsed] == [
            (part.name, len(part.options)) for part in original
        ]
    if "shuffled" in form:
        assert all(text.startswith("shuffled:'release:noise.npy") for text in shown)


def test_components_of_different_last_parts_have_no_hash():
    originals = ("release:/x/uc.npy", "release:/x/lsp.npy")
    shown = [short["request"]["poisoner"] for short in without_places(made.record(text) for text in originals)]
    assert shown == ["release:uc.npy", "release:lsp.npy"]


@pytest.mark.parametrize(("path", "part"), [("/a/b/", "b"), ("C:\\x\\y", "y"), ("/", "folder"), ("~/z", "z")])
def test_last_part_of_a_path(path, part):
    assert last_part(path) == part
