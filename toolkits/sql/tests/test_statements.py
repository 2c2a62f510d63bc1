"""Named parameters: where they are, and that a value never becomes a part of a statement."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from codeact_tools_sql import InvalidSql, WrongParameters
from codeact_tools_sql.databases.other import _written
from codeact_tools_sql.statements import MAX_CHARACTERS, Statement
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkits.sql.tests.databases import Opened

HOSTILE = [
    "'; DROP TABLE customers; --",
    "' OR '1'='1",
    "Berlin' UNION SELECT name FROM products --",
    ":city",
    "%(city)s",
    "$1",
    "?",
    "\\'",
    '"; --',
    "/*",
    "$$",
    "a\0b",
    "🙂'",
]


def names_in(source: str, *, nested: bool = True) -> tuple[str, ...]:
    """The names that are found, whatever values there are."""
    try:
        return Statement.parse(source, {}, nested_comments=nested).names
    except WrongParameters:
        values = dict.fromkeys("abcdefgh", 1) | {"city": 1, "größe": 1}
        for _ in list(values):
            try:
                return Statement.parse(source, values, nested_comments=nested).names
            except WrongParameters as error:
                extra = str(error).split("'")[1]
                values.pop(extra, None)
        raise


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("SELECT :a, :b, :a", ("a", "b")),
        ("SELECT ':a', \":b\", `:c`", ()),
        ("SELECT 'it''s :a', :b", ("b",)),
        ("SELECT E'\\':a', :b", ("b",)),
        ("SELECT '\\', :b", ("b",)),
        ("SELECT 1 -- :a\n, :b", ("b",)),
        ("SELECT /* :a */ :b", ("b",)),
        ("SELECT /* /* */ :a */ 1", ()),
        ("SELECT $$ :a $$, $x$ $$ :b $x$, :c", ("c",)),
        ("SELECT x::int, :a::text", ("a",)),
        ("SELECT y[1:2], {'k': :a, 'l':b}", ("a",)),
        ("SELECT :größe", ("größe",)),
        ("SELECT '10:30', 'a:b'", ()),
        ("SELECT 'open :a", ()),
    ],
)
def test_parameters_are_found_where_they_are(source: str, names: tuple[str, ...]) -> None:
    """And not in literals, identifiers, comments, casts, slices and keys."""
    assert names_in(source) == names


def test_a_comment_ends_where_the_database_says() -> None:
    """In SQLite at the first mark, in PostgreSQL and DuckDB at the matching one."""
    source = "SELECT /* /* */ :a"
    assert names_in(source, nested=False) == ("a",)
    assert names_in(source, nested=True) == ()


@pytest.mark.parametrize(
    ("style", "text", "values"),
    [
        ("named", "SELECT :b, '50%', :a, :b", {"a": 1, "b": 2}),
        ("pyformat", "SELECT %(b)s, '50%%', %(a)s, %(b)s", {"a": 1, "b": 2}),
        ("qmark", "SELECT ?, '50%', ?, ?", (2, 1, 2)),
        ("format", "SELECT %s, '50%%', %s, %s", (2, 1, 2)),
        ("numeric", "SELECT :1, '50%', :2, :1", (2, 1)),
        ("numeric_dollar", "SELECT $1, '50%', $2, $1", (2, 1)),
    ],
)
def test_every_style_of_drivers_can_be_written(style: str, text: str, values: Any) -> None:
    """Those of PEP 249, for databases that are not known here."""
    assert _written(Statement.parse("SELECT :b, '50%', :a, :b", {"a": 1, "b": 2}), style) == (text, values)


@given(st.lists(st.sampled_from(["a", ":", "'", '"', "--", "/*", "*/", "$$", "$", "%", "\n", ":b", "E'", "\\", "é"])))
def test_splitting_loses_nothing(parts: list[str]) -> None:
    """Pieces and names together are the source, whatever it is, and each place is found again."""
    source = "x" + "".join(parts)
    values = dict.fromkeys(["a", "b", "aa", "ab", "ba", "bb"], 1)
    try:
        statement = Statement.parse(source, {})
    except WrongParameters:
        assert ":" in source
        return
    assert statement.text(lambda name, _: f":{name}") == source
    assert statement.place(len(source), lambda name, _: f":{name}") == len(source)
    assert values


@given(st.integers(0, 200))
def test_places_are_found_again(offset: int) -> None:
    """Of a text whose parameters are written otherwise."""
    statement = Statement.parse("SELECT :long_name, x FROM t WHERE y = :long_name AND z = :b", {"long_name": 1, "b": 2})
    mark = lambda _name, place: f"${place}"  # noqa: E731
    text = statement.text(mark)
    place = statement.place(offset, mark)
    assert 0 <= place <= len(statement.source)
    if offset < len(text) and text[offset] not in "$12":
        assert statement.source[place] == text[offset]


@pytest.mark.parametrize("source", ["", "  \n", "SELECT 1\0", "SELECT 1 -- \0"])
def test_what_is_no_statement_is_refused(source: str) -> None:
    """Drivers cut some of these off, and run the rest."""
    with pytest.raises(InvalidSql):
        Statement.parse(source, {})


def test_a_statement_has_a_length() -> None:
    """A model that pastes data into it is told where data belongs."""
    with pytest.raises(InvalidSql, match="pass long values in params"):
        Statement.parse(f"SELECT '{'x' * MAX_CHARACTERS}'", {})


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_a_value(shop: Opened, value: str) -> None:
    """Quotes, comments and marks of parameters in it mean nothing."""
    if "\0" in value and shop.product == "postgresql":  # which cannot store it
        with pytest.raises(WrongParameters):
            shop.query("SELECT * FROM customers WHERE city = :city", {"city": value})
        return
    assert shop.query("SELECT * FROM customers WHERE city = :city", {"city": value}).rows == []
    assert shop.value("SELECT CAST(:city AS TEXT)", {"city": value}) == value
    assert shop.value("SELECT COUNT(*) FROM customers") == 8


SIMPLE = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.sampled_from(HOSTILE[:-2]),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.binary(),
    st.booleans(),
    st.none(),
    st.dates(),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(value=SIMPLE, other=SIMPLE)
def test_parameters_never_change_the_statement(sqlite: Opened, value: Any, other: Any) -> None:
    """Whatever the values are, SQLite compiles the same program, and the drivers get the same text."""
    text = "SELECT name FROM customers WHERE city = :value AND id <> :other"
    plan = "EXPLAIN " + text
    programs = [
        sqlite.query(plan, {"value": each, "other": another}, limit=200).rows
        for each, another in ((value, other), ("x", "y"))
    ]
    assert programs[0] == programs[1]
    one, two = (Statement.parse(text, {"value": a, "other": b}) for a, b in ((value, other), ("x", "y")))
    for style in ("named", "pyformat", "qmark", "format", "numeric", "numeric_dollar"):
        assert _written(one, style)[0] == _written(two, style)[0]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(value=SIMPLE)
def test_what_goes_in_comes_out(shop: Opened, value: Any) -> None:
    """A value alone, on each product, as itself; SQLite and untyped parameters know fewer types."""
    kinds = {str: "TEXT", int: "BIGINT", float: "DOUBLE PRECISION"}
    kind = kinds.get(type(value))
    if kind is None or (shop.product == "postgresql" and isinstance(value, str) and "\0" in value):
        return
    assert shop.value(f"SELECT CAST(:value AS {kind})", {"value": value}) == value


def test_the_embedded_engines_are_those_that_are_tested() -> None:
    """What is closed depends on them."""
    assert sqlite3.sqlite_version_info >= (3, 37)
    assert Decimal(".".join(duckdb.__version__.split(".")[:2])) >= Decimal("1.4")
