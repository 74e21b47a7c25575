"""What the owner asks for, and the settings that follow, also from an earlier run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from ucbench.data.budget import parse_epsilon
from ucbench.errors import UsageError
from ucbench.matrix.axes import DEFAULT_LABELER
from ucbench.matrix.compatibility import check_surrogate, surrogate_of
from ucbench.matrix.matrix import native_budget
from ucbench.plugins.registry import Registry
from ucbench.plugins.specs import PoisonerSpec, SurrogateSpec
from ucbench.protection.manifest import Format, Output, Settings
from ucbench.protection.working import SIZE

#: Where the owner names none: the poisoner, and the largest change of a value in 8-bit levels.
POISONER, EPSILON = "uc@photos", 8

PartT = TypeVar("PartT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class ProtectionRequest:
    """Settings by name; None: that of the earlier run, or else the default.

    Attributes:
        labeler: the model behind clusters where the poisoner has none.
    """

    labeler: str = DEFAULT_LABELER
    poisoner: str | None = None
    surrogate: str | None = None
    epsilon: str | float | None = None
    clusters: str | None = None
    size: int | None = None
    seed: int | None = None
    format: Format | None = None
    quality: int | None = None
    keep_gps: bool | None = None

    def settings(self, registry: Registry, earlier: Settings | None) -> Settings:
        """What decides the patterns.

        Args:
            earlier: of the patterns that exist already.

        Raises:
            UsageError: for names and values that do not exist or fit, and if the request differs from ``earlier``.
        """
        asked = self._asked(("size", "seed"))
        if self.clusters is not None:
            asked["clusters"] = _clusters(self.clusters)
        if self.epsilon is not None:
            asked["epsilon"] = parse_epsilon(str(self.epsilon))
        if earlier is None or self.poisoner is not None:
            asked |= self._methods(registry, earlier)
        elif self.surrogate is not None:
            asked["surrogate"] = str(registry.resolve(SurrogateSpec, self.surrogate))
        if earlier is None:
            return _valid(Settings, {"epsilon": EPSILON, "size": SIZE, **asked})
        _refuse_other(earlier, asked, "Patterns of one folder are made once")
        return earlier

    def _methods(self, registry: Registry, earlier: Settings | None) -> dict[str, Any]:
        poisoner = registry.resolve(PoisonerSpec, self.poisoner or POISONER)
        spec = poisoner.spec
        if native_budget(spec, poisoner.params).norm != "linf":
            raise UsageError(f"Poisoner {poisoner} has no largest change per value (linf). Choose another.")
        kept = earlier.surrogate if earlier is not None and earlier.poisoner == str(poisoner) else None
        named = self.surrogate or kept or surrogate_of(poisoner)
        if not named and spec.label_access == "full":
            named = self.labeler
        surrogate = registry.resolve(SurrogateSpec, named) if named else None
        if spec.surrogate:
            check_surrogate(spec, surrogate)
        needs_labels = surrogate is not None and surrogate.spec.label_access != "none"
        # Where the poisoner reads labels, its surrogate learns from the groups of photos, which it cannot find itself.
        if needs_labels and not (spec.surrogate and spec.label_access == "full"):
            raise UsageError(
                f"Surrogate {surrogate} learns from labels, which photos do not have, and {poisoner} gives it none."
                " Name another one with --surrogate."
            )
        return {
            "poisoner": str(poisoner),
            "params": poisoner.params.model_dump(mode="json"),
            "surrogate": str(surrogate) if surrogate else None,
        }

    def output(self, earlier: Output | None) -> Output:
        """How copies are written.

        Args:
            earlier: of the copies in the folder.

        Raises:
            UsageError: for values out of range, and if the request differs from ``earlier``.
        """
        asked = self._asked(("format", "quality", "keep_gps"))
        if earlier is None:
            return _valid(Output, asked)
        _refuse_other(earlier, asked, "Copies in one folder are written in one way")
        return earlier

    def _asked(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def _clusters(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 2:
        raise UsageError(f"The number of clusters is auto or a whole number from 2, got {text!r}.")
    return int(text)


def _valid(kind: type[PartT], values: dict[str, Any]) -> PartT:
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{first['loc'][0]}: {first['msg']}, got {first['input']!r}.") from error


def _refuse_other(earlier: BaseModel, asked: dict[str, Any], rule: str) -> None:
    for name, value in asked.items():
        if (before := getattr(earlier, name)) != value:
            raise UsageError(
                f"The earlier run has {name} {before}, this one asks for {value}. {rule}: leave the option out, or"
                " choose another folder with --out."
            )
