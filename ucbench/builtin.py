"""The components of the core itself: the rows every table is read against, ways to compute cells, and formats.

``clean`` changes nothing. ``sham`` adds noise of the same budget that carries no information. ``positive`` is a
class-wise shortcut told the exploiter's labels: an oracle that no protector has, which shows that the regime can show
an effect at all. ``shuffled:POISONER`` gives another poisoner's own perturbations to random images: what it still
does is the noise's doing, what it no longer does was the association's. ``clean-pixels`` and ``clean-part`` are
defenses nobody has.
"""

from __future__ import annotations

from collections.abc import Iterator

from ucbench.components import DefenseRecord, ExecutorRecord, ExporterRecord, PoisonerRecord
from ucbench.hookspecs import hookimpl

CLEAN, SHAM, POSITIVE, SHUFFLED = "clean", "sham", "positive", "shuffled"
#: Written where others write a chain of defenses.
NO_DEFENSE = "none"
#: The control of a mixture.
CLEAN_PART = "clean-part"


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerRecord]:
    yield PoisonerRecord(
        name=CLEAN,
        summary="Reference: the pictures as they are",
        load="ucbench.references:Clean",
        budget="unbounded",
        granularity="universal",
    )
    yield PoisonerRecord(
        name=SHAM,
        summary="Reference: uniform noise within the budget, drawn for every image",
        load="ucbench.references:Sham",
    )
    yield PoisonerRecord(
        name=POSITIVE,
        summary="Reference: a class-wise pattern of blocks, told the exploiter's labels (oracle)",
        load="ucbench.references:Positive",
        params="ucbench.references:PositiveParams",
        label_access="full",
        granularity="class",
        oracle=True,
    )
    yield PoisonerRecord(
        name=SHUFFLED,
        summary="Reference: shuffled:POISONER, that poisoner's perturbations given to random images",
        load="ucbench.references:Shuffled",
        params="ucbench.references:ShuffledParams",
    )


@hookimpl
def ucbench_defenses() -> Iterator[DefenseRecord]:
    yield DefenseRecord(
        name="clean-pixels",
        summary="Control: the clean pictures under the labels of the published ones (oracle)",
        load="ucbench.references:CleanPixels",
        tier="T4",
        static=True,
        oracle=True,
    )
    yield DefenseRecord(
        name=CLEAN_PART,
        summary="Control of a mixture: the unprotected part alone, at equally many steps (oracle)",
        load="ucbench.references:CleanPart",
        tier="T4",
        static=True,
        oracle=True,
    )


@hookimpl
def ucbench_executors() -> Iterator[ExecutorRecord]:
    yield ExecutorRecord(
        name="serial",
        summary="One cell after another, in this process",
        load="ucbench.executors.serial:Serial",
    )
    yield ExecutorRecord(
        name="process",
        summary="Several processes of this machine: process:workers=2",
        load="ucbench.executors.process:Processes",
        params="ucbench.executors.params:ProcessParams",
    )


@hookimpl
def ucbench_exporters() -> Iterator[ExporterRecord]:
    yield ExporterRecord(
        name="csv",
        summary="leaderboard.csv: a row an entry, every column",
        load="ucbench.exporters.plain:Csv",
    )
    yield ExporterRecord(
        name="html",
        summary="A fragment for web pages: a section of tables, one a block",
        load="ucbench.exporters.html:Html",
    )
    yield ExporterRecord(
        name="latex",
        summary="Tables for papers, one a block, with the rules of booktabs",
        load="ucbench.exporters.latex:Latex",
        aliases=("tex",),
    )
    yield ExporterRecord(
        name="markdown",
        summary="README.md: tables to read, one a block",
        load="ucbench.exporters.plain:Markdown",
        aliases=("md",),
    )
