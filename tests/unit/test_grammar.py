"""The component grammar: parsing and printing are inverse, and malformed text is pointed at."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench.errors import UsageError
from ucbench.plugins.grammar import ComponentRef, format_chain, is_list, parse, parse_chain, parse_seeds

NAMES = st.from_regex(r"[A-Za-z0-9._/-]{1,8}", fullmatch=True)
VALUES = st.text(st.one_of(st.characters(), st.sampled_from(":,+@='\" \\\n")), max_size=8)
REFERENCES = st.builds(
    ComponentRef,
    NAMES,
    st.none() | NAMES,
    st.none() | VALUES,
    st.dictionaries(NAMES, VALUES, max_size=3).map(lambda options: tuple(options.items())),
)


@given(REFERENCES)
def test_parse_inverts_print_for_references(reference: ComponentRef) -> None:
    assert parse(str(reference)) == reference


@given(st.lists(REFERENCES, min_size=1, max_size=4))
def test_parse_inverts_print_for_chains(references: list[ComponentRef]) -> None:
    assert parse_chain(format_chain(references)) == tuple(references)


@given(st.lists(REFERENCES, min_size=1, max_size=2), REFERENCES)
def test_only_references_joined_by_commas_are_a_list(chain: list[ComponentRef], other: ComponentRef) -> None:
    assert not is_list(format_chain(chain))
    assert is_list(f"{format_chain(chain)},{other}")
    assert is_list(f"{format_chain(chain)}, {other}")


@given(st.text("ab:,+@='\" \\\n", max_size=14))
@settings(max_examples=1000)
def test_parse_refuses_or_normalizes_any_text(text: str) -> None:
    with contextlib.suppress(UsageError):
        references = parse_chain(text)
        printed = format_chain(references)
        assert parse_chain(printed) == references
        assert format_chain(parse_chain(printed)) == printed


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("uc", ComponentRef("uc")),
        ("uc@released", ComponentRef("uc", "released")),
        ("timm:vit_tiny_patch16_224", ComponentRef("timm", None, "vit_tiny_patch16_224")),
        ("openclip:RN50/openai", ComponentRef("openclip", None, "RN50/openai")),
        (
            "resnet18:width=32,epochs=10",
            ComponentRef("resnet18", None, None, (("width", "32"), ("epochs", "10"))),
        ),
        (
            "parquet:/some/dir:label=fine_label",
            ComponentRef("parquet", None, "/some/dir", (("label", "fine_label"),)),
        ),
        (
            r'parquet:"C:\x:y":label=a',
            ComponentRef("parquet", None, r"C:\x:y", (("label", "a"),)),
        ),
        ("a@b:c:d=e", ComponentRef("a", "b", "c", (("d", "e"),))),
        ("a:'k=v'", ComponentRef("a", None, "k=v")),
        ("a:'k=v':b=c", ComponentRef("a", None, "k=v", (("b", "c"),))),
        ('a:b="1,2"', ComponentRef("a", None, None, (("b", "1,2"),))),
        ('a:""', ComponentRef("a", None, "")),
        ("a:b=''", ComponentRef("a", None, None, (("b", ""),))),
        ("a:'it''s'", ComponentRef("a", None, "it's")),
        ('a:"it\'s"', ComponentRef("a", None, "it's")),
        ('a:"say ""so"""', ComponentRef("a", None, 'say "so"')),
        ("TIMM:X", ComponentRef("TIMM", None, "X")),
    ],
)
def test_parse_reads_documented_references(text: str, reference: ComponentRef) -> None:
    assert parse(text) == reference


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a:'b'", "a:b"),
        ("a:'b c'", 'a:"b c"'),
        ("a:'say \"so\"'", 'a:"say ""so"""'),
        ("a:x='1+2'", 'a:x="1+2"'),
    ],
)
def test_print_quotes_parts_only_when_needed(text: str, printed: str) -> None:
    assert str(parse(text)) == printed


