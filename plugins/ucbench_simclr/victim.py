"""SimCLR as an exploiter, who does not need the release's labels (Chen et al., ICML 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench import ImageSet, UsageError
from ucbench_simclr.encoder import features_of
from ucbench_simclr.pretraining import pretrain
from ucbench_simclr.probe import fit_probe

if TYPE_CHECKING:
    from ucbench import Run
    from ucbench_simclr.params import SimCLRParams


class SimCLR:
    """Trains an encoder on the release without labels, then a linear probe on the trusted set.

    :func:`ucbench_simclr.pretraining.pretrain` and :func:`ucbench_simclr.probe.fit_probe` say what deviates from the
    publications. The probe sees the trusted pictures as they are, without augmentation, as in the published evaluation.
    """

    def __init__(self, params: SimCLRParams) -> None:
        self.params = params

    def fit(self, train: ImageSet, trusted: ImageSet | None, run: Run) -> None:
        """Train on the pictures of ``train``, and on pictures and labels of ``trusted``, whose classes it takes over.

        Raises:
            UsageError: without a trusted set, or for a release of one picture.
            DataError: if the trusted set has no labels.
            DivergedError: if the contrastive loss is not finite.
        """
        if trusted is None or not len(trusted):
            raise UsageError("SimCLR learns classes from clean labelled images: grant some by --trusted N.")
        labels = torch.from_numpy(trusted.known_labels.copy()).to(run.device)
        self._engine = run.engine
        self._encoder = pretrain(train, self.params, run)
        features = features_of(self._encoder, trusted, run.engine)
        self._probe = fit_probe(features, labels, len(trusted.classes), self.params.probe_recipe, run)
        right = self._probe.predict(features) == labels
        run.note("probe_accuracy", 100 * float(right.double().mean()))

    def predict(self, images: ImageSet) -> NDArray[np.int64]:
        """The class ``[N]`` of every image, in the trusted set's numbering."""
        return self._probe.predict(features_of(self._encoder, images, self._engine)).cpu().numpy()
