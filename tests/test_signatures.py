"""Annotations become expressions and definitions."""

# ruff: noqa: D103

from __future__ import annotations

import collections
import math
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from annotated_types import Len, Predicate
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field, HttpUrl, PositiveInt, SecretStr

from codeact_tools.constraints import constraint_texts
from codeact_tools.definitions import default_source, docstring_source
from codeact_tools.errors import DefinitionError
from codeact_tools.expressions import literal
from codeact_tools.signatures import Catalog, Opaque
from tests import contract_types as ct


def rendered(annotation: Any, subject: str = "") -> str:
    return Catalog().expression(annotation, owner="here").render(subject)


@pytest.mark.parametrize(
    ("annotation", "text"), [(case[0], case[1]) for case in ct.CASES], ids=lambda each: str(each)[:40]
)
def test_every_type_is_written_as_python(annotation: Any, text: str) -> None:
    """An annotation renders as the source that a person would write."""
    assert rendered(annotation) == text


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (Annotated[int, Field(ge=1, le=100)], "Annotated[int, 1 <= x <= 100]"),
        (Annotated[int, Field(gt=0)], "Annotated[int, x > 0]"),
        (PositiveInt, "Annotated[int, x > 0]"),
        (Annotated[float, Field(lt=1.5)], "Annotated[float, x < 1.5]"),
        (Annotated[str, Field(min_length=1, max_length=5)], "Annotated[str, 1 <= len(x) <= 5]"),
        (Annotated[list[int], Len(2, 2)], "Annotated[list[int], len(x) == 2]"),
        (Annotated[int, Field(multiple_of=5)], "Annotated[int, x % 5 == 0]"),
        (Annotated[str, Field(pattern=r"^\d+$")], r'Annotated[str, re.search(r"^\d+$", x)]'),
        (Annotated[str, Predicate(str.islower)], "Annotated[str, x.islower()]"),
        (Annotated[Decimal, Field(decimal_places=2)], 'Annotated[Decimal, "at most 2 decimal places"]'),
        (list[Annotated[int, Field(ge=0)]], "list[Annotated[int, item >= 0]]"),
        (dict[str, Annotated[int, Field(ge=0)]], "dict[str, Annotated[int, value >= 0]]"),
        (AwareDatetime, 'Annotated[datetime, "with a time zone"]'),
        (Annotated[int, "just a note"], "int"),
    ],
    ids=str,
)
def test_constraints_are_expressions_over_the_value(annotation: Any, text: str) -> None:
    """A constraint reads as a Python condition on the parameter."""
    assert rendered(annotation, "x") == text


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Callable[[int], int], "functools.partial"),
        (collections.deque, "write 'list'"),
        (collections.defaultdict[str, int], "write 'dict'"),
        (type[int], "a class cannot cross"),
        (SecretStr, "secrets stay on the host"),
        (ct.Connection, "Opaque[Connection]"),
        (list[ct.Connection], "dataclass or a pydantic model"),
        ("int", "not a string"),
        (Annotated[list[int], Field(pattern="a")], "'pattern' does not apply"),
        (Annotated[str, Field(multiple_of=2)], "'multiple_of' does not apply"),
        (Annotated[int, Field(min_length=2)], "'min_length' does not apply"),
    ],
    ids=str,
)
def test_unsupported_types_are_refused_with_a_remedy(annotation: Any, words: str) -> None:
    """The error names the owner and says what to write instead, and nothing stays in the catalog."""
    catalog = Catalog()
    with pytest.raises(DefinitionError, match="here") as caught:
        catalog.expression(annotation, owner="here")
    assert words in str(caught.value)
    assert catalog.types == {}


def test_a_failing_annotation_leaves_the_catalog_as_it_was() -> None:
    """Definitions that were added before the failure are forgotten, and their names are free again."""
    catalog = Catalog()
    with pytest.raises(DefinitionError):
        catalog.expression(tuple[ct.Item, ct.Connection], owner="here")
    assert catalog.types == {}
    assert catalog.by_python(ct.Item) is None
    catalog.expression(ct.Item, owner="here")
    assert set(catalog.types) == {"Item", "Decimal"}


def test_a_class_is_defined_once_and_found_by_its_subclasses() -> None:
    """Two mentions share one definition; an instance of a subclass is described by its nearest known base."""

    class Special(ct.Item):
        pass

    catalog = Catalog()
    catalog.expression(list[ct.Item], owner="a")
    catalog.expression(dict[str, ct.Item], owner="b")
    assert [name for name in catalog.types if name.startswith("Item")] == ["Item"]
    definition = catalog.by_python(Special)
    assert definition is not None
    assert definition.python is ct.Item


