"""The Python API: runs into a folder, plans and single crafts."""

from __future__ import annotations

import io
import re

import boards
import numpy as np
import pandas as pd
import pytest
import tiny_components as tiny
import torch
from PIL import Image

import ucbench
from ucbench.crafting.release import materialise
from ucbench.errors import ContractError, DataError, UsageError
from ucbench.numerics import Numerics
from ucbench.progress import Lines
from ucbench.protection.stretch import perturbed
from ucbench.protection.working import working_images
from ucbench.results.columns import COLUMNS
from ucbench.results.frame import results
from ucbench.results.statistics import t_interval
from ucbench.running.sets import release_of
from ucbench.running.tasks import task_of
from ucbench.steps import PlannedCell

AXES = {"dataset": "spots", "victim": "tiny"}
ARITHMETIC = {"device": "cpu", "dtype": "float32", "threads": 1}


@pytest.fixture(autouse=True)
def tiny_world(tmp_path, monkeypatch, tiny_log):
    """The tiny components are what is installed, and the store is empty."""
    registry = tiny.registry()
    monkeypatch.setattr("ucbench.session.installed", lambda: registry)
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "store"))


def run(*poisoners: str, **changes) -> pd.DataFrame:
    return ucbench.run(poisoner=poisoners, **{**AXES, **ARITHMETIC, **changes})


def plan(*poisoners: str, **changes) -> list[PlannedCell]:
    return ucbench.plan(poisoner=poisoners, **{**AXES, **ARITHMETIC, **changes})


def test_failed_cells_say_why_in_a_column_of_the_frame(tmp_path):
    table = run("stripes", "bad:raises", out=tmp_path)
    assert list(table.columns) == [*COLUMNS, "error"]
    assert table["error"].notna().tolist() == (table["status"] == "failed").tolist()
    (error,) = table["error"].dropna()
    assert re.fullmatch(r"RuntimeError: the optimiser gave up \(tiny_protector.py, line \d+\)", error)
    pd.testing.assert_frame_equal(ucbench.read_results(tmp_path), table)
    assert list(ucbench.read_results(tmp_path / "results.csv").columns) == list(COLUMNS)
    assert "error" not in repr(table)
    assert isinstance(table[table["status"] == "ok"], type(table))


def test_run_returns_one_row_per_cell_with_references(tmp_path):
    table = run("stripes", seed="0-1", out=tmp_path / "out")
    assert list(table.columns) == list(COLUMNS)
    assert table["poisoner"].tolist() == ["clean"] * 2 + ["sham"] * 2 + ["stripes"] * 2
    assert (table["status"] == "ok").all()
    written = pd.read_csv(tmp_path / "out" / "results.csv")
    assert written["cell"].tolist() == table["cell"].tolist()
    np.testing.assert_allclose(written["test_accuracy"], table["test_accuracy"], atol=0.005)
    stripes = table[table["poisoner"] == "stripes"]
    np.testing.assert_array_equal(stripes["drop"], stripes["clean_accuracy"] - stripes["test_accuracy"])


def test_read_results_equals_the_table_of_the_run_that_wrote_them(tmp_path):
    table = run("stripes", "bad:raises", seed="0-1", out=tmp_path / "out")
    pd.testing.assert_frame_equal(ucbench.read_results(tmp_path / "out"), table)


def test_read_results_of_a_folder_without_records_raises(tmp_path):
    with pytest.raises(DataError, match="no records"):
        ucbench.read_results(tmp_path)


def test_run_folder_gathers_records_of_several_runs(tmp_path):
    run("stripes", out=tmp_path)
    run("badge", "bad:raises", out=tmp_path)
    written = pd.read_csv(tmp_path / "results.csv")
    assert written["poisoner"].tolist() == ["clean", "sham", "bad:raises", "badge", "stripes"]
    assert written["status"].tolist() == ["ok", "ok", "failed", "ok", "ok"]
    before = (tmp_path / "results.csv").read_bytes()
    run("stripes", out=tmp_path)
    assert (tmp_path / "results.csv").read_bytes() == before


