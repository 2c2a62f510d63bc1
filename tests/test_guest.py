"""What an action sees: a notebook cell with tools."""

from __future__ import annotations

import ast
import asyncio
import warnings
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from codeact_tools.sandbox.bridge import CallRefused
from codeact_tools.sandbox.guest.execution import Interpreter, _assigned
from tests.guests import Guest, entry, running, until

ORDER = {
    "name": "Order",
    "toolkit": None,
    "kind": "record",
    "positional": False,
    "fields": [
        {"name": "id", "annotation": "str"},
        {"name": "total", "annotation": "int", "default": 0, "default_text": "0"},
    ],
}
SHOP_CLOSED = {
    "name": "ShopClosed",
    "toolkit": None,
    "kind": "exception",
    "base": "ToolError",
    "fields": [{"name": "until", "annotation": "str"}],
}


async def failure(guest: Guest, code: str) -> Any:
    """The error of an action that must fail."""
    outcome = await guest(code)
    assert outcome.error is not None, outcome
    return outcome.error


async def test_names_persist_and_the_last_expression_is_shown() -> None:
    """A second action sees the first one's names; the value of a final expression is echoed."""
    async with running() as guest:
        await guest("import typing\nx = 20\ndef double(n): return 2 * n")
        assert (await guest("double(x) + 2")).result == "42"
        assert (await guest("None")).result is None
        assert (await guest("")).result is None
        assert (await guest("from __future__ import annotations\nx")).result == "20"
        assert (await guest("def f(a: NoSuchType): ...\nf.__annotations__")).result == "{'a': 'NoSuchType'}"


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("y = 5", "5"),
        ("y: int = 6", "6"),
        ("y += 1", "8"),
        ("print('said')\ny = 9", None),
        ("y, z = 1, 2", None),
        ("if True:\n    y = 3", None),
    ],
)
async def test_an_action_that_ends_on_an_assignment_shows_the_value(code: str, result: str | None) -> None:
    """Models forget to print: the assigned value is shown, unless something was printed."""
    async with running() as guest:
        await guest("y = 7")
        outcome = await guest(code)
        assert (outcome.assigned, outcome.result) == (result and "y", result)


async def test_top_level_await_and_gather() -> None:
    """Coroutine tools run concurrently under gather, and background tasks of an earlier action go on in a later one."""
    peak = now = 0

    async def slow(n: int) -> int:
        nonlocal peak, now
        now += 1
        peak = max(peak, now)
        for _ in range(500):
            if peak == 5:
                break
            await asyncio.sleep(0.01)
        now -= 1
        return n * n

    async with running([entry("slow", "n: int", kind="coroutine")], {"slow": slow}) as guest:
        code = "import asyncio\nawait asyncio.gather(*(slow(n) for n in range(5)))"
        assert (await guest(code)).result == "[0, 1, 4, 9, 16]"
        assert peak == 5
        await guest("task = asyncio.create_task(asyncio.sleep(0.01, 'later'))\nawait asyncio.sleep(0)")
        assert (await guest("await task")).result == "'later'"
        assert (await guest("async def main():\n    return await slow(3)\nasyncio.run(main())")).result == "9"
        assert (await guest("await slow(1) + 1")).result == "2"
        outcome = await guest("x = await slow(2)")
        assert (outcome.assigned, outcome.result) == ("x", "4")


async def test_sync_tools_from_threads() -> None:
    """Threads call concurrently, and every caller gets its own result."""

    async def slow(n: int) -> int:
        await asyncio.sleep(0.03 - n / 1000)
        return n

    async with running([entry("slow", "n: int")], {"slow": slow}, allow_imports=["concurrent"]) as guest:
        code = (
            "from concurrent.futures import ThreadPoolExecutor\n"
            "with ThreadPoolExecutor(8) as pool: found = list(pool.map(slow, range(20)))\n"
            "found == list(range(20))"
        )
        assert (await guest(code)).result == "True"
        code = "import asyncio\nawait asyncio.gather(*(asyncio.to_thread(slow, n) for n in range(8)), asyncio.sleep(0))"
        assert (await guest(code)).result == "[0, 1, 2, 3, 4, 5, 6, 7, None]"


