"""Running cells: done once, kept, taken up again, and the same wherever they are computed."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import tiny_components as tiny
from tiny_runs import axes, run

from ucbench.crafting.craft import source_digest
from ucbench.matrix.matrix import expand
from ucbench.plugins.specs import SurrogateSpec
from ucbench.results.records import read_records, record_path
from ucbench.running.executors.serial import Serial
from ucbench.running.runner import run_cells
from ucbench.running.tasks import task_of, title
from ucbench.store.store import Store

pytestmark = pytest.mark.usefixtures("tiny_log")


def test_run_returns_records_in_cell_order(tmp_path):
    registry = tiny.registry()
    cells = expand(axes("stripes", "badge", defenses=["none", "dim"]), registry)
    session = tiny.session(tmp_path)
    records = run_cells(cells, session)
    assert [record["request"] for record in records] == [cell.describe() for cell in cells]
    assert [(record["cell"], record["release"]) for record in records] == [
        (task.key, task.release_key) for task in (task_of(cell, session) for cell in cells)
    ]
    assert {record["status"] for record in records} == {"ok"}
    stripes = records[2]
    assert stripes["components"]["poisoner"] == {
        "name": "stripes",
        "version": 1,
        "params": {"period": 4, "share": 1.0},
        "distribution": "ucbench-tiny",
        "distribution_version": "1",
    }
    assert stripes["budget"]["linf_max"] == 24
    assert stripes["epochs"] == 2
    assert [point["epoch"] for point in stripes["history"]] == [1, 2]
    assert stripes["history"][-1]["test_accuracy"] == stripes["metrics"]["test_accuracy"]
    assert stripes["numerics"] == {"dtype": "float32", "threads": 1, "deterministic": True}
    assert stripes["environment"]["device"] == "cpu"
    split = {"served": "", "per_class": [12, 12], "repeated": 0}
    inventory = {"train": split, "test": split, "passed_over": {}, "shared": 0, "relabeled": 0}
    assert stripes["data"] | {"train": "", "test": ""} == {
        "train": "", "test": "", "train_images": 36, "test_images": 36, "classes": 3, "size": [8, 8], "note": "",
        "inventory": inventory,
    }  # fmt: skip
    json.dumps(records, allow_nan=False)


def test_clean_pixels_defense_restores_clean_accuracy(tmp_path):
    records = run(tmp_path / "store", "stripes", defenses=["none", "clean-pixels"], mixtures=[1.0, 0.5])
    found = {}
    for record in records:
        requested = record["request"]
        found[requested["poisoner"], requested["mixture"], requested["defense"]] = record["history"]
    clean = found["clean", 1.0, "none"]
    assert found["stripes", 1.0, "none"] != clean
    restored = [history for (_, _, defense), history in found.items() if defense == "clean-pixels"]
    assert len(restored) == 5
    assert all(history == clean for history in restored)


def test_clean_part_training_is_independent_of_the_poisoner(tmp_path):
    records = run(tmp_path / "store", "stripes", "badge", defenses=["none", "clean-part"], mixtures=[0.5])
    found = {(record["request"]["poisoner"], record["request"]["defense"]): record for record in records}
    alone = [found[name, "clean-part"]["history"] for name in ("sham", "stripes", "badge")]
    assert alone[0] == alone[1] == alone[2] != found["clean", "none"]["history"]
    assert found["clean", "clean-part"]["history"] == found["clean", "none"]["history"]
    spent = {record["cost"]["train_gflops"] for record in records}
    assert len(spent) == 1


def test_only_oracle_defenses_are_given_the_clean_images(tmp_path):
    registry = tiny.registry()
    chain = expand(axes("stripes", defenses=["clean-pixels+outsider"]), registry)
    records = run_cells(chain, tiny.session(tmp_path, registry))
    assert {record["status"] for record in records} == {"ok"}
    assert all(record["notes"]["Outsider"] == {} for record in records)


@pytest.mark.parametrize("chain", ["fog+dim+dim", "dim+dim", "dim+dusk", "dusk+dim"])
def test_defenses_of_a_chain_draw_for_themselves_and_keep_all_notes(tmp_path, chain):
    registry = tiny.registry()
    chains = expand(axes("stripes", defenses=["dim", "dusk", chain]), registry)
    records = run_cells(chains, tiny.session(tmp_path, registry))
    notes = {record["request"]["defense"]: record["notes"] for record in records}
    first, second = notes[chain]["prepared"], notes[chain]["prepared 2"]
    assert first != second
    # One alone, and the first of a chain, draw alike.
    assert notes["dim"]["prepared"] == notes["dusk"]["prepared"] != second
    assert (first == notes["dim"]["prepared"]) == (not chain.startswith("fog"))
    assert "prepared 2" not in notes["dim"]


def test_second_run_reuses_everything(tmp_path):
    first = run(tmp_path / "store", "stripes", "badge")
    assert tiny.work_done()["craft stripes"] == 1
    before = tiny.work_done()
    assert run(tmp_path / "store", "stripes", "badge") == first
    assert tiny.work_done() == before


def test_release_is_shared_by_victims_labelings_defenses_and_train_seeds(tmp_path):
    records = run(
        tmp_path / "store",
        "stripes",
        victims=["tiny", "fixed"],
        labelings=["original", "shifted"],
        defenses=["none", "dim"],
        seeds=[(0, 0), (0, 1)],
    )
    assert len(records) == 3 * 16
    assert tiny.work_done()["craft stripes"] == 1
    assert tiny.work_done()["train TinyNet"] + tiny.work_done()["train FixedNet"] == 3 * 16


def test_record_in_the_folder_is_reused_with_an_empty_store(tmp_path):
    first = run(tmp_path / "one", "stripes", out=tmp_path / "out")
    before = tiny.work_done()
    assert run(tmp_path / "two", "stripes", out=tmp_path / "out") == first
    assert tiny.work_done() == before
    assert {record["cell"] for record in read_records(tmp_path / "out")} == {record["cell"] for record in first}


def test_second_run_writes_only_records_that_its_request_spells_differently(tmp_path):
    def again(victim: str) -> set[str]:
        """The files that a run replaces."""
        with ExitStack() as held:  # open files, so that no other gets their numbers
            before = {path: held.enter_context(path.open()) for path in (tmp_path / "out" / "records").glob("*")}
            numbers = {path: path.stat().st_ino for path in before}
            run(tmp_path / "store", "stripes", victims=[victim], out=tmp_path / "out")
            return {path.stem for path, number in numbers.items() if path.stat().st_ino != number}

    first = run(tmp_path / "store", "stripes", victims=["tiny"], out=tmp_path / "out")
    assert again("tiny") == set()
    assert again("tiny:epochs=2") == {record["cell"] for record in first}


def test_stored_result_is_copied_to_a_new_folder(tmp_path):
    first = run(tmp_path / "store", "stripes")
    run(tmp_path / "store", "stripes", out=tmp_path / "out")
    assert sorted(read_records(tmp_path / "out"), key=lambda r: r["cell"]) == sorted(first, key=lambda r: r["cell"])


def test_reused_record_uses_the_spelling_of_the_request(tmp_path):
    """Rows meet their references by these words."""
    first = run(tmp_path / "store", "stripes@wide", victims=["tiny"])
    again = run(tmp_path / "store", "bars:period=8", victims=["tiny:epochs=2"])
    assert [record["cell"] for record in again] == [record["cell"] for record in first]
    assert {record["request"]["victim"] for record in again} == {"tiny:epochs=2"}
    assert again[-1]["request"]["poisoner"] == "stripes:period=8"


def test_cells_of_one_key_are_computed_once_and_each_record_has_its_own_names(tmp_path):
    names = ["spots", "spots:brightness=0"]
    tasks = []

    class Listening(Serial):
        def run(self, todo, session, on_done):
            tasks.extend(todo)
            super().run(todo, session, on_done)

    registry = tiny.registry()
    cells = [
        cell
        for name, metric in zip(names, ("change", "sharpness"), strict=True)
        for cell in expand(axes("stripes", datasets=[name], metrics=[metric]), registry)
    ]
    records = run_cells(cells, tiny.session(tmp_path, registry), out=tmp_path / "out", executor=Listening())
    assert len({task.key for task in tasks}) == len(tasks) == 3
    assert [record["cell"] for record in records[:3]] == [record["cell"] for record in records[3:]]
    assert [record["request"]["dataset"] for record in records] == [names[0]] * 3 + [names[1]] * 3
    assert [record["components"]["dataset"]["params"] for record in records[3:]] == [
        cell.dataset.identity()["params"] for cell in cells[3:]
    ]
    assert {name for record in records for name in record["measured_by"]} == {"change", "sharpness"}
    assert records[0]["metrics"].keys() >= {"change.mean", "sharpness.share"}
    assert tiny.work_done()["train TinyNet"] == 3


def test_record_repeats_in_another_store_except_for_cost(tmp_path):
    def without_cost(records: list[dict]) -> list[dict]:
        return [{name: value for name, value in record.items() if name != "cost"} for record in records]

    request = {"defenses": ["none", "dim"], "mixtures": [0.5], "surrogates": ["fitted"]}
    one = run(tmp_path / "one", "stripes", "badge", "leaner", "blots", "positive", **request)
    two = run(tmp_path / "two", "stripes", "badge", "leaner", "blots", "positive", **request)
    assert {record["status"] for record in one} == {"ok"}
    assert without_cost(one) == without_cost(two)


def test_victim_depends_on_both_seeds_and_release_on_craft_seed(tmp_path):
    records = run(tmp_path / "store", "badge", seeds=[(0, 0), (1, 0), (1, 1)])
    badges = [record for record in records if record["request"]["poisoner"] == "badge"]
    assert len({record["release"] for record in badges}) == 2
    losses = [record["history"][0]["loss"] for record in records if record["request"]["poisoner"] == "clean"]
    assert len(losses) == len(set(losses)) == 2


def test_interrupted_run_keeps_finished_cells_and_resumes(tmp_path):
    store, out = tmp_path / "store", tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(store, "stripes", "bad:interrupts", "badge", out=out)
    assert sorted(record["request"]["poisoner"] for record in read_records(out)) == ["clean", "sham", "stripes"]
    before = tiny.work_done()
    with pytest.raises(KeyboardInterrupt):
        run(store, "bad:interrupts", out=out)
    records = run(store, "stripes", "badge", out=out)
    assert [record["status"] for record in records] == ["ok"] * 4
    assert tiny.work_done() - before == {"craft bad interrupts": 1, "craft badge": 1, "train TinyNet": 1} | {
        line: count for line, count in tiny.work_done().items() if line.startswith("assign")
    }


def test_interrupted_craft_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(Store.checkpoint, "__defaults__", (0.0,))
    monkeypatch.setattr(tiny.protector, "Stripes", tiny.protector.Halting)
    (*_, failed) = run(tmp_path, "stripes")
    assert "the power failed" in failed["error"]["text"]
    (*_, record) = run(tmp_path, "stripes")
    assert record["crafting"]["notes"] == {"resumed": 7}


def test_checkpoint_of_changed_source_is_dropped(tmp_path, monkeypatch, caplog):
    """Also where the change is in another file of the poisoner's package."""
    monkeypatch.setattr(Store.checkpoint, "__defaults__", (0.0,))
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "halting_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "poisoner.py").write_text("import tiny_protector\n\nclass Own(tiny_protector.Halting): ...\n")
    helper = package / "helper.py"
    helper.write_text("bug = True\n")
    monkeypatch.setattr(tiny.protector, "Stripes", import_module("halting_package.poisoner").Own)
    (*_, first) = run(tmp_path / "store", "stripes")
    helper.write_text("bug = False\n")
    (*_, second) = run(tmp_path / "store", "stripes")
    (*_, third) = run(tmp_path / "store", "stripes")
    assert [record["status"] for record in (first, second, third)] == ["failed", "failed", "ok"]
    assert third["crafting"]["notes"] == {"resumed": 7}
    assert caplog.text.count("The source of stripes has changed since its checkpoint: starting over.") == 1


