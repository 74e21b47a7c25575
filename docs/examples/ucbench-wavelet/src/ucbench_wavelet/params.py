"""Parameters, in a module that imports neither torch nor PyWavelets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from ucbench import Params


class WaveletParams(Params):
    """What `ucbench show defense wavelet-denoise` lists."""

    rule: Literal["bayes", "visu"] = Field(
        "bayes",
        description="a threshold per subband (BayesShrink), or one per image (VisuShrink: smoother)",
    )
    wavelet: Literal["haar", "db2", "db4", "sym4", "sym8", "coif1"] = Field(
        "db2", description="orthogonal wavelet, by PyWavelets' name; images of 2 or 3 pixels per side allow only haar"
    )
    levels: int = Field(3, ge=1, description="levels at most; small images have fewer (db2 at 8 pixels: 1)")
    sigma: float | None = Field(
        None,
        gt=0,
        description="standard deviation of the noise in every channel that is shrunk, in 8-bit units; none: estimated",
    )
    colours: Literal["ycbcr", "rgb"] = Field("ycbcr", description="what is shrunk: luma and chroma, or RGB channels")

    argument: ClassVar[str | None] = "sigma"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"visu": {"rule": "visu"}}
