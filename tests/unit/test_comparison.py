"""Boards side by side: what is paired with what, and who stands in an order."""

from __future__ import annotations

import math

import boards
import pytest

from ucbench.cli.app import main
from ucbench.errors import DataError, UsageError
from ucbench.leaderboard.compare import (
    COMPARED,
    UNDEFENDED,
    WORST,
    Board,
    compare_boards,
    compare_published,
    read_board,
)
from ucbench.leaderboard.published import COLUMNS, namer, read_published
from ucbench.plugins.registry import installed

NOISE = (0.0, 7.0, -5.0, 3.0)


@pytest.fixture
def board(tmp_path):
    numbers = iter(range(100))

    def make(*records, defenses=("none",)) -> Board:
        path = tmp_path / str(next(numbers))
        return read_board(boards.folder(path, [one for some in records for one in some]), defenses)

    return make


def around(mean: float, shift: float = 0.0) -> list[float]:
    return [mean + shift + noise for noise in NOISE]


def names(settings) -> list[tuple[str, str]]:
    return [(setting[COMPARED.index("poisoner")], setting[-1]) for setting in settings]


def test_diff_is_second_minus_first_paired_by_seed(board):
    one = board(boards.rows_of({"uc": around(40), "lsp": around(20)}))
    other = board(boards.rows_of({"uc": around(42), "lsp": around(20)}))
    found = {names([line.setting])[0][0]: line for line in compare_boards(one, other).differences}
    assert found["uc"].change.mean == pytest.approx(2)
    # The seeds spread by twelve points, their differences not at all.
    assert found["uc"].change.half == pytest.approx(0)
    assert found["uc"].one.half > 5
    assert found["lsp"].change.mean == pytest.approx(0)
    assert {line.change.n for line in found.values()} == {4}


def test_diff_has_no_interval_without_two_common_seeds(board):
    one = board([boards.record("uc", seed, accuracy) for seed, accuracy in enumerate((30, 35, 40))])
    other = board([boards.record("uc", seed, accuracy) for seed, accuracy in enumerate((50, 70, 75), 2)])
    (line,) = compare_boards(one, other).differences
    assert (line.change.mean, line.change.n, math.isnan(line.change.half)) == (10, 1, True)


def test_diff_of_two_common_seeds_has_both_differences(tmp_path, capsys):
    for name, accuracies in (("one", [40, 44]), ("other", [50, 52])):
        boards.folder(tmp_path / name, boards.rows_of({"uc": accuracies}))
    assert main(["leaderboard", "diff", str(tmp_path / "one"), str(tmp_path / "other")]) == 0
    text = capsys.readouterr().out
    assert "42.0 (40.0, 44.0)" in text
    assert "+9.0 (+8.0, +10.0)" in text
    assert "Parentheses: both values" in text
    assert "±" not in text


def test_diff_averages_trainings_on_one_release(board):
    one = board([boards.record("uc", 0, accuracy, craft_seed=0, train_seed=s) for s, accuracy in enumerate((10, 30))])
    assert one.accuracies[["unit", "test_accuracy"]].values.tolist() == [[0, 20]]


def test_diff_lists_rows_of_one_board_and_skips_failed_cells(board):
    failed = [boards.failed(boards.record("ar", 0, 0))]
    one = board(boards.rows_of({"uc": [40], "lsp": [20]}), boards.rows_of({"uc": [60]}, "jpeg"), failed)
    other = board(boards.rows_of({"uc": [40], "ar": [30]}))
    found = compare_boards(one, other)
    assert sorted(names(found.only_one)) == [("lsp", "none"), ("uc", "jpeg")]
    assert names(found.only_other) == [("ar", "none")]
    assert names(line.setting for line in found.differences) == [("uc", "none")]


def test_diff_refuses_a_board_with_rows_of_one_exploiter_with_other_numerics(board):
    with pytest.raises(DataError, match="cannot be averaged"):
        board(boards.rows_of({"uc": [40]}), [boards.elsewhere(boards.record("uc", 1, 50))])


def test_diff_separates_budgets_presets_and_labels(board):
    one = board(boards.rows_of({"uc": [40]}))
    for changed in ({"epsilon": 16.0}, {"preset": "paper"}, {"access": "full"}, {"victim": "resnet18"}):
        assert not compare_boards(one, board(boards.rows_of({"uc": [40]}, **changed))).differences


