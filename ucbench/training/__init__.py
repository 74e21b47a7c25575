"""The training engine: one loop for victims, surrogates and the inner loops of bi-level poisoners."""

from ucbench.training.defenses import DefensePipeline
from ucbench.training.determinism import arithmetic, seeded
from ucbench.training.engine import DivergedError, Engine, TrainResult
from ucbench.training.optim import Stepper

__all__ = ["DefensePipeline", "DivergedError", "Engine", "Stepper", "TrainResult", "arithmetic", "seeded"]
