"""Monty as a back end: a subset of Python with the same tools, state, limits and named errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("pydantic_monty")

from codeact_tools import Session
from codeact_tools.errors import SandboxUnavailable
from codeact_tools.sandbox import resolve_sandbox
from codeact_tools.sandbox.base import Limits, SandboxRequest
from codeact_tools.sandbox.local import LocalSandbox
from codeact_tools.sandbox.monty import LocalOrMonty, MontySandbox
from tests.shop import SHOP


@pytest.fixture(scope="module")
def shop() -> Iterator[Session]:
    """One session for the tests that do not break it."""
    with Session(tools=SHOP, sandbox="monty", check="off", limits={"seconds": 60, "output_kb": 8}) as session:
        yield session


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("y = 5", None),
        ("y + 1", "6"),
        ("print('said')\nz = 1", None),
        ("orders = search_orders('ada')\nlen(orders)", "2"),
        ("orders[0].total + 1", "Decimal('79.25')"),
        ("type(orders[0].placed).__name__", "'date'"),
        ("orders[1].status.value", "'shipped'"),
        ("orders[1].status == Status.SHIPPED", "True"),
        ("[o.id for o in walk_orders()]", "['A17', 'B02', 'C33']"),
        ("(await exchange_rate('USD')).per_euro * 2", "Decimal('2.20')"),
        (
            "import asyncio\nrates = await asyncio.gather(exchange_rate('USD'), exchange_rate('USD'))\nlen(rates)",
            "2",
        ),
        ("from tools import search_orders as find\nlen(find('bob'))", "1"),
        ("import tools\ntools.search_orders('bob')[0].customer", "'Bob'"),
        ("f = search_orders\nlen(f('bob'))", "1"),
    ],
)
def test_actions_call_tools_and_keep_their_variables(shop: Session, code: str, result: str | None) -> None:
    """Results arrive typed, names persist, and the last value is shown."""
    seen = shop.run(code)
    assert seen.error is None, seen.text
    assert seen.result == result


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1/0", ["line 1", "ZeroDivisionError"]),
        ("search_orders(qeury='x')", ["TypeError", "did you mean 'query'?"]),
        ("search_orders(limit=500)", ["must be at most 100"]),
        ("no_such_tool(1)", ["NameError", "no_such_tool"]),
        ("class A: pass\nclass B(A): pass", ["does not yet support class inheritance"]),
        ("open('x', 'w')", ["PermissionError"]),
        ("import os\nos.system('id')", ["Error"]),
        ("'x' * 10**11", ["MemoryError"]),
    ],
)
def test_what_goes_wrong_is_said(shop: Session, code: str, words: list[str]) -> None:
    """Errors of the action, of its calls, and of what Monty lacks come with their reason; the session goes on."""
    seen = shop.run(code)
    assert seen.error is not None
    for word in words:
        assert word in seen.text
    assert shop.run("1 + 1").result == "2"


def test_a_refused_call_can_be_caught(shop: Session) -> None:
    """The errors of calls have their names, and are those of Python that come nearest."""
    seen = shop.run("try:\n    search_orders(limit=500)\nexcept InvalidCall as error:\n    print('caught')")
    assert seen.stdout == "caught\n"


def test_output_is_bounded(shop: Session) -> None:
    """What is printed beyond the limit is dropped and counted."""
    seen = shop.run("for _ in range(1000):\n    print('x' * 100)")
    assert seen.error is None
    assert len(seen.stdout) <= 8 * 1024


def test_the_model_is_told_what_it_works_with() -> None:
    """The first action says that this is a subset of Python, and the session's description does."""
    with Session(sandbox="monty", check="off") as session:
        assert "subset of Python" in session.run("1").stderr
        assert session.run("1").stderr == ""
        assert "subset of Python" in session.sandbox


def test_the_time_limit_holds() -> None:
    """Waiting is interrupted and keeps the variables; computing is ended and loses them, by name both times."""
    with Session(sandbox="monty", check="off", limits={"seconds": 2, "grace_seconds": 3}) as session:
        session.run("x = 1")
        waited = session.run("import time\ntime.sleep(60)")
        assert waited.error is not None
        assert "variables are kept" in waited.error.message
        assert session.run("x").result == "1"
        computed = session.run("while True: pass")
        assert computed.error is not None
        assert "variables are lost" in computed.error.message
        assert session.run("2 + 2").result == "4"


async def test_packages_are_refused() -> None:
    """Monty has none, and says so."""
    with pytest.raises(SandboxUnavailable, match="has no packages"):
        await MontySandbox().open(SandboxRequest(limits=Limits(), packages=("pandas",)))


async def test_it_stands_in_where_no_jail_can_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """``local`` falls back to Monty, and only where the local sandbox is refused."""

    async def refuse(self: LocalSandbox, request: SandboxRequest) -> None:
        raise SandboxUnavailable("No local sandbox can be opened here.")

    sandbox, choice = resolve_sandbox("local")
    assert (type(sandbox), choice.name) == (LocalOrMonty, "local")
    monkeypatch.setattr(LocalSandbox, "open", refuse)
    guest = await sandbox.open(SandboxRequest(limits=Limits()))
    assert "monty" in guest.description
    await guest.kill()
    await guest.kill()
    with pytest.raises(SandboxUnavailable, match=r"No local sandbox .* no packages"):
        await sandbox.open(SandboxRequest(limits=Limits(), packages=("pandas",)))
