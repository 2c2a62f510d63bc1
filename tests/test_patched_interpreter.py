"""An action may patch its own interpreter: the guest's reports stay right, or are refused by name."""

from __future__ import annotations

import pytest

from codeact_tools.errors import SandboxError
from tests.guests import Guest, entry, running

ADD = entry("add", "a: int", "b: int")


async def check(guest: Guest) -> None:
    """A value, a call, an error and some output come out as if nothing had been patched."""
    assert (await guest("1 + 1")).result == "2"
    assert (await guest("add(2, 3)")).result == "5"
    failed = await guest("class Odd(Exception):\n    pass\nraise Odd('on purpose')")
    assert failed.error is not None
    assert (failed.error.type, failed.error.message) == ("Odd", "on purpose")
    assert "raise Odd('on purpose')" in failed.error.traceback
    await guest("import sys\n_ = sys.stdout.write('said\\n')")
    assert guest.answers.stdout == "said\n"


@pytest.mark.parametrize(
    "patch",
    [
        "builtins.repr = lambda value: 'FORGED'",
        "builtins.len = builtins.isinstance = builtins.type = builtins.str = None",
        "builtins.print = builtins.open = builtins.getattr = None",
        "json.dumps = lambda *args, **kwargs: '{}'\njson.loads = lambda *args, **kwargs: {'op': 'exec'}",
        "os.write = os.read = None",
        "ast.parse = None\ntraceback.TracebackException = None",
        "sys.stdout = sys.stderr = None",
    ],
)
async def test_the_guest_does_not_use_what_an_action_patched(patch: str) -> None:
    """Patches of built-ins and of modules change what the action's code does, not how the guest reports on it."""
    async with running([ADD], {"add": lambda a, b: a + b}, allow_imports=["*"]) as guest:
        done = await guest(f"import ast, builtins, json, os, sys, traceback\n{patch}\n0")
        assert (done.result, done.error) == ("0", None)
        await check(guest)


async def test_an_action_that_clears_its_built_ins_is_told_what_is_missing() -> None:
    """The guest goes on; the action's own code finds nothing."""
    async with running(allow_imports=["builtins"]) as guest:
        await guest("import builtins\nbuiltins.__dict__.clear()")
        failed = await guest("1 + len('')")
        assert failed.error is not None
        assert (failed.error.type, failed.error.message) == ("NameError", "name 'len' is not defined")


async def test_a_patch_holds_for_the_actions_that_follow() -> None:
    """An action's own built-ins are state like any other."""
    async with running(allow_imports=["builtins"]) as guest:
        await guest("import builtins\nbuiltins.len = lambda value: -1\nbuiltins.greeting = 'hello'")
        assert (await guest("len([1, 2]), greeting")).result == "(-1, 'hello')"
        assert (await guest("del builtins.len\nsorted('ba')")).result == "['a', 'b']"


@pytest.mark.parametrize(
    "patch",
    [
        "for name in ('len', 'isinstance', 'type', 'int'): setattr(print.__self__, name, lambda *args: 0)",
        "import json\njson.JSONEncoder.iterencode = lambda self, value, _one_shot=False: ['{']",
        "import gc\nfor thing in gc.get_objects():\n    if type(thing).__name__ == 'Link': thing._write = None",
        "import gc\nfor thing in gc.get_objects():\n    if type(thing).__name__ == 'Console': thing.flush = 5",
    ],
)
async def test_what_goes_deeper_is_right_or_refused_by_name(patch: str) -> None:
    """An action that breaks what the guest is made of may lose its session, and then the host names the reason."""
    async with running(allow_imports=["gc", "json"], seconds=3, grace_seconds=1) as guest:
        try:
            await guest(patch)
            result = (await guest("1 + 1")).result
        except SandboxError as error:
            assert str(error)  # noqa: PT017 - either end is right
        else:
            assert result == "2"