def test_run_writes_one_sheet_per_release_without_references(tmp_path):
    run("stripes", "badge", "positive", "bad:raises", victim=["tiny", "fixed"], out=tmp_path)
    sheets = sorted((tmp_path / "sheets").iterdir())
    assert [path.name.rpartition("-")[0] for path in sheets] == ["badge", "positive", "stripes"]
    for path in sheets:
        with Image.open(path) as sheet:
            assert sheet.size[0] > 300


def test_run_raises_without_a_poisoner():
    for function in (ucbench.run, ucbench.plan):
        with pytest.raises(UsageError, match=rf"^{function.__name__}\(\) needs a poisoner"):
            function(victim="resnet18")


def test_run_raises_on_an_unknown_axis():
    for function in (ucbench.run, ucbench.plan):
        with pytest.raises(
            UsageError, match=rf"^{function.__name__}\(\) has no argument 'posioner'\. Did you mean 'poisoner'"
        ):
            function(posioner="stripes")


def test_run_raises_on_an_unknown_value_of_rerun():
    with pytest.raises(UsageError, match=r"rerun is one of missing, failed, all; got 'al'\. Did you mean 'all'"):
        run("stripes", rerun="al")
    assert tiny.work_done() == {}


def test_plan_computes_nothing_and_lists_existing_results(tmp_path):
    before = plan("stripes", victim=["tiny", "fixed"])
    assert tiny.work_done() == {}
    assert [(cell.done, cell.seconds) for cell in before] == [(False, None)] * 6
    assert [cell.release for cell in before] == ["", "to craft", "to craft", "", "shared", "shared"]
    run("stripes", out=tmp_path / "out")
    after = plan("stripes", victim=["tiny", "fixed"])
    assert [cell.key for cell in after] == [cell.key for cell in before]
    assert [cell.done for cell in after] == [True] * 3 + [False] * 3
    assert [cell.release for cell in after] == ["", "", "", "", "stored", "stored"]
    assert [cell.seconds for cell in after] == [0] * 3 + [None] * 3


def test_planned_cell_is_shown_as_its_row(tmp_path):
    clean, _, stripes = map(repr, plan("stripes"))
    assert clean == "<PlannedCell spots | clean | tiny | seed 0 | to run, ? s>"
    assert stripes == "<PlannedCell spots | stripes linf 24 | tiny | seed 0 | to run, release to craft, ? s>"


def test_plan_names_the_threads_of_records_that_differ_in_them_alone(tmp_path):
    run("stripes", out=tmp_path / "out")
    changes = {"out": tmp_path / "out", "threads": ARITHMETIC["threads"] + 1}
    assert [cell.other_threads for cell in plan("stripes", "badge", **changes)] == [(1,), (1,), (1,), ()]
    _, _, stripes, badge = map(repr, plan("stripes", "badge", **changes))
    assert stripes.startswith(
        "<PlannedCell spots | stripes linf 24 | tiny | seed 0 | to run, recorded with threads=1, release"
    )
    assert "recorded" not in badge
    assert not any(cell.other_threads for cell in plan("stripes", "badge", out=tmp_path / "out"))
    run("stripes", out=tmp_path / "out")
    assert [repr(cell).rpartition(" | ")[2] for cell in plan("stripes")] == ["done>"] * 3


def test_plan_counts_records_of_the_result_folder(tmp_path, monkeypatch):
    run("stripes", out=tmp_path / "out")
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "empty"))
    assert [cell.done for cell in plan("stripes", out=tmp_path / "out")] == [True] * 3
    assert [cell.done for cell in plan("stripes")] == [False] * 3


