"""Asking a person at the terminal about a call."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Literal

from ..approvals import Allow, Approval, CallRequest, Deny, Verdict
from .output import complain
from .render import printable

ApprovalMode = Literal["auto", "ask", "deny", "pause", "allow"]

_HELP = "y: run it; n REASON: do not; e {JSON}: run it with these arguments instead"


def approval(mode: ApprovalMode) -> Approval:
    """Who is asked about calls that need approval.

    Args:
        mode: ``auto`` asks at the terminal where there is one, and denies where there is none.
    """
    if mode == "auto":
        mode = "ask" if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty() else "deny"
    match mode:
        case "ask":
            one_at_a_time = asyncio.Lock()

            async def ask_in_turn(call: CallRequest) -> Verdict:
                async with one_at_a_time:  # calls that came together share the terminal
                    return await ask_at_terminal(call)

            return ask_in_turn
        case "pause":
            return "pause"
        case "allow":
            return lambda _: True
        case _:
            return None


async def ask_at_terminal(call: CallRequest) -> Verdict:
    """Show the call and read the decision from standard input; its end means no."""
    await asyncio.sleep(0.05)  # what happened before is shown first
    arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    complain(printable(f"\n? {call.tool}({arguments})\n  {call.reason}"))
    while True:
        sys.stderr.write(f"  {_HELP}\n  > ")
        sys.stderr.flush()
        verdict = read_verdict(await _line())
        if verdict is not None:
            return verdict


def read_verdict(line: str) -> Verdict | None:
    """What a line says; None where it says nothing that can be understood.

    >>> read_verdict("n too expensive")
    Deny(reason='too expensive')
    """
    word, _, rest = line.strip().partition(" ")
    match word.lower():
        case "y" | "yes":
            return Allow()
        case "n" | "no":
            return Deny(rest.strip())
        case "e" | "edit":
            try:
                arguments = json.loads(rest)
            except ValueError:
                return None
            return Allow(arguments) if isinstance(arguments, dict) else None
        case _:
            return Deny("nobody answered") if not line else None


async def _line() -> str:
    """The next line of standard input, "" at its end; Ctrl-C ends the wait."""
    if sys.stdin is None:  # it was closed when the program started
        return ""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(sys.stdin.fileno(), _arrive, arrived)
    except (NotImplementedError, PermissionError):  # Windows, or a plain file: reading it never waits long
        return sys.stdin.readline()
    except (ValueError, OSError):  # it is closed, or no file at all
        return "" if sys.stdin.closed else sys.stdin.readline()
    try:
        await arrived
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline()


def _arrive(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)