async def test_a_cancelled_task_cancels_its_call() -> None:
    """A timeout in the action reaches the tool on the host."""
    under_way, cancelled = asyncio.Event(), asyncio.Event()

    async def begun() -> None:
        await under_way.wait()

    async def forever() -> None:
        under_way.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    code = (
        "import asyncio\n"
        "async def expire(limit):\n    await begun()\n    limit.reschedule(0)\n"
        "async with asyncio.timeout(None) as limit:\n    task = asyncio.create_task(expire(limit))\n    await forever()"
    )
    tools = [entry("forever", kind="coroutine"), entry("begun", kind="coroutine")]
    async with running(tools, {"forever": forever, "begun": begun}) as guest:
        error = await failure(guest, code)
        assert error.type == "TimeoutError"
        assert (await guest("1")).result == "1"
        await asyncio.wait_for(cancelled.wait(), 30)


async def test_generators_stream_lazily_and_close_early() -> None:
    """One item is made per item taken; leaving the loop closes the generator on the host."""
    made: list[int] = []
    closed: list[bool] = []

    async def count() -> AsyncIterator[int]:
        try:
            for n in range(1000):
                made.append(n)
                yield n
        finally:
            closed.append(True)

    tools = [entry("count", kind="generator"), entry("acount", kind="async_generator")]
    async with running(tools, {"count": count, "acount": count}) as guest:
        assert (await guest("for n in count():\n    if n == 3: break\nn")).result == "3"
        assert made == [0, 1, 2, 3]
        assert closed == [True]
        assert (await guest("sum(count())")).result == "499500"
        made.clear()
        code = "found = []\nasync for n in acount():\n    found.append(n)\n    if n == 2: break\nfound"
        assert (await guest(code)).result == "[0, 1, 2]"
        assert made == [0, 1, 2]
        await guest("items = count()\nnext(items), next(items)")
        error = await failure(guest, "next(items)")
        assert "ends with the action" in error.message


async def test_an_error_in_a_stream_arrives_where_it_is_consumed() -> None:
    """The items before the error are there."""

    async def broken() -> AsyncIterator[int]:
        yield 1
        raise CallRefused("ToolFailed", "out of paper")

    async with running([entry("broken", kind="generator")], {"broken": broken}) as guest:
        code = "got = []\ntry:\n    for n in broken(): got.append(n)\n"
        code += "except ToolFailed as error: got.append(str(error))\ngot"
        assert (await guest(code)).result == "[1, 'out of paper']"


async def test_declared_exceptions_are_classes_that_can_be_caught() -> None:
    """A declared exception arrives as its class with its fields; one that is not caught names its call."""

    def buy() -> None:
        raise CallRefused("ShopClosed", "closed until noon", {"until": "noon"})

    async with running([entry("buy")], {"buy": buy}, types=[SHOP_CLOSED]) as guest:
        code = "from tools import ShopClosed, ToolError\n"
        code += "try: buy()\nexcept ShopClosed as e: seen = (str(e), e.until, isinstance(e, ToolError))\nseen"
        assert (await guest(code)).result == "('closed until noon', 'noon', True)"
        error = await failure(guest, "def f():\n    buy()\nf()")
        assert (error.type, error.message, error.call) == ("ShopClosed", "closed until noon", 2)
        assert error.traceback.splitlines()[1:5] == [
            '  File "<action 2>", line 3, in <module>',
            "    f()",
            '  File "<action 2>", line 2, in f',
            "    buy()",
        ]
        assert (await failure(guest, "try: buy()\nexcept ShopClosed: raise KeyError(1)")).call is None


