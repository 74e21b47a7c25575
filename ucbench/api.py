"""The Python API (:func:`run`, :func:`plan`, :func:`craft`, :func:`protect`, :func:`analyze`) and steps of commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ucbench.data.budget import Budget, parse_epsilon
from ucbench.errors import UsageError, did_you_mean
from ucbench.matrix.axes import AXES, AXIS, DEFAULT_LABELER
from ucbench.matrix.cell import Cell, Craft, CraftLabels
from ucbench.matrix.compatibility import check_surrogate, is_oracle, surrogate_of
from ucbench.matrix.matrix import Axes, dedup_key, expand, native_budget
from ucbench.numerics import resolve
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import ExecutorSpec, PoisonerSpec, SurrogateSpec
from ucbench.progress import Progress, Silent, in_notebook, reporting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from ucbench.analysis.analyze import Analysis
    from ucbench.analysis.measures import AnalysisRequest
    from ucbench.data.given import Layout
    from ucbench.matrix.suite import Suite
    from ucbench.protection.manifest import Format
    from ucbench.protection.protect import Protection
    from ucbench.results.frame import Results
    from ucbench.results.records import Record
    from ucbench.running.runner import Rerun
    from ucbench.session import Session

Texts = str | Sequence[str]
Numbers = str | float | Sequence[str | float]
Seeds = str | int | Sequence[int] | None


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a plan.

    Attributes:
        done: whether its record is in the store or the result folder.
        release_done: whether its release is in the store, or crafted by an earlier cell of the plan.
        seconds: predicted for what is missing, from earlier work of the same kind on this machine; None without any.
    """

    cell: Cell
    key: str
    done: bool
    release_done: bool
    seconds: float | None


def run(
    *,
    out: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    executor: str = "serial",
    rerun: Rerun = "failed",
    **axis: Any,
) -> Results:
    """Run the cross product of the axes (see :func:`axes`) and return one row per cell, references included.

    A cell that fails raises nothing; its row has the status ``failed``. ``executor="process:workers=2"`` uses two
    processes; a script then needs the guard ``if __name__ == "__main__"``.

    >>> ucbench.run(poisoner="uc", victim="resnet18", seed="0-2")  # doctest: +SKIP

    Args:
        out: folder for records, ``results.csv`` and image sheets.
        progress: where stages report; by default a notebook shows bars, and a script nothing.
        executor: reference of the component that computes the cells.
        rerun: which cells are computed again, see :func:`ucbench.running.runner.run_cells`.

    Raises:
        UsageError: for names or values that do not exist, and a device that this machine does not have.
        StoreError: if the store or ``out`` cannot be written; finished cells stay.
    """
    request = _request("run", axis)
    folder = _folder(out)
    with reporting(quiet=not in_notebook()) as shown:
        session = open_session(device=device, dtype=dtype, threads=threads, progress=progress or shown)
        records = run_session(cells_of(request, session), session, out=folder, executor=executor, rerun=rerun)
    from ucbench.results.frame import results

    return results(records)


def read_results(path: str | Path) -> Results:
    """The results in ``path``, as :func:`run` returns them: one row per cell.

    >>> ucbench.read_results("leaderboards/photos-core/v1")  # doctest: +SKIP

    Args:
        path: a leaderboard, the ``out`` of a run, a folder of records, or a ``results.csv``, whose numbers are rounded.

    Raises:
        DataError: if there are no records, or one cannot be read; if a file is not a ``results.csv``.
    """
    from ucbench.results.frame import read

    return read(Path(path).expanduser())


