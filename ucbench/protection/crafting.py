"""Patterns for photos: from working images to a release, and the pattern of each photo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench.crafting.clustering import extract_features, nearest_centre
from ucbench.crafting.craft import assign_unseen, craft_clusters, craft_labels, craft_release
from ucbench.crafting.release import Release
from ucbench.crafting.surrogate import open_pretrained
from ucbench.data.budget import Budget
from ucbench.errors import UsageError
from ucbench.matrix.axes import DEFAULT_LABELER
from ucbench.matrix.cell import Craft, CraftLabels
from ucbench.matrix.compatibility import check_surrogate, surrogate_of
from ucbench.matrix.matrix import native_budget
from ucbench.plugins.builtin import UNCRAFTED
from ucbench.plugins.registry import Component, Registry
from ucbench.plugins.specs import PoisonerSpec, SurrogateSpec
from ucbench.training.determinism import deterministic, guarded

if TYPE_CHECKING:
    from ucbench.data.imageset import ImageSet
    from ucbench.session import Session

#: Fewest photos that are divided into groups.
FEWEST = 4
#: Photos for each pattern, at least, and patterns at most, where their number is not given.
_PER_PATTERN, _MOST_PATTERNS = 8, 20
#: The array of a release with the centres of the clusters that were a label-based poisoner's craft labels.
_CENTRES = "craft_label_centres"
#: The parameter of a poisoner that groups images by itself.
_CLUSTERS = "clusters"


@dataclass(frozen=True)
class PatternSettings:
    """What decides the patterns, beside the photos.

    Attributes:
        poisoner: reference of a poisoner.
        surrogate: reference of a surrogate; the poisoner's default if None.
        epsilon: largest change, in 8-bit levels.
        clusters: groups of photos that share a pattern; None decides by their number, see :func:`cluster_count`.
        seed: of all that is drawn.
    """

    poisoner: str = "uc@photos"
    surrogate: str | None = None
    epsilon: float = 8
    clusters: int | None = None
    seed: int = 0


def cluster_count(photos: int) -> int:
    """Groups for so many photos: one for every 8, but at least 2 and at most 20."""
    return min(_MOST_PATTERNS, max(2, photos // _PER_PATTERN))


def craft_of(settings: PatternSettings, photos: int, registry: Registry) -> Craft:
    """The craft of patterns for ``photos`` photos.

    A poisoner that groups images by itself gets the number of groups as its parameter ``clusters``, unless its
    reference or preset has one. A label-based one gets groups as craft labels.

    Raises:
        UsageError: for unknown names, an oracle or a reference that crafts nothing, a budget other than linf, a number
            of groups that is given twice or not from 2 to ``photos``, or groups of fewer than 4 photos.
    """
    poisoner = registry.resolve(PoisonerSpec, settings.poisoner)
    spec = poisoner.spec
    if spec.oracle or spec.name in UNCRAFTED:
        raise UsageError(f"Poisoner {spec.name!r} is for comparisons and protects nothing.")
    if (norm := native_budget(spec, poisoner.params).norm) != "linf":
        raise UsageError(f"Photos are protected within a largest change per value (linf); {poisoner} has {norm}.")
    groups_itself = _CLUSTERS in type(poisoner.params).model_fields
    groups = 0
    if groups_itself or spec.label_access == "full":
        groups = _groups(settings, photos, poisoner)
    if groups_itself:
        options = {**dict(poisoner.ref.options), _CLUSTERS: str(groups)}
        poisoner = registry.resolve(PoisonerSpec, replace(poisoner.ref, options=tuple(options.items())))
    reference, labels = settings.surrogate or surrogate_of(poisoner), CraftLabels("none")
    if spec.label_access == "full":
        reference, labels = reference or DEFAULT_LABELER, CraftLabels("clusters", groups)
    elif not spec.surrogate:
        reference = ""
    surrogate = registry.resolve(SurrogateSpec, reference) if reference else None
    # A model that is yet to be trained, on these very groups, has no features by which to find them.
    if labels.clusters and surrogate and (surrogate.spec.untrained or surrogate.spec.label_access != "none"):
        labels = replace(labels, model=registry.resolve(SurrogateSpec, DEFAULT_LABELER))
    check_surrogate(spec, surrogate)
    return Craft(poisoner, surrogate, labels, Budget("linf", settings.epsilon), settings.seed)


def _groups(settings: PatternSettings, photos: int, poisoner: Component[PoisonerSpec]) -> int:
    if settings.clusters is not None and _CLUSTERS in dict(poisoner.ref.options):
        raise UsageError(f"The number of groups is given twice: {settings.clusters}, and in {poisoner}.")
    if photos < FEWEST:
        few = "1 photo is" if photos == 1 else f"{photos} photos are"
        raise UsageError(f"{few} too few to find groups among them: at least {FEWEST} are needed.")
    groups = settings.clusters
    if groups is None:
        groups = getattr(poisoner.params, _CLUSTERS, None) or cluster_count(photos)
    if not 2 <= groups <= photos:
        raise UsageError(f"{photos} photos make 2 to {photos} groups, not {groups}.")
    return groups


def craft_patterns(images: ImageSet, settings: PatternSettings, session: Session) -> Release:
    """The patterns for working images, from the store or crafted now.

    An interrupted craft continues from its checkpoint, if its poisoner saves any.

    Raises:
        UsageError: as :func:`craft_of`; or if the surrogate tells fewer images apart than there are to be groups.
        ContractError: if the poisoner returned what its contract forbids.
    """
    images, craft = images.with_labels(None), craft_of(settings, len(images), session.registry)
    key = craft.key(images.fingerprint, None, session.numerics)

    def make() -> tuple[dict[str, NDArray[Any]], Any]:
        labelled = craft_labels(craft, images, None, session)
        release = craft_release(craft, images, labelled, session, session.store.checkpoint("release", key))
        return release.to_arrays(), release.meta

    stored, _ = session.store.get_or_make("release", key, make)
    return _with_centres(Release.from_arrays(stored.arrays, stored.meta), images, craft, session)


def _with_centres(release: Release, images: ImageSet, craft: Craft, session: Session) -> Release:
    """The release, with the centres by which later photos get craft labels."""
    if craft.labels.source != "clusters":
        return release
    return replace(release, state={**release.state, _CENTRES: craft_clusters(craft, images, session).centres})


def check_assigns(settings: PatternSettings, photos: int, session: Session) -> Craft:
    """Check that photos which patterns were not crafted on can get one of them; returns the craft.

    Args:
        photos: that patterns are crafted on.

    Raises:
        UsageError: if the poisoner has a change of its own for every photo, or groups photos by a surrogate that is
            trained on those of the craft.
    """
    craft = craft_of(settings, photos, session.registry)
    with guarded(f"Poisoner {craft.poisoner}"):
        poisoner = craft.poisoner.build()
    if not hasattr(poisoner, "assign") or hasattr(poisoner, "transform"):
        raise UsageError(
            f"Poisoner {craft.poisoner} has no change for photos that it was not crafted on. Craft all photos at once,"
            " or name another poisoner."
        )
    if craft.surrogate is not None and not craft.surrogate.spec.untrained:
        open_pretrained(craft.surrogate, f"Poisoner {craft.poisoner}", session)
    return craft


def assign_patterns(
    release: Release, images: ImageSet, settings: PatternSettings, session: Session
) -> NDArray[np.int64]:
    """Which pattern each of further photos gets, int64 ``[N]``: that of its nearest group.

    Args:
        release: of :func:`craft_patterns` with these settings.
        images: working images of the photos.

    Raises:
        UsageError: as :func:`check_assigns`.
    """
    images, craft = images.with_labels(None), check_assigns(settings, len(release.index), session)
    labels = None
    if _CENTRES in release.state:
        labels = _nearest_group(release, images, craft, session)
    index = assign_unseen(craft, images, release, images, labels, session)
    assert index is not None, "check_assigns comes first"
    return index


def _nearest_group(release: Release, images: ImageSet, craft: Craft, session: Session) -> NDArray[np.int64]:
    component = craft.labels.model or craft.surrogate
    assert component is not None
    model = open_pretrained(component, f"Craft labels {craft.labels}", session)
    with deterministic(session.numerics), guarded(f"Surrogate {component}"):
        features = extract_features(model, images, session.engine.device)
    return nearest_centre(features, torch.from_numpy(np.array(release.state[_CENTRES]))).numpy()
