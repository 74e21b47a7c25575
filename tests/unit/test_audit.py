"""Audit: errors for what cannot be published, warnings for what readers should know."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_components as tiny

from ucbench.errors import DataError
from ucbench.leaderboard.check import audit, possible
from ucbench.leaderboard.plausible import implausible
from ucbench.matrix.matrix import Request, expand
from ucbench.results.records import BEHIND, current
from ucbench.running.compute import compute
from ucbench.running.tasks import task_of

AXES = Request(
    datasets=["spots"], poisoners=["stripes", "badge"], victims=["tiny:epochs=10"], labelings=["original"],
    mixtures=[1.0, 0.5], seeds=[(0, 0), (1, 1)],
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> list[dict]:
    """The records of all cells."""
    session = tiny.session(tmp_path_factory.mktemp("store"))
    return [compute(task_of(cell, session), session) for cell in expand(AXES, tiny.registry())]


class Judge:
    """Writes records into a folder and audits it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cells = folder, expand(AXES, tiny.registry())

    def __call__(self, records: list[dict], **options):
        (self.folder / "records").mkdir(exist_ok=True)
        for path in (self.folder / "records").iterdir():
            path.unlink()
        for record in records:
            path = self.folder / "records" / f"{record['cell']}.json"
            path.write_text(json.dumps(record), encoding="utf-8")
        return self.again(**options)

    def again(self, threads: int = 1, **options):
        def session(numerics):
            return replace_numerics(tiny.session(self.folder / "store"), numerics)

        return audit(self.folder, self.cells, session, threads=threads, **options)


def replace_numerics(session, numerics):
    return type(session)(session.store, numerics, session.progress)


@pytest.fixture
def judge(tmp_path) -> Judge:
    return Judge(tmp_path)


@pytest.fixture
def records(made) -> list[dict]:
    return copy.deepcopy(made)


def texts(found, severity: str) -> str:
    return " ".join(problem.text for problem in found.problems if problem.severity == severity)


def test_check_passes_records_of_the_suite_for_any_mixture(judge, records):
    found = judge(records, complete=True)
    assert found.problems == ()
    assert len(found.records) == len(records)
    assert f"{len(records)} of the suite's cells were computed from data and components" in " ".join(found.notes)


def broken(record: dict, change) -> dict:
    changed = copy.deepcopy(record)
    change(changed)
    return changed


def test_check_reports_files_that_are_not_records_and_judges_the_rest(judge, records):
    judge(records)
    first, second = (judge.folder / "records" / f"{record['cell']}.json" for record in records[:2])
    first.write_text("{")
    second.rename(second.with_name("other.json"))
    found = judge.again()
    assert len(found.records) == len(records) - 2
    assert f"{first} is not a record of ucbench" in texts(found, "error")
    assert f"contains another cell, {records[1]['cell']}" in texts(found, "error")


def test_check_raises_on_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="There are no records in"):
        Judge(tmp_path).again()


def test_check_warns_of_missing_cells_unless_complete_is_required(judge, records):
    found = judge(records[:-2])
    assert not found.failed
    assert f"No record of 2 of the suite's {len(records)} cells: spots | " in texts(found, "warning")
    assert judge(records[:-2], complete=True).failed


def test_check_warns_of_failed_cells_unless_complete_is_required(judge, records):
    for name in ("metrics", "history", "budget", "cost"):
        del records[-1][name]
    records[-1].update(status="failed", error={"type": "ValueError", "text": "no"})
    found = judge(records)
    assert (found.failed, "1 failed cell" in texts(found, "warning")) == (False, True)
    assert judge(records, complete=True).failed


def test_check_rejects_a_cell_of_another_suite(judge, records):
    session = tiny.session(judge.folder / "store")
    (other,) = (
        cell for cell in expand(replace(AXES, seeds=[(7, 7)], mixtures=[1.0]), tiny.registry())
        if cell.craft.poisoner.spec.name == "badge"
    )  # fmt: skip
    found = judge([*records, compute(task_of(other, session), session)])
    assert "1 record outside the suite: spots | badge linf 24 | tiny:epochs=10 | seed 7" in texts(found, "error")