def test_classes_of_one_name_get_different_names() -> None:
    """The second one is prefixed with its toolkit, its module or, at last, a number."""

    class Item(BaseModel):
        other: int

    first, third = Item, type("Item", (Item,), {"__module__": __name__})
    catalog = Catalog()
    assert catalog.expression(ct.Item, owner="a").render() == "Item"
    assert catalog.expression(first, owner="b", toolkit="home_office").render() == "HomeOfficeItem"
    assert catalog.expression(third, owner="c").render() == "TestSignaturesItem"


def test_a_class_never_takes_the_name_of_a_standard_type() -> None:
    """A class called Path is renamed, so that ``Path`` means what it always means."""
    mine: Any = dataclass(type("Path", (), {"__annotations__": {"x": int}}))
    catalog = Catalog()
    assert catalog.expression(mine, owner="a").render() == "TestSignaturesPath"
    assert catalog.expression(Path, owner="a").render() == "Path"


def test_model_fields_show_what_an_action_can_use() -> None:
    """Private fields are hidden, computed ones shown, names are the attributes', not the aliases."""
    catalog = Catalog()
    catalog.expression(ct.Item, owner="here")
    assert catalog.types["Item"].source() == "\n    ".join(
        [
            "@dataclass(kw_only=True)\nclass Item:",
            '"""One line of an order."""',
            "name: Annotated[str, len(name) >= 1]  # As printed on the label.",
            "price: Annotated[Decimal, price >= 0]",
            "amount: int = 1",
            "tags: list[str] = []",
            "total: Decimal  # computed; Price times amount.",
        ]
    )


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (
            ct.Point,
            '@dataclass(frozen=True)\nclass Point:\n    """A place on the plane."""\n    x: float\n    y: float = 0.0',
        ),
        (ct.Colour, 'class Colour(Enum):\n    """A colour of the rainbow."""\n    RED = 1\n    BLUE = 2'),
        (ct.Size, 'class Size(StrEnum):\n    SMALL = "small"\n    LARGE = "large"'),
        (ct.Rights, "class Rights(IntFlag):\n    READ = 1\n    WRITE = 2"),
        (ct.Movie, "class Movie(TypedDict):\n    title: str\n    year: NotRequired[int]"),
        (ct.Pair, 'class Pair(NamedTuple):\n    left: int\n    right: str = "r"'),
        (ct.UserId, "UserId = int"),
        (ct.Tags, "Tags = list[str]  # Words."),
        (ct.Grade, "Grade = Annotated[int, 1 <= value <= 6]"),
        (ct.Json, "Json = dict[str, Json] | list[Json] | str | int | None"),
        (ct.Tree, "@dataclass(kw_only=True)\nclass Tree:\n    value: int\n    children: list[Tree] = []"),
        (ct.Page[int], "@dataclass(kw_only=True)\nclass Page(Generic[T]):\n    items: list[T]\n    more: bool = False"),
        (ct.Person, "@dataclass\nclass Person:\n    name: str\n    age: int = 0\n    friends: list[str] = []"),
        (HttpUrl, 'HttpUrl = Annotated[str, "a URL"]'),
        (
            Opaque[ct.Connection],
            'class Connection:\n    """A connection that stays on the host. Opaque: pass it on to other tools."""',
        ),
    ],
    ids=str,
)
def test_definitions_are_python_source(annotation: Any, text: str) -> None:
    """A definition reads as the class that a person would write."""
    catalog = Catalog()
    catalog.expression(annotation, owner="here")
    assert list(catalog.types.values())[-1].source() == text


def test_init_only_and_computed_fields_of_a_dataclass() -> None:
    """An InitVar is for the constructor only, a field with init=False for readers only."""
    catalog = Catalog()
    catalog.expression(ct.Place, owner="here")
    fields = {each.name: (each.init, each.stored) for each in catalog.types["Place"].fields}
    assert fields == {
        "name": (True, True), "at": (True, True), "scale": (True, False), "notes": (True, True),
        "length": (False, True),
    }  # fmt: skip


