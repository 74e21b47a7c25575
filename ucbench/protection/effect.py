"""The check of effect: what a network learns from the protected photos, compared with clean and with sham ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ucbench.data.framing import Framing, assemble
from ucbench.data.images import LazyImage
from ucbench.data.imageset import ImageSet, UInt8Images
from ucbench.data.selection import stratified_split
from ucbench.errors import UsageError
from ucbench.metrics.accuracy import accuracy
from ucbench.metrics.probes import linear_probe
from ucbench.protection.manifest import Manifest, ProtectedPhoto
from ucbench.protection.sampling import LARGEST_SAMPLED
from ucbench.store.keys import derive_seed

if TYPE_CHECKING:
    from ucbench.session import Session

#: The small network, the side of its images in pixels, and trainings on each kind of photos.
VICTIM, SIDE, TRAININGS = "airbench@small", 64, 3
#: Fewest photos of a class, share of each class that is held out, and most photos in all.
FEWEST, HELD_OUT, MOST = 8, 0.2, 1000


@dataclass(frozen=True)
class Effect:
    """Accuracies, in percent, on clean photos that were held out; one value per training.

    Attributes:
        kind: ``training`` of a small network on the owner's classes, or ``linear probe on the surrogate``.
        clean: after learning from the originals.
        sham: after learning from the originals with noise of the same strength as the change.
        protected: after learning from the protected copies.
        chance: of always naming the largest class, in percent.
        trainings: on each kind of photos.
        classes: number of classes; of a probe, of clusters.
        fitted: photos learned from.
        tested: photos held out.
        text: what was done, in a sentence or two.
    """

    kind: Literal["training", "linear probe on the surrogate"]
    clean: tuple[float, ...]
    sham: tuple[float, ...]
    protected: tuple[float, ...]
    chance: float
    trainings: int
    classes: int
    fitted: int
    tested: int
    text: str

    @property
    def means(self) -> dict[str, float]:
        """The mean over trainings of each kind of photos."""
        return {"clean": fmean(self.clean), "sham": fmean(self.sham), "protected": fmean(self.protected)}


@dataclass(frozen=True)
class _Sets:
    """The held-out clean photos, and the others in three kinds."""

    test: ImageSet
    kinds: dict[str, ImageSet]


def check_effect(
    manifest: Manifest, photos_root: Path, out_root: Path, session: Session, *, by_folder: bool = False
) -> Effect:
    """Measure what the written copies do.

    By folder this takes nine trainings, each about 0.15 seconds of one core per photo: 4 minutes for 200 photos, 20 for
    the most that are used. A probe reads the photos and takes seconds.

    Args:
        by_folder: every first-level folder is a class, and :data:`VICTIM` is trained on it, :data:`TRAININGS` times on
            protected, clean and sham photos. Otherwise the surrogate's features of the photos are given to a linear
            classifier of their clusters. Of each class, a fifth of the photos is held out, unperturbed.

    Raises:
        UsageError: if there are fewer than two classes of :data:`FEWEST` photos, or no pretrained surrogate.
        DataError: if a file cannot be read.
    """
    seed = manifest.settings.seed
    photos, labels, classes = _classes(manifest.photos, by_folder, seed)
    if by_folder:
        return _trained(_read(photos, labels, classes, SIDE, photos_root, out_root, seed), session, seed)
    if manifest.settings.surrogate is None:
        raise UsageError("The check of effect needs a surrogate, or photos sorted into folders and --by-folder.")
    sets = _read(photos, labels, classes, manifest.settings.size, photos_root, out_root, seed)
    return _probed(sets, manifest.settings.surrogate, session)


def _classes(
    photos: Sequence[ProtectedPhoto], by_folder: bool, seed: int
) -> tuple[list[ProtectedPhoto], NDArray[np.int64], tuple[str, ...]]:
    """The photos of classes that are large enough, at most :data:`MOST`, their labels and the names of classes."""
    groups: dict[str, list[ProtectedPhoto]] = {}
    for photo in photos:
        folder, _, below = photo.source.partition("/")
        if photo.width * photo.height <= LARGEST_SAMPLED and (below or not by_folder):
            groups.setdefault(folder if by_folder else f"{photo.pattern:05}", []).append(photo)
    large = {name: members for name, members in sorted(groups.items()) if len(members) >= FEWEST}
    if len(large) < 2:
        what = "folders directly below PHOTOS" if by_folder else "groups of similar photos"
        raise UsageError(
            f"The check of effect needs at least two {what} with at least {FEWEST} photos each; there are {len(large)}."
        )
    rng = np.random.default_rng(derive_seed("protect", seed, "check"))
    share = min(1.0, MOST / sum(map(len, large.values())))
    chosen, labels = [], []
    for label, members in enumerate(large.values()):
        count = max(FEWEST, int(share * len(members)))
        rows = np.sort(rng.permutation(len(members))[:count])
        chosen += [members[row] for row in rows]
        labels += [label] * len(rows)
    return chosen, np.array(labels, np.int64), tuple(large)


def _read(
    photos: Sequence[ProtectedPhoto], labels: NDArray[np.int64], classes: tuple[str, ...], side: int, photos_root: Path,
    out_root: Path, seed: int,
) -> _Sets:  # fmt: skip
    """The photos' central squares, at ``side`` pixels."""
    framing = Framing((side, side), (side, side))
    clean = assemble([LazyImage(photos_root / photo.source, photo.source) for photo in photos], framing)
    train, test = stratified_split(labels, classes, HELD_OUT, seed % 2**32)
    copies = assemble([LazyImage(out_root / photos[row].output, photos[row].output) for row in train], framing)
    kinds = {"clean": clean[train], "sham": _sham(clean[train], copies, seed), "protected": copies}
    return _Sets(
        ImageSet(clean[test], labels[test], classes, name="held-out photos"),
        {name: ImageSet(images, labels[train], classes, name=f"{name} photos") for name, images in kinds.items()},
    )


