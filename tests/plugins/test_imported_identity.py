"""The key of an imported release follows its content and options; what may be loaded to know it."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imported_releases import TRAIN, changes, crafted, npy, pngs
from imports import imported_by
from PIL import Image

from ucbench.errors import UsageError
from ucbench.plugins.registry import installed
from ucbench.store.keys import canonical
from ucbench_imported.content import images_in
from ucbench_imported.params import ReleaseParams


@pytest.mark.parametrize("save", [npy, pngs])
def test_identity_follows_content_not_path(save, tmp_path):
    first = save(tmp_path, TRAIN.images)
    second = tmp_path / "elsewhere" / f"renamed{first.suffix}"
    second.parent.mkdir()
    (shutil.copytree if first.is_dir() else shutil.copy)(first, second)
    one, other = ReleaseParams(path=first).identity(), ReleaseParams(path=second).identity()
    assert one == other
    assert "path" not in one
    assert str(tmp_path) not in canonical(one)
    assert crafted(first)[1].notes["sha256"] == one["sha256"]


def test_identity_changes_with_any_byte_of_a_file(tmp_path):
    levels = changes()
    before = ReleaseParams(path=npy(tmp_path, levels)).identity()
    levels[-1, -1, -1, -1] += 1
    assert ReleaseParams(path=npy(tmp_path, levels)).identity() != before


def test_identity_of_a_folder_depends_on_names_and_order_of_images(tmp_path):
    def identity(*images: tuple[str, int]) -> str:
        shutil.rmtree(tmp_path / "set", ignore_errors=True)
        (tmp_path / "set").mkdir()
        for name, level in images:
            Image.new("RGB", (4, 4), (level,) * 3).save(tmp_path / "set" / name)
        (tmp_path / "set" / "notes.txt").write_text(str(images))
        return ReleaseParams(path=tmp_path / "set").identity()["sha256"]

    whole = identity(("2.png", 0), ("10.png", 9))
    assert whole == identity(("10.png", 9), ("2.png", 0))
    different = {
        whole,
        identity(("2.png", 9), ("10.png", 0)),
        identity(("2.png", 0)),
        identity(("2.png", 0), ("10.png", 8)),
        identity(("2.png", 0), ("11.png", 9)),
    }
    assert len(different) == 5


def test_identity_changes_with_every_option(tmp_path):
    path = npy(tmp_path, changes())
    options = [{}, {"kind": "pictures"}, {"scale": "unit"}, {"layout": "nhwc"}, {"key": "a"}, {"norm": "l2"}]
    found = [canonical(ReleaseParams(path=path, **option).identity()) for option in options]
    assert len(set(found)) == len(options)


@given(st.lists(st.tuples(st.sampled_from(["", "img", "a-"]), st.integers(0, 999)), min_size=1, unique=True))
@settings(max_examples=30)
def test_images_in_sorts_numbers_by_value(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    for prefix, number in names:
        (folder / f"{prefix}{number}.PNG").touch()
    assert [path.name for path in images_in(folder)] == [f"{p}{n}.PNG" for p, n in sorted(names)]


def test_params_expand_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ReleaseParams(path="~/release.npy").path == tmp_path / "release.npy"


def test_release_resolves_with_path_and_options(tmp_path):
    path = npy(tmp_path, changes())
    resolved = installed().resolve("poisoner", f"release:'{path}':norm=unbounded,kind=perturbations")
    assert resolved.spec is installed().find("poisoner", "imported")
    assert resolved.params == ReleaseParams(path=path, norm="unbounded", kind="perturbations")
    assert str(tmp_path) not in json.dumps(resolved.identity())
    with pytest.raises(UsageError, match="path is required"):
        installed().resolve("poisoner", "release")


def test_release_native_epsilons_cover_every_norm_with_a_radius():
    assert dict(ReleaseParams.native_epsilons) == {"linf": 8, "l2": 1, "l0": 1}


def test_listing_and_keys_import_neither_torch_nor_numpy(tmp_path):
    paths = [str(npy(tmp_path, changes())), str(pngs(tmp_path, TRAIN.images))]
    listing = imported_by("import ucbench_imported; list(ucbench_imported.ucbench_poisoners())")
    assert listing & {"torch", "numpy", "pydantic"} == set()
    keys = imported_by(
        f"from ucbench_imported.params import ReleaseParams;[ReleaseParams(path=path).identity() for path in {paths!r}]"
    )
    assert keys & {"torch", "numpy", "PIL", "safetensors"} == set()