def test_diff_orders_poisoners_per_block_without_references_and_oracles(board):
    rows = [
        boards.rows_of({"clean": [90], "sham": [88], "uc": [40], "lsp": [20], "rand-sample": [80]}),
        boards.rows_of({"positive:grid=2": [5], "shuffled:uc": [70], "secret": [1]}, oracle=True),
        boards.rows_of({"uc": [4], "lsp": [2]}, epsilon=16.0),
        boards.rows_of({"eminn": [15], "hypo": [16]}, access="full"),
    ]
    swapped = [boards.rows_of({"uc": [20], "lsp": [40], "rand-sample": [80]})]
    orders = compare_boards(board(*rows), board(*rows[1:], *swapped)).orders
    assert {(order.block[4], order.block[7]): order.one for order in orders} == {
        (8.0, "none"): ("lsp", "uc", "rand-sample"),
        (16.0, "none"): ("lsp", "uc"),
        (8.0, "full"): ("eminn", "hypo"),
    }
    assert {order.by for order in orders} == {UNDEFENDED}
    first = next(order for order in orders if order.block[4] == 8 and order.block[7] == "none")
    assert first.other == ("uc", "lsp", "rand-sample")
    assert first.agreement.tau == pytest.approx(1 / 3)


def test_diff_compares_and_orders_the_worst_case(board):
    def rows(jpeg: float):
        return [
            *boards.rows_of({"uc": [40, 41], "lsp": [20, 21]}),
            *boards.rows_of({"uc": [42, 43], "lsp": [jpeg, jpeg + 1]}, "jpeg"),
        ]

    one, other = (board(rows(jpeg), defenses=("none", "jpeg")) for jpeg in (30, 80))
    found = compare_boards(one, other)
    orders = {order.by: order for order in found.orders}
    assert (orders[UNDEFENDED].agreement.tau, orders[WORST].agreement.tau) == (1, -1)
    assert orders[WORST].defenses == (("none", "jpeg"), ("none", "jpeg"))
    worst = {names([line.setting])[0]: line.change.mean for line in found.differences}
    assert worst["lsp", WORST] == pytest.approx(50)
    assert worst["uc", WORST] == pytest.approx(0)
    unknown = Board(one.accuracies, None, one.unranked)
    assert {order.by for order in compare_boards(unknown, other).orders} == {UNDEFENDED}


def test_diff_takes_the_worst_case_that_the_boards_do(board):
    """Over the undefended exploiter too, and without what the victim, which trains itself, cannot use."""
    accuracies = {"none": {"uc": [40, 41], "lsp": [70, 71]}, "jpeg": {"uc": [60, 61], "lsp": [50, 51]}}
    own = {"victim": "simclr", "trusted": 200}
    rows = [boards.rows_of(each, defense, **own) for defense, each in accuracies.items()]
    one, other = (board(*rows, defenses=("jpeg", "cutmix")) for _ in range(2))
    found = compare_boards(one, other)
    worst = {names([line.setting])[0]: line.one.mean for line in found.differences}
    assert (worst["uc", WORST], worst["lsp", WORST]) == (60.5, 70.5)
    assert {order.by: order.defenses for order in found.orders}[WORST] == (("none", "jpeg"), ("none", "jpeg"))


def test_diff_places_the_worst_case_after_all_defenses(board):
    rows = [*boards.rows_of({"uc": [40, 41]}), *boards.rows_of({"uc": [42, 43]}, "zoom")]
    one, other = (board(rows, defenses=("none", "zoom")) for _ in range(2))
    listed = [line.setting[-1] for line in compare_boards(one, other).differences]
    assert listed == ["none", "zoom", WORST]


def test_diff_allows_boards_to_differ_in_a_named_axis(board):
    one = board(boards.rows_of({"uc": [40], "lsp": [20]}))
    other = board(boards.rows_of({"uc": [60], "lsp": [30]}, victim="vgg16"))
    assert not compare_boards(one, other).differences
    found = compare_boards(one, other, ["victim"])
    assert sorted(line.change.mean for line in found.differences) == [10, 20]
    assert found.orders[0].agreement.tau == 1
    both = board(boards.rows_of({"uc": [40]}), boards.rows_of({"uc": [60]}, victim="vgg16"))
    with pytest.raises(UsageError, match="two rows of OTHER differ in nothing else"):
        compare_boards(one, both, ["victim"])
    with pytest.raises(UsageError, match="Did you mean 'victim'"):
        compare_boards(one, other, ["victims"])
    with pytest.raises(UsageError, match="no axis 'poisoner'"):
        compare_boards(one, other, ["poisoner"])


