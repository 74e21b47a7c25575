"""How groups of images that share a perturbation relate to labels."""

from __future__ import annotations

from ucbench.metrics.information import Labels, contingency, mutual_information


def cluster_diagnostics(index: Labels, labels: Labels) -> dict[str, float]:
    """Relation of groups ``index`` ``[N]`` that share a perturbation to labels ``[N]``.

    ``homogeneity`` is 1 where every group holds one class, ``completeness`` where every class lies in one group
    (Rosenberg and Hirschberg, EMNLP 2007). ``relative_purity`` is purity over the largest value that balanced classes
    allow with this number of groups, ``mutual_information`` the information in nats that group and class share.
    """
    from sklearn.metrics import completeness_score, homogeneity_score

    counts = contingency(index, labels)
    groups, classes = counts.shape
    purity = float(counts.max(1).sum() / len(labels))
    return {
        "groups": groups,
        "homogeneity": float(homogeneity_score(labels, index)),
        "completeness": float(completeness_score(labels, index)),
        "relative_purity": purity / min(1.0, groups / classes),
        "mutual_information": mutual_information(counts),
    }
