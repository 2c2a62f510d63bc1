"""The check over the life of a session: repairs, failed actions, effects, and a type checker that breaks down."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeact_tools.checks import Checker, check_code
from tests.checks_shop import RUNS, make_registry


@pytest.fixture
def checker() -> Iterator[Checker]:
    """A checker at its first turn."""
    with Checker(make_registry()) as one:
        yield one


# ---- repairs ---------------------------------------------------------------------------------------------------------

REPAIRS = {
    "```python\nprint(1)\n```": "print(1)",
    "```\nprint(1)\n```\n": "print(1)",
    "```python\nprint(1)": "print(1)",
    "print(1)\n```": "print(1)",
    "Here is the code:\n```python\nx = 1\n```\nIt sets x.": "x = 1",
    "```python\nx = 1\n```\nand then\n```python\ny = 2\n```": "x = 1\ny = 2",
    "print(1)\n</execute>": "print(1)",
    "<execute>\nprint(1)\n</execute>": "print(1)",
    "print(1)</execute": "print(1)",
    "print(1)<|im_end|>": "print(1)",
    "<execute>\n```python\nprint(1)\n```\n</execute>": "print(1)",
    "    x = 1\n    print(x)": "x = 1\nprint(x)",
    ">>> x = 1\n>>> for i in 'ab':\n...     print(i)\n...\na\nb": "x = 1\nfor i in 'ab':\n    print(i)",
    "print(\u201chello\u201d)": 'print("hello")',
    "x = \u2018a\u2019": "x = 'a'",
    "print(\u201cit\u2019s\u201d)": 'print("it\u2019s")',
    "x\u00a0= 1": "x = 1",
    "\ufeffx = 1\u200b": "x = 1",
}


@pytest.mark.parametrize(("written", "meant"), REPAIRS.items(), ids=repr)
def test_what_is_certain_is_repaired(checker: Checker, written: str, meant: str) -> None:
    """Fences, tags, prompts, indentation and typographic signs around or in an action are no finding."""
    result = checker.check_sync(written)
    assert (result.code, result.findings) == (meant, ())


@pytest.mark.parametrize(
    "code", ["x = '\u201cquoted\u201d'", "print('''\n```python\n```''')", "s = '</execute>'\ns", "x = 'a\u00a0b'"]
)
def test_what_parses_is_left_alone(checker: Checker, code: str) -> None:
    """A text that holds fences, tags or typographic quotes is the action's own."""
    assert checker.check_sync(code).code == code


# ---- the session -----------------------------------------------------------------------------------------------------


def test_a_checked_action_is_not_yet_part_of_the_session(checker: Checker) -> None:
    """Only what ran counts."""
    checker.check_sync("x = 1")
    assert not checker.check_sync("x").ok
    checker.commit("x = 1")
    assert checker.check_sync("x").ok


def test_a_failed_action_leaves_its_names_open(checker: Checker) -> None:
    """What it may have bound is neither unknown nor of a certain type."""
    checker.commit("x = 'text'")
    checker.commit("x = 5\ny = get_order('A1')\nz = [y]", failed=True)
    assert checker.check_sync("x.upper()\nx + 1\ny.anything\nz.anything").ok


def test_a_failed_action_is_known_up_to_its_failing_line(checker: Checker) -> None:
    """Statements before the line have run, those after it may not have."""
    checker.commit("a = 1\nb = get_order('A1')\nc = 2\nd = 3", failed=True, failed_line=2)
    assert not checker.check_sync("a.upper()").ok
    assert checker.check_sync("b.upper()\nc.upper()").ok


def test_names_that_the_interpreter_does_not_have_are_unknown(checker: Checker) -> None:
    """Where the sandbox tells which variables exist, a name that a failed action did not bind is not defined."""
    checker.commit("a = 1\nb = get_order('A1')\nc = 2", failed=True, failed_line=2, variables={"a": ""})
    assert [each.message for each in checker.check_sync("a\nc").findings] == ["'c' is not defined."]


def test_names_that_no_code_shows_are_known(checker: Checker) -> None:
    """A name that came into being behind the checker's back is no mistake."""
    checker.commit("exec('hidden = 1')", variables={"hidden": ""})
    assert checker.check_sync("hidden.anything").ok


def test_only_what_decides_a_type_is_read_again(checker: Checker) -> None:
    """Types are right through chains of actions, names bound again, and branches."""
    for code in (
        "value = get_order('A1')",
        "total = value.total",
        "value = 'text'",
        "maybe = 1",
        "if total > 5:\n    maybe = 'a'",
        "count = 0",
        "count += 1",
    ):
        checker.commit(code)
    result = checker.check_sync("total.upper()\nvalue.total\nmaybe.upper()\ncount.upper()")
    assert [(each.line, each.kind) for each in result.findings] == [(line, "attribute") for line in (1, 2, 4)]


def test_names_of_a_star_import_stay_known() -> None:
    """What an earlier ``from math import *`` bound is known, with its types."""
    before = ["from math import *", "x = 1", "y = floor(2.5)"]
    result = check_code("sqrt(4) + pi\ny.upper()", make_registry(), allow_imports=["math"], before=before)
    assert [each.line for each in result.findings] == [2]


