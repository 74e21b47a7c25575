"""Predict the classes of the test images."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from plain import images as plain_images
from plain import training as plain_training

from subjects.base import Evidence, Measured, Side, array, network, synthetic_images
from subjects.peak import Passes
from ucbench.data.imageset import ImageSet
from ucbench.training.normalized import channel_statistics, normalized


class _Data(Side):
    @cached_property
    def test(self) -> ImageSet:
        return synthetic_images(self.sizes.evaluated, self.sizes.side)

    def checked(self) -> ImageSet:
        return synthetic_images(self.sizes.checked, self.sizes.side, seed=1)

    @cached_property
    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        return channel_statistics(self.checked())


def scored(predictions: Any, scores: torch.Tensor) -> Evidence:
    """Predictions ``[N]`` are comparable where the best of the scores ``[N, K]`` is clearly ahead of the second."""
    best = scores.topk(2, dim=1).values
    return Evidence({"scores": array(scores)}, {"predictions": (predictions, array(best[:, 0] - best[:, 1]))})


class Fast(_Data):
    @cached_property
    def _model(self) -> torch.nn.Module:
        wrapped = normalized(network(self.sizes), "data", self.checked()).to(self.device)
        wrapped.model.to(memory_format=torch.channels_last)
        return wrapped

    def check(self) -> tuple[Any, Evidence]:
        """Scores of an untrained network and the classes predicted from them."""
        images = self.checked()
        x = torch.from_numpy(images.images.copy()).float().div(255).to(self.device)
        return None, scored(self.engine.predict(self._model, images), self._model.eval()(x))

    def measure(self) -> Measured:
        model, test = self._model, self.test
        started = self.clock()
        self.engine.predict(model, test, batch=self.sizes.evaluation_batch)
        seconds = self.clock() - started
        return Measured(seconds, len(test), notes=self.beside_peak(Passes(predicted=len(test)), seconds))


class Plain(_Data):
    @cached_property
    def _model(self) -> torch.nn.Module:
        return network(self.sizes).to(self.device)

    def _loader(self, test: ImageSet, workers: int) -> Any:
        transform = plain_images.to_tensor(*(values.tolist() for values in self.statistics))
        stored = plain_images.Images(test.images, test.known_labels, transform)
        return plain_images.loader(
            stored, self.sizes.evaluation_batch, shuffle=False, workers=workers, device=self.device
        )

    def check(self, inputs: None) -> Evidence:
        predictions = plain_training.evaluate(self._model, self._loader(self.checked(), 0), self.device)[1]
        scores = torch.cat([self._model(x.to(self.device)) for x, _, _ in self._loader(self.checked(), 0)])
        return scored(predictions.numpy(), scores)

    @cached_property
    def _fastest_loader(self) -> tuple[int, Any]:
        # Part of the images suffices to choose the number of workers, and saves time.
        part = synthetic_images(max(self.sizes.evaluated // 5, self.sizes.checked), self.sizes.side)

        def use(batches: Any) -> None:
            plain_training.evaluate(self._model, batches, self.device)

        workers, _ = plain_images.fastest(lambda count: self._loader(part, count), use, self.sizes.most_workers)
        return workers, self._loader(self.test, workers)

    def measure(self) -> Measured:
        workers, batches = self._fastest_loader
        started = self.clock()
        accuracy, _ = plain_training.evaluate(self._model, batches, self.device)
        notes = {"workers": workers, "accuracy": accuracy}
        return Measured(self.clock() - started, len(self.test), notes=notes)
