"""Every column, described once: for CSV files, the terminal, plots, the site and the documentation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ucbench.matrix.axes import AXIS, GROUP_COLUMNS
from ucbench.plugins.builtin import CLEAN_PART

#: What a spreadsheet takes for the start of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: name in CSV files and rows.
        type: type of the values; a number is a float.
        unit: unit of the values in CSV files.
        meaning: description for the documentation, in Markdown.
        decimals: decimals of a number in CSV files; None writes the shortest form.
        heading: heading in tables; defaults to the name.
        brief: heading in the terminal; defaults to ``heading``.
        axis: title of a plot's axis; empty if the column is not plotted.
        factor: factor for display, such as 100 for a fraction shown in percent; CSV files hold the plain value.
        shown: decimals of a displayed number.
        priority: position among the numbers averaged over seeds, 1 first (shown even on a narrow screen); 0 if the
            column is not averaged.
        summary: whether the summary of ``ucbench run`` shows it.
    """

    name: str
    type: Literal["text", "integer", "number"]
    unit: str
    meaning: str
    decimals: int | None = None
    heading: str = ""
    brief: str = ""
    axis: str = ""
    factor: float = 1.0
    shown: int = 1
    priority: int = 0
    summary: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "heading", self.heading or self.name.replace("_", " "))
        object.__setattr__(self, "brief", self.brief or self.heading)

    @property
    def dtype(self) -> str:
        """The dtype in DataFrames: a missing number is NaN, any other missing value is ``pandas.NA``."""
        return {"text": "string", "integer": "Int64", "number": "float64"}[self.type]

    def text(self, value: Any) -> str:
        """A value as text; a missing value, None or NaN, is an empty one."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        if isinstance(value, float):
            return f"{value:g}" if self.decimals is None else f"{value:.{self.decimals}f}"
        return str(value)

    def field(self, value: Any) -> str:
        """A value as written in CSV files: its :meth:`text`, :func:`inert` where it is text."""
        return inert(self.text(value)) if self.type == "text" else self.text(value)


def inert(text: str) -> str:
    """Text that no spreadsheet runs as a formula: an apostrophe precedes ``=``, ``+``, ``-``, ``@``, tab and CR."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def uninert(text: str) -> str:
    """The text of which :func:`inert` made this one."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def _text(name: str, meaning: str, heading: str = "") -> Column:
    return Column(name, "text", "", meaning, heading=heading)


def _accuracy(name: str, meaning: str, heading: str, priority: int = 0, unit: str = "%", **shown: Any) -> Column:
    return Column(name, "number", unit, meaning, 2, heading, priority=priority, **shown)


#: The request.
REQUESTED = (
    _text("dataset", "the data set with its options, as written in a request; of several names of the same images the"
          " shortest", "data set"),
    _text(
        "poisoner",
        "the poisoner with its options; `clean`, `sham`, `positive` and `shuffled:NAME` are"
        " [references](protocol.md#references)",
    ),
    _text("preset", "the preset that sets its other parameters; `standard` by default"),
    _text("surrogate", "the model it uses as surrogate while crafting, or `none`"),
    _text(
        "craft_labels",
        "labels given to the poisoner: `original`, `predicted:...`, `clusters:...`, `none`; `exploiter` for an oracle",
        "label knowledge",
    ),
    _text(
        "label_access",
        "`full` if labels of the evaluated data entered crafting, as craft labels or by the surrogate's training; else"
        " `none`",
    ),
    _text("granularity", "images that share one perturbation: `sample`, `class`, `cluster` or `universal`"),
    _text("labeling", "the exploiter's labels"),
    _text("defense", "the exploiter's defenses, joined by `+`; `none` is the recipe alone"),
    _text("victim", "the exploiter's architecture and recipe, with options"),
    _text("platform", "whose trainer trains the victim: `ucbench`, or [a framework](platforms.md) such as `keras`"),
    _text("norm", "norm of the budget: `linf`, `l2`, `l0`, `unbounded`"),
    Column(
        "epsilon", "number", "by norm",
        "radius of the budget: levels of 255 for `linf`, the [0, 1] scale for `l2`, pixels for `l0`",
    ),
    Column("mixture", "number", "fraction", "share of the training set that the protector perturbed"),
    Column("trusted", "integer", "images", "clean labelled images given to the exploiter", heading="trusted images"),
    Column("craft_seed", "integer", "", "seed of all randomness in crafting; empty where nothing is crafted"),
    Column("train_seed", "integer", "", "seed of all randomness in training"),
)  # fmt: skip
#: The results.
MEASURED = (
    Column("epochs", "integer", "epochs", "epochs trained"),
    _accuracy(
        "test_accuracy", "accuracy on the clean test set after the last epoch: the figure used for ranking",
        "test accuracy %", 1, brief="test acc %", axis="clean test accuracy, %", summary=True,
    ),
    _accuracy("balanced_accuracy", "the same, averaged over the classes that occur", "balanced accuracy %"),
    _accuracy(
        "matched_accuracy",
        "the same under the best one-to-one renaming of predicted classes: high where classes were"
        " learned under permuted names",
        "matched %", 10,
    ),
    _accuracy(
        "test_accuracy_best",
        "highest of the evaluated epochs; never used for ranking, since an exploiter without test"
        " labels cannot choose it",
        "best epoch %",
    ),
    _accuracy(
        "train_accuracy", "accuracy on the victim's training set, as published", "train accuracy %", 8,
        brief="train acc %", summary=True,
    ),
    _accuracy(
        "perturbed_test_accuracy",
        "accuracy on the test set with the poisoner's perturbation, for methods that can perturb"
        " unseen images",
        "perturbed test %", 9, axis="accuracy on perturbed test images, %", summary=True,
    ),
    _accuracy("chance", "share of the largest class of the scoring labels", "chance %", 7),
    _accuracy(
        "clean_accuracy",
        "`test_accuracy` of the clean row of the same data, labeling, defense, victim, trusted images and train seed",
        "clean %", 5,
    ),
    _accuracy(
        "sham_accuracy", "that of the sham row with, in addition, the same budget, mixture and craft seed", "sham %", 6
    ),
    _accuracy("drop", "`clean_accuracy` - `test_accuracy`", "drop", 4, "points", summary=True),
    _accuracy(
        "drop_sham", "`sham_accuracy` - `test_accuracy`", "drop vs sham", 2, "points",
        axis="accuracy lost against sham, points", summary=True,
    ),
    Column(
        "gap_removed", "number", "fraction",
        "(clean - accuracy) / (clean - chance), accuracies below chance counting as chance; empty unless clean accuracy"
        " is above chance by its interval", 4, "gap removed %",
        axis="gap removed, %", factor=100, shown=0, priority=3, summary=True,
    ),
    _accuracy(
        "guess_accuracy",
        "held-out accuracy of guessing the exploiter's label from the perturbation alone, by a linear classifier",
        "guess %", 11,
    ),
    _accuracy(
        "purity",
        "share of the protected images that have the exploiter's most frequent label of their group, where groups of"
        " images share a perturbation: all that such noise can tell of the labels",
        "purity %", 12,
    ),
    Column(
        "cosine_gap", "number", "cosine",
        "penultimate features of the victim on its training set: mean cosine within classes minus"
        " between classes",
        4, shown=3, priority=14,
    ),
    _accuracy(
        "linear_probe",
        "accuracy on the clean test set, under the data set's labels, of a linear classifier on the"
        " victim's features, fitted on at most 5,000 clean training images",
        "linear probe %", 13, axis="linear probe to the original classes, %",
    ),
)  # fmt: skip
#: The size of the perturbation, measured on the published 8-bit images.
CHANGED = (
    Column(
        "measured_linf", "number", "levels", "largest change of any channel of any pixel of any image", 2,
        brief="linf", shown=0, priority=15, summary=True,
    ),
    Column("measured_l2", "number", "[0, 1] scale", "largest length of an image's perturbation", 4),
    Column(
        "measured_rms", "number", "levels",
        "mean length of an image's perturbation over the root of the number of its values: its root mean square", 2,
    ),
    Column("measured_l0", "number", "pixels", "largest number of changed pixels of an image", 2),
    Column(
        "psnr", "number", "dB", "peak signal-to-noise ratio, mean over images", 2, "PSNR dB", "psnr dB",
        priority=16, summary=True,
    ),
    Column("ssim", "number", "", "structural similarity, mean over images", 4),
)  # fmt: skip
#: The cost.
COST = (
    Column(
        "seconds", "number", "s", "time to label, defend, train and measure", 2, "train s", shown=0, priority=18,
        summary=True,
    ),
    Column(
        "craft_seconds", "number", "s", "time to craft the release, shared by its rows", 2, "craft s", shown=0,
        priority=17, summary=True,
    ),
    Column("images_per_second", "number", "1/s", "training throughput", 2),
    _text("status", "`ok` or `failed`; the record says why"),
    _text("cell", "key of the cell, and name of its record: `records/<cell>.json`"),
)  # fmt: skip

_ALL = (*REQUESTED, *MEASURED, *CHANGED, *COST)
_BY_NAME = {column.name: column for column in _ALL}
#: Names of the columns of results.csv, in order.
COLUMNS = tuple(_BY_NAME)
#: Numbers that are averaged over seeds, the most important first.
AVERAGED = tuple(sorted((column for column in _ALL if column.priority), key=lambda column: column.priority))
#: Those that state an effect of a poisoner, which says nothing without a passed gate.
EFFECTS = frozenset({"drop", "drop_sham", "gap_removed"})
#: The dtype of each column of results.csv.
DTYPES = {column.name: column.dtype for column in _ALL}

#: Columns of tables with the control of a mixture only: its accuracy, and the gain from the protected part.
PART_ACCURACY, PART_GAIN = f"{CLEAN_PART}.accuracy", f"{CLEAN_PART}.gain"

#: Columns that decide which rows are comparable: poisoners rank only among those that share all of these.
BLOCK = ("dataset", "labeling", "victim", "norm", "epsilon", "mixture", "trusted", "label_access")
#: Those of a block but the label access, which the poisoner decides.
SETTING = tuple(name for name in BLOCK if name != "label_access")
#: Those of a setting that clean rows lack.
BUDGET = ("norm", "epsilon", "mixture")
#: Those of a setting that clean rows share.
EXPLOITER = tuple(name for name in SETTING if name not in BUDGET)
#: Columns that identify an entry of a leaderboard within its block.
ENTRY = ("poisoner", "preset", "surrogate", "craft_labels")

#: Columns that a plot can draw, and those that can be its axis.
PLOTTED = tuple(column.name for column in _ALL if column.axis)
PLOT_AXES = tuple(name for name in AXIS if name in GROUP_COLUMNS)
#: The part of a victim that ``--schedule`` changes.
SCHEDULE = "schedule"
#: Axes in which two compared leaderboards may differ on purpose.
DIFFERENCE_AXES = (*BLOCK, *(name for name in ENTRY if name != "poisoner"), SCHEDULE)


def _half(column: Column, of: str) -> Column:
    return replace(column, name=f"{column.name}_half", meaning=f"half-width of the 95 % interval of {of}")


_NO_DEFENSE = _accuracy("no_defense", "accuracy without defense", "no defense %")
_WORST = _accuracy(
    "worst",
    "the highest mean accuracy an exploiter reaches over the ranked defenses, `none` among them",
    "worst case %",
)
_EFFECT = Column(
    "effect", "number", "fraction", "(clean worst case - worst case) / (clean worst case - chance)", 4, "effect %",
    factor=100,
)  # fmt: skip
_SPREAD = "; empty where no release has two trainings"
#: Columns of leaderboard.csv, in order.
BOARD = (
    *(_BY_NAME[name] for name in BLOCK),
    _text(
        "gate",
        "`passed`, `failed` or `not judged`: without a passed [gate](gate.md) there is no rank, no effect",
    ),
    _text(
        "rank",
        "the places that [separations](statistics.md#ranks) leave open, such as `1-3`; 1 is the best protection; empty"
        " for references, oracles, where a ranked defense is missing, and where only one poisoner is left",
    ),
    *(_BY_NAME[name] for name in ENTRY),
    Column("seeds", "integer", "", "craft seeds that all ranked defenses have", heading="crafts"),
    _text("trainings", "trainings on each release without defense; a range where releases differ"),
    _text("exploratory", "`yes` below four crafts, else `no`"),
    _NO_DEFENSE, _half(_NO_DEFENSE, "`no_defense`"),
    _accuracy(
        "craft_sd", f"standard deviation of `no_defense` over crafts, without that over trainings{_SPREAD}", "",
        unit="points",
    ),
    _accuracy("training_sd", f"the one over trainings on one release, pooled{_SPREAD}", "", unit="points"),
    _BY_NAME["guess_accuracy"], _BY_NAME["purity"],
    _accuracy(
        "mean_over_defenses", "mean over the available ranked defenses; never used for ranking", "mean over defenses %"
    ),
    _WORST, _half(_WORST, "`worst`"),
    _accuracy(
        "worst_bias",
        "estimated [bias](statistics.md#the-worst-case) of `worst` by selecting the highest mean; empty with one craft",
        "bias", unit="points",
    ),
    _text("worst_defense", "the defense of that worst case", "best defense"),
    _EFFECT, _half(_EFFECT, "`effect`"),
    _accuracy("clean_worst", "the highest accuracy an exploiter reaches on clean images", "clean worst case %"),
    _text("missing", "ranked defenses without complete rows, joined by `+`"),
)  # fmt: skip


def column(name: str) -> Column:
    """The column of this name in results.csv; a generic description for columns of requested metrics."""
    return _BY_NAME.get(name) or Column(name, "number", "", "", 4, name, shown=2, summary=True)


def values_of(row: Mapping[str, Any], names: Iterable[str]) -> tuple[Any, ...]:
    """The values of these columns of a row, in their order."""
    return tuple(row[name] for name in names)