def test_a_long_history_that_hangs_together_is_cut(checker: Checker) -> None:
    """What would make a check slow has unknown types, which is no mistake."""
    checker.commit("start = get_order('A1')\nx = start")
    for _ in range(150):
        checker.commit("if x:\n    x = [x]\nelse:\n    x = start")
    result = checker.check_sync("start.totl\nx.anything")
    assert [each.line for each in result.findings] in ([], [1])
    assert result.seconds < 30


def test_a_new_interpreter_knows_nothing(checker: Checker) -> None:
    """After `forget` the session's variables are not defined any more."""
    checker.commit("x = 1\nsearch_orders = None")
    checker.forget()
    assert not checker.check_sync("x").ok
    assert not checker.check_sync("search_orders('a', limit=500)").ok


def test_an_action_that_cannot_be_parsed_can_be_committed(checker: Checker) -> None:
    """The session goes on after code that the check did not see."""
    checker.commit("x = (")
    assert checker.check_sync("y = 1").ok


def test_an_action_may_hide_a_tool(checker: Checker) -> None:
    """A name that the action binds itself is no longer the tool."""
    checker.commit("def search_orders(query, deep):\n    return query")
    assert checker.check_sync("search_orders('a', deep=True).upper()").ok
    assert not checker.check_sync("tools.search_orders('a', deep=True)").ok


def test_positions_count_characters(checker: Checker) -> None:
    """Columns are right behind signs that take several bytes."""
    result = checker.check_sync(
        "x = '\u00e4\u00f6\U0001f600'; search_orders('\u00e4', limit=500); get_order('\u00e9').totl"
    )
    assert [(each.column, each.end_column) for each in result.findings] == [(37, 40), (58, 62)]


def test_a_handler_shows_that_an_error_is_expected(checker: Checker) -> None:
    """A specific handler makes a finding none; a handler for everything does not."""
    assert checker.check_sync("try:\n    get_order('A1').x\nexcept AttributeError:\n    pass").ok
    assert not checker.check_sync("try:\n    get_order('A1').x\nexcept Exception:\n    pass").ok


# ---- effects ---------------------------------------------------------------------------------------------------------

EVERYTHING = ("add_items", "cancel_order", "payments.charge", "set_status", "ship")
EFFECTS = {
    "search_orders('a')": (),
    "cancel_order('A1')": ("cancel_order",),
    "if False:\n    tools.payments.charge('a', 1)": ("payments.charge",),
    "from tools.payments import charge as pay\npay('a', 1)": ("payments.charge",),
    "f = cancel_order\n[f(x) for x in ['A1']]": ("cancel_order",),
    "list(map(cancel_order, ['A1']))": ("cancel_order",),
    "def g():\n    set_status('A1', 'open')": ("set_status",),
    "getattr(tools, 'cancel_order')": EVERYTHING,
    "globals()['cancel_order']('A1')": EVERYTHING,
    "eval('1')": EVERYTHING,
    "import tools as t\nt.__dict__": EVERYTHING,
    "x = 'cancel_order'": (),
}


@pytest.mark.parametrize(("code", "effects"), EFFECTS.items(), ids=repr)
def test_reachable_effects_are_listed(checker: Checker, code: str, effects: tuple[str, ...]) -> None:
    """Every tool with side effects that the action mentions is named before it runs, and read-only ones are not."""
    assert checker.check_sync(code).effects == effects


def test_effects_are_reached_through_earlier_functions(checker: Checker) -> None:
    """A function, alias or class of an earlier action carries the effects of the tools that it mentions."""
    checker.commit("def drop(x):\n    return cancel_order(x)")
    checker.commit("drop_all = lambda xs: [drop(x) for x in xs]\nresult = drop('A1')")
    assert checker.check_sync("drop_all(['A1'])").effects == ("cancel_order",)
    assert checker.check_sync("print(result)").effects == ()


# ---- rendering -------------------------------------------------------------------------------------------------------


def test_a_finding_is_rendered_with_line_caret_and_signature(checker: Checker) -> None:
    """The model reads where, what, and what to write instead."""
    result = checker.check_sync("orders = search_orders('a')\nif orders:\n    cancel_order(orders[0].idd)")
    assert result.render() == (
        "Line 3: `Order` has no attribute 'idd'.\n"
        "    cancel_order(orders[0].idd)\n"
        "                           ^^^\n"
        "  Did you mean `.id`? Order has: id, customer, total, status, items, placed, note."
    )


def test_many_findings_fit_the_budget(checker: Checker) -> None:
    """The first ones are shown in full, the others in a line each, the rest is counted."""
    result = checker.check_sync("\n".join(f"missing_{number}" for number in range(100)))
    text = result.render(200)
    assert len(text) <= 200 * 3.5 + 40
    assert text.startswith("Line 1: 'missing_0' is not defined.\n    missing_0\n    ^^^^^^^^^\n")
    assert text.endswith("more.")
    assert len(result.findings) == 100


