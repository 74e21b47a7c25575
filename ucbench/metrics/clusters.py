"""How groups of images with the same perturbation relate to labels."""

from __future__ import annotations

from ucbench.data.imageset import Labels
from ucbench.metrics.information import contingency


def cluster_diagnostics(index: Labels, labels: Labels) -> dict[str, float]:
    """Compare the groups ``index`` ``[N]`` of images that share a perturbation with labels ``[N]``.

    ``homogeneity`` is 1 if every group holds one class, ``completeness`` if every class lies in one group (Rosenberg
    and Hirschberg, EMNLP 2007). ``purity`` is the share of the images that have the most frequent label of their group,
    and ``relative_purity`` that over its maximum for balanced classes and this number of groups; ``mutual_information``
    is in nats.
    """
    from sklearn.metrics import completeness_score, homogeneity_score, mutual_info_score

    counts = contingency(index, labels)
    groups, classes = counts.shape
    purity = float(counts.max(1).sum() / len(labels))
    return {
        "groups": groups,
        "homogeneity": float(homogeneity_score(labels, index)),
        "completeness": float(completeness_score(labels, index)),
        "purity": purity,
        "relative_purity": purity / min(1.0, groups / classes),
        "mutual_information": float(mutual_info_score(labels, index)),
    }