def test_check_names_records_by_preset_and_both_seeds(judge, records):
    cells = expand(replace(AXES, poisoners=["stripes@wide:share=0.5"], seeds=[(0, 2)], mixtures=[1.0]), tiny.registry())
    (other,) = (cell for cell in cells if cell.craft.poisoner.spec.name == "stripes")
    session = tiny.session(judge.folder / "store")
    found = judge([*records, compute(task_of(other, session), session)])
    named = "spots | stripes@wide:share=0.5 linf 24 | tiny:epochs=10 | craft seed 0, train seed 2"
    assert f"outside the suite: {named}" in texts(found, "error")


def test_check_names_records_whose_poisoner_was_edited_to_no_reference(judge, records):
    stranger = broken(records[0], lambda r: r["request"].update(poisoner="stripes:::"))
    assert "than the suite's 2: spots | stripes:::" in texts(judge([stranger], threads=2), "error")


def test_check_warns_of_records_of_an_earlier_version(judge, records):
    judge.cells = expand(AXES, tiny.registry(("badge", 2)))
    badges = sum(record["request"]["poisoner"] == "badge" for record in records)
    found = judge(records)
    assert not found.failed
    assert f"{badges} records made by earlier versions of components: badge 1 (here 2)" in texts(found, "warning")
    assert "No record of" not in texts(found, "warning")
    assert judge(records, complete=True).failed


@pytest.mark.parametrize(
    ("raised", "changes"),
    [
        ("stripes", {"poisoners": ["shuffled:stripes"]}),
        ("eyes", {"poisoners": ["shuffled:leaner"]}),
        ("others", {"poisoners": ["badge"], "craft_labels": ["predicted:model=others"]}),
        ("eyes", {"poisoners": ["stripes"], "labelings": ["seen"]}),
    ],
    ids=["base", "surrogate of a base", "model of craft labels", "model of a labeling"],
)
def test_check_and_tables_see_an_earlier_version_of_a_component_behind_another(judge, monkeypatch, raised, changes):
    axes = replace(AXES, seeds=[(0, 0)], **changes)
    cells, raised_cells = (expand(axes, tiny.registry(*versions)) for versions in ((), ((raised, 2),)))
    session = tiny.session(judge.folder / "store")
    records, later = ([compute(task_of(cell, session), session) for cell in each] for each in (cells, raised_cells))
    assert raised in [part["name"] for part in records[-1]["components"].values()]
    older = [{**r, "components": {p: c for p, c in r["components"].items() if p not in BEHIND}} for r in records]
    for before in (records, older):
        both = {record["cell"]: record for record in (*before, *later)}
        assert {record["cell"] for record in current(both.values())} == {record["cell"] for record in later}
    for load in (tiny.Spots.load, gone):
        monkeypatch.setattr(tiny.Spots, "load", load)
        judge.cells = cells
        assert judge(records).problems == judge(older).problems == ()
        judge.cells = raised_cells
        found = judge(records)
        assert texts(found, "error") == ""
        assert f"made by earlier versions of components: {raised} 1 (here 2)" in texts(found, "warning")


def test_check_rejects_records_of_other_data_or_of_a_later_version(judge, records):
    judge.cells = expand(AXES, tiny.registry(("badge", 2)))
    others = [record for record in records if record["request"]["poisoner"] == "badge"]
    for record in others:
        record["data"]["train"] = record["data"]["train"][::-1]
    text = f"{len(others)} records described as cells of the suite, but with other keys"
    assert text in texts(judge(records), "error")
    for record in others:
        record["data"]["train"] = record["data"]["train"][::-1]
        record["components"]["poisoner"]["version"] = 3
    assert text in texts(judge(records), "error")


def test_check_rejects_a_record_with_a_false_key(judge, records):
    for record in records:
        if record["request"]["poisoner"] == "badge":
            record["request"]["poisoner"] = "stripes:share=0.5"
    found = judge(records)
    assert "contradicts its key: poisoner stripes:share=0.5 for badge" in texts(found, "error")