def test_parse_keeps_the_order_of_a_chain() -> None:
    assert parse_chain("jpeg:quality=30+cutmix") == (
        ComponentRef("jpeg", None, None, (("quality", "30"),)),
        ComponentRef("cutmix"),
    )
    assert parse_chain("a:'x+y'+b") == (ComponentRef("a", None, "x+y"), ComponentRef("b"))


@pytest.mark.parametrize(
    ("text", "problem", "place"),
    [
        ("", "name of a component is missing", 0),
        (":x", "name of a component is missing", 0),
        ("a@", "name of a preset is missing", 2),
        ("a:", "argument or key=value is missing", 2),
        ("a::b=1", "argument or key=value is missing", 2),
        ("a:b:", "name of an option is missing", 4),
        ("a:b=", "value of 'b' is missing", 4),
        ("a:b=1,", "name of an option is missing", 6),
        ("a:b=1,c", "option 'c' has no value: write c=VALUE", 6),
        ("a:b,c=1", "option 'b' has no value", 2),
        ("a:b:c", "option 'c' has no value", 4),
        ("a:b=1,b=2", "option 'b' is given twice", 6),
        ("a:b=1:c=2", "':' is not expected", 5),
        ("a:b=1=2", "'=' is not expected", 5),
        ("a:b,c", "',' is not expected", 3),
        ("a:b@c", "'@' is not expected here: a preset comes right after the name", 3),
        ("a b", "quote a part that holds a space", 1),
        ("a:\tb", "quote a part that holds a space", 2),
        ("a:'b", "quote is not closed", 2),
        ("a:o'brien", "quote is not closed", 3),
        ("a:b'c'", "quote the whole part", 3),
        ("a:'b'c", "quote the whole part", 5),
        ("a:\"b\"'c'", "quote the whole part", 5),
        ("é:b", "name of a component consists of letters", 0),
        ("a@'b c'", "name of a preset consists of letters", 2),
        ("a:b*=1", "name of an option consists of letters", 2),
        ("a+", "name of a component is missing", 2),
        ("a++b", "name of a component is missing", 2),
    ],
)
def test_parse_error_points_a_caret_at_the_fault(text: str, problem: str, place: int) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        parse_chain(text)
    shown, caret = str(caught.value).splitlines()[-2:]
    assert shown[2:].replace(" ", "") == "".join(text.split())
    assert caret == "  " + " " * place + "^"


def test_parse_raises_on_a_chain_where_one_component_is_expected() -> None:
    with pytest.raises(UsageError, match="not a chain") as caught:
        parse("a:lr=1e+3")
    assert str(caught.value).splitlines()[-1].index("^") == 2 + "a:lr=1e+3".index("+")


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", (0,)),
        ("0-2", (0, 1, 2)),
        ("0,3,5-7", (0, 3, 5, 6, 7)),
        ("7, 1", (7, 1)),
        ("4-4", (4,)),
        ("010", (10,)),
    ],
)
def test_parse_seeds_reads_documented_forms(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20, unique=True))
def test_parse_seeds_keeps_the_listed_order(seeds: list[int]) -> None:
    assert parse_seeds(",".join(map(str, seeds))) == tuple(seeds)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is neither"),
        ("0,,1", "'' is neither"),
        ("-1", "'-1' is neither"),
        ("0-2-4", "neither a seed nor a range"),
        ("1.5", "neither"),
        ("two", "neither"),
        ("²", "neither"),
        ("٣", "neither"),
        ("9" * 5000, "neither"),
        ("2-0", "the range 2-0 descends. Write 0-2"),
        ("0,0", "0 given more than once"),
        ("0-3,2-5", "2, 3 given more than once"),
        ("0-1000", "more than 1000"),
        ("0-999999999999999999", "more than 1000"),
        ("0-599,1000-1599", "more than 1000"),
    ],
)
def test_parse_seeds_raises_on_other_forms(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        parse_seeds(text)


def test_parse_seeds_allows_a_thousand() -> None:
    assert len(parse_seeds("0-999")) == 1000
