"""What error messages of actions tell besides what Python tells: the keys and fields that are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from codeact_tools import Session, tool


@dataclass
class Folder:
    """A folder."""

    entries: list[str]
    complete: bool


@tool
def look() -> Folder:
    """Look."""
    return Folder(entries=["a"], complete=True)


@tool
def fail(key: str) -> int:
    """Fail."""
    return {"a": 1}[key]


PRICE = "KeyError: 'price'. Did you mean: 'Price'? The keys are: 'Price', 'In stock'"
TWENTY = ", ".join(map(str, range(20)))


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One for all; without the check, which finds most of this before it runs."""
    with Session(tools=[look, fail], sandbox="local", check="off", allow_imports=["os"]) as session:
        session.run(
            "row = {'Price': '1', 'In stock': '2'}\nrows = [row]\ndeep = {'é': [{'b': 1}]}\n"
            "class Odd(dict):\n    def __missing__(self, key):\n        raise KeyError(key)\n"
            "def pick(row, key):\n    return row[key]\n"
            "def inner():\n    raise KeyError('x')\n"
        )
        yield session


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("row['price']", PRICE),
        ("sum(float(row['price']) for row in rows)", PRICE),
        ("rows[0]['price']", PRICE),
        ("x = 1; y = deep['é'][0]['c']", "KeyError: 'c'. The keys are: 'b'"),
        ("pick({1: 'a', 'b': 2}, 'c')", "KeyError: 'c'. The keys are: 1, 'b'"),
        ("empty = {}\nempty['c']", "KeyError: 'c'. It is empty."),
        ("many = dict.fromkeys(range(22))\nmany[99]", f"KeyError: 99. The keys are: {TWENTY} and 2 more"),
        ("len(look())", "TypeError: object of type 'Folder' has no len(). It has: entries, complete"),
        ("for each in look(): pass", "TypeError: 'Folder' object is not iterable. It has: entries, complete"),
        ("look()[0]", "TypeError: 'Folder' object is not subscriptable. It has: entries, complete"),
    ],
)  # fmt: skip
def test_what_is_there_is_named(session: Session, code: str, line: str) -> None:
    """The keys of the dictionary, the fields of the record: with them a model repairs what it has guessed."""
    assert session.run(code).text.splitlines()[-1] == line


@pytest.mark.parametrize(
    "code",
    [
        "Odd()['x']",
        "inner()",
        "(lambda: row)()['x']",
        "row[\n'x'\n]",
        "row.pop('x')",
        "{(1, 2): 3}['x']",
        "raise KeyError('x')",
        "exec(\"{'a': 1}['x']\")",
    ],
)
def test_what_cannot_be_told_for_certain_is_not_told(session: Session, code: str) -> None:
    """Nothing of the action is run again to find it out, and no other dictionary's keys are named."""
    assert session.run(code).text.splitlines()[-1] == "KeyError: 'x'"


def test_an_error_of_a_tool_has_no_hint(session: Session) -> None:
    """Its dictionary is on the host."""
    assert "keys are" not in session.run("fail('b')").text


def test_a_plain_type_error_stays_as_it_is(session: Session) -> None:
    """Only classes of tools have fields to name."""
    assert session.run("len(1)").text.splitlines()[-1] == "TypeError: object of type 'int' has no len()"


def test_a_file_that_is_not_there(session: Session) -> None:
    """Models look here for the files of the host; they learn which ones there are, and who reads the others."""
    session.run("import os\nfor name in os.listdir(): os.remove(name)")
    none = session.run("open('sales.csv')").text.splitlines()[-1]
    assert none.endswith("'sales.csv'. Files that are here: none so far; all others only a tool can read")
    session.upload("own.csv", b"a")
    some = session.run("open('sales.csv')").text.splitlines()[-1]
    assert some.endswith("Files that are here: 'own.csv'; all others only a tool can read")
