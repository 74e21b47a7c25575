"""The training engine: one loop for victims, surrogates and the inner loops of bi-level poisoners."""

from ucbench.training.chain import DefenseChain
from ucbench.training.engine import DivergedError, Engine, TrainResult
from ucbench.training.seeding import arithmetic, seeded
from ucbench.training.stepper import Stepper

__all__ = ["DefenseChain", "DivergedError", "Engine", "Stepper", "TrainResult", "arithmetic", "seeded"]
