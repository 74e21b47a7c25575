"""The words that a reader of the site must know, each defined once, and links from their uses."""

from __future__ import annotations

from markupsafe import Markup, escape

from ucbench.leaderboard.legend import MEANINGS
from ucbench.results.statistics import ENOUGH_CRAFTS

#: The page that defines them, below the site's root.
PAGE = "read.html"
#: Definitions by term, in the order in which a reader meets them.
TERMS = {
    "unlearnable example": "an image with a small perturbation that keeps models trained on it from learning",
    "poisoner": "a method that perturbs images within a budget; its result is a release",
    "craft": "one release made by a poisoner with one seed; the unit of all statistics",
    "exploiter": "whoever trains on a release; the literature says attacker",
    "victim": "the exploiter's model and how it is trained",
    "training": "one victim trained on one release; several on the same release are averaged first",
    "defense": "what the exploiter does against a perturbation; none is the victim's recipe alone",
    "attacker accuracy": (
        "the accuracy of the exploiter in % on clean test images after the last epoch; low is good protection"
    ),
    "setting": (
        "data set, budget, victim, labels, mixture and trusted images together; numbers compare only within one"
    ),
    "gate": MEANINGS["Gate"],
    "reference": "clean images, sham noise or shuffled perturbations, which other rows are read against; never ranked",
    "oracle": "a row whose poisoner sees the exploiter's labels, such as positive, a control of the gate; never ranked",
    "chance": "the accuracy of always naming the largest class",
    "gap removed": (
        "(clean - accuracy) / (clean - chance) in %, under the same defense: 100 where nothing beyond chance was"
        " learned, 0 where as much as from clean images"
    ),
    **{heading.lower(): meaning for heading, meaning in MEANINGS.items()},
    "exploratory": f"from fewer than {ENOUGH_CRAFTS} crafts",
    "interval": (
        "what follows ±: the half-width of the 95 % interval of a mean over crafts (of clean images: over trainings),"
        " by Student's t; n is their number"
    ),
}


def anchor(term: str) -> str:
    return term.replace(" ", "-")


def term(name: str, root: str, text: str = "") -> Markup:
    """A link from a word to its definition, which also appears when the pointer is over it.

    Args:
        root: path to the site's root.
        text: the word as the sentence has it; defaults to ``name``.
    """
    target = f"{root}{PAGE}#{anchor(name)}"
    return Markup('<a class="term" href="{}" title="{}">{}</a>').format(target, TERMS[name], escape(text or name))
