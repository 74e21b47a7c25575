"""Parameters of Custom Vision. Imports no torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ucbench import Params


class CustomVisionParams(Params):
    """Whether to pay, and whether to leave the project there. Accounts are in environment variables."""

    confirm: Literal["yes", "no"] = Field("no", description="yes: send the images and pay; no: only say what it costs")
    keep: bool = Field(False, description="leave the project in the account instead of deleting it afterwards")

    def identity(self) -> dict[str, Any]:
        """Nothing: neither field changes a number."""
        return {}
