"""The Python API: :func:`run`, :func:`plan`, :func:`craft`, :func:`protect`, :func:`analyze` and what reads results."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ucbench.data.budget import Budget, parse_epsilon
from ucbench.errors import UsageError
from ucbench.matrix.axes import AXIS
from ucbench.matrix.cell import Craft, CraftLabels
from ucbench.matrix.compatibility import check_surrogate, surrogate_of
from ucbench.matrix.from_record import poisoner_of
from ucbench.matrix.matrix import expand, native_budget
from ucbench.matrix.requests import axes_of
from ucbench.plugins.specs import PoisonerSpec, SurrogateSpec
from ucbench.progress import Progress, in_notebook, reporting
from ucbench.session import open_session
from ucbench.steps import PlannedCell, analyze_folder, analyze_session, plan_session, run_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from ucbench.analysis.analyze import Analysis
    from ucbench.data.given import Layout
    from ucbench.protection.manifest import Format
    from ucbench.protection.protect import Protection
    from ucbench.results.frame import Results
    from ucbench.results.records import Record
    from ucbench.running.tasks import Rerun

_log = logging.getLogger(__name__)


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
    """Run the cross product of the axes (see :func:`ucbench.matrix.requests.axes`) and return one row per cell,
    references included.

    A cell that fails raises nothing: its row has the status ``failed`` and says why in the column ``error``, which is
    there only if one failed; a warning has the first error.
    ``executor="process:workers=2"`` uses two processes; a script then needs the guard ``if __name__ == "__main__"``.

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
    request = axes_of("run", axis)
    folder = _folder(out)
    with reporting(quiet=not in_notebook()) as shown:
        session = open_session(device=device, dtype=dtype, threads=threads, progress=progress or shown)
        records = run_session(expand(request, session.registry), session, out=folder, executor=executor, rerun=rerun)
    if progress is None and not in_notebook():  # else progress said so
        _warn_of([record for record in records if record["status"] == "failed"], len(records))
    from ucbench.results.frame import results

    return results(records)


def _warn_of(failed: Sequence[Record], count: int) -> None:
    """Warn of failed cells among ``count``, with the first error."""
    if failed:
        from ucbench.results.records import failure_text

        name, said = poisoner_of(failed[0]["request"]), failure_text(failed[0])
        _log.warning("%d of %d cells failed. The first, of %s: %s", len(failed), count, name, said)


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

    Args:
        out: the ``out`` of a run, whose records also tell what is done, and what would be with other ``threads``.

    Raises:
        UsageError: for names or values that do not exist, and a victim that takes no images of this size.
        DataError: if the data cannot be read.
    """
    request = axes_of("plan", axis)
    session = open_session(device=device, dtype=dtype, threads=threads)
    return plan_session(expand(request, session.registry), session, out=_folder(out))


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
    from ucbench.data.given import given_images, given_labels
    from ucbench.data.imageset import ImageSet
    from ucbench.protection.stretch import perturbed
    from ucbench.protection.working import working_images
    from ucbench.running.preflight import check_device

    originals = given_images(images, layout)
    classes_of = None if labels is None else given_labels(labels, len(originals.photos))
    seeds = AXIS["seed"].read(seed)
    if len(seeds) != 1:
        raise UsageError(f"craft() takes one seed, got {seed!r}.")
    session = open_session(device=device, dtype=dtype, threads=threads, progress=progress)
    check_device(session.numerics)
    component = session.registry.resolve(PoisonerSpec, poisoner)
    spec = component.spec
    if labels is None and spec.label_access == "full":
        raise UsageError(f"Poisoner {spec.name!r} is label-based and needs labels.")
    budget = native_budget(spec, component.params)
    if budget.norm == "linf" and epsilon is not None:
        budget = Budget("linf", parse_epsilon(str(epsilon)))
    if not originals.one_size and budget.norm != "linf":
        raise UsageError(f"Images of different sizes need a poisoner with a linf budget; {poisoner} has {budget.norm}.")
    model = session.registry.resolve(SurrogateSpec, surrogate or surrogate_of(component)) if spec.surrogate else None
    check_surrogate(spec, model)
    source = "original" if spec.label_access == "full" else "none"
    request = Craft(component, model, CraftLabels(source), budget, seeds[0])
    classes = () if classes_of is None else tuple(str(k) for k in range(int(classes_of.max()) + 1))
    pixels = originals.pixels if originals.one_size else working_images(originals.photos, size).images
    train = ImageSet(pixels, classes_of, classes, name="images")
    release = craft_release(request, train, craft_labels(request, train, None, session), session)
    if originals.one_size:
        return originals.returned(materialise(pixels, release.changes, release.index).transpose(0, 2, 3, 1))
    changes = (release.changes[k] for k in release.index)
    return originals.returned(perturbed(photo, change) for photo, change in zip(originals.photos, changes, strict=True))


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
    from ucbench.protection.request import ProtectionRequest
    from ucbench.running.preflight import check_device

    request = ProtectionRequest(
        poisoner=poisoner, surrogate=surrogate, epsilon=epsilon,
        clusters=None if clusters is None else str(clusters), size=size, seed=seed, format=format, quality=quality,
        keep_gps=keep_gps,
    )  # fmt: skip
    session = open_session(device=device, dtype=dtype, threads=threads, progress=progress)
    if not dry_run:
        check_device(session.numerics)
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
    was trained before and not kept is trained again, once. Cells that fail are left out; a warning has the first error.

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
        analysis = analyze_folder(Path(results).expanduser(), session, wanted, out=_folder(out), executor=executor)
    else:
        cells = expand(axes_of("analyze", axis), session.registry)
        analysis = analyze_session(cells, session, wanted, out=_folder(out), executor=executor)
    if progress is None:
        _warn_of(analysis.failed, len(analysis.table) + len(analysis.failed))
    return analysis