def plot(results: pd.DataFrame) -> Figure:
    """The forest plot of results: every poisoner's accuracy with its interval, between chance and clean accuracy.

    Of several settings it shows the one with most poisoners; select rows for another. Marks are grey, with a note,
    unless the setting passed its gate. It needs the extra ``plot``.

    >>> ucbench.plot(ucbench.read_results("results")).savefig("accuracy.pdf")  # doctest: +SKIP

    Args:
        results: what :func:`run` or :func:`read_results` returned, or rows of it with all columns.

    Returns:
        A ``matplotlib.figure.Figure`` on a transparent ground.

    Raises:
        UsageError: if matplotlib is missing; the text has the install line.
        DataError: if no finished cell without defense has a poisoner.
    """
    from ucbench.leaderboard.forest import forest
    from ucbench.leaderboard.forest_scene import forest_scene

    return forest_scene(forest(results)).figure()


def plan(
    *,
    out: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    **axis: Any,
) -> list[PlannedCell]:
    """The cells of a run with these axes, and which of them are done.

    Computes nothing, but loads the data, whose fingerprints are part of the keys.
    """
    request = _request("plan", axis)
    session = open_session(device=device, dtype=dtype, threads=threads)
    return plan_session(cells_of(request, session), session, out=_folder(out))


def _folder(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path).expanduser()