def test_plan_predicts_time_from_similar_work():
    run("stripes", mixture=0.5)
    (_, sham, stripes), (_, _, whole) = (plan("stripes", mixture=mixture, seed=1) for mixture in (0.5, 1.0))
    assert not stripes.done
    assert stripes.seconds > 0
    assert sham.seconds > 0
    # Crafting all images is other work than crafting half of them.
    assert whole.seconds is None


def test_plan_gives_the_craft_to_the_first_cell_that_is_left(tmp_path):
    run("stripes", out=tmp_path / "out")
    (*_, done) = plan("stripes")
    session = tiny.session(tmp_path / "store").with_numerics(Numerics(*ARITHMETIC.values()))
    session.store.discard("release", task_of(done.cell, session).release_key)
    planned = plan("stripes", train_seed="0-2", craft_seed=0)
    again, first, second = (cell for cell in planned if not cell.cell.craft.is_added_reference)
    assert (again.key, again.done) == (done.key, True)
    assert (first.done, first.release) == (False, "to craft")
    assert (second.done, second.release) == (False, "shared")
    assert first.seconds > second.seconds


def random_images(count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    return images, np.arange(count, dtype=np.int64) % 3


def test_craft_equals_the_release_of_a_run(tmp_path):
    (*_, planned) = plan("badge", seed=5)
    session = tiny.session(tmp_path / "store")
    release = release_of(planned.cell, session)
    train = session.dataset(planned.cell.dataset).train
    crafted = ucbench.craft(train.images, train.known_labels, "badge", epsilon=24, seed=5, **ARITHMETIC)
    np.testing.assert_array_equal(crafted, materialise(train.images, release.changes, release.index))


@pytest.mark.parametrize(("epsilon", "radius"), [(None, 12), (5, 5), ("6/255", 6)])
def test_craft_uses_the_requested_or_default_radius(epsilon, radius):
    images, _ = random_images()
    before = images.copy()
    crafted = ucbench.craft(images, None, "stripes", epsilon=epsilon, **ARITHMETIC)
    assert (crafted.dtype, crafted.shape) == (np.uint8, images.shape)
    assert np.abs(crafted.astype(int) - images).max() == radius
    np.testing.assert_array_equal(images, before)


def test_craft_in_another_norm_keeps_the_budget_of_the_method():
    images, _ = random_images()
    crafted = ucbench.craft(images, None, "blots", epsilon=16, **ARITHMETIC)
    lengths = np.sqrt(((crafted.astype(int) - images) ** 2).sum((1, 2, 3))) / 255
    assert 0.3 < lengths.max() <= 0.5


@pytest.mark.parametrize("surrogate", [None, "fitted"])
def test_crafting_uses_the_surrogate_frozen_or_fitted_on_the_images(surrogate):
    images, _ = random_images()
    assert (ucbench.craft(images, None, "leaner", surrogate=surrogate, **ARITHMETIC) != images).any()
    assert tiny.work_done()["fit eyes"] == (surrogate == "fitted")


def test_craft_checks_its_arguments_and_the_perturbation():
    images, labels = random_images()
    with pytest.raises(UsageError, match="'badge' is label-based and needs labels"):
        ucbench.craft(images, None, "badge", **ARITHMETIC)
    with pytest.raises(UsageError, match="Did you mean 'stripes'"):
        ucbench.craft(images, None, "strips", **ARITHMETIC)
    with pytest.raises(ContractError, match="12 images"):
        ucbench.craft(images, labels, "bad:twice", **ARITHMETIC)
    with pytest.raises(ContractError, match="modified its input images"):
        ucbench.craft(images, labels, "bad:overwrites-with-torch", **ARITHMETIC)


def photos_of_two_sizes() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, size).astype(np.uint8) for size in ((40, 61, 3), (50, 30, 3), (40, 61, 3))]


