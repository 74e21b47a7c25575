"""Errors of wrong parameters: what each takes, in the words of references."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, Field, model_validator

import ucbench
from ucbench.errors import UsageError
from ucbench.plugins.registry import installed


def rising(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError("the lower one first.")
    return values


class Stripes(ucbench.Params):
    path: str
    steps: int = Field(3, ge=1, le=9)
    sigma: Annotated[tuple[float, float], AfterValidator(rising)] = (0.1, 2.0)
    scales: tuple[Annotated[float, Field(gt=0)], ...] | float | tuple[float, ...] = 1.0
    shape: Literal["flat", "sine"] | None = None
    layers: Literal[1, 2] = 1
    views: Literal[1, 6] | None = None
    fast: bool = False

    @model_validator(mode="after")
    def _check(self):
        if self.steps == 7:
            raise ValueError("seven steps are unlucky")
        if self.steps == 8:
            raise ValueError("there are no eight steps. Did you mean 9?")
        return self


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "path is required"),
        ({"steps": "x"}, "steps takes a whole number, at least 1 and at most 9; got 'x'"),
        ({"steps": "10"}, "steps takes a whole number, at least 1 and at most 9; got '10'"),
        ({"sigma": "1"}, "sigma takes 2 numbers separated by slashes, such as 0.1/2; got '1'"),
        ({"sigma": "a/b"}, "sigma takes 2 numbers separated by slashes, such as 0.1/2; got 'a/b'"),
        ({"sigma": "2/1"}, "sigma: the lower one first"),
        ({"scales": "x"}, "scales takes numbers separated by slashes or a number, above 0; got 'x'"),
        ({"shape": "round"}, "shape takes flat or sine or none; got 'round'"),
        ({"layers": "3"}, "layers takes 1 or 2; got '3'"),
        ({"fast": "maybe"}, "fast takes true or false; got 'maybe'"),
        ({"steps": "7"}, "seven steps are unlucky"),
        ({"steps": "0", "fast": "2"}, "steps takes a whole number, at least 1 and at most 9; got '0'; fast takes"),
    ],
)
def test_wrong_value_is_reported_once_with_what_the_parameter_takes(options, problem):
    with pytest.raises(UsageError) as error:
        Stripes.resolve("poisoner 'stripes'", options=({"path": "here"} if options else {}) | options)
    assert str(error.value).startswith(f"poisoner 'stripes': {problem}")


class Presets(Stripes):
    presets = {  # noqa: RUF012
        "misspelt": {"stepz": 2},
        "ill-typed": {"steps": "many", "path": "here"},
        "low": {"steps": 0, "path": "here"},
    }


@pytest.mark.parametrize(
    ("preset", "problem"),
    [
        ("misspelt", ": its preset 'misspelt' sets 'stepz', which is not a parameter. Did you mean 'steps'?"),
        ("ill-typed", ", preset 'ill-typed': steps takes a whole number, at least 1 and at most 9; got 'many'."),
        ("low", ", preset 'low': steps takes a whole number, at least 1 and at most 9; got 0."),
    ],
)
def test_wrong_value_in_a_preset_is_reported_in_one_line_that_names_the_preset(preset, problem):
    with pytest.raises(UsageError) as error:
        Presets.resolve("poisoner 'stripes'", preset)
    assert str(error.value).startswith(f"poisoner 'stripes'{problem}")
    assert "\n" not in str(error.value)


def test_wrong_option_is_not_blamed_on_the_preset():
    with pytest.raises(UsageError, match=r"^poisoner 'stripes': steps takes"):
        Presets.resolve("poisoner 'stripes'", "low", options={"steps": "x"})


def test_numbers_of_a_choice_are_read_from_text():
    params = Stripes.resolve("stripes", options={"path": "here", "shape": "sine", "layers": "2", "views": "6"})
    assert (params.shape, params.layers, params.views) == ("sine", 2, 6)
    assert installed().resolve("victim", "airbench:test_views=2").params.test_views == 2


def test_argument_that_is_an_option_too_is_refused():
    with pytest.raises(UsageError, match="defense 'jpeg': quality is given twice, as '10' and by name"):
        installed().resolve("defense", "jpeg:10:quality=20")


@pytest.mark.parametrize(("steps", "end"), [(7, "unlucky."), (8, "Did you mean 9?")])
def test_error_ends_with_one_mark(steps, end):
    with pytest.raises(UsageError) as error:
        Stripes.resolve("poisoner 'stripes'", options={"path": "here", "steps": steps})
    assert str(error.value).endswith(f" {end}")


@given(st.sampled_from(list(Stripes.model_fields)), st.text())
def test_errors_are_never_in_the_words_of_pydantic(name, text):
    try:
        Stripes.resolve("stripes", argument=None, options={"path": "here", name: text})
    except UsageError as error:
        message = str(error).replace(repr(text), "")
        assert not any(words in message for words in ("Input should", "Value error", "tuple", "parameters:"))
