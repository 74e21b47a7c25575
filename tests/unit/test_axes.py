"""The description of the axes, and that everything which takes or shows axes agrees with it."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import tiny_components as tiny
import typer
from hypothesis import given
from hypothesis import strategies as st

from ucbench.cli.app import cli
from ucbench.errors import UsageError
from ucbench.matrix import requests
from ucbench.matrix.axes import AXES, AXIS
from ucbench.matrix.matrix import Request, expand
from ucbench.matrix.suite import Exclusion, TableAxes, load_suite


def test_python_command_line_suites_and_request_have_the_same_axes():
    names = {axis.name for axis in AXES}
    assert set(inspect.signature(requests.axes).parameters) == names == set(TableAxes.model_fields)
    assert set(Exclusion.model_fields) <= names
    options = cli.get_command(typer.Context(cli), "run").params
    assert {axis.option for axis in AXES} <= {option for parameter in options for option in parameter.opts}
    assert {axis.plural for axis in AXES} - {""} == {field.name for field in dataclasses.fields(Request)} - {
        "labeler",
        "seeds",
    }


def test_description_of_a_cell_has_the_columns_of_the_axes_in_order():
    axes = Request(["spots"], ["badge"], ["tiny"], ["original"])
    columns = tuple(column for axis in AXES for column in axis.columns)
    assert [tuple(cell.describe()) for cell in expand(axes, tiny.registry())] == [columns] * 3


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("poisoner", "uc", "uc"),
        ("epsilon", "8/255", 8.0),
        ("mixture", "40%", 0.4),
        ("mixture", 1, 1.0),
        ("trusted", "200", 200),
        ("seed", "0-2", (0, 1, 2)),
        ("seed", [4, 0], (4, 0)),
        ("seed", range(2), (0, 1)),
        ("schedule", "0.5x", 0.5),
    ],
)
def test_axis_reads_text_and_reads_again_what_it_has_read(name, written, value):
    read = AXIS[name].read
    assert (read(written), type(read(written))) == (value, type(value))
    assert read(value) == value


@given(st.integers(1, 10_000), st.integers(0, 3))
def test_mixture_in_percent_equals_the_same_fraction(number, zeros):
    read = AXIS["mixture"].read
    whole, part = divmod(number, 100)
    assert read(f"{whole}.{part:02d}{'0' * zeros}%") == read(f"{number / 10_000}") == number / 10_000


@pytest.mark.parametrize("written", ["0%", "101%", "nan", "inf%", "1e400", "1e999999%", "half", "%", "", "-5%", True])
def test_mixture_that_is_no_share_is_refused(written):
    with pytest.raises(UsageError):
        AXIS["mixture"].values(written)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("poisoner", 3),
        ("defense", None),
        ("epsilon", "0.03"),
        ("mixture", "half"),
        ("mixture", "140%"),
        ("mixture", float("nan")),
        ("trusted", "-1"),
        ("trusted", 2.5),
        ("trusted", float("inf")),
        ("trainings", float("inf")),
        ("seed", "two"),
        ("schedule", "0x"),
        ("schedule", "inf"),
    ],
)
def test_axis_refuses_what_is_not_of_its_type_and_quotes_it(name, written):
    with pytest.raises(UsageError) as raised:
        AXIS[name].read(written)
    assert str(written) in str(raised.value)


@pytest.mark.parametrize(
    ("name", "written", "listed"),
    [
        ("poisoner", "uc,lsp", True),
        ("poisoner", "uc:clusters=5,lsp:width=2", True),
        ("poisoner", "uc:clusters=5,steps=10", False),
        ("dataset", 'parquet:"a,b":size=64,label=fine', False),
        ("defense", "jpeg+cutmix,none", True),
        ("mixture", "0.4,0.5", True),
        ("seed", "0,3", False),
    ],
)
def test_axis_refuses_lists_and_says_to_repeat_its_option(name, written, listed):
    if not listed:
        AXIS[name].read(written)
        return
    with pytest.raises(UsageError, match=f"repeat --{name}"):
        AXIS[name].read(written)


def test_suite_refuses_a_value_that_its_axis_cannot_read(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text('name = "small"\nversion = 1\n\n[[table]]\npoisoner = "uc"\nmixture = [0.5, "half"]\n')
    with pytest.raises(UsageError, match=r"line 6, table\.1\.mixture: --mixture takes a fraction.*'half'\.$"):
        load_suite(path)


@pytest.mark.parametrize(
    ("given", "pairs"),
    [
        ({}, [(0, 0)]),
        ({"seed": 3}, [(3, 3)]),
        ({"seed": "0-2"}, [(0, 0), (1, 1), (2, 2)]),
        ({"seed": "0,4"}, [(0, 0), (4, 4)]),
        ({"trainings": 3}, [(0, 0), (0, 1), (0, 2)]),
        ({"seed": "0,4", "trainings": "2"}, [(0, 0), (0, 1), (4, 8), (4, 9)]),
        ({"craft_seed": "0-1"}, [(0, 0), (1, 0)]),
        ({"train_seed": "5,7"}, [(0, 5), (0, 7)]),
        ({"craft_seed": "0-1", "train_seed": "2,3"}, [(0, 2), (0, 3), (1, 2), (1, 3)]),
    ],
)
def test_axes_pair_or_cross_seeds(given, pairs):
    assert requests.axes(**given).seeds == pairs


@pytest.mark.parametrize("other", [{"craft_seed": 0}, {"train_seed": "0-1"}])
def test_axes_refuse_seeds_given_both_ways(other):
    for nested in ({"seed": 0}, {"trainings": 2}):
        with pytest.raises(UsageError, match=r"either --seed.*or --craft-seed and --train-seed"):
            requests.axes(**nested, **other)


@pytest.mark.parametrize("given", [8, 8.0, "8", "8/255", ["8/255"], [8]])
def test_axes_read_epsilon_in_8_bit_units(given):
    assert requests.axes(epsilon=given).epsilons == [8.0]


def test_axes_take_one_or_several_values():
    one, several = requests.axes(poisoner="uc", mixture=0.5), requests.axes(poisoner=["uc", "lsp"], mixture=[0.5, 1])
    assert (one.poisoners, one.mixtures, one.datasets) == (["uc"], [0.5], ["photos"])
    assert (several.poisoners, several.mixtures) == (["uc", "lsp"], [0.5, 1])