def test_a_giant_line_is_shown_around_the_mistake(checker: Checker) -> None:
    """A literal of thousands of characters does not flood the model."""
    text = checker.check_sync(f"data = {list(range(5000))} + [missing] + {list(range(5000))}").render()
    assert "[missing]" in text
    assert len(text) < 400


# ---- the type checker breaks down ------------------------------------------------------------------------------------


def script(tmp_path: Path, body: str) -> str:
    """An executable in the place of ``ty``."""
    path = tmp_path / "ty"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("body", "reason"),
    [("exit 1", "failed"), ("exec /bin/sleep 60", "longer than 0.3 s"), ("echo nonsense", "failed"), (None, "failed")],
    ids=["ends", "hangs", "babbles", "is missing"],
)
def test_without_the_type_checker_the_host_still_validates(tmp_path: Path, body: str | None, reason: str) -> None:
    """Names of parameters and literal arguments are checked all the same, and the result says what is missing."""
    executable = str(tmp_path / "nothing") if body is None else script(tmp_path, body)
    budget = 0.3 if "longer" in reason else 60.0
    with Checker(make_registry(), ty=executable, budget_seconds=budget) as checker:
        result = checker.check_sync("search_orders('a', limit=500)\nget_order('A1').totl\ncancel_order()")
    assert [each.kind for each in result.findings] == ["argument", "constraint"]
    assert result.degraded is not None
    assert reason in result.degraded


def test_the_type_checker_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says how to install it."""
    monkeypatch.setattr("codeact_tools.checks.server.find_ty", lambda: None)
    result = check_code("get_order('A1').totl", make_registry())
    assert result.ok
    assert result.degraded == (
        "Actions are checked without types: the type checker ty is not installed (pip install 'codeact-tools[check]')."
    )


def test_the_type_checker_is_restarted_after_its_death(checker: Checker) -> None:
    """A killed process costs nothing but the time to start another, and the session is still known."""
    checker.commit("orders = search_orders('a')")
    assert not checker.check_sync("orders.total").ok
    process = checker._server._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    result = checker.check_sync("orders.total")
    assert (result.ok, result.degraded) == (False, None)


def test_no_process_and_no_file_is_left_behind() -> None:
    """Closing ends the process and removes the stubs."""
    checker = Checker(make_registry())
    checker.check_sync("1")
    process, folder = checker._server._process, checker._server._folder
    assert process is not None
    assert folder is not None
    checker.close()
    assert process.poll() is not None
    assert not folder.path.exists()


def test_the_host_configuration_does_not_reach_the_type_checker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project, a user's settings or an active environment of the host change nothing."""
    (tmp_path / "ty").mkdir()
    for name in ("ty.toml", "ty/ty.toml"):
        (tmp_path / name).write_text('[rules]\nall = "ignore"\n')
    (tmp_path / "pyproject.toml").write_text('[tool.ty.rules]\nall = "ignore"\n')
    (tmp_path / "tools.py").write_text("search_orders = 5\n")
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("TY_CONFIG_FILE", str(tmp_path / "ty.toml"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = check_code("get_order('A1').totl", make_registry())
    assert not result.ok


def test_the_working_folder_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module beside the application neither shadows the standard library nor becomes known."""
    (tmp_path / "math.py").write_text("")
    (tmp_path / "helper.py").write_text("value = 1\n")
    monkeypatch.chdir(tmp_path)
    assert check_code("import math\nmath.pi + 1", make_registry(), allow_imports=["math"]).ok


# ---- use -------------------------------------------------------------------------------------------------------------


async def test_checks_may_run_at_the_same_time(checker: Checker) -> None:
    """Checks that are started together all answer for their own code."""
    results = await asyncio.gather(*(checker.check(f"x = {n}\nmissing_{n}") for n in range(8)))
    assert [each.findings[0].message for each in results] == [f"'missing_{n}' is not defined." for n in range(8)]


async def test_a_checker_may_be_prepared_and_closed_in_a_loop() -> None:
    """`prepare` starts the process, so that the first check is a warm one."""
    checker = Checker(make_registry())
    await checker.prepare()
    assert checker._server._process is not None
    await checker.aclose()
    await checker.aclose()


def test_code_of_an_application_can_be_checked_in_one_call() -> None:
    """`check_code` takes functions, and earlier actions."""
    from tests.checks_shop import get_order

    RUNS.clear()
    result = check_code("order.totl", [get_order], before=["order = get_order('A1')"])
    assert [each.kind for each in result.findings] == ["attribute"]
    assert RUNS == []


def test_imports_of_allowed_modules_pass_with_their_submodules() -> None:
    """`allow_imports` opens a module and what is below it, not its namesakes."""
    registry = make_registry()
    assert check_code("import os.path\nfrom os import sep", registry, allow_imports=["os"]).ok
    assert check_code("import xml.etree", registry, allow_imports=["xml.etree"]).ok
    assert not check_code("import xml", registry, allow_imports=["xml.etree"]).ok
    assert not check_code("import ossaudiodev", registry, allow_imports=["os"]).ok
