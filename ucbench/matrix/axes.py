"""The axes of a matrix, described once for command line, Python, suites, records, tables and docs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from ucbench.errors import UsageError
from ucbench.plugins.grammar import is_list, parse_seeds


@dataclass(frozen=True)
class ValueType:
    """How the values of an axis are written.

    Attributes:
        expected: what a value must be, as a noun phrase with examples.
        read: converts a value from the command line, Python or TOML into the matrix's; idempotent. Raises ValueError or
            UsageError.
        is_text: whether the matrix holds text; suites exclude cells by patterns on such axes.
        examples: values that shells complete, for axes that are no kind of component.
    """

    expected: str
    read: Callable[[Any], Any]
    is_text: bool = False
    examples: tuple[str, ...] = ()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _fraction(value: str | float) -> float:
    text = str(value)
    try:  # in decimals: 33.3% is the cell of 0.333, which no binary division gives
        number = Decimal(text.removesuffix("%"))
        fraction = float(number / 100 if text.endswith("%") else number)
    except ArithmeticError as error:
        raise ValueError from error
    if not 0 < fraction <= 1:
        raise ValueError
    return fraction


def _count(value: str | int) -> int:
    count = int(value)
    if count < 0 or count != float(value):
        raise ValueError
    return count


def _trainings(value: str | int) -> int:
    count = _count(value)
    if count == 0:
        raise ValueError
    return count


def _factor(value: str | float) -> float:
    factor = float(str(value).removesuffix("x"))
    if not (math.isfinite(factor) and factor > 0):
        raise ValueError
    return factor


def _radius(value: str | float) -> float:
    from ucbench.data.budget import parse_epsilon  # imports numpy, which `ucbench run --help` does without

    return parse_epsilon(str(value))


def _seeds(value: str | int | Iterable[int]) -> tuple[int, ...]:
    if isinstance(value, Iterable) and not isinstance(value, str):
        value = ",".join(map(str, value))
    return parse_seeds(str(value))


#: The model behind predicted classes and clusters where craft labels name none; UC's surrogate too.
DEFAULT_LABELER = "efficientnet-lite0@auto"

COMPONENT = ValueType("a component reference, such as uc or uc@released:clusters=20", _text, is_text=True)
DEFENSES = ValueType("a defense, several joined with +, or none", _text, is_text=True)
CRAFT_LABELS = ValueType(
    "original, predicted[:model=NAME] or clusters[:k=K,model=NAME]",
    _text,
    is_text=True,
    examples=("original", "predicted", "clusters"),
)
RADIUS = ValueType("a number of 8-bit levels, such as 8 or 8/255", _radius)
FRACTION = ValueType("a fraction above 0 and at most 1, such as 0.4 or 40%", _fraction)
COUNT = ValueType("a whole number, 0 or more", _count)
TRAININGS = ValueType("a whole number, 1 or more", _trainings)
SEEDS = ValueType("seeds, such as 0, 0-2 or 0,3", _seeds)
FACTOR = ValueType("a factor above 0, such as 4x or 0.5x", _factor)


@dataclass(frozen=True)
class Axis:
    """One axis, or another option that is written like one (seeds, schedule).

    Attributes:
        name: argument of :func:`ucbench.matrix.requests.axes`, and key in records.
        plural: attribute of :class:`ucbench.matrix.matrix.Request`; empty for seeds, which are paired first.
        meaning: one sentence for the help.
        default: the default value; ``()`` for none.
        default_text: what happens without a value, for axes that have no default.
        columns: the entries of a cell's description that it decides, in the order of tables.
        implied: values in records that a component decides and no request can name.
        side: who decides it: ``data``, ``protector``, ``exploiter``; ``both`` for what both depend on.
        unit: of a number.
        repeatable: whether a request takes several values.
        priority: 1 for every table, 2 only for tables whose cells differ in it.
    """

    name: str
    type: ValueType
    metavar: str
    meaning: str
    plural: str = ""
    default: Any = ()
    default_text: str = ""
    columns: tuple[str, ...] = ()
    implied: tuple[str, ...] = ()
    side: Literal["data", "protector", "exploiter", "both"] = "both"
    unit: str = ""
    repeatable: bool = True
    priority: int = 1

    @property
    def option(self) -> str:
        return f"--{self.key}"

    @property
    def key(self) -> str:
        """The name in a suite file."""
        return self.name.replace("_", "-")

    @property
    def defaults(self) -> tuple[Any, ...]:
        """The default, as a tuple of values."""
        return tuple(self.values(self.default))

    @property
    def unremarkable(self) -> tuple[Any, ...]:
        """Values that go without saying: the default, and those that a component decides."""
        return (*self.implied, *self.defaults)

    @property
    def default_shown(self) -> str:
        """The default as text; empty for none."""
        number = isinstance(self.default, float)
        return self.default_text or (f"{self.default:g}" if number else "" if self.default == () else str(self.default))

    def read(self, value: Any) -> Any:
        """Convert one value, text or not.

        Raises:
            UsageError: if it is not of the axis's type, out of range, or a list.
        """
        if self.repeatable and isinstance(value, str) and is_list(value):
            raise UsageError(
                f"{self.option} takes one value at a time; got the list {value!r}. On the command line, repeat"
                f" {self.option}; in Python and suites, write a list."
            )
        try:
            return self.type.read(value)
        except (ValueError, TypeError, OverflowError):  # the last for an infinite number
            raise UsageError(f"{self.option} takes {self.type.expected}; got {value!r}.") from None

    def values(self, value: Any) -> list[Any]:
        """Convert one value or several; raises as :meth:`read`."""
        values = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
        return [self.read(one) for one in values]


#: The default victims: of small images, on which the other is slow and learns little; and of all others.
SMALL_VICTIM, VICTIM = "airbench@small", "resnet18"
#: Sides of images, in pixels, of which the first is the default.
SMALL = range(9, 64)

#: In the order of options and columns.
AXES = (
    Axis(
        "dataset", COMPONENT, "NAME", "Data set: photos, digits, parquet:DIR, imagefolder:DIR, ...",
        plural="datasets", default="photos", columns=("dataset",), side="data",
    ),
    Axis(
        "poisoner", COMPONENT, "NAME", "Poisoner: uc, uc@released:clusters=20, ...; references are added.",
        plural="poisoners", columns=("poisoner", "preset"), side="protector",
    ),
    Axis(
        "surrogate", COMPONENT, "NAME", "The model a poisoner optimises against.",
        plural="surrogates", default_text="the poisoner's", columns=("surrogate",), implied=("none",),
        side="protector",
    ),
    Axis(
        "craft_labels", CRAFT_LABELS, "LABELS", "Labels for label-based poisoners: original, clusters:k=K, predicted.",
        plural="craft_labels", default="original", columns=("craft_labels",), implied=("none", "names", "exploiter"),
        side="protector",
    ),
    Axis(
        "labeling", COMPONENT, "NAME", "The exploiter's labels.",
        plural="labelings", default="original", columns=("labeling",), side="exploiter",
    ),
    Axis(
        "defense", DEFENSES, "CHAIN", "Defense, or several joined with +; none: only the victim's recipe.",
        plural="defenses", default="none", columns=("defense",), side="exploiter",
    ),
    Axis(
        "victim", COMPONENT, "NAME", "Victim: airbench@small, resnet18, resnet18:width=32, timm:MODEL, ...",
        plural="victims", default_text=f"{SMALL_VICTIM} for 9 to 63 px, else {VICTIM}", columns=("victim",),
        side="exploiter",
    ),
    Axis(
        "epsilon", RADIUS, "E", "Radius of linf budgets in 8-bit levels: 8 or 8/255.",
        plural="epsilons", default_text="the data set's, else the poisoner's", columns=("norm", "epsilon"),
        side="protector", unit="8-bit levels",
    ),
    Axis(
        "mixture", FRACTION, "FRACTION", "Poisoned fraction of the training set: 0.4 or 40%.",
        plural="mixtures", default=1.0, columns=("mixture",), side="protector", priority=2,
    ),
    Axis(
        "trusted", COUNT, "N", "Clean labelled images for the exploiter, taken out of the training set.",
        plural="trusted", default=0, columns=("trusted",), side="data", unit="images", priority=2,
    ),
    Axis(
        "metric", COMPONENT, "NAME", "Measure beyond those in every record; see `ucbench list metric`.",
        plural="metrics",
    ),
    Axis(
        "seed", SEEDS, "SEEDS", "Craft seeds, each with train seeds of its own: 0, 0-2 or 0,3.", default=0,
        repeatable=False,
    ),
    Axis(
        "trainings", TRAININGS, "N", "Trainings per release: with craft seed C, train seeds N*C to N*C+N-1.",
        default=1, side="exploiter", repeatable=False,
    ),
    Axis(
        "craft_seed", SEEDS, "SEEDS", "Craft seeds, crossed with the train seeds.",
        default_text="as --seed", columns=("craft_seed",), side="protector", repeatable=False,
    ),
    Axis(
        "train_seed", SEEDS, "SEEDS", "Train seeds, crossed with the craft seeds.",
        default_text="as --seed", columns=("train_seed",), side="exploiter", repeatable=False,
    ),
    Axis(
        "schedule", FACTOR, "FACTOR", "Multiply every victim's epochs: 4x, 0.5x.",
        plural="schedule", default=1.0, side="exploiter", repeatable=False,
    ),
)  # fmt: skip

#: By name.
AXIS = {axis.name: axis for axis in AXES}
#: The columns without seeds: rows that agree in these are averaged.
GROUP_COLUMNS = tuple(column for axis in AXES if axis.type is not SEEDS for column in axis.columns)
