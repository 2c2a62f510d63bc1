"""Whether a call may run: policies, whoever they ask, and what was decided before the run was resumed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .approvals import DONE, Allow, Approval, Ask, CallRequest, Deny, Done, Policy, Verdict, ask, decide
from .errors import ToolDenied
from .events import ApprovalDecided, ApprovalRequested, CallRecord
from .journal import PastCall
from .tools import ToolSpec

UNKNOWN_END = "it had started when the run broke off, and whether it took effect is not known"
Tell = Callable[[ApprovalRequested | ApprovalDecided, "dict[str, Any] | None", bool], None]
"""Takes an event, what resuming needs besides, and whether the journal has it already."""


class Gate:
    """Decides about the calls of a session.

    Args:
        policies: Heard in order.
        approve: Who is asked.
        confirm_destructive: Whether destructive tools need somebody's consent.
        can_pause: Whether the run can stop and be resumed.
    """

    def __init__(
        self, policies: Sequence[Policy], approve: Approval, *, confirm_destructive: bool, can_pause: bool
    ) -> None:
        self._policies = tuple(policies)
        self._approve = approve
        self._confirm_destructive = confirm_destructive
        self.can_pause = can_pause
        self.waiting: dict[int, CallRequest] = {}
        """Calls for whose sake the run has to stop, by their number."""
        self.hold_clock: Callable[[], AbstractContextManager[object]] = nullcontext
        """Entered while somebody is asked, so that this time does not count towards the action's limit."""

    def may_pause(self, *, resumed: bool) -> bool:
        """Whether an action, perhaps one that is run again, may have to stop for a decision."""
        return self.can_pause and (self._approve == "pause" or (resumed and self._approve is None))

    def concerns(self, spec: ToolSpec) -> bool:
        """Whether calls of the tool have to come by here."""
        options = spec.options
        return bool(self._policies) or options.approval or (self._confirm_destructive and options.effects.destructive)

    def _default(self, spec: ToolSpec) -> Allow | Ask:
        if spec.approval:
            return Ask("the tool asks for approval")
        if spec.effects.destructive and self._confirm_destructive:
            return Ask("the tool may delete or overwrite")
        return Allow()

    async def let_through(self, spec: ToolSpec, call: CallRequest, past: PastCall | None, tell: Tell) -> Allow | Done:
        """Wait for the decision.

        Args:
            spec: The tool.
            call: The call, with validated arguments.
            past: What the journal has of it, where it is not new.
            tell: Takes the events.

        Raises:
            ToolDenied: It must not run; the reason is for the action.
        """
        decision = await decide(self._policies, call, default=self._default(spec))
        known = False
        settled = None if past is None else _settled(past)
        verdict: Verdict
        if isinstance(decision, Deny):
            verdict, by = decision, "policy"
        elif past is not None and past.decision is not None and settled is not None:
            # A policy that says yes today does not overrule somebody's word.
            verdict, by, known = settled, past.decision.by, True
        else:
            if past is not None and past.started and not spec.repeatable:
                decision = Ask(UNKNOWN_END)
            if isinstance(decision, Ask):
                verdict, by = await self._asked(call.model_copy(update={"reason": decision.reason}), past, tell)
            elif decision.arguments is None:
                return decision
            else:
                verdict, by = decision, "policy"
        tell(_event(call, verdict, by), {"done": past.done[0]} if past is not None and past.done else None, known)
        if isinstance(verdict, Deny):
            why = f": {verdict.reason.rstrip('.')}" if verdict.reason else ""
            raise ToolDenied(f"The call of {call.tool} was not approved{why}.")
        return verdict

    async def _asked(self, call: CallRequest, past: PastCall | None, tell: Tell) -> tuple[Verdict, str]:
        unknown = call.reason == UNKNOWN_END
        pauses = self._approve == "pause" or (unknown and self._approve is None)
        if not callable(self._approve) and not (pauses and self.can_pause):
            raise ToolDenied(
                f"{call.tool} needs approval ({call.reason}), and nobody is there to give it. (To the developer: "
                "approve=... says who decides.)"
            )
        if past is None or past.asked != call.reason:
            tell(ApprovalRequested(call=_record(call), reason=call.reason), None, False)
        if callable(self._approve):
            with self.hold_clock():
                return await ask(self._approve, call), "callback"
        self.waiting[call.id] = call
        verdict: Verdict = await asyncio.get_running_loop().create_future()  # the session ends the guest meanwhile
        return verdict, ""


def _settled(past: PastCall) -> Verdict | None:
    """What was decided before the run was resumed."""
    if past.decision is None:
        return None
    if past.decision.verdict == "deny":
        return Deny(past.decision.reason)
    return Done(past.done[0]) if past.done else Allow(past.decision.arguments)


def _record(call: CallRequest) -> CallRecord:
    return CallRecord(id=call.id, tool=call.tool, arguments=call.arguments)


def _event(call: CallRequest, verdict: Verdict, by: str) -> ApprovalDecided:
    arguments = verdict.arguments if isinstance(verdict, Allow) else None
    return ApprovalDecided(
        call_id=call.id,
        tool=call.tool,
        verdict="deny" if isinstance(verdict, Deny) else "allow",
        arguments=None if arguments is None else dict(arguments),
        reason=verdict.reason if isinstance(verdict, Deny) else DONE if isinstance(verdict, Done) else "",
        by=by,
    )
