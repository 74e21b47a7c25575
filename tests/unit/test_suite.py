"""Suites: what a file says is what is run, and what is wrong with it is said with its line."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
import tiny_components as tiny
from hypothesis import given
from hypothesis import strategies as st

from ucbench.errors import UnmetRequestError, UsageError
from ucbench.matrix import requests
from ucbench.matrix.matrix import Request, expand
from ucbench.matrix.suite import find_suite, load_suite, shard, shipped_suites
from ucbench.plugins.registry import Registry, installed
from ucbench.progress import Silent
from ucbench.session import Session
from ucbench.store.store import Store

GOOD = """
    name = "small"
    version = 2
    threads = 1

    [common]
    dataset = "spots"
    victim = "tiny"
    labeling = "original"
    seed = "0-1"
    trainings = 1

    [[table]]
    poisoner = ["stripes", "badge"]
    defense = ["none", "dim"]

    [[table]]
    poisoner = "badge"
    craft-labels = "clusters:k=2,model=eyes"
    seed = 0

    [[exclude]]
    poisoner = "str*"
    defense = ["d?m", "fog"]

    [ranking]
    defenses = ["none", "dim"]
"""
_RANKED = 'defenses = ["none", "dim"]'


def written(folder: Path, text: str) -> Path:
    path = folder / "small.toml"
    path.write_text(dedent(text), encoding="utf-8")
    return path


def session(registry: Registry | None = None) -> Session:
    return Session(Store(), tiny.CPU, Silent(), registry or tiny.registry())


def cells(path: Path, **changes):
    return requests.suite_cells(load_suite(path), session().registry, **changes)


def words(found) -> list[tuple]:
    return [
        (c["poisoner"], c["craft_labels"].partition(":")[0], c["defense"], c["train_seed"])
        for c in (cell.describe() for cell in found)
    ]


def test_suite_raises_on_ranking_by_an_oracle_defense(tmp_path):
    path = written(tmp_path, GOOD.replace(_RANKED, 'defenses = ["none", "dim+clean-pixels"]'))
    with pytest.raises(UsageError, match=r"small\.toml.*dim\+clean-pixels.*more than exploiters"):
        cells(path)


def test_suite_orders_cells_by_train_seed_across_tables_with_references_first(tmp_path):
    found = words(cells(written(tmp_path, GOOD)))
    seeds = [seed for *_, seed in found]
    assert seeds == sorted(seeds)
    assert {poisoner for poisoner, *_ in found if poisoner not in ("clean", "sham")} <= {
        poisoner for poisoner, *_, seed in found if seed == 0
    }, "every poisoner once before any twice"
    first = [next(poisoner for poisoner, *_, seed in found if seed == wanted) for wanted in set(seeds)]
    assert set(first) == {"clean"}


def test_suite_tables_are_cross_products_with_common_axes(tmp_path):
    found = words(cells(written(tmp_path, GOOD)))
    expected = {("stripes", "none", "none", seed) for seed in (0, 1)}
    expected |= {("badge", "original", defense, seed) for defense in ("none", "dim") for seed in (0, 1)}
    expected |= {("badge", "clusters", "none", 0)}
    references = {
        (name, "none", defense, s) for name in ("clean", "sham") for defense in ("none", "dim") for s in (0, 1)
    }
    assert len(found) == len(set(found))
    assert set(found) == expected | references


def test_cell_of_several_tables_has_the_metrics_of_all(tmp_path):
    tables = [
        'poisoner = "stripes"\nmetric = ["change", "sharpness"]',
        'poisoner = "badge"\nmetric = ["no-number", "change"]',
    ]
    common = GOOD.partition("[[table]]")[0]
    path = written(tmp_path, dedent(common) + "".join(f"[[table]]\n{table}\nseed = 0\n" for table in tables))
    found = {str(cell.craft.poisoner): [str(metric) for metric in cell.metrics] for cell in cells(path)}
    shared = ["change", "sharpness", "no-number"]
    assert found == {
        "clean": shared, "sham": shared, "stripes": ["change", "sharpness"], "badge": ["no-number", "change"]
    }  # fmt: skip


def test_suite_exclusion_removes_references_too(tmp_path):
    everything = GOOD.replace('poisoner = "str*"', 'poisoner = "*"').replace(_RANKED, 'defenses = ["none"]')
    assert {defense for _, _, defense, _ in words(cells(written(tmp_path, everything)))} == {"none"}


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("stripes@wide", {"stripes"}),
        ("stripes", set()),
        ("str*@w*", {"stripes"}),
        ("stripes@*", {"stripes"}),
        ("badge", {"stripes", "stripes@wide"}),
    ],
)
def test_suite_exclusion_matches_the_poisoner_with_and_without_its_preset(tmp_path, pattern, kept):
    text = GOOD.replace('["stripes", "badge"]', '["stripes", "stripes@wide"]').replace('"str*"', f'"{pattern}"')
    text = text.replace('["d?m", "fog"]', '"*"').replace(_RANKED, 'defenses = ["none"]')
    found = {str(cell.craft.poisoner) for cell in cells(written(tmp_path, text))}
    assert found - {"clean", "sham", "badge"} == kept


@pytest.mark.parametrize(
    ("table", "exclusion", "problem"),
    [
        (
            'victim = ["tiny", "wild"]\ndefense = ["none", "dim"]',
            'victim = "wild"\ndefense = "dim"',
            "cannot use defense",
        ),
        ('surrogate = ["eyes", "bare"]', 'surrogate = "bare"', "needs a surrogate with weights"),
        ('labeling = ["original", "seen:model=bare"]', 'labeling = "seen*"', "needs a model with weights"),
    ],
)
def test_suite_exclusion_may_leave_out_what_does_not_fit_together(tmp_path, table, exclusion, problem):
    axes = 'dataset = "spots"\nvictim = "tiny"\nlabeling = "original"\ntrainings = 1\n'
    common = f'name = "small"\nversion = 1\n[common]\n{axes}'
    text = f'{common}[[table]]\npoisoner = "leaner"\n{table}\n'
    with pytest.raises(UsageError, match=problem):
        cells(written(tmp_path, text))
    kept = cells(written(tmp_path, f"{text}[[exclude]]\n{exclusion}\n"))
    assert len(kept) == (9 if "wild" in table else 3)


def test_suite_without_trainings_has_three_on_each_release(tmp_path):
    path = written(tmp_path, GOOD.replace("trainings = 1", ""))
    assert {seed for *_, seed in words(cells(path))} == {0, 1, 2, 3, 4, 5}
    assert {seed for *_, seed in words(cells(path, trainings=1))} == {0, 1}
    assert {seed for *_, seed in words(cells(path, train_seed="3"))} == {3}
    crossed = written(tmp_path, GOOD.replace("trainings = 1", "").replace('seed = "0-1"', 'train-seed = "0-1"'))
    assert {seed for poisoner, *_, seed in words(cells(crossed)) if poisoner == "stripes"} == {0, 1}


def test_suite_axes_are_replaced_by_given_ones(tmp_path):
    path = written(tmp_path, GOOD)
    assert {seed for *_, seed in words(cells(path, seed="7"))} == {7}
    assert {seed for *_, seed in words(cells(path, train_seed="3", craft_seed="1"))} == {3}
    assert {seed for *_, seed in words(cells(path, trainings=3))} == {0, 1, 2, 3, 4, 5}  # seeds 0-1 and 0 of the file
    assert {poisoner for poisoner, *_ in words(cells(path, poisoner="plain"))} == {"clean", "sham", "plain"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("victim = ", "victm = "), r"line 8, common.victm: unknown key. Did you mean 'victim'?"),
        (
            ("craft-labels = ", "craft-label = "),
            "line 19, table.2.craft-label: unknown key. Did you mean 'craft",
        ),
        (("version = 2", 'version = "two"'), "line 3, version: Input should be a valid integer"),
        (("version = 2", ""), "version is required."),
        (("[[table]]", "[[tables]]"), "table is required: [[table]] names the axes to cross"),
        (("[[exclude]]", "[exclude]"), "exclude: write [[exclude]], with two brackets"),
        (
            ('name = "small"', 'name = "Small Suite"'),
            "line 2, name: write lower-case words joined by -, as in my-suite;",
        ),
        (('poisoner = ["stripes", "badge"]', ""), "every table needs a poisoner, or common does"),
        (('seed = "0-1"', 'seed = "0-1'), "is not valid TOML"),
        (("defenses = ", "defences = "), "line 27, ranking.defences: unknown key. Did you mean 'defenses'?"),
        (
            ("[ranking]", "[gate]\nconvergence = 99\n[ranking]"),
            "gate.convergence: unknown key. Did you mean 'converged'?",
        ),
        (("[ranking]", '[gate]\nof = "Some Board"\n[ranking]'), "gate.of: write lower-case words joined by -"),
    ],
)
def test_suite_error_names_file_line_and_key(tmp_path, change, text):
    assert change[0] in GOOD
    with pytest.raises(UsageError) as raised:
        load_suite(written(tmp_path, GOOD.replace(*change)))
    assert str(tmp_path / "small.toml") in str(raised.value)
    assert text in str(raised.value)
    assert "?." not in str(raised.value)


def test_unknown_name_in_a_suite_is_an_error_of_its_table(tmp_path):
    path = written(tmp_path, GOOD.replace('poisoner = "badge"', 'poisoner = "badgr"'))
    with pytest.raises(UsageError, match=r"small\.toml, table 2: Unknown poisoner 'badgr'\. Did you mean 'badge'"):
        cells(path)


def test_ranked_defense_that_no_table_runs_is_refused(tmp_path):
    path = written(tmp_path, GOOD.replace(_RANKED, 'defenses = ["none", "fog"]'))
    with pytest.raises(UsageError, match=r"small\.toml: ranking\.defenses names fog, which no table runs"):
        cells(path)
    assert cells(path, defense="none")


def test_suite_is_found_by_name_or_file(tmp_path):
    path = written(tmp_path, GOOD)
    assert find_suite("small", {"small": path}).file.version == 2
    assert find_suite(str(path), {}).path == path
    with pytest.raises(UsageError, match=r"Unknown suite 'smal'\. Did you mean 'small'\? Suites: small"):
        find_suite("smal", {"small": path})
    with pytest.raises(UsageError, match=r"nowhere\.toml cannot be read: No such file"):
        find_suite(str(tmp_path / "nowhere.toml"), {})


def test_suite_may_begin_with_a_byte_order_mark(tmp_path):
    path = written(tmp_path, GOOD)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert find_suite(str(path), {}).file.version == 2


@given(st.integers(1, 9), st.integers(1, 4))
def test_shards_partition_cells_without_splitting_a_release(count, seeds):
    axes = Request(
        datasets=["spots"],
        poisoners=["stripes", "badge", "plain"],
        victims=["tiny", "fixed"],
        labelings=["original", "shifted"],
        seeds=[(seed, seed) for seed in range(seeds)],
    )
    everything = expand(axes, tiny.registry())
    parts = [shard(everything, f"{number}/{count}") for number in range(1, count + 1)]
    assert sorted(id(cell) for part in parts for cell in part) == sorted(map(id, everything))
    releases = [{cell.release_key("part", tiny.CPU) for cell in part if not cell.craft.is_clean} for part in parts]
    assert sum(map(len, releases)) == len(set().union(*releases))


@pytest.mark.parametrize("part", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3"])
def test_shard_parsing_raises_on_invalid_values(part):
    with pytest.raises(UsageError, match="--shard is a part such as 3/16"):
        shard([], part)


def test_titles_of_shipped_suites_name_no_command():
    titles = [load_suite(path).title for path in shipped_suites().values()]
    assert titles
    assert not [title for title in titles if "ucbench" in title]


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_shipped_suites_name_existing_components(name):
    suite = requests.suite(name)
    assert suite.file.name == name
    try:
        found = requests.suite_cells(suite, installed())
    except UsageError as error:
        if "is not installed" in str(error):  # a key holds the framework's version
            pytest.skip(str(error))
        raise
    except UnmetRequestError as error:  # a key holds the weights' SHA-256
        assert name in ("cifar10-clip", "cifar10-eclipse")
        pytest.skip(str(error))
    defenses = {cell.defense_text for cell in found}
    assert set(suite.file.ranking.defenses) <= defenses
    assert suite.file.threads == 1