def test_diff_of_schedules_reports_changed_places(board):
    accuracies = {"uc": around(40), "lsp": around(30), "eminn": around(60)}
    longer = {"uc": around(20), "lsp": around(30), "eminn": around(60)}
    one = board(boards.rows_of(accuracies, victim="resnet18:width=16"))
    other = board(boards.rows_of(longer, victim="resnet18:epochs=32,milestones=8/16,width=16"))
    assert not compare_boards(one, other).differences
    found = compare_boards(one, other, ["schedule"])
    assert len(found.differences) == 3
    (order,) = found.orders
    assert order.moved == {"uc": (2, 1), "lsp": (1, 2)}
    wider = board(boards.rows_of(longer, victim="resnet18:epochs=32,width=32"))
    assert not compare_boards(one, wider, ["schedule"]).differences, "the schedule is all that may differ"


def test_diff_raises_on_a_folder_without_records(tmp_path):
    with pytest.raises(DataError, match="There are no records in"):
        read_board(tmp_path, None)


def figures(path, *lines: dict, same=None):
    """A file of figures; each line says what differs from the first."""
    common = {
        "paper": "A. Paper", "table": "T1", "dataset": "DIGITS", "train_fraction_poisoned": "1.0",
        "eps": "Linf 8/255", "poisoner": "EM", "surrogate": "", "labeling": "original", "defense": "none",
        "victim": "RN18", "metric": "clean_test_acc", "value": "20.5", "source": "here, there",
    }  # fmt: skip
    texts = [",".join(f'"{value}"' for value in {**common, **line}.values()) for line in lines]
    path.write_text("\n".join([",".join(COLUMNS), *texts]) + "\n", encoding="utf-8-sig")
    return read_published(path, namer(installed(), same or {}))


def test_published_names_are_installed_components(tmp_path):
    found = figures(
        tmp_path / "p.csv",
        {},
        {"poisoner": "none (clean)", "eps": "0", "train_fraction_poisoned": "0", "value": "94.00"},
        {"poisoner": "TAP", "defense": "Gray+CutMix", "eps": "Linf 0.0627450980392157", "value": "7.1±0.3"},
        {"poisoner": "UC (p=10)", "labeling": "label-agnostic (k-means clusters)", "eps": "Linf 16/255"},
        {"poisoner": "OPS", "eps": "L0 1", "victim": "some Net", "train_fraction_poisoned": "0.4"},
        {"poisoner": "CUDA", "eps": "unbounded (p=0.3, and 0.06)"},
        {"poisoner": "LSP", "eps": "L2 51/255"},
        same={"UC (p=10)": "uc"},
    ).figures
    assert [(f.poisoner, f.norm, f.epsilon, f.accuracy) for f in found[:3]] == [
        ("eminn", "linf", 8.0, 20.5),
        ("clean", "unbounded", None, 94.0),
        ("adv-poison", "linf", pytest.approx(16), 7.1),
    ]
    assert (found[0].dataset, found[0].victim, found[2].defense) == ("digits", "resnet18", "grayscale+cutmix")
    assert (found[3].poisoner, found[3].labeling) == ("uc", "original")
    assert (found[4].norm, found[4].epsilon, found[4].victim, found[4].mixture) == ("l0", 1.0, "some-net", 0.4)
    assert (found[5].norm, found[5].epsilon) == ("unbounded", None)
    assert (found[6].norm, found[6].epsilon) == ("l2", pytest.approx(0.2))
    assert found[0].source == "A. Paper, T1"


def test_published_figures_without_a_match_are_counted(tmp_path):
    found = figures(
        tmp_path / "p.csv",
        {"metric": "generation_time", "value": "0.4 h", "victim": "", "defense": ""},
        {"value": ">87"},
        {"value": "123"},
        {"eps": "as paper"},
        {"eps": "Linf 8/255 + L0 1"},
        {"train_fraction_poisoned": "~0.9 (4k clean images added)"},
        {"poisoner": "LSP", "value": "11"},
        {"poisoner": "LSP", "value": "12"},
        {"poisoner": "AR", "value": "13"},
        {"poisoner": "AR", "value": "13.0", "surrogate": "none"},
    )
    assert [figure.poisoner for figure in found.figures] == ["ar"]
    assert sum(found.left_out.values()) == 8
    assert found.left_out["table has two values for one setting"] == 2
    assert found.left_out["no plain accuracy"] == 2


