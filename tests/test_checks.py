"""The check of an action: what it finds, at the first and at a late turn, and that it finds nothing in good code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from codeact_tools.checks import Checker, check_code
from codeact_tools.events import FindingKind
from tests.checks_shop import RUNS, make_registry


def actions(name: str) -> list[str]:
    """The actions of a file in ``tests/actions``; all of them run clean."""
    text = (Path(__file__).parent / "actions" / f"{name}.txt").read_text(encoding="utf-8")
    return text.removesuffix("\n").split("\n----\n")


@dataclass(frozen=True)
class Bad:
    """An action that is wrong, and the finding that is expected."""

    code: str
    kind: FindingKind
    line: int
    says: str
    """A part of the message or the hint."""


BAD = (
    # names
    Bad("orders = serch_orders('a')", "name", 1, "search_orders(query: str"),
    Bad("x = 1\nprint(y)", "name", 2, "'y' is not defined"),
    Bad("total = 1\nprint(totl)", "name", 2, "'total'"),
    Bad("ready = true", "name", 1, "'True'"),
    Bad("math.sqrt(4)", "name", 1, "not imported"),
    Bad("def f():\n    return nonsense\nf()", "name", 2, "'nonsense'"),
    Bad("[o.id for o in unknown_orders]", "name", 1, "unknown_orders"),
    Bad("payments.charge('ann', 5)", "name", 1, "'payments' is not defined"),
    # arguments
    Bad("search_orders()", "argument", 1, "needs 'query'"),
    Bad("search_orders(limit=3)", "argument", 1, "needs 'query'"),
    Bad("search_orders('a', limt=3)", "argument", 1, "'limit'"),
    Bad("search_orders('a', 3, 'newest', 5)", "argument", 1, "3 positional arguments, not 4"),
    Bad("search_orders('a', query='b')", "argument", 1, "twice"),
    Bad("tools.payments.charge('ann')", "argument", 1, "needs 'amount'"),
    Bad("import tools as t\nt.get_order()", "argument", 2, "needs 'id'"),
    Bad("from tools import search_orders as find\nfind('a', max=3)", "argument", 2, "'max'"),
    Bad("def f(a, b):\n    return a\nf(1)", "argument", 3, "'b'"),
    Bad("def f(a):\n    return a\nf(1, c=3)", "argument", 3, "'c'"),
    Bad("Item(name='a', prize=3)", "argument", 1, "'prize'"),
    Bad("len()", "argument", 1, "len"),
    # types
    Bad("search_orders(5)", "type", 1, "needs `str` for 'query', not `int`"),
    Bad("search_orders('a', limit='many')", "type", 1, "needs `int` for 'limit', not `str`"),
    Bad("search_orders('a', limit=None)", "type", 1, "not `None`"),
    Bad("search_orders(['a'])", "type", 1, "not `list[str]`"),
    Bad("n = len('a') / 2\nsearch_orders('a', limit=n)", "type", 2, "not `float`"),
    Bad("get_order(get_order('A1'))", "type", 1, "not `Order`"),
    Bad("sales_on(3.5)", "type", 1, "not `float`"),
    Bad("average('abc')", "type", 1, "not `str`"),
    Bad("average(['a', 'b'])", "constraint", 1, "'values[0]' must be a float"),
    Bad("words = ['a'.upper()]\naverage(words)", "type", 2, "list[float]"),
    Bad("average([1], 2, 'c')", "type", 1, "'more'"),
    Bad("cancel_order(search_orders('a')[0])", "type", 1, "not `Order`"),
    Bad("add_items('A1', search_orders('a'))", "type", 1, "list[Item]"),
    Bad("set_status('A1', 5)", "type", 1, "Status"),
    Bad("for o in 5:\n    print(o)", "type", 1, "looped over"),
    Bad("for o in get_order('A1'):\n    print(o)", "type", 1, "Use its attributes: .id"),
    Bad("stock('ink').count + 1\nstock('ink').cuont", "attribute", 2, "Did you mean `['count']`?"),
    Bad("stock('ink') * 2", "type", 1, "Use keys of Row: ['name'], ['count']"),
    Bad("best = None\nif stock('ink'):\n    best = 5\nbest['name']", "key", 4, "cannot be indexed"),
    Bad("get_order('A1') * 2", "type", 1, "Use attributes of Order: .id"),
    Bad("get_order('A1')()", "type", 1, "cannot be called"),
    Bad("get_order('A1').total + 'a'", "type", 1, "`float` and `str`"),
    Bad("'total: ' + get_order('A1').total", "type", 1, "f-string"),
    Bad("get_order('A1').items[0].price * 1.5", "type", 1, "Decimal for both"),
    Bad("len(get_order('A1').total)", "type", 1, "len"),
    Bad("search_orders('a') < 5", "type", 1, "`<`"),
    Bad("get_order('A1') > get_order('A2')", "type", 1, "`Order`"),
    Bad("sum(search_orders('a'))", "type", 1, "each.total for each in"),
    Bad("sum(o for o in search_orders('a'))", "type", 1, "`Order` objects"),
    Bad("x = 1\ntotal = sum(map(get_order, ['A1']))", "type", 2, "`Order` objects"),
    Bad("sum([stock('a')])", "type", 1, "each['count']"),
    Bad("print(sum(['a', 'b']))", "type", 1, "''.join(...)"),
    Bad(
        "waits = [order.placed - order.placed for order in search_orders('a')]\nsum(waits)", "type", 2, "begins with 0"
    ),
    Bad("sum(o.items for o in search_orders('a'))", "type", 1, "search_orders('a')), [])`"),
    Bad("max(search_orders('a'))", "type", 1, "key=lambda each: each.total"),
    Bad("sorted([stock('a'), stock('b')])", "type", 1, "key=lambda each: each['count']"),
    Bad("max(get_order('A1'), key=lambda item: item.price)", "type", 1, "`get_order('A1').items` is a `list[Item]`"),
    Bad("order = get_order('A1')\nlen(order)", "type", 2, "`order.items` is a `list[Item]`"),
    Bad("list(enumerate(get_order('A1')))", "type", 1, "cannot be looped over"),
    Bad("len(search_orders)", "type", 1, "Call it: `search_orders(query: str"),
    Bad("set_status('A1', Status.OPEN) + 1", "type", 1, "`None` and `int`"),
    Bad("for index, order, more in enumerate(search_orders('a')):\n    pass", "type", 1, "too few values here: 3"),
    Bad("name, count, price = 'ink', 1", "type", 1, "too few"),
    Bad("get_order('A1').placed > date(2026, 1, 1)", "type", 1, "`get_order('A1').placed.date()`"),
    Bad("today = date.today()\nget_order('A1').placed - today", "type", 2, "Use `.date()`"),
    Bad("'ab'[0] = 'c'", "key", 1, "cannot be changed"),
    Bad("order = get_order('A1')\norder.remark = 'x'", "attribute", 2, "no attribute 'remark'"),
    Bad("note = get_order('A1').note\nif note:\n    note.txt", "attribute", 3, "`str`"),
    Bad("[o.note.txt for o in search_orders('a') if o.note]", "attribute", 1, "'txt'"),
    Bad("def f(o: Order | None):\n    return o.totl", "attribute", 2, "`.total`"),
    Bad("''.join([1, 2])", "type", 1, "`join` needs texts, not `int`"),
    Bad("', '.join(o.total for o in search_orders('a'))", "type", 1, "str(each)"),
    Bad("sep = ', '\nsep.join({o.id: o for o in search_orders('a')}.values())", "type", 2, "not `Order`"),
    # attributes, keys
    Bad("get_order('A1').totl", "attribute", 1, "`.total`"),
    Bad("search_orders('a').total", "attribute", 1, "holds several"),
    Bad("for o in search_orders('a'):\n    print(o.name)", "attribute", 2, "has no attribute 'name'"),
    Bad("sorted(search_orders('a'), key=lambda o: o.price)", "attribute", 1, "'price'"),
    Bad("[o.amount for o in search_orders('a')]", "attribute", 1, "Order has: id, customer"),
    Bad("get_order('A1').items[0].cost", "attribute", 1, "Item has: name, price, count"),
    Bad("Status.CLOSED", "attribute", 1, "OPEN, SHIPPED"),
    Bad("'abc'.uper()", "attribute", 1, "`.upper`"),
    Bad("tools.serch_orders('a')", "attribute", 1, "'search_orders'"),
    Bad("stock('a').count_of", "attribute", 1, "count_of"),
    Bad("stock('a')['cout']", "key", 1, "'count'"),
    Bad("get_order('A1')['total']", "key", 1, ".total"),
    Bad("search_orders('a')['id']", "key", 1, "[0].id"),
    Bad("search_orders('a')[0]['id']", "key", 1, "attributes"),
    Bad("page = await fetch_page('u')\npage['title']", "key", 2, "text, not a dict"),
    Bad("(1, 2)[5]", "key", 1, "out of bounds"),
    # constraints
    Bad("search_orders('a', limit=500)", "constraint", 1, "at most 100, got 500"),
    Bad("search_orders('a', 0)", "constraint", 1, "at least 1"),
    Bad("n = 500\nsearch_orders('a', limit=n)", "constraint", 2, "at most 100"),
    Bad("search_orders('a', limit=10 * 60)", "constraint", 1, "at most 100"),
    Bad("words = input_words = 'a b'\nsearch_orders(words.strip(), limit=-1)", "constraint", 2, "at least 1"),
    Bad("search_orders('a', sort='newst')", "constraint", 1, "did you mean 'newest'"),
    Bad("cancel_order('17')", "constraint", 1, "regular expression"),
    Bad("set_status('A1', 'opened')", "constraint", 1, "'open'"),
    Bad("sales_on('2026-13-01')", "constraint", 1, "'day'"),
    Bad("sales_on('yesterday')", "constraint", 1, "'day'"),
    Bad("sales_on(date(2026, 2, 30))", "constraint", 1, "day is out of range"),
    Bad("sales_on(date.fromisoformat('2026-1'))", "constraint", 1, "date.fromisoformat"),
    Bad("add_items('A1', [Item(name='a', price=-3)])", "constraint", 1, "'Item.price' must be at least 0"),
    Bad("add_items('A1', [Item(name='a', price=3), {'name': 'b'}])", "constraint", 1, "price"),
    Bad("add_items('A1', [{'name': 'b', 'price': -1}])", "constraint", 1, "items[0].price"),
    Bad("ship('A1', Address('Main St', 'Rome', zip_code='12'))", "constraint", 1, "zip_code"),
    Bad("ship('A1', {'street': 'a'})", "constraint", 1, "city"),
    Bad("tools.payments.charge('ann', 5000)", "constraint", 1, "at most 1000"),
    Bad("if len('a') > 5:\n    charge('ann', -1)", "constraint", 2, "more than 0"),
    Bad("end = date(2026, 11, 31)", "constraint", 1, "day is out of range"),
    Bad("Status('closed')", "constraint", 1, "'open'"),
    # await
    Bad("fetch_page('u')", "await", 1, "never runs"),
    Bad("print(fetch_page('u'))", "await", 1, "await fetch_page('u')"),
    Bad("fetch_page('u').upper()", "await", 1, "await"),
    Bad("fetch_page('u')[:100]", "await", 1, "await"),
    Bad("page = fetch_page('u')\nprint(page.strip())", "await", 2, "await page"),
    Bad("page = fetch_page('u')\nprint(f'{page}')", "await", 2, "await page"),
    Bad("for line in fetch_page('u'):\n    print(line)", "await", 1, "await"),
    Bad("if fetch_page('u'):\n    print(1)", "await", 1, "await"),
    Bad("len(fetch_page('u'))", "await", 1, "await"),
    Bad("page = fetch_page('u')\nget_order(page)", "await", 2, "await"),
    Bad("await search_orders('a')", "await", 1, "Leave out `await`"),
    Bad("for o in watch_orders():\n    print(o)", "await", 1, "async for"),
    Bad("async for o in search_orders('a'):\n    print(o)", "await", 1, "plain `for`"),
    Bad("import asyncio\nfor page in asyncio.gather(fetch_page('a')):\n    print(page)", "await", 2, "gather"),
    Bad("first, second = fetch_page('u')", "await", 1, "await"),
    # imports
    Bad("from dateutil import relativedelta", "import", 1, "`timedelta(days=...)`"),
    Bad("import requests", "import", 1, "fetch_page(url: str)"),
    Bad("import os\nos.listdir('.')", "import", 1, "Importable: tools, tools.payments, asyncio, typing."),
    Bad("from datetime import date", "import", 1, "`date` can be used without an import"),
    Bad("import numpy as np", "import", 1, "'numpy' cannot be imported"),
    Bad("from functions import search_orders", "import", 1, "`search_orders` can be used without an import"),
    Bad("import functions", "import", 1, "Importable"),
    Bad("from tools.api import search_orders", "import", 1, "without an import"),
    Bad("import tools.payment", "import", 1, "tools.payments"),
    Bad("from tools import serch_orders", "import", 1, "'search_orders'"),
    Bad("from tools.payments import refund", "import", 1, "has no 'refund'"),
    Bad("from . import tools", "import", 1, "Relative"),
    Bad("x = 1\nif x:\n    import subprocess", "import", 3, "subprocess"),
    # syntax
    Bad("print('a'", "syntax", 1, "unfinished"),
    Bad("x = [1, 2,\n", "syntax", 1, "never closed"),
    Bad("for o in search_orders('a'):", "syntax", 1, "unfinished"),
    Bad("text = 'abc", "syntax", 1, "unterminated"),
    Bad("!pip install pandas\nimport pandas", "syntax", 1, "cannot be installed"),
    Bad("pip install pandas", "syntax", 1, "cannot be installed"),
    Bad("%matplotlib inline", "syntax", 1, "plain Python"),
    Bad("Let me search for the orders first.\nsearch_orders('a')", "syntax", 1, "text, not Python"),
    Bad("data = [1, 2, ..., 9]", "syntax", 1, "clipped output"),
    Bad("data = {'a': 1, 'b': ...}\nprint(data)", "syntax", 1, "clipped output"),
    Bad("return 5", "syntax", 1, "outside function"),
    Bad("x = = 5", "syntax", 1, "Not valid Python"),
    Bad("if x = 5:\n    pass", "syntax", 1, "Not valid Python"),
    Bad("a\0b", "syntax", 1, "null bytes"),
)


@pytest.fixture(scope="module")
def fresh() -> Iterator[Checker]:
    """A checker at turn 1."""
    with Checker(make_registry()) as checker:
        yield checker


@pytest.fixture(scope="module")
def late() -> Iterator[Checker]:
    """A checker at turn 50."""
    with Checker(make_registry()) as checker:
        for turn in range(49):
            checker.commit(f"step_{turn} = search_orders('a')\nsize_{turn} = sum(o.total for o in step_{turn})")
        yield checker


@pytest.fixture(scope="module")
def open_minded() -> Iterator[Checker]:
    """A checker that lets every module be imported."""
    with Checker(make_registry(), allow_imports=["*"]) as checker:
        yield checker


def expect(checker: Checker, bad: Bad) -> None:
    """The finding is there, it blocks, and nothing ran."""
    RUNS.clear()
    result = checker.check_sync(bad.code)
    assert result.degraded is None
    found = [(each.kind, each.line, f"{each.message} {each.hint}") for each in result.findings]
    assert any(kind == bad.kind and line == bad.line and bad.says in text for kind, line, text in found), found
    assert not result.ok
    assert RUNS == []


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.code[:40])
def test_a_mistake_is_found_at_the_first_turn(fresh: Checker, bad: Bad) -> None:
    """The finding has the right kind and line, says what to write instead, blocks, and no tool ran."""
    expect(fresh, bad)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.code[:40])
def test_a_mistake_is_found_at_turn_50(late: Checker, bad: Bad) -> None:
    """The same after 49 actions."""
    expect(late, bad)


def test_an_action_of_any_length_is_looked_at_briefly(fresh: Checker) -> None:
    """What is too long for an action is refused before it is read, and adds nothing to the session."""
    code = "x = 1\n" * 20_000
    (finding,) = fresh.check_sync(code).findings
    assert finding.message == "The action has 120,000 characters, and 100,000 are the most."
    fresh.commit(code)
    assert not fresh.check_sync("len('x')").findings


LATER = (
    Bad("step_7.total", "attribute", 1, "holds several"),
    Bad("size_3.upper()", "attribute", 1, "`float`"),
    Bad("get_order(size_3)", "type", 1, "not `float`"),
    Bad("search_orders('a', limit=step_7)", "type", 1, "not `list[Order]`"),
    Bad("step_7[0].totl", "attribute", 1, "`.total`"),
    Bad("sizee_3 + 1\nsize_3 + 1", "name", 1, "'size_3'"),
    Bad("step_49", "name", 1, "step_49"),
)


@pytest.mark.parametrize("bad", LATER, ids=lambda bad: bad.code[:40])
def test_variables_of_earlier_actions_have_their_types(late: Checker, bad: Bad) -> None:
    """What an earlier action bound is known with its type."""
    expect(late, bad)


@pytest.mark.parametrize("code", actions("valid"))
def test_valid_actions_pass(fresh: Checker, code: str) -> None:
    """An action that runs clean has no finding, not even a warning."""
    result = fresh.check_sync(code)
    assert (result.findings, result.degraded) == ((), None), result.render()


@pytest.mark.parametrize("code", actions("libraries"))
def test_valid_actions_with_libraries_pass(open_minded: Checker, code: str) -> None:
    """Neither has one that uses the standard library, or libraries whose types are unknown."""
    result = open_minded.check_sync(code)
    assert (result.findings, result.degraded) == ((), None), result.render()


def test_a_valid_session_passes() -> None:
    """Names may be bound again to other types from action to action."""
    with Checker(make_registry()) as checker:
        for code in actions("session"):
            result = checker.check_sync(code)
            assert result.findings == (), f"{code}\n{result.render()}"
            checker.commit(code)


def test_all_findings_are_reported_at_once() -> None:
    """One check names every mistake, causes first."""
    code = "import os\norders = serch_orders('a')\nget_order(5)\nget_order('A1').totl"
    result = check_code(code, make_registry())
    assert [(each.kind, each.line) for each in result.findings] == [
        ("import", 1),
        ("name", 2),
        ("type", 3),
        ("attribute", 4),
    ]