@pytest.mark.parametrize("kind", ["NHWC", "list NCHW", "list NHWC", "tuple NCHW", "PIL", "tensors"])
def test_craft_returns_images_in_the_kind_and_layout_given(kind):
    images, _ = random_images()
    expected = ucbench.craft(images, None, "stripes", **ARITHMETIC).transpose(0, 2, 3, 1)
    last = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    given = {
        "NHWC": last,
        "list NCHW": list(images),
        "list NHWC": list(last),
        "tuple NCHW": tuple(images),
        "PIL": [Image.fromarray(image) for image in last],
        "tensors": [torch.from_numpy(image) for image in images],
    }[kind]
    found = ucbench.craft(given, None, "stripes", layout="NHWC" if "NHWC" in kind else "NCHW", **ARITHMETIC)
    assert isinstance(found, np.ndarray if kind == "NHWC" else list)
    assert isinstance(found[0], Image.Image if kind == "PIL" else np.ndarray)
    found = np.stack([np.asarray(image) for image in found])
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(
        found if kind in ("NHWC", "list NHWC", "PIL") else found.transpose(0, 2, 3, 1), expected
    )


def test_craft_stretches_patterns_of_the_working_size_to_images_of_different_sizes():
    photos = photos_of_two_sizes()
    train = working_images(photos, 16)
    pattern = ucbench.craft(np.full((3, 3, 16, 16), 128, np.uint8), None, "stripes", epsilon=9, **ARITHMETIC)
    changes = pattern[0].astype(np.int16) - 128
    assert train.images.shape == (3, 3, 16, 16)
    arrays = ucbench.craft(photos, None, "stripes", layout="NHWC", size=16, epsilon=9, **ARITHMETIC)
    pil = ucbench.craft([Image.fromarray(photo) for photo in photos], None, "stripes", size=16, epsilon=9, **ARITHMETIC)
    for photo, array, image in zip(photos, arrays, pil, strict=True):
        np.testing.assert_array_equal(array, perturbed(photo, changes))
        np.testing.assert_array_equal(np.asarray(image), array)


def test_craft_gives_each_image_of_several_sizes_the_pattern_of_its_label():
    first, second, third = ucbench.craft(
        photos_of_two_sizes(), [0, 1, 0], "badge", layout="NHWC", size=16, **ARITHMETIC
    )
    moved = [
        image.astype(int) - photo for image, photo in zip((first, second, third), photos_of_two_sizes(), strict=True)
    ]
    inside = [np.minimum(photo, 255 - photo) >= 8 for photo in photos_of_two_sizes()]
    both = inside[0] & inside[2]
    np.testing.assert_array_equal(moved[0][both], moved[2][both])


def test_warning_of_failed_cells_names_the_preset(caplog, monkeypatch):
    def fail(self, train, run):
        raise RuntimeError("the stripes broke")

    monkeypatch.setattr(tiny.protector.Stripes, "craft", fail)
    run("stripes@wide")
    assert "The first, of stripes@wide: RuntimeError: the stripes broke" in caplog.text


def test_run_without_progress_warns_of_failed_cells(caplog):
    run("stripes", "bad:raises")
    assert "1 of 4 cells failed. The first, of bad:raises: RuntimeError: the optimiser gave up" in caplog.text


def test_run_without_progress_warns_of_records_with_other_threads_before_it_computes(tmp_path, caplog, monkeypatch):
    run("stripes", out=tmp_path)
    caplog.clear()
    warned = []
    monkeypatch.setattr(tiny.protector.Stripes, "craft", lambda *given: warned.extend(caplog.messages))
    run("stripes", out=tmp_path, threads=ARITHMETIC["threads"] + 1)
    assert warned == ["3 cells have records with threads = 1; give --threads 1 (in Python threads=1) to use them."]


@pytest.mark.parametrize(
    ("images", "hint"),
    [
        (np.zeros((2, 8, 8, 3), np.uint8), "Is the layout NHWC?"),
        (np.zeros((2, 3, 8, 8), np.float32), "Scale values to 0..255"),
    ],
)
def test_craft_says_how_to_convert_images(images, hint):
    with pytest.raises(UsageError, match=re.escape(hint)):
        ucbench.craft(images, None, "stripes", **ARITHMETIC)


