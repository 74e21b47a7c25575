"""What is published must follow from the records beside it."""

from pathlib import Path

import pytest

from ucbench.results import rows, to_csv
from ucbench.results.records import read_records

ROOT = Path(__file__).parents[2] / "leaderboards"
PUBLISHED = sorted(path.parent for path in ROOT.rglob("results.csv"))


@pytest.mark.parametrize("folder", PUBLISHED, ids=[str(folder.relative_to(ROOT)) for folder in PUBLISHED])
def test_results_follow_byte_for_byte_from_the_records(folder):
    assert to_csv(rows(read_records(folder))) == (folder / "results.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", PUBLISHED, ids=[str(folder.relative_to(ROOT)) for folder in PUBLISHED])
def test_every_stored_change_is_within_its_budget(folder):
    for record in read_records(folder):
        if record["request"]["norm"] == "linf":
            assert record["budget"]["linf_max"] <= record["request"]["epsilon"]
