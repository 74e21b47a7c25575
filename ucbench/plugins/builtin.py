"""The components of the core itself: the rows every table is read against, ways to compute cells, and formats.

``clean`` changes nothing. ``sham`` adds noise of the same budget that carries no information. ``positive`` is a
class-wise shortcut told the exploiter's labels: an oracle that no protector has, which shows that the regime can show
an effect at all. ``shuffled:POISONER`` gives another poisoner's own perturbations to random images: what it still
does is the noise's doing, what it no longer does was the association's. ``clean-pixels`` and ``clean-part`` are
defenses nobody has.
"""

from __future__ import annotations

from collections.abc import Iterator

from ucbench.plugins.hookspecs import hookimpl
from ucbench.plugins.specs import DefenseSpec, ExecutorSpec, ExporterSpec, PoisonerSpec

CLEAN, SHAM, POSITIVE, SHUFFLED = "clean", "sham", "positive", "shuffled"
#: Written where others write a chain of defenses.
NO_DEFENSE = "none"
#: The control of a mixture.
CLEAN_PART = "clean-part"


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name=CLEAN,
        summary="Reference: the pictures as they are",
        load="ucbench.crafting.references:Clean",
        budget="unbounded",
        granularity="universal",
    )
    yield PoisonerSpec(
        name=SHAM,
        summary="Reference: uniform noise within the budget, drawn for every image",
        load="ucbench.crafting.references:Sham",
    )
    yield PoisonerSpec(
        name=POSITIVE,
        summary="Reference: a class-wise pattern of blocks, told the exploiter's labels (oracle)",
        load="ucbench.crafting.references:Positive",
        params="ucbench.plugins.builtin_params:PositiveParams",
        label_access="full",
        granularity="class",
        oracle=True,
    )
    yield PoisonerSpec(
        name=SHUFFLED,
        summary="Reference: shuffled:POISONER, that poisoner's perturbations given to random images",
        load="ucbench.crafting.references:Shuffled",
        params="ucbench.plugins.builtin_params:ShuffledParams",
    )


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="clean-pixels",
        summary="Control: the clean pictures under the labels of the published ones (oracle)",
        load="ucbench.exploit.controls:CleanPixels",
        tier="T4",
        static=True,
        oracle=True,
    )
    yield DefenseSpec(
        name=CLEAN_PART,
        summary="Control of a mixture: the unprotected part alone, at equally many steps (oracle)",
        load="ucbench.exploit.controls:CleanPart",
        tier="T4",
        static=True,
        oracle=True,
    )


@hookimpl
def ucbench_executors() -> Iterator[ExecutorSpec]:
    yield ExecutorSpec(
        name="serial",
        summary="One cell after another, in this process",
        load="ucbench.running.executors.serial:Serial",
    )
    yield ExecutorSpec(
        name="process",
        summary="Several processes of this machine: process:workers=2",
        load="ucbench.running.executors.process:Processes",
        params="ucbench.running.executors.process:ProcessParams",
    )


@hookimpl
def ucbench_exporters() -> Iterator[ExporterSpec]:
    yield ExporterSpec(
        name="csv",
        summary="leaderboard.csv: a row an entry, every column",
        load="ucbench.leaderboard.formats.plain:Csv",
    )
    yield ExporterSpec(
        name="html",
        summary="A fragment for web pages: a section of tables, one a block",
        load="ucbench.leaderboard.formats.html:Html",
    )
    yield ExporterSpec(
        name="latex",
        summary="Tables for papers, one a block, with the rules of booktabs",
        load="ucbench.leaderboard.formats.latex:Latex",
        aliases=("tex",),
    )
    yield ExporterSpec(
        name="markdown",
        summary="README.md: tables to read, one a block",
        load="ucbench.leaderboard.formats.plain:Markdown",
        aliases=("md",),
    )