async def test_records() -> None:
    """Value classes have fields, equality and a repr; misuse names the nearest right thing."""

    def show(order: object) -> object:
        return order

    async with running([entry("show")], {"show": show}, types=[ORDER]) as guest:
        assert (await guest("a = Order(id='A1')\na")).result == "Order(id='A1', total=0)"
        assert (await guest("a == Order(id='A1', total=0), a != Order(id='A2')")).result == "(True, True)"
        assert (await guest("a.total += 5\na.total")).result == "5"
        assert "Did you mean: 'total'?" in (await failure(guest, "a.totl")).message
        assert "Did you mean: 'total'?" in (await failure(guest, "a.totl = 1")).message
        assert "needs 'id'" in (await failure(guest, "Order()")).message
        assert "by name: Order(*, id: str, total: int = 0)" in (await failure(guest, "Order('A1')")).message
        assert "no field 'idd'" in (await failure(guest, "Order(idd='A1')")).message
        assert "unhashable" in (await failure(guest, "{a}")).message


async def test_tools_are_modules() -> None:
    """Tools are importable from `tools` and from their toolkit; a wrong name gets the nearest one."""
    tools = [
        entry("search", "query: str", doc="Find things."),
        entry("price", "item: str", toolkit="shop"),
        entry("convert", toolkit="money"),
        entry("convert", toolkit="units"),
    ]
    functions: dict[str, Any] = {
        "search": str.upper,
        "shop.price": len,
        "money.convert": lambda: "€",
        "units.convert": lambda: "m",
    }
    async with running(tools, functions) as guest:
        code = "import tools, tools.shop\nfrom tools.shop import price\n"
        code += "tools.search('a'), tools.shop.price('abc'), price('ab')"
        assert (await guest(code)).result == "('A', 3, 2)"
        assert (await guest("search")).result == "<tool search(query: str) -> object>"
        assert "Did you mean: 'search'?" in (await failure(guest, "tools.serch('a')")).message
        assert (await guest("tools.money.convert() + tools.units.convert()")).result == "'€m'"
        assert "tools.money.convert or tools.units.convert" in (await failure(guest, "tools.convert")).message
        await guest("help(search)")
        assert guest.answers.stdout == "search(query: str) -> object\n\nFind things.\n"
        await guest("help(len)")
        assert "number of items" in guest.answers.stdout
        code = "import inspect\nstr(inspect.signature(search)), search.__doc__"
        async with running(tools, functions, allow_imports=["inspect"]) as other:
            assert (await other(code)).result == "(\"(query: 'str') -> 'object'\", 'Find things.')"


async def test_values_that_cannot_be_passed() -> None:
    """The message names the parameter, the path and the remedy."""
    async with running([entry("take", "items: list")], {"take": len}) as guest:
        error = await failure(guest, "take([1, {'a': print}])")
        assert error.type == "InvalidCall"
        assert error.message.startswith("take(): argument items[1]['a']: a function or class")
        assert "list(...)" in (await failure(guest, "take(n for n in [1])")).message
        assert "deeper" in (await failure(guest, "loop = []\nloop.append(loop)\ntake(loop)")).message
        assert (await guest("take(range(3)), take({1: 2}.keys()), take(bytearray(4))")).result == "(3, 1, 4)"


@pytest.mark.parametrize(
    ("code", "name"),
    [("import os", "os"), ("from os import path", "os"), ("__import__('os')", "os"), ("import json.tool", "json.tool")],
)
async def test_imports_are_limited_to_what_is_allowed(code: str, name: str) -> None:
    """The refusal names what can be imported."""
    async with running(allow_imports=["math"]) as guest:
        error = await failure(guest, code)
        assert error.type == "ModuleNotFoundError"
        assert error.message == f"{name!r} cannot be imported here; what can be imported: asyncio, math, tools, typing"


