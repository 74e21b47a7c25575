"""Parameters of BridgePure. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from ucbench import Params


class BridgeParams(Params):
    """Defaults are the ``standard`` preset, about two minutes of one core at 32 pixels.

    Its learning rate was chosen by what is left, as a root mean square, of the difference of 200 photographs that were
    held out from 200 leaked pairs. Of 7.75 levels, rates of 1e-3, 2e-3, 4e-3, 8e-3 and 1.6e-2 left 4.75, 4.00, 3.03,
    2.05 and 1.64 for random signs by class, and 6.10, 5.00, 3.31, 2.40 and 1.95 for signs of blocks of 4 pixels. No
    victim and no test image was seen.
    """

    steps: int = Field(400, ge=1, description="steps of the network's training")
    batch: int = Field(32, ge=1, description="pairs per step, drawn with replacement")
    lr: float = Field(1.6e-2, gt=0, description="peak learning rate of Adam: warm-up over a twentieth, cosine to 0")
    width: int = Field(32, ge=4, description="channels of the network")
    blocks: int = Field(3, ge=1, description="residual blocks of the network")
    evaluations: int = Field(3, ge=1, description="of the network per image on the way back, evenly spaced in time")
    eta: float = Field(1.0, ge=0, le=1, description="fresh noise on the way back: 1 is the bridge's own, 0 none")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"steps": 150, "width": 16, "evaluations": 2},
        "paper": {"steps": 100000, "batch": 256, "lr": 1e-4, "width": 192, "blocks": 9, "evaluations": 40},
    }
