"""The components of the core: reference poisoners, control defenses, executors and leaderboard formats.

``clean`` changes nothing. ``sham`` adds noise of the same budget that carries no information. ``positive`` is a
class-wise shortcut for the exploiter's labels: an oracle, which shows that the setting can show an effect at all.
``shuffled:POISONER`` assigns that poisoner's perturbations to random images, which separates the effect of the noise
from that of its association with the images. ``clean-pixels`` and ``clean-part`` read clean data, which no exploiter
has; :func:`ucbench.matrix.compatibility.is_unrankable` says which defenses no worst case includes.
"""

from __future__ import annotations

from collections.abc import Iterator

from ucbench.plugins.hookspecs import hookimpl
from ucbench.plugins.specs import DefenseSpec, ExecutorSpec, ExporterSpec, PoisonerSpec

CLEAN, SHAM, POSITIVE, SHUFFLED = "clean", "sham", "positive", "shuffled"
#: The poisoners that other rows are read against. They are not methods of protection, so they are never ranked; nor are
#: oracles, which see more than a protector can. :func:`ucbench.leaderboard.ranking.unranked` has both.
REFERENCES = (CLEAN, SHAM, POSITIVE, SHUFFLED)
#: Those that every run adds: each row states its differences to them.
ADDED_REFERENCES = (CLEAN, SHAM)
#: Those that compute no perturbation: clean has none, and shuffled reassigns those of another poisoner.
UNCRAFTED = (CLEAN, SHUFFLED)
#: The text of an empty chain of defenses.
NO_DEFENSE = "none"
#: The control of a mixture.
CLEAN_PART = "clean-part"


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name=CLEAN,
        summary="Reference: the unchanged images",
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
        summary="Reference: a class-wise pattern of blocks for the exploiter's labels (oracle)",
        load="ucbench.crafting.references:Positive",
        params="ucbench.plugins.builtin_params:PositiveParams",
        label_access="full",
        granularity="class",
        oracle=True,
    )
    yield PoisonerSpec(
        name=SHUFFLED,
        summary="Reference: shuffled:POISONER, that poisoner's perturbations on random images",
        load="ucbench.crafting.references:Shuffled",
        params="ucbench.plugins.builtin_params:ShuffledParams",
    )


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="clean-pixels",
        summary="Control: the clean images under the labels of the published ones (oracle)",
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
        summary="Several processes on this machine: process:workers=2",
        load="ucbench.running.executors.process:Processes",
        params="ucbench.running.executors.process:ProcessParams",
        sample="workers=2",
    )


@hookimpl
def ucbench_exporters() -> Iterator[ExporterSpec]:
    yield ExporterSpec(
        name="csv",
        summary="leaderboard.csv: one row per entry, all columns",
        load="ucbench.leaderboard.formats.plain:Csv",
    )
    yield ExporterSpec(
        name="html",
        summary="A fragment for web pages: one table per block",
        load="ucbench.leaderboard.formats.html:Html",
    )
    yield ExporterSpec(
        name="latex",
        summary="Tables for papers: one per block, with booktabs rules",
        load="ucbench.leaderboard.formats.latex:Latex",
        aliases=("tex",),
    )
    yield ExporterSpec(
        name="markdown",
        summary="README.md: one table per block",
        load="ucbench.leaderboard.formats.plain:Markdown",
        aliases=("md",),
    )
