"""Who decides about a call: policies, and the person or program that they ask.

A policy is a plain function over the call. It returns a decision, or None where it has no opinion, which leaves the
call to the next policy and at last to the default: calls of tools that were registered with ``approval=True`` need
somebody's consent; in the run of an agent those of destructive tools, too; all others run.

>>> def small_refunds_only(call: CallRequest) -> Decision | None:
...     if call.tool != "shop.refund":
...         return None
...     return Allow() if call.arguments["euros"] <= 50 else Ask("more than 50 euros")
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from .errors import ConfigurationError
from .events import CallRecord

T = TypeVar("T")
DONE: Final = "it happened already"
"""The reason of a decision by `Done`."""


class CallRequest(CallRecord):
    """A call that waits for a decision; its arguments are valid, and nothing of it has run."""

    run_id: str = ""
    turn: int = 0
    """The action's number, from 1."""
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = False
    reason: str = ""
    """Why somebody is asked."""


@dataclass(frozen=True, slots=True)
class Allow:
    """The call runs; with other arguments where some are given, which are validated like the action's own."""

    arguments: Mapping[str, Any] | None = None
    """By parameter name, in place of all of the action's own; None: as they are."""


@dataclass(frozen=True, slots=True)
class Deny:
    """The call does not run; the action sees the exception ``ToolDenied`` with this reason."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody else decides: what ``approve`` stands for."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The call has happened already and is not repeated; the action gets this result.

    An answer to the question what became of a call that was under way when its run broke off.
    """

    result: Any = None


Decision = Allow | Deny | Ask
Verdict = Allow | Deny | Done
Policy = Callable[[CallRequest], "Decision | Awaitable[Decision | None] | None"]
"""Decides about a call, or leaves it to the next one."""
Approve = Callable[[CallRequest], "bool | Verdict | Awaitable[bool | Verdict]"]
"""Answers where a policy asks: True for `Allow`, False for `Deny`."""
Approval = Approve | Literal["pause"] | None
"""Who is asked: a function; ``"pause"``: the run stops there, to be resumed after somebody has decided; None: nobody is
there, so the call is denied."""


async def decide(policies: Sequence[Policy], call: CallRequest, *, default: Decision) -> Decision:
    """What the first policy with an opinion says; else the default."""
    for policy in policies:
        decision = await _heard(policy, call)
        if isinstance(decision, Allow | Deny | Ask):
            return decision
        if decision is not None:
            raise ConfigurationError(
                f"The policy {_name(policy)!r} returned {decision!r} for {call.tool}; return "
                "Allow(), Deny(reason), Ask(reason) or None."
            )
    return default


async def ask(approve: Approve, call: CallRequest) -> Verdict:
    """What ``approve`` answers."""
    answer = await _heard(approve, call)
    if isinstance(answer, Allow | Deny | Done):
        return answer
    if isinstance(answer, bool):
        return Allow() if answer else Deny()
    raise ConfigurationError(
        f"{_name(approve)!r}, which decides about calls, returned {answer!r} for {call.tool}; return True, False, "
        "Allow(), Deny(reason) or Done(result)."
    )


async def _heard(decides: Callable[[CallRequest], T | Awaitable[T]], call: CallRequest) -> T:
    """What a function of the application says; an exception of its own is no yes, and ends the run."""
    try:
        said = decides(call)
        return await said if inspect.isawaitable(said) else said
    except (Exception, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise
        raise ConfigurationError(
            f"{_name(decides)!r}, which decides about calls, raised {type(error).__name__} for {call.tool}: {error}"
        ) from error


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", function))
