"""Parameters of paid services. Imports no torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ucbench import Params


class CloudParams(Params):
    """Whether to pay, and whether to leave everything there. Accounts are in environment variables."""

    confirm: Literal["yes", "no"] = Field("no", description="yes: send the images and pay; no: only say what it costs")
    keep: bool = Field(False, description="leave images and models in the account instead of deleting them afterwards")

    def identity(self) -> dict[str, Any]:
        """All fields but those of this class, which change no number."""
        values = super().identity()
        return {name: value for name, value in values.items() if name not in CloudParams.model_fields}


class VertexParams(CloudParams):
    """The budget of a training, whose least value is the default here."""

    node_hours: int = Field(8, ge=8, le=800, description="most node hours of a training (the service's default: 192)")
