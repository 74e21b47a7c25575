"""The command that a cell's page shows: it computes the same cell again, or is left out."""

from __future__ import annotations

import shlex

import pytest
import site_records as made
import tiny_components as tiny
import typer

from ucbench.cli.app import cli
from ucbench.leaderboard.rerun import companions, rerun
from ucbench.matrix import requests
from ucbench.matrix.axes import AXIS
from ucbench.matrix.matrix import expand
from ucbench.session import Session, open_session


@pytest.fixture
def here(monkeypatch) -> Session:
    registry = tiny.registry()
    monkeypatch.setattr("ucbench.session.installed", lambda: registry)
    return open_session(device="cpu", dtype="float32", threads=3)


WORLD = {"dataset": "spots", "victim": "tiny"}


@pytest.mark.parametrize(
    "axes",
    [
        {"poisoner": "stripes@wide:share=0.5"},
        {"poisoner": "stripes", "epsilon": 6.5, "mixture": 1 / 3, "trusted": 6, "defense": "best"},
        {"poisoner": "badge", "craft_labels": "clusters:k=2", "surrogate": "others"},
        {"poisoner": "badge", "craft_labels": "predicted:model=others", "labeling": "shifted"},
        {"poisoner": "leaner", "surrogate": "others", "defense": "fog+dim"},
        {"poisoner": "shuffled:\"stripes@wide\"", "labeling": "seen:model=others"},
        {"poisoner": "positive:grid=2", "craft_seed": 3, "train_seed": 5},
        {"poisoner": "blots", "seed": 4, "victim": "tiny:width=8"},
        {"poisoner": "badge", "dataset": "spots:brightness=9", "victim": "nearest", "trusted": 6},
    ],
    ids=lambda axes: axes["poisoner"],
)  # fmt: skip
def test_site_command_parses_back_to_the_cell(here, axes):
    """Of the cell and of both its references, which are no axis of their own."""
    cells = expand(requests.axes(**{**WORLD, **axes}), here.registry)
    # No metric reads the network of a victim that shows none.
    measured = [] if axes.get("victim") == "nearest" else ["sharpness:scale=0.5"]
    records = [
        {
            **made.record("uc"),
            "request": cell.describe(),
            "cell": str(place),
            "numerics": here.numerics.identity(),
            "metrics": {"test_accuracy": 1.0, **dict.fromkeys([f"{name}.top.5" for name in measured], 2.0)},
            "measured_by": dict.fromkeys(measured, "0" * 32),
        }
        for place, cell in enumerate(cells)
    ]
    assert {record["request"]["poisoner"] for record in records} >= {"clean", "sham"}
    for record in records:
        line = rerun(record, companions(records))
        assert line is not None
        program, verb, *arguments = shlex.split(line)
        assert (program, verb) == ("ucbench", "run")
        command = cli.get_command(typer.Context(cli), "run")
        options = command.make_context("run", arguments).params
        found = expand(
            requests.axes(**{name: options[name] for name in AXIS if options[name] is not None}), here.registry
        )
        (same,) = [cell for cell in found if cell.describe() == record["request"]]
        assert [str(metric) for metric in same.metrics] == measured
        again = open_session(device=options["device"], dtype=options["dtype"], threads=options["threads"])
        assert again.numerics == here.numerics


def test_site_cell_without_a_command_line_has_no_command():
    hostile = made.record(made.HOSTILE)
    hidden = made.record("release", dataset="digits\u202e")
    alone = made.record("sham", norm="l2", epsilon=1.0)
    assert [rerun(record, companions([record])) for record in (hostile, hidden, alone)] == [None, None, None]


@pytest.mark.parametrize("setting", [{"compiled": True}, {"deterministic": False}])
def test_site_cell_of_numerics_that_no_option_sets_has_no_command(setting):
    record = made.record("release")
    assert rerun(record, companions([record])) is not None
    changed = {**record, "numerics": {**record["numerics"], **setting}}
    assert rerun(changed, companions([changed])) is None


def test_site_command_names_a_plugin_file():
    tried = made.record("uc")
    tried["components"]["poisoner"]["distribution"] = "my plugin.py"
    assert shlex.split(rerun(tried, {}))[-2:] == ["--plugin", "my plugin.py"]


def test_site_command_is_shell_quoted():
    line = rerun(made.record("uc", dataset='imagefolder:"a b; $(rm c)"'), {})
    assert shlex.split(line)[3] == 'imagefolder:"a b; $(rm c)"'