def test_source_digest_of_a_class_without_a_source_file_is_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.py").touch()
    assert source_digest(np.random.Generator) == source_digest(int) == ""
    assert source_digest(Store) != ""


def test_damaged_release_is_quarantined_and_rebuilt(tmp_path):
    store = tmp_path / "store"
    (*_, first) = run(store, "stripes")
    (changes,) = (store / "objects" / "release").glob(f"*/{first['release']}/changes.npy")
    content = bytearray(changes.read_bytes())
    content[-1] ^= 1
    changes.write_bytes(content)
    (*_, second) = run(store, "stripes", victims=["fixed"])
    assert second["status"] == "ok"
    assert tiny.work_done()["craft stripes"] == 2
    assert len(list((store / "quarantine").iterdir())) == 1
    assert second["budget"] == first["budget"]


def test_perturbed_test_set_is_requested_under_the_craft_labels(tmp_path):
    """The labels of the exploiter do not matter: crafted for the original ones, a poisoner assigns by these."""
    request = {"labelings": ["original", "shifted"], "surrogates": ["eyes"]}
    for craft_labels, expected in (("original", "assign 012012"), ("clusters:k=3", "assign nothing")):
        before = tiny.work_done()
        records = run(tmp_path / "store", "badge", craft_labels=[craft_labels], **request)
        done = tiny.work_done() - before
        assert {line for line in done if line.startswith("assign")} == {expected}
        assert done[expected] == 2
        has = ["perturbed_test_accuracy" in r["metrics"] for r in records if r["request"]["poisoner"] == "badge"]
        assert has == [craft_labels == "original"] * 2


