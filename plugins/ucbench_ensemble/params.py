"""Parameters of an ensemble. Imports no torch; members enter a key by their identity."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, field_validator

from ucbench import Component, Params, SurrogateSpec, UsageError, installed, parse_chain


class EnsembleParams(Params):
    argument: ClassVar[str | None] = "members"

    members: str = Field(
        "efficientnet-lite0+simclr",
        description="two or more surrogates joined by +, quoted as a whole: ensemble:'efficientnet-lite0+simclr'",
    )

    @field_validator("members")
    @classmethod
    def _are_label_free(cls, members: str) -> str:
        components = resolve_members(members)
        if len(components) < 2:
            raise ValueError(f"an ensemble has at least two members, and {members!r} is one")
        # Not by their keys, for which weights are read.
        known = [(member.spec.name, member.params) for member in components]
        for place, member in enumerate(components):
            if known[place] in known[:place]:
                raise ValueError(f"{member} is in the ensemble twice, and equal members are the same network")
            # The ensemble is registered as label-free, whatever it consists of.
            if member.spec.label_access != "none":
                raise ValueError(f"{member} has seen labels, and members of an ensemble have not")
            if member.spec.untrained:
                raise ValueError(f"{member} is a bare architecture, and members of an ensemble have weights")
        return "+".join(map(str, components))

    def identity(self) -> dict[str, Any]:
        """The members' identities, in their order.

        Raises:
            DataError: if a member's weights cannot be read.
        """
        return {"members": [member.identity() for member in resolve_members(self.members)]}

    def check_names(self) -> None:
        for member in resolve_members(self.members):
            member.params.check_names()


def resolve_members(members: str) -> list[Component[SurrogateSpec]]:
    """The named members among the installed surrogates.

    Raises:
        ValueError: with the registry's message, for an unknown one.
    """
    try:
        return [installed().resolve(SurrogateSpec, reference) for reference in parse_chain(members)]
    except UsageError as error:
        raise ValueError(str(error)) from error
