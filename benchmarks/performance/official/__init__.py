"""Sides that run the step functions of official repositories, from clones that the user brings."""

from __future__ import annotations

from dataclasses import replace

from subjects import SUBJECTS
from subjects.base import Comparison

#: The official side of a subject.
LOADS = {
    "victim": "official.apbench:Victim",
    "evaluation": "official.apbench:Evaluation",
    "adversarial": "official.apbench:Adversarial",
    "eminn": "official.eminn:Official",
    "mi-ue": "official.miue:Official",
    "adv-poison": "official.advpoison:Official",
    "uc-steps": "official.uc:Official",
    "uc": "official.uc:Official",
}
#: Goal of every row on a processor without bfloat16.
FLOAT32 = 1.5


def against_official() -> dict[str, Comparison]:
    """The comparisons that have an official side, with it in place of the plain one."""
    made = {}
    for name, load in LOADS.items():
        subject = SUBJECTS[name]
        assert isinstance(subject, Comparison)
        made[name] = replace(subject, plain=load)
    return made


def goal(subject: Comparison, device: str, dtype: str) -> float | None:
    """How many times faster than the official code a subject is to be here."""
    target = subject.target(device)
    return FLOAT32 if target and device == "cpu" and dtype == "float32" else target