def _sham(clean: UInt8Images, copies: UInt8Images, seed: int) -> UInt8Images:
    """Each photo with uniform noise whose root mean square is that of its change, all at this size."""
    rng = np.random.default_rng(derive_seed("protect", seed, "sham"))
    noisy = np.empty_like(clean)
    for row, (before, after) in enumerate(zip(clean, copies, strict=True)):
        strength = np.sqrt(np.square(after.astype(np.float64) - before).mean())
        noise = rng.uniform(-1, 1, before.shape) * np.sqrt(3) * strength
        noisy[row] = np.rint(np.clip(before + noise, 0, 255))
    return noisy


def _trained(sets: _Sets, session: Session, seed: int) -> Effect:
    from ucbench.exploit.train import train
    from ucbench.plugins.specs import VictimSpec
    from ucbench.training.defenses import DefensePipeline, DefenseRun
    from ucbench.training.determinism import deterministic, guarded

    victim = session.registry.resolve(VictimSpec, VICTIM)
    pipeline = DefensePipeline([])
    found: dict[str, list[float]] = {name: [] for name in sets.kinds}
    with deterministic(session.numerics):
        for number in range(TRAININGS):
            for name, images in sets.kinds.items():
                run = DefenseRun(session.engine, ("train", seed * TRAININGS + number), session.progress)
                with guarded(f"Victim {victim}", run.seed("global")):
                    trained = train(victim.build(), images, sets.test, None, pipeline, run)
                found[name].append(accuracy(trained.predict(sets.test), sets.test.known_labels))
    text = (
        f"A small network ({VICTIM}) learned your folders from photos of {SIDE} pixels, {TRAININGS} times on each kind"
        " of photos, and then named the folder of photos that it had not seen and that were not changed."
    )
    return _effect("training", found, sets, TRAININGS, text)


def _probed(sets: _Sets, reference: str, session: Session) -> Effect:
    from ucbench.crafting.clustering import extract_features
    from ucbench.crafting.surrogate import open_pretrained
    from ucbench.plugins.specs import SurrogateSpec
    from ucbench.training.determinism import deterministic

    component = session.registry.resolve(SurrogateSpec, reference)
    with deterministic(session.numerics):
        surrogate = open_pretrained(component, "The check of effect", session)

        def features(images: ImageSet) -> NDArray[np.float32]:
            return np.asarray(extract_features(surrogate, images, session.engine.device).numpy(), np.float32)

        tested = features(sets.test)
        found = {
            name: [linear_probe(features(images), images.known_labels, tested, sets.test.known_labels)]
            for name, images in sets.kinds.items()
        }
    text = (
        f"A linear probe on the surrogate ({component}): a linear classifier learned from the features of your photos"
        " which group a photo is in, and then named the group of photos that it had not seen and that were not changed."
        " No network was trained, and the patterns were made for this surrogate, so that others may differ."
    )
    return _effect("linear probe on the surrogate", found, sets, 1, text)


def _effect(
    kind: Literal["training", "linear probe on the surrogate"], found: dict[str, list[float]], sets: _Sets,
    trainings: int, text: str,
) -> Effect:  # fmt: skip
    held_out = sets.test.known_labels
    clean, sham, protected = (tuple(found[name]) for name in ("clean", "sham", "protected"))
    return Effect(
        kind,
        clean,
        sham,
        protected,
        chance=100 * int(np.bincount(held_out).max()) / len(held_out),
        trainings=trainings,
        classes=len(sets.test.classes),
        fitted=len(sets.kinds["clean"]),
        tested=len(held_out),
        text=text,
    )