def test_perturbed_test_set_is_assigned_by_the_surrogate_that_the_craft_fitted(tmp_path):
    registry = tiny.registry()
    (*_, cell) = expand(axes("badge", craft_labels=["clusters:k=3,model=eyes"]), registry)
    fitted = registry.resolve(SurrogateSpec, "fitted")
    cell = replace(cell, craft=replace(cell.craft, surrogate=fitted))
    (record,) = run_cells([cell], tiny.session(tmp_path, registry))
    assert record["status"] == "ok"
    assert tiny.work_done()["assign nothing"] == 1
    assert tiny.work_done()["fit eyes"] == 1


def test_oracle_test_set_is_requested_under_exploiter_labels(tmp_path):
    (*_, record) = run(
        tmp_path / "store", "positive", labelings=["shifted"], epsilons=[96.0], victims=["tiny:epochs=60"]
    )
    # The victim learns the pattern of its label, so that it is right on images that carry the pattern of theirs.
    assert record["metrics"]["perturbed_test_accuracy"] > record["metrics"]["test_accuracy"] + 20


@pytest.mark.parametrize(
    ("poisoner", "changes", "access"),
    [
        ("stripes", {}, "none"),
        ("leaner", {}, "none"),
        ("leaner", {"surrogates": ["fitted"]}, "full"),
        ("badge", {}, "full"),
        ("badge", {"craft_labels": ["clusters:k=3"], "surrogates": ["eyes"]}, "none"),
        ("badge", {"craft_labels": ["clusters:k=3"], "surrogates": ["fitted"]}, "full"),
    ],
)
def test_label_access_combines_craft_labels_and_surrogate(tmp_path, poisoner, changes, access):
    (*_, record) = run(tmp_path, poisoner, victims=["tiny:epochs=1"], **changes)
    assert record["label_access"] == access