async def test_allowed_imports() -> None:
    """An allowed package brings its submodules, and imports what it needs for itself; ``*`` allows everything."""
    async with running(allow_imports=["xml", "importlib"]) as guest:
        assert (
            await guest("import xml.dom.minidom as m\nm.parseString('<a/>').documentElement.tagName")
        ).result == "'a'"
        assert (await failure(guest, "import importlib\nimportlib.import_module('os')")).type == "ModuleNotFoundError"
        assert (await guest("importlib.import_module('xml.sax').__name__")).result == "'xml.sax'"
    async with running(allow_imports=["*"]) as guest:
        assert (await guest("import os, json\njson.dumps([os.sep])")).result == "'[\"/\"]'"


async def test_tracebacks_show_the_actions_own_lines() -> None:
    """Frames of the guest and of libraries are left out, causes are kept, and endless recursion stays short."""
    async with running(allow_imports=["json"]) as guest:
        error = await failure(guest, "import json\ndef load(t):\n    return json.loads(t)\nload('{')")
        assert [line for line in error.traceback.splitlines() if line.startswith("  File")] == [
            '  File "<action 1>", line 4, in <module>',
            '  File "<action 1>", line 3, in load',
        ]
        error = await failure(guest, "try: 1/0\nexcept ZeroDivisionError as e: raise ValueError('no') from e")
        assert "ZeroDivisionError" in error.traceback
        assert "direct cause" in error.traceback
        error = await failure(guest, "def f(): return f()\nf()")
        assert error.type == "RecursionError"
        assert len(error.traceback) < 1500
        error = await failure(guest, "x = (1\ny = 2")
        assert error.type == "SyntaxError"
        assert "line 1" in error.message
        assert "Did you mean: 'load'?" in (await failure(guest, "laod('1')")).message
        error = await failure(guest, "class Bad(Exception):\n    def __str__(self): raise OSError\nraise Bad")
        assert error.type == "Bad"
        error = await failure(guest, "raise ExceptionGroup('several', [ValueError(1), KeyError(2)])")
        assert "KeyError: 2" in error.traceback


async def test_exit_ends_the_action_only() -> None:
    """`exit()` says that the session goes on; a failing exit code is an error."""
    async with running(allow_imports=["sys"]) as guest:
        outcome = await guest("a = 1\nexit()\na = 2")
        assert outcome.error is None
        assert "variables are still there" in guest.answers.stderr
        error = await failure(guest, "import sys\nsys.exit('bad')")
        assert (error.type, error.message[:3]) == ("SystemExit", "bad")
        assert (await guest("a")).result == "1"


@pytest.mark.parametrize(
    "code", ["input('name? ')", "import sys\nsys.stdin.readline()", "import sys\nfor line in sys.stdin: pass"]
)
async def test_input_is_refused(code: str) -> None:
    """Nobody can type; the message says what to do instead."""
    async with running(allow_imports=["sys"]) as guest:
        error = await failure(guest, code)
        assert "nobody can type" in error.message


async def test_output() -> None:
    """Both streams arrive whole and in order; what is beyond the limit is counted and the state survives."""
    async with running(allow_imports=["sys"], output_kb=16) as guest:
        await guest(
            "import sys\nprint('a', end='')\nprint('b')\nprint('err', file=sys.stderr)\nsys.stdout.buffer.write(b'c')"
        )
        assert guest.answers.printed == [("stdout", "ab\n"), ("stderr", "err\n"), ("stdout", "c")]
        outcome = await guest("for n in range(100_000): print(n)\nkept = 1")
        assert guest.answers.stdout.startswith("0\n1\n2\n")
        assert len(guest.answers.stdout) + outcome.dropped_output == sum(len(f"{n}\n") for n in range(100_000))
        assert (await guest("kept")).result == "1"
        await guest("print('\\ud800 ü')")
        assert guest.answers.stdout == "\\ud800 ü\n"


