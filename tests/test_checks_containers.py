"""The check of values in containers that actions change: it does not go by types that the elements no longer have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from codeact_tools.checks import Checker
from tests.checks_shop import make_registry


@pytest.fixture
def checker() -> Iterator[Checker]:
    """A checker at its first turn."""
    with Checker(make_registry()) as one:
        yield one


def messages(checker: Checker, code: str) -> list[str]:
    """What is found; the type checker took part."""
    result = checker.check_sync(code)
    assert result.degraded is None
    return [each.message for each in result.findings]


def play(checker: Checker, code: str) -> None:
    """Check an action, which is right, and take it over as one that ran."""
    assert messages(checker, code) == []
    checker.commit(code)


CHANGES = (
    "rows[0]['count'] = 'many'",
    "for row in rows:\n    row['count'] = 'many'",
    "rows.append({'name': 'a', 'count': 'many'})",
    "rows.insert(0, {'name': 'a', 'count': 'many'})",
    "rows += [{'name': 'a', 'count': 'many'}]",
    "first = rows[0]\nfirst['count'] = 'many'",
    "def change(some):\n    some.append({'name': 'a', 'count': 'many'})\nchange(rows)",
    "rows[0] = {'name': 'a', 'count': 'many'}",
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_container_holds_what_actions_put_into_it(checker: Checker, change: str) -> None:
    """Whatever the tool promised: the host validates what a tool gets, not what an action collects."""
    play(checker, "rows = [stock('a'), stock('b')]")
    play(checker, change)
    play(checker, "rows[0]['count'].upper()\n[row['count'].upper() for row in rows]")
    play(checker, "last = rows[-1]\nlast['count'].upper()")


def test_other_variables_are_checked_as_before(checker: Checker) -> None:
    """Only what has to do with the changed container is left alone."""
    play(checker, "rows = [stock('a')]\norders = search_orders('a')")
    play(checker, "rows.append({'name': 'a', 'count': 'many'})")
    assert messages(checker, "orders[0].totl") == ["`Order` has no attribute 'totl'."]
    assert messages(checker, "stock('a')['cuont']") == ["`Row` has no key 'cuont'."]


def test_a_container_that_is_made_anew_is_checked_again(checker: Checker) -> None:
    """The name stands for something else then."""
    play(checker, "rows = [stock('a')]")
    play(checker, "rows.append(5)")
    play(checker, "rows[-1] + 1")
    play(checker, "rows = [stock('b')]")
    assert messages(checker, "rows[0]['cuont']") == ["`Row` has no key 'cuont'."]


def test_keys_of_own_dictionaries_leave_the_keys_of_rows_alone(checker: Checker) -> None:
    """A misspelt key of a row is found beside a dictionary that the action fills under any key."""
    code = "totals = {}\nfor row in [stock('a')]:\n    totals[row['name']] = totals.get(row['name'], 0) + row['cuont']"
    assert messages(checker, code) == ["`Row` has no key 'cuont'."]
    assert messages(checker, "groups = {}\ngroups.setdefault(stock('a')['nam'], []).append(1)") == [
        "`Row` has no key 'nam'."
    ]


def test_an_operator_that_works_for_some_values_of_a_dictionary_passes(checker: Checker) -> None:
    """`+=` is refused only where no value of the union takes it."""
    play(checker, "info = {'count': 0, 'ids': []}\nkey = 'count'\ninfo[key] += 1")
    assert messages(checker, "word = 'a'\nword += 1") == ["`+=` does not work for `str` and `int`."]
    assert messages(checker, "order = get_order('A1')\norder += 1") == ["`+=` does not work for `Order` and `int`."]