def test_cell_title_is_one_line():
    (*_, cell) = expand(axes("stripes@wide", defenses=["dim"], seeds=[(1, 2)]), tiny.registry())
    assert title(cell) == "spots | stripes@wide linf 24 | tiny + dim | craft seed 1, train seed 2"
    clean, *_ = expand(axes("stripes"), tiny.registry())
    assert title(clean) == "spots | clean | tiny | seed 0"


def test_titles_of_cells_that_differ_differ():
    several = axes(
        "badge",
        labelings=["original", "pairs"],
        mixtures=[1.0, 0.5],
        trusted=[0, 3],
        craft_labels=["original", "clusters:k=3,model=eyes"],
    )
    cells = expand(several, tiny.registry())
    assert len({title(cell) for cell in cells}) == len(cells)


def test_unreadable_dataset_stops_the_run_before_any_work(tmp_path, monkeypatch):
    load = tiny.Spots.load

    def burning(dataset, split):
        if dataset.params.brightness:
            raise OSError("disk on fire")
        return load(dataset, split)

    monkeypatch.setattr(tiny.Spots, "load", burning)
    with pytest.raises(OSError, match="disk on fire"):
        run(tmp_path / "store", "stripes", datasets=["spots", "spots:brightness=3"], out=tmp_path / "out")
    assert tiny.work_done() == {}
    assert not (tmp_path / "out").exists()


def test_record_is_written_under_its_key(tmp_path):
    (*_, record) = run(tmp_path / "store", "stripes", out=tmp_path / "out")
    path = record_path(tmp_path / "out", record["cell"])
    assert json.loads(path.read_text()) == record
    assert np.isfinite(record["cost"]["train_gflops"])


def test_record_of_a_single_protected_image_has_no_guess_accuracy(tmp_path, monkeypatch):
    load, few = tiny.Spots.load, np.r_[0:36:3, 1, 2]  # twelve of one class, and one of each other
    monkeypatch.setattr(tiny.Spots, "load", lambda dataset, split: load(dataset, split).subset(few))
    (*_, record) = run(tmp_path / "store", "stripes", mixtures=[1 / 12], out=tmp_path / "out")
    assert (record["status"], record["metrics"]["guess_accuracy"]) == ("ok", None)
    assert len(list(read_records(tmp_path / "out"))) == 3


def test_record_scores_shared_perturbations_against_exploiter_labels(tmp_path):
    records = run(tmp_path, "badge", "stripes", labelings=["original", "pairs"], mixtures=[0.5])
    groups = {}
    for record in records:
        requested = record["request"]
        groups[requested["poisoner"], requested["labeling"]] = record["notes"].get("exploiter_labels_in_groups")
    # A badge a class gives every class away, also where the exploiter has merged two of the three.
    assert groups["badge", "original"]["homogeneity"] == pytest.approx(1)
    assert groups["badge", "original"]["mutual_information"] == pytest.approx(np.log(3))
    assert groups["badge", "pairs"]["homogeneity"] == pytest.approx(1)
    assert groups["badge", "pairs"]["completeness"] < 1
    assert {groups["clean", "original"], groups["stripes", "original"]} == {None}