async def test_output_is_live() -> None:
    """A line is sent when it is printed, not when the action ends."""
    seen: list[Guest] = []
    async with running([entry("look")], {"look": lambda: seen[0].answers.stdout}) as guest:
        seen.append(guest)
        assert (await guest("print('working')\nlook()")).result == r"'working\n'"


async def test_large_values_are_shown_cheaply() -> None:
    """A large value is cut in the middle, and the cut is counted."""
    async with running() as guest:
        result = (await guest("'x' * 10**7")).result or ""
        assert "9,980,000 characters cut" in result
        result = (await guest("list(range(10**6))")).result or ""
        assert len(result) < 30_000
        assert "[995,000 more]" in result
        result = (await guest("'\\n'.join('line' for _ in range(20000)).split()[:6000]")).result or ""
        assert len(result) < 30_000


async def test_files() -> None:
    """What an action writes is listed once; the host can put, get and list files, inside the folder only."""
    async with running(allow_imports=["os"]) as guest:
        outcome = await guest(
            "with open('a.txt', 'w') as f: f.write('hello')\nimport os; os.makedirs('d'); open('d/b', 'w').close()"
        )
        assert outcome.files == [("a.txt", 5), ("d/b", 0)]
        assert (await guest("1")).files == []
        big = bytes(range(256)) * 8192
        await guest.bridge.put("in/data.bin", big)
        assert (await guest("len(open('in/data.bin', 'rb').read())")).result == str(len(big))
        assert (await guest("2")).files == []
        assert await guest.bridge.get("in/data.bin") == big
        assert await guest.bridge.files() == [("a.txt", 5), ("d/b", 0), ("in/data.bin", len(big))]
        assert await guest.bridge.get("d/b") == b""
        for path in ("../x", "/etc/passwd", "", "nothing"):
            with pytest.raises(FileNotFoundError):
                await guest.bridge.get(path)
        with pytest.raises(FileNotFoundError):
            await guest.bridge.put("../x", b"")


async def test_an_interrupt_ends_the_action_and_keeps_the_state() -> None:
    """Busy loops, sleeps, waiting calls and sleeping event loops end with KeyboardInterrupt."""

    async def hang() -> None:
        await asyncio.sleep(60)

    tools = [entry("hang"), entry("ahang", kind="coroutine")]
    async with running(tools, {"hang": hang, "ahang": hang}, allow_imports=["time"]) as guest:
        await guest("import time, asyncio\nkept = 1")
        for code in (
            "while True: pass",
            "time.sleep(60)",
            "hang()",
            "await ahang()",
            "await asyncio.sleep(60)",
            "await asyncio.gather(ahang(), asyncio.to_thread(hang))",
            "while True: print(1)",
            "async def spin():\n    while True: pass\nawait asyncio.gather(asyncio.sleep(60), spin())",
            "while True: await asyncio.sleep(0)",
        ):
            running_action = asyncio.create_task(guest(f"print('begun')\n{code}"))
            await until(lambda: "begun" in guest.answers.stdout)
            await asyncio.sleep(0.15)
            await guest.bridge.process.interrupt()
            outcome = await asyncio.wait_for(running_action, 30)
            assert outcome.error is not None, code
            assert outcome.error.type == "KeyboardInterrupt", code
            await guest.bridge.process.interrupt()  # between actions it is ignored
            assert (await guest("kept")).result == "1", code


async def test_interrupts_in_quick_calls_lose_nothing() -> None:
    """Whenever the interrupt comes, the next action's calls still get their own results."""
    async with running([entry("echo")], {"echo": lambda n: n}, allow_imports=["time"]) as guest:
        for pause in range(12):
            guest.answers.received.clear()
            action = asyncio.create_task(guest("n = 0\nwhile True:\n    n += 1\n    assert echo(n) == n"))
            await until(lambda: guest.answers.received)
            await asyncio.sleep(0.02 + pause / 1000)
            await guest.bridge.process.interrupt()
            outcome = await asyncio.wait_for(action, 30)
            assert outcome.error is not None
            assert outcome.error.type == "KeyboardInterrupt"
            assert (await guest("[echo(n) for n in range(5)]")).result == "[0, 1, 2, 3, 4]"


