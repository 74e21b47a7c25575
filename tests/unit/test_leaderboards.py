"""What is published must follow from the records beside it."""

from pathlib import Path

import pytest

from ucbench.results.records import read_records
from ucbench.results.table import rows, to_csv

ROOT = Path(__file__).parents[2] / "leaderboards"
PUBLISHED = sorted(path.parent for path in ROOT.rglob("results.csv"))


@pytest.mark.parametrize("folder", PUBLISHED, ids=[str(folder.relative_to(ROOT)) for folder in PUBLISHED])
def test_published_results_equal_those_rebuilt_from_records(folder):
    assert to_csv(rows(read_records(folder))) == (folder / "results.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", PUBLISHED, ids=[str(folder.relative_to(ROOT)) for folder in PUBLISHED])
def test_published_changes_are_within_their_budget(folder):
    for record in read_records(folder):
        if record["request"]["norm"] == "linf":
            assert record["budget"]["linf_max"] <= record["request"]["epsilon"]