#: Statements that follow from the description of a cell, without its data.
DESCRIBED = [
    (lambda r: r.update(label_access="none"), "label_access none for full"),
    (lambda r: r.update(oracle=True), "oracle True for False"),
    (lambda r: r.update(granularity="universal"), "granularity universal for "),
    (lambda r: r.update(platform="keras"), "platform keras for ucbench"),
    (lambda r: r.update(release="0" * 32), f"release {'0' * 32} for "),
    (lambda r: r["components"]["victim"]["params"].update(epochs=99), "component victim differs"),
]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        *DESCRIBED,
        (lambda r: r["request"].update(dataset="spots:brightness=0"), "dataset spots:brightness=0 for spots"),
        (lambda r: r["request"].update(epsilon=48.0), "epsilon 48.0 for 24.0"),
        (lambda r: r["data"].update(test_images=72), "data.test_images 72 for 36"),
        (lambda r: r["metrics"].update(chance=25.0), "chance 25 for 33.3333"),
    ],
)
def test_check_rejects_a_statement_that_contradicts_the_key(judge, records, change, text):
    change(next(r for r in records if r["request"]["poisoner"] == "badge" and r["request"]["mixture"] == 1))
    assert f"contradicts its key: {text}" in texts(judge(records), "error")


def test_check_takes_records_older_than_the_platform(judge, records):
    for record in records:
        assert record.pop("platform") == "ucbench"
    assert texts(judge(records), "error") == ""


@pytest.mark.parametrize(("change", "text"), DESCRIBED)
def test_check_rejects_a_statement_that_contradicts_the_description_without_data(
    judge, records, change, text, monkeypatch
):
    monkeypatch.setattr(tiny.Spots, "load", gone)
    test_check_rejects_a_statement_that_contradicts_the_key(judge, records, change, text)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda r: r["metrics"].update(test_accuracy=91.0), "test_accuracy 91 % is no share of 36 test images"),
        (lambda r: r["metrics"].update(train_accuracy=91.0), "train_accuracy 91 % is no share of 36 train images"),
        (lambda r: r["history"][0].update(test_accuracy=1.0), "history 1 % is no share of 36 test images"),
        (lambda r: r["metrics"].update(test_accuracy=25.0), "test_accuracy 25 is not that of its last epoch"),
        (lambda r: r["metrics"].update(test_accuracy_best=25.0), "test_accuracy_best 25 is not the highest"),
        (lambda r: r["history"].pop(), "its history ends at epoch 9 of 10"),
        (lambda r: r["metrics"].update(matched_accuracy=0.0), "matched_accuracy 0 is below test_accuracy"),
        (lambda r: r["budget"].clear(), "it lacks the largest change in linf"),
        (lambda r: r["budget"].update(l2_mean=9.0), "its mean change in l2, 9, is not between 0 and the largest"),
    ],
)
def test_check_rejects_numbers_that_no_run_writes(judge, records, change, text):
    change(next(r for r in records if r["request"]["poisoner"] == "badge"))
    assert text in texts(judge(records), "error")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda r: r["metrics"].update(chance=25.0), "state the chance accuracies 25 and 33.3333 %"),
        (lambda r: r["data"].update(test_images=72), "state 36 and 72 of them"),
        (lambda r: r["budget"].update(linf_max=3.0), "it states the size of a perturbation, but is of clean images"),
    ],
)
def test_check_without_data_rejects_clean_records_that_contradict_each_other(judge, records, change, text, monkeypatch):
    monkeypatch.setattr(tiny.Spots, "load", gone)
    change(next(r for r in records if r["request"]["poisoner"] == "clean"))
    assert text in texts(judge(records), "error")


def test_accuracy_of_a_defense_that_selects_an_epoch_is_that_of_the_epoch(records):
    record = next(r for r in records if r["request"]["poisoner"] == "badge")
    record["request"].update(defense="best", trusted=9)
    record["notes"]["selected_epoch"] = 3
    for point, right in zip(record["history"], (1, 5, 30, 30, 6, 7, 8, 9, 10, 11), strict=True):
        point["test_accuracy"] = 100 * right / 36
    best = 100 * 30 / 36
    record["metrics"].update(test_accuracy=best, matched_accuracy=best, test_accuracy_best=best)
    assert implausible(record) == []
    record["notes"]["selected_epoch"] = 2
    assert implausible(record) == ["test_accuracy 83.3333 is not that of its last epoch, 13.8889"]
    record["request"]["defense"] = "none"
    assert implausible(record) == ["test_accuracy 83.3333 is not that of its last epoch, 30.5556"]