async def test_threads_that_outlive_their_action(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread may not call or print between actions; what it printed appears in the next action."""
    monkeypatch.setattr("codeact_tools.sandbox.bridge.REST_SECONDS", 60.0)  # else it would stand still, not run on
    async with running([entry("echo")], {"echo": lambda n: n}, allow_imports=["os", "threading", "time"]) as guest:
        code = """
import os, threading, time
seen = []
def work():
    while not os.path.exists('go'): time.sleep(0.01)
    print('from the thread')
    try: echo(1)
    except Exception as error: seen.append(str(error))
    open('gone', 'w').close()
thread = threading.Thread(target=work, daemon=True)
thread.start()
"""
        await guest(code)
        await guest.bridge.put("go", b"")
        while ("gone", 0) not in await guest.bridge.files():  # noqa: ASYNC110 - the guest sends no event
            await asyncio.sleep(0.01)
        assert (await guest("thread.join()\nseen")).result is not None
        assert "from the thread" in guest.answers.stdout
        assert "only while an action runs" in ((await guest("seen")).result or "")


async def test_uncaught_errors_of_calls_inside_groups_name_their_call() -> None:
    """A task group wraps the error of a call; the call is still found."""

    def fail() -> None:
        raise CallRefused("ToolFailed", "no")

    async with running([entry("fail", kind="coroutine")], {"fail": fail}) as guest:
        code = "import asyncio\nasync with asyncio.TaskGroup() as group: group.create_task(fail())"
        assert (await failure(guest, code)).call == 1


PIECES = [
    "x", "x + 1", "print(x)", "x = 1; y", "x; y = 2", "a = b = 1", "x: int", "x: int = 3", "x += 1", "1, *x", "'doc'",
    "f(\n1\n)", "f(a,\nb)", "[\n  x,\n  y\n]", "{\n'a': 1}", "s = '''\nx = 1 # '''", "s = '''\nx # '''",
    's = """\ny\n"""',
    "y = \\\nx = 5", "y = 1 + \\\nx", "x = 1 # \u2028y\nx", "# no", "  # no", "", "if x:\n    y\nelse:\n    z = 1",
    "if x: y", "else: z", "for n in x: print(n)", "def f():\n    return 1\n\n", "@d\ndef f(): pass", "class A: x = 1",
    "from __future__ import annotations", "import os", "await x", "x = await y", "yield x", "(yield)", "lambda: 0",
    "try:\n  x", "except: y", "finally:\n  z", "x = '\\n'", "print('\\n')", "x if y else", "(x := 1)", "x := 1",
    "del x",
    "assert x", "\t", "async with x: y", "match x:\n  case 1: y", "x = [n for n in y]", "[await n for n in y]", "\x0cx",
    "x\r", "global x\nx",
]  # fmt: skip
"""Statements and parts of some, to be put together at random."""


def test_an_action_means_the_same_however_it_is_compiled() -> None:
    """The short way of compiling gives the very code of the long way, for whatever an action is put together of."""

    def code_of(way: str, text: str) -> Any:
        interpreter = Interpreter.__new__(Interpreter)
        interpreter._flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        found = getattr(interpreter, way)(text, "<action 1>")
        if found is None:
            return None
        main, expression, tree = found
        return main, expression, interpreter._flags, None if expression else tree and _assigned(tree)

    random = Random(7)  # noqa: S311 - repeatable
    short = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(4000):
            lines = "\n".join(random.choices(PIECES, k=random.randrange(1, 5))).split("\n")
            part = "\n".join(lines[: random.randrange(1, len(lines) + 1)])
            found = code_of("_in_two", part)
            if found is not None:
                short += 1
                assert found == code_of("_parsed", part), part
    assert short > 500