def test_run_reports_to_the_given_progress():
    stream = io.StringIO()
    run("stripes", "bad:raises", progress=Lines(stream))
    text = stream.getvalue()
    assert "[3/4] spots | stripes linf 24 | tiny | seed 0" in text
    assert "training the victim: done in" in text
    assert "failed: spots | bad:raises linf 24 | tiny | seed 0: RuntimeError: the optimiser gave up (" in text


@pytest.mark.parametrize("form", [list, torch.tensor, np.uint8, lambda labels: labels.astype(np.int32)])
def test_craft_takes_whole_numbers_of_any_form_as_labels(form):
    train = tiny.Spots(tiny.SpotsParams()).load("train")
    expected = ucbench.craft(train.images, train.known_labels, "badge", **ARITHMETIC)
    images, labels = torch.from_numpy(train.images.copy()), form(train.known_labels)
    assert (ucbench.craft(images, labels, "badge", **ARITHMETIC) == expected).all()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"labels": ["a", "b", "c"]}, "3 whole numbers, one per image; got <U1"),
        ({"labels": [0.0, 1.0, 2.0]}, "got float64"),
        ({"labels": [0, 1]}, r"got int64 \[2\]"),
        ({"labels": []}, r"got float64 \[0\]"),
        ({"labels": [0, -1, 1]}, "numbered from 0, got -1"),
        ({"labels": [[0], [1, 2], [3]]}, "Labels cannot be read as an array"),
        ({"images": np.zeros((3, 8, 8, 3), np.uint8)}, r"uint8 \[N, 3, H, W\], got uint8 \[3, 8, 8, 3\]"),
        ({"images": np.zeros((3, 3, 8, 8))}, "got float64"),
        ({"images": np.zeros((0, 3, 8, 8), np.uint8)}, r"got uint8 \[0, 3, 8, 8\]"),
        (
            {"images": [np.zeros((3, 8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8)]},
            r"Image 1 must be uint8 \[3, H, W\]",
        ),
        ({"images": [np.zeros((3, 8, 8)), np.zeros((3, 8, 8))]}, "Image 0 must be uint8 .*got float64"),
        ({"images": [Image.new("L", (8, 8))] * 3}, "Image 0 must be a PIL image in mode RGB, got L"),
        ({"images": [Image.new("RGB", (8, 8)), np.zeros((3, 8, 8), np.uint8)]}, "Image 1 must be a PIL image"),
        ({"images": []}, r"got float64 \[0\]"),
        ({"layout": "HWC"}, "The layout of images is NCHW or NHWC, got 'HWC'"),
        ({"seed": -1}, "Seeds '-1'"),
        ({"seed": "0-2"}, "one seed, got '0-2'"),
        ({"seed": [0, 1]}, r"one seed, got \[0, 1\]"),
        ({"seed": [0.5]}, "Seeds '0.5'"),
        ({"device": "cpu:x"}, "Unknown device 'cpu:x'"),
    ],
)
def test_craft_refuses_arguments_of_another_form(wrong, text):
    arguments = {"images": np.zeros((3, 3, 8, 8), np.uint8), "labels": [0, 1, 2], **ARITHMETIC, **wrong}
    with pytest.raises(UsageError, match=text):
        ucbench.craft(poisoner="badge", **arguments)


def test_plot_draws_the_rows_of_results_as_a_figure_that_notebooks_show():
    pytest.importorskip("matplotlib", reason="figures are drawn with matplotlib: pip install 'ucbench[plot]'")
    found = results([*boards.rows_of({"clean": [90, 91], "uc": [40, 44], "lsp": [20, 30]})])
    figure = ucbench.plot(found)
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"uc", "lsp", "clean 90.5", t_interval([40, 44]).text()} <= texts
    assert figure._repr_png_().startswith(b"\x89PNG")