def test_published_raises_on_a_file_of_another_kind(tmp_path):
    (tmp_path / "other.csv").write_text("poisoner,value\nEM,3\n")
    with pytest.raises(DataError, match="its header lacks paper, table"):
        read_published(tmp_path / "other.csv", namer(installed(), {}))
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        read_published(tmp_path / "bytes.csv", namer(installed(), {}))


def test_published_figures_match_rows_by_base_name_and_budget(board, tmp_path):
    one = board(
        boards.rows_of({"eminn": around(30), "adv-poison": around(60), "lsp": around(90)}, access="full"),
        boards.rows_of({"eminn": [1]}, access="full", epsilon=16.0),
    )
    published = figures(
        tmp_path / "p.csv",
        {"value": "20"},
        {"poisoner": "TAP", "value": "10"},
        {"poisoner": "LSP", "value": "30", "table": "T2"},
        {"value": "25", "table": "T2"},
        {"poisoner": "REM"},
    )
    found = compare_published(one, published.figures)
    assert [(names([line.setting])[0][0], line.source[-2:], line.other.mean) for line in found.differences] == [
        ("adv-poison", "T1", 10), ("eminn", "T1", 20), ("eminn", "T2", 25), ("lsp", "T2", 30),
    ]  # fmt: skip
    assert all(math.isnan(line.change.half) for line in found.differences)
    assert [(setting[0], setting[4]) for setting in found.only_one] == [("digits", 16.0)]
    assert [figure.poisoner for figure in found.only_published] == ["rem"]
    # Each table stands for itself: T1 knows EM and TAP, T2 EM and LSP.
    assert {order.source[-2:]: (order.one, order.agreement.tau) for order in found.orders} == {
        "T1": (("eminn", "adv-poison"), -1), "T2": (("eminn", "lsp"), 1),
    }  # fmt: skip


def test_published_worst_case_covers_common_defenses(board, tmp_path):
    accuracies = {"none": (30, 20), "jpeg": (50, 60), "cutmix": (35, 99)}
    one = board(
        *(
            boards.rows_of({"eminn": [e, e], "lsp": [p, p]}, d, access="full")
            for d, (e, p) in accuracies.items()
        ),
        defenses=("none", "jpeg", "cutmix"),
    )  # fmt: skip
    lines = [
        {"poisoner": "EM", "value": "25"},
        {"poisoner": "EM", "defense": "JPEG", "value": "80"},
        {"poisoner": "LSP", "value": "15"},
        {"poisoner": "LSP", "defense": "JPEG", "value": "85"},
    ]
    orders = {order.by: order for order in compare_published(one, figures(tmp_path / "p.csv", *lines).figures).orders}
    assert orders[WORST].defenses[0] == ("none", "jpeg")
    assert orders[WORST].one == orders[WORST].other == ("eminn", "lsp")
    assert orders[UNDEFENDED].one == ("lsp", "eminn")


def test_published_worst_case_is_over_the_undefended_exploiter_too(board, tmp_path):
    accuracies = {"none": (70, 20), "jpeg": (50, 60)}
    rows = [boards.rows_of({"eminn": [e, e], "lsp": [p, p]}, d, access="full") for d, (e, p) in accuracies.items()]
    lines = [
        {"poisoner": name, "defense": defense, "value": value}
        for name, defense, value in (("EM", "none", "80"), ("EM", "JPEG", "30"), ("LSP", "none", "10"))
    ]
    lines.append({"poisoner": "LSP", "defense": "JPEG", "value": "85"})
    published = figures(tmp_path / "p.csv", *lines).figures
    orders = {order.by: order for order in compare_published(board(*rows, defenses=["jpeg"]), published).orders}
    assert orders[WORST].defenses[0] == ("none", "jpeg")
    assert orders[WORST].one == ("lsp", "eminn")


def test_published_match_skips_two_defenses_of_one_name(board, tmp_path):
    one = board(
        *(
            boards.rows_of({"eminn": [30, 30], "lsp": [20, 20]}, defense, access="full")
            for defense in ("none", "jpeg", "jpeg:quality=50")
        ),
        defenses=("none", "jpeg", "jpeg:quality=50"),
    )
    lines = [{"poisoner": name, "defense": defense} for name in ("EM", "LSP") for defense in ("none", "JPEG")]
    found = compare_published(one, figures(tmp_path / "p.csv", *lines).figures)
    assert [order.by for order in found.orders] == [UNDEFENDED]
    assert len(found.differences) == 6