def test_accuracy_of_averaged_views_need_not_be_that_of_the_last_epoch(records):
    record = copy.deepcopy(next(r for r in records if r["request"]["poisoner"] == "badge"))
    record["components"]["victim"]["params"]["test_views"] = 6
    record["history"][-1]["test_accuracy"] = 0.0
    assert implausible(record) == []


def test_exploiter_that_learns_nothing_is_a_warning_beside_one_that_learns(records):
    clean = [r for r in records if r["request"]["poisoner"] == "clean"]
    other = copy.deepcopy(clean)
    for record in other:
        record["request"]["victim"], record["cell"] = "tiny:epochs=9", record["cell"][::-1]
        record["metrics"] |= {"test_accuracy": record["metrics"]["chance"], "matched_accuracy": 50.0}
    for found, severity in ((other, "error"), ([*clean, *other], "warning")):
        problems = [problem for problem in possible(found) if "not clearly above chance" in problem.text]
        assert [problem.severity for problem in problems] == [severity]
        assert "tiny:epochs=10" not in problems[0].text


def test_check_rejects_a_board_whose_exploiter_learns_nothing_from_clean_images(judge, records):
    for record in records:
        if record["request"]["poisoner"] == "clean":
            record["metrics"] |= {"test_accuracy": record["metrics"]["chance"], "matched_accuracy": 50.0}
            record["history"] = []
    text = "Clean accuracy is not clearly above chance, so nothing can be removed: tiny:epochs=10 on spots"
    assert text in texts(judge(records), "error")


def gone(self, split):
    raise DataError("spots: no such folder.")


def test_check_without_data_judges_descriptions_and_stated_keys(judge, records, monkeypatch):
    monkeypatch.setattr(tiny.Spots, "load", gone)
    found = judge(records, complete=True)
    assert found.problems == ()
    assert "matched by description only, since their keys cannot be computed here: spots: no such folder." in (
        " ".join(found.notes)
    )
    judge.cells = expand(AXES, tiny.registry(("badge", 2)))
    found = judge(records)
    assert "made by earlier versions of components: badge 1 (here 2)" in texts(found, "warning")
    assert not found.failed
    badge = next(record for record in records if record["request"]["poisoner"] == "badge")
    badge["data"]["test"] = badge["data"]["test"][::-1]
    assert "its key does not follow from its content" in texts(judge(records), "error")
    badge["data"]["test"] = badge["data"]["test"][::-1]
    stranger = broken(records[0], lambda r: r["request"].update(train_seed=9))
    judge.cells = expand(AXES, tiny.registry())
    assert "1 record outside the suite" in texts(judge([stranger]), "error")


def test_check_rejects_other_numerics_and_summarizes_machines(judge, records):
    for record in records:
        record["environment"]["versions"]["torch"] = "2.4.0"
    records[0]["environment"]["versions"]["torch"] = "2.5.0"
    records[1]["environment"]["processor"] = "Another"
    found = judge(records)
    assert not found.failed
    assert f"different torch: 2.4.0 ({len(records) - 1}), 2.5.0 (1)" in texts(found, "warning")
    assert "different processor" in texts(found, "warning")
    records[0]["numerics"]["dtype"] = records[0]["environment"]["dtype"] = "bfloat16"
    found = judge(records)
    assert "Records were made with different numerics" in texts(found, "error")
    assert "different dtype" not in texts(found, "warning")


def test_check_compares_versions_of_a_trainer_in_another_interpreter_with_its_own_only(judge, records):
    records[0]["environment"]["trainers"] = {"keras": {"numpy": "1.26"}}
    records[1]["environment"]["trainers"] = {"paddle": {"numpy": "2.4"}}
    assert "numpy of" not in texts(judge(records), "warning")
    records[2]["environment"]["trainers"] = {"keras": {"numpy": "2.0"}}
    assert "different numpy of keras: 1.26 (1), 2.0 (1)" in texts(judge(records), "warning")


def test_check_rejects_threads_that_differ_from_the_suite(judge, records):
    judge(records)
    found = judge.again(threads=2)
    assert f"{len(records)} records made with another number of threads than the suite's 2" in texts(found, "error")
    assert "outside the suite" not in texts(found, "error")


def test_check_rejects_two_datasets_under_one_name(judge, records):
    records[0]["data"]["test"] = "0" * 64
    assert "The data set spots has 2 different fingerprints" in texts(judge(records), "error")