def craft(
    images: Any,
    labels: ArrayLike | None,
    poisoner: str,
    *,
    surrogate: str | None = None,
    epsilon: str | float | None = None,
    seed: int = 0,
    layout: Layout = "NCHW",
    size: int = 32,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Any:
    """Perturb images, and return the release in the kind and layout of what was given. It is not stored.

    Images of different sizes are perturbed by patterns: crafted on their central squares, reduced to ``size``, and
    fitted to each by :func:`ucbench.protection.stretch.stretched`.

    >>> release = ucbench.craft(images, None, "uc", epsilon=16)  # doctest: +SKIP
    >>> safe = ucbench.craft([Image.open(path) for path in paths], None, "uc@photos", epsilon=8)  # doctest: +SKIP

    Args:
        images: a uint8 array ``[N, 3, H, W]``, or a tensor in main memory; or a list of arrays of one image each, or of
            PIL images in mode RGB, of the same or different sizes.
        labels: whole numbers from 0, ``[N]``, as an array, tensor or list; or None for poisoners that read none.
        epsilon: linf radius in 8-bit units; by default the poisoner's native one.
        layout: of arrays: ``NCHW``, or ``NHWC`` for channels last.
        size: working size in pixels for images of different sizes.

    Returns:
        uint8: an array in the layout given; or a list of arrays or PIL images.

    Raises:
        UsageError: for unknown names, images, labels or a seed of another form, a surrogate that does not fit, a
            label-based poisoner without labels, or images of different sizes and a budget that is not linf.
        ContractError: if the poisoner returned what its contract forbids.
    """
    from ucbench.crafting.craft import craft_labels, craft_release
    from ucbench.crafting.release import materialise
    from ucbench.data.given import given_images
    from ucbench.data.imageset import ImageSet
    from ucbench.protection.stretch import perturbed
    from ucbench.protection.working import working_images
    from ucbench.running.preflight import device_problem

    given = given_images(images, layout)
    classes_of = None if labels is None else _classes(labels, len(given.photos))
    seeds = AXIS["seed"].read(seed)
    if len(seeds) != 1:
        raise UsageError(f"craft() takes one seed, got {seed!r}.")
    session = open_session(device=device, dtype=dtype, threads=threads, progress=progress)
    if problem := device_problem(session.numerics):
        raise UsageError(problem)
    component = session.registry.resolve(PoisonerSpec, poisoner)
    spec = component.spec
    if labels is None and spec.label_access == "full":
        raise UsageError(f"Poisoner {spec.name!r} is label-based and needs labels.")
    budget = native_budget(spec, component.params)
    if budget.norm == "linf" and epsilon is not None:
        budget = Budget("linf", parse_epsilon(str(epsilon)))
    if not given.one_size and budget.norm != "linf":
        raise UsageError(f"Images of different sizes need a poisoner with a linf budget; {poisoner} has {budget.norm}.")
    model = session.registry.resolve(SurrogateSpec, surrogate or surrogate_of(component)) if spec.surrogate else None
    check_surrogate(spec, model)
    source = "original" if spec.label_access == "full" else "none"
    request = Craft(component, model, CraftLabels(source), budget, seeds[0])
    classes = () if classes_of is None else tuple(str(k) for k in range(int(classes_of.max()) + 1))
    pixels = given.pixels if given.one_size else working_images(given.photos, size).images
    train = ImageSet(pixels, classes_of, classes, name="images")
    release = craft_release(request, train, craft_labels(request, train, None, session), session)
    if given.one_size:
        return given.returned(materialise(pixels, release.changes, release.index).transpose(0, 2, 3, 1))
    changes = (release.changes[k] for k in release.index)
    return given.returned(perturbed(photo, change) for photo, change in zip(given.photos, changes, strict=True))


def _classes(labels: ArrayLike, count: int) -> NDArray[np.int64]:
    import numpy as np

    try:
        array = np.asarray(labels)
    except (TypeError, ValueError) as error:  # on a GPU, or lists of several lengths
        raise UsageError(f"Labels cannot be read as an array: {error}") from error
    if array.dtype.kind not in "iu" or array.shape != (count,):
        raise UsageError(f"Labels must be {count} whole numbers, one per image; got {array.dtype} {list(array.shape)}.")
    if array.min() < 0:
        raise UsageError(f"Labels are numbered from 0, got {array.min()}.")
    return array.astype("int64")


def axes(
    *,
    poisoner: Texts = AXIS["poisoner"].default,
    dataset: Texts = AXIS["dataset"].default,
    surrogate: Texts = AXIS["surrogate"].default,
    craft_labels: Texts = AXIS["craft_labels"].default,
    labeling: Texts = AXIS["labeling"].default,
    defense: Texts = AXIS["defense"].default,
    victim: Texts = AXIS["victim"].default,
    epsilon: Numbers = AXIS["epsilon"].default,
    mixture: Numbers = AXIS["mixture"].default,
    trusted: Numbers = AXIS["trusted"].default,
    metric: Texts = AXIS["metric"].default,
    seed: Seeds = None,
    trainings: str | int | None = None,
    craft_seed: Seeds = None,
    train_seed: Seeds = None,
    schedule: str | float = AXIS["schedule"].default,
) -> Axes:
    """Build a request. Every axis takes one value or several; every metric is measured for every cell.

    ``seed`` ("0-2", "0,4", [0, 4]) sets craft seeds. Every craft seed C has ``trainings`` N of its own, with train
    seeds N*C to N*C+N-1: C itself where N is 1. ``craft_seed`` and ``train_seed`` cross instead. Epsilon is the linf
    radius in 8-bit units: ``8`` or ``"8/255"``. ``schedule`` multiplies the epochs of every victim. See
    :data:`ucbench.matrix.axes.AXES`.

    Raises:
        UsageError: for ``seed`` or ``trainings`` beside ``craft_seed`` or ``train_seed``, or unreadable values.
    """
    values = locals()
    nested, crossed = (seed, trainings), (craft_seed, train_seed)
    if any(value is not None for value in nested) and any(value is not None for value in crossed):
        raise UsageError(
            "Give either --seed and --trainings, where every craft seed has train seeds of its own, or --craft-seed and"
            " --train-seed, which cross."
        )
    if crossed == (None, None):
        count = AXIS["trainings"].read(1 if trainings is None else trainings)
        crafts = AXIS["seed"].read(0 if seed is None else seed)
        pairs = [(craft, count * craft + number) for craft in crafts for number in range(count)]
    else:
        crafts, trains = (AXIS["seed"].read(0 if text is None else text) for text in (craft_seed, train_seed))
        pairs = [(craft, train) for craft in crafts for train in trains]
    request = {axis.request: values[axis.name] for axis in AXES if axis.request}
    return Axes(**request, labeler=DEFAULT_LABELER, seeds=pairs)


def _request(function: str, values: dict[str, Any]) -> Axes:
    """As :func:`axes`; a name that is no axis is an error of ``function``."""
    if unknown := [name for name in values if name not in AXIS]:
        raise UsageError(
            f"{function}() has no argument {unknown[0]!r}.{did_you_mean(unknown[0], AXIS)} The axes: {', '.join(AXIS)}."
        )
    return axes(**values)


def cells_of(request: Axes, session: Session) -> list[Cell]:
    """The cells of a request, references included."""
    return expand(request, session.registry)


def open_session(
    *,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    home: Path | None = None,
    progress: Progress | None = None,
) -> Session:
    """The installed plugins with this machine's numerics; the store is in ``home``, by default UCBENCH_HOME."""
    from ucbench.session import Session
    from ucbench.store.store import Store

    receiver = progress or Silent()

    @contextmanager
    def waiting(text: str) -> Iterator[None]:
        receiver.say(text)
        with receiver.stage("waiting"):
            yield

    return Session(Store(home, waiting), resolve(device, dtype, threads), receiver, installed())


def run_session(
    cells: Sequence[Cell],
    session: Session,
    *,
    out: Path | None = None,
    executor: str = "serial",
    rerun: Rerun = "failed",
) -> list[Record]:
    """As :func:`run`, for these cells in a session; returns their records in the same order."""
    component = session.registry.resolve(ExecutorSpec, executor)
    # Not before: a wrong request should fail without the seconds that importing torch takes.
    from ucbench.results.table import update_csv
    from ucbench.running.preflight import preflight
    from ucbench.running.runner import run_cells

    preflight(session, out, device=not component.spec.remote)
    records = run_cells(cells, session, out=out, executor=component.build(), rerun=rerun)
    if out is not None:
        update_csv(out)
        _write_sheets(cells, records, out, session)
    return records


def _write_sheets(cells: Iterable[Cell], records: Iterable[Record], out: Path, session: Session) -> None:
    """Write one image sheet per release."""
    from ucbench.crafting.release import Release
    from ucbench.export.sheet import write_sheet

    for cell, record in zip(cells, records, strict=True):
        key = record["release"]
        if key is None or cell.craft.is_reference or record["status"] != "ok":
            continue
        path = out / "sheets" / f"{cell.craft.poisoner.spec.name}-{key[:12]}.png"
        stored = None if path.exists() else session.store.get("release", key)
        if stored is not None:
            release = Release.from_arrays(stored.arrays, stored.meta)
            title = f"{cell.craft.poisoner} on {cell.dataset}, craft seed {cell.craft.seed}"
            write_sheet(path, session.protected(cell).images, release, title)


def plan_session(
    cells: Sequence[Cell], session: Session, *, out: Path | None = None, probe: bool = False
) -> list[PlannedCell]:
    """As :func:`plan`, for these cells in a session.

    Args:
        probe: time two steps of every kind of training that was never done on this machine.
    """
    from ucbench.running.estimate import predicted, probe_training, training_work
    from ucbench.running.preflight import check_victims
    from ucbench.running.tasks import finished, task_of, with_crafting

    planned = []
    tasks = [task_of(cell, session) for cell in cells]
    check_victims(tasks, session)
    for task, crafts in with_crafting(tasks, session):
        cell, done = task.cell, finished(task, session, out) is not None
        if probe and not done:
            train = session.data(cell).train
            work = training_work(cell, len(train), train.size, session.numerics)
            session.timings.assume(work, partial(probe_training, cell, session))
        seconds = 0.0 if done else predicted(task, session, crafts=crafts)
        planned.append(PlannedCell(cell, task.key, done, not crafts, seconds))
    return planned


def protect(
    photos: str | Path,
    out: str | Path,
    *,
    poisoner: str | None = None,
    surrogate: str | None = None,
    epsilon: str | float | None = None,
    clusters: int | str | None = None,
    size: int | None = None,
    seed: int | None = None,
    format: Format | None = None,
    quality: int | None = None,
    keep_gps: bool | None = None,
    patterns_of: str | Path | None = None,
    jobs: int = 1,
    by_folder: bool = False,
    check: bool = False,
    force: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Protection:
    """Write perturbed copies of the photos in a folder, of any sizes, to another folder, with a manifest and a report.

    Similar photos share a pattern. The copies have the folders and names of the originals, which stay as they are.
    A second call does only what is new or changed, with the settings of the first; an interrupted one continues. The
    files ``ucbench.json`` and ``ucbench.npz`` are needed for that, and anybody who has them can undo the change: do
    not publish them.

    >>> ucbench.protect("photos", "safe")  # doctest: +SKIP

    Args:
        photos: folder with photos, also in folders below. What is no photo, damaged, hidden, animated or a link is
            left, and listed with the reason.
        out: folder for the copies, outside ``photos``.
        poisoner: what makes patterns, of linf radius ``epsilon`` in 8-bit levels; 8 by default.
        surrogate: model whose features are clustered; by default the poisoner's.
        clusters: groups of similar photos; ``auto``, the default: from 2 to 20, about one for every eight photos.
        size: side of the squares that patterns are crafted on, in pixels; 32 by default.
        format: ``png`` (the default) or ``webp``, lossless; ``same`` type as the original; or ``jpeg``. JPEG and AVIF
            files lose a part of the change, and differ by more than ``epsilon``.
        quality: of JPEG and AVIF files, 1 to 100; 95 by default.
        keep_gps: keep the position in the metadata.
        patterns_of: the ``ucbench.json`` of another folder, whose patterns are used.
        jobs: processes that write copies; for more than one, a script needs the guard ``if __name__ == "__main__"``.
        by_folder: for ``check``: every folder is a class.
        check: train on the copies to measure their effect, which takes minutes.
        force: overwrite files in ``out`` that no earlier run wrote, or that were changed since.
        dry_run: only say what would be done.

    Raises:
        UsageError: for names and values that do not exist or fit; if the settings differ from those of the earlier
            run; if files would be overwritten.
        DataError: if no photo can be protected, or ``ucbench.json`` or ``ucbench.npz`` is damaged.
        StoreError: if a file cannot be written.
    """
    from ucbench.protection.protect import protect as protect_folder
    from ucbench.protection.request import Request
    from ucbench.running.preflight import device_problem

    request = Request(
        labeler=DEFAULT_LABELER, poisoner=poisoner, surrogate=surrogate, epsilon=epsilon,
        clusters=None if clusters is None else str(clusters), size=size, seed=seed, format=format, quality=quality,
        keep_gps=keep_gps,
    )  # fmt: skip
    session = open_session(device=device, dtype=dtype, threads=threads, progress=progress)
    if not dry_run and (problem := device_problem(session.numerics)):
        raise UsageError(problem)
    return protect_folder(
        Path(photos).expanduser(), Path(out).expanduser(), request, session, jobs=jobs,
        patterns_of=_folder(patterns_of), by_folder=by_folder, check=check, force=force, dry_run=dry_run,
    )  # fmt: skip


def analyze(
    results: str | Path | None = None,
    *,
    out: str | Path | None = None,
    layer: str = "penultimate",
    pairs: int = 2000,
    maps: int = 500,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    executor: str = "serial",
    **axis: Any,
) -> Analysis:
    """Measure why releases are unlearnable: of the cells of these axes, or of the records in ``results``.

    Cells that are not done are run first, as :func:`run` does, and their victims are kept in the store. A victim that
    was trained before and not kept is trained again, once.

    >>> ucbench.analyze(poisoner=["uc", "mi-ue"], victim="airbench@small", seed="0-3")  # doctest: +SKIP

    Args:
        results: a folder of records, as the ``out`` of a run, instead of axes.
        out: folder for analysis.csv, analysis.md and plots; with axes also for what :func:`run` writes.
        layer: of the victim: ``penultimate``, ``input``, ``logits``, or a number, see
            :func:`ucbench.layer_features`.
        pairs: images that are measured at most.
        maps: images in the maps of features, of which there is one per poisoner; 0 for no maps.

    Raises:
        UsageError: as :func:`run`; for both or neither of ``results`` and axes.
        DataError: if no cell could be measured, or the records cannot be read.
    """
    if (results is None) == (not axis):
        raise UsageError("analyze() takes a folder of results or axes, such as poisoner=.")
    from ucbench.analysis.measures import AnalysisRequest

    wanted = AnalysisRequest(layer, pairs, maps)
    session = open_session(device=device, dtype=dtype, threads=threads, progress=progress)
    if results is not None:
        return analyze_folder(Path(results).expanduser(), session, wanted, out=_folder(out), executor=executor)
    cells = cells_of(_request("analyze", axis), session)
    return analyze_session(cells, session, wanted, out=_folder(out), executor=executor)


def analyze_session(
    cells: Sequence[Cell],
    session: Session,
    request: AnalysisRequest,
    *,
    out: Path | None = None,
    executor: str = "serial",
) -> Analysis:
    """As :func:`analyze`, for these cells in a session."""
    from ucbench.analysis.analyze import analyzed
    from ucbench.analysis.measures import measured
    from ucbench.analysis.recorded import Recorded

    requested = measured(cells, request.metrics(session.registry))
    records = run_session(requested, session, out=out, executor=executor)
    return analyzed([Recorded(session, requested, records)], request, out)


def analyze_folder(
    folder: Path, session: Session, request: AnalysisRequest, *, out: Path | None = None, executor: str = "serial"
) -> Analysis:
    """As :func:`analyze`, for the records in a folder, with their numerics. The folder's records stay as they are."""
    from ucbench.analysis.analyze import analyzed
    from ucbench.analysis.measures import measured
    from ucbench.analysis.recorded import Recorded, recorded, with_measures

    metrics = request.metrics(session.registry)
    groups = []
    for group in recorded(folder, session):
        requested = measured(group.cells, metrics)
        complete = with_measures(requested, group)
        missing = [cell for cell, record in zip(requested, complete, strict=True) if record is None]
        computed = iter(run_session(missing, group.session, executor=executor) if missing else ())
        groups.append(Recorded(group.session, requested, [record or next(computed) for record in complete]))
    return analyzed(groups, request, out)


def suite(name: str) -> Suite:
    """The suite of that name, from ucbench or a plugin, or the one in a file ``name.toml``.

    Raises:
        UsageError: if there is none, or its file is wrong.
    """
    from ucbench.matrix.suite import find_suite

    return find_suite(name, suites()[0])


def suites() -> tuple[dict[str, Path], list[str]]:
    """The files of all suites by name, and one sentence for every plugin whose suites cannot be listed."""
    from ucbench.matrix.suite import shipped_suites
    from ucbench.plugins.manager import suite_paths

    paths, problems = suite_paths(installed().plugins)
    return {**paths, **shipped_suites()}, problems


def suite_cells(suite: Suite, session: Session, *, shard: str | None = None, **axis: Any) -> list[Cell]:
    """The cells of a suite, references included; ``axis`` replaces axes in all its tables.

    They come by train seed, then in the order of the tables: a suite that is stopped has measured everything equally
    often, as far as it came.

    Args:
        shard: one part of the cells, such as ``3/16``; cells that share a release are in the same part.

    Raises:
        UsageError: for names or values that do not exist or do not fit together.
    """
    from ucbench.matrix.suite import shard as part_of

    for defense in suite.file.ranking.defenses:
        if is_oracle(defense, session.registry):
            raise UsageError(
                f"Suite {suite.path}: ranking.defenses names {defense}, which sees more than exploiters do."
            )
    cells: dict[str, Cell] = {}
    for request in suite.requests(axis):
        for cell in expand(axes(**request), session.registry, suite.keeps):
            cells.setdefault(dedup_key(cell), cell)
    ordered = sorted(cells.values(), key=lambda cell: cell.train_seed)
    return ordered if shard is None else part_of(ordered, shard)