def test_a_subclass_names_its_base_when_the_base_is_known() -> None:
    """Checkers accept a Dog for an Animal, because the class statement says so."""

    class Animal(BaseModel):
        name: str

    class Hound(Animal):
        loud: bool

    catalog = Catalog()
    catalog.expression(list[Animal], owner="a")
    catalog.expression(Hound, owner="a")
    assert "class Hound(Animal):" in catalog.types["Hound"].source()

    backwards = Catalog()
    backwards.expression(Hound, owner="a")
    assert "class Hound:" in backwards.types["Hound"].source()
    with pytest.raises(DefinitionError):
        backwards.expression(tuple[Animal, ct.Connection], owner="a")
    assert "class Hound:" in backwards.types["Hound"].source()
    backwards.expression(Animal, owner="a")
    assert "class Hound(Animal):" in backwards.types["Hound"].source()


def test_exceptions_keep_what_they_are() -> None:
    """A declared exception is a ToolError in the action, and what it inherits from besides."""

    class Refused(ValueError):
        """No."""

        code: int

    class Gone(Refused):
        pass

    catalog = Catalog()
    for each in (ValueError, Refused, Gone, TimeoutError):
        catalog.exception(each, owner="here")
    sources = [each.source() for each in catalog.types.values()]
    assert sources == [
        "from builtins import ValueError",
        'class Refused(ToolError, ValueError):\n    """No."""\n    code: int',
        "class Gone(Refused):\n    code: int",
        "from builtins import TimeoutError",
    ]
    found = catalog.by_python(Gone)
    assert found is not None
    assert found.name == "Gone"


def test_generic_dataclasses_keep_their_variables() -> None:
    """One generic definition serves all its parametrisations."""
    kind = TypeVar("kind", bound=int)

    @dataclass
    class Box(Generic[kind]):
        content: kind

    catalog = Catalog()
    assert catalog.expression(Box[bool], owner="a").render() == "Box[bool]"
    assert catalog.expression(Box, owner="a").render() == "Box[Any]"
    assert [each.name for each in catalog.types["Box"].variables] == ["kind"]


def test_foreign_classes_are_imported_by_the_guest() -> None:
    """An array or a frame crosses as itself; the catalog only says where the guest imports its class from."""
    frame = type("DataFrame", (), {"__module__": "pandas.core.frame"})
    catalog = Catalog()
    catalog.expression(frame, owner="a")
    assert (catalog.types["DataFrame"].kind, catalog.types["DataFrame"].base) == ("import", "pandas")


def test_unknown_names_in_annotations_are_explained() -> None:
    """A name that cannot be resolved is named, with what to do about it."""

    @dataclass
    class Broken:
        x: Missing  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(DefinitionError, match=r"'Missing'.*import it"):
        Catalog().expression(Broken, owner="here")


def test_streams_render_as_iterators() -> None:
    """Generators are written as what the action iterates over."""
    assert rendered(Iterator[int]) == "Iterator[int]"
    assert rendered(typing.Generator[int, None, None]) == "Iterator[int]"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()


@given(
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner))
)
def test_defaults_read_back_as_themselves(value: object) -> None:
    """The source of a default evaluates to the default, unless it is too long to show."""
    source = default_source(value)
    assert source == "..." or eval(source, {"float": float}) == value  # noqa: S307


@given(st.text())
def test_string_literals_read_back_as_themselves(text: str) -> None:
    """Double quotes are a matter of taste, never of meaning."""
    assert eval(literal(text)) == text  # noqa: S307


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\0")))
def test_docstrings_are_valid_python_whatever_they_hold(text: str) -> None:
    """Quotes and backslashes in a docstring never end it early."""
    assert eval(docstring_source(text)) == text  # noqa: S307


@given(st.integers(), st.integers())
def test_intervals_say_what_they_mean(low: int, high: int) -> None:
    """The condition that the model reads is the one that the host checks."""
    (text,) = constraint_texts([Field(ge=low, lt=high)])
    for value in (low - 1, low, high - 1, high):
        assert eval(text.replace("{x}", str(value))) == (low <= value < high)  # noqa: S307


def test_defaults_of_standard_types_are_written_as_calls() -> None:
    """A default shows as the call that makes it; a function or an object without source as an ellipsis."""
    shown = [default_source(each) for each in (Decimal("1.5"), date(2026, 1, 2), math.inf, ct.Colour.RED, len, ct.ITEM)]
    assert shown == ['Decimal("1.5")', "date(2026, 1, 2)", 'float("inf")', "Colour.RED", "...", "..."]
    assert rendered(Literal["it's", b"x"]) == "Literal[\"it's\", b'x']"
