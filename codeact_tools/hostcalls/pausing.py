"""Runs an action until it ends, or can only go on after a decision that nobody here gives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from ..approvals import CallRequest
from ..errors import RunPaused
from ..events import CallRecord
from ..sandbox.bridge import Bridge, Outcome
from .handler import HostCalls

_STALL_SECONDS: Final = 0.25
"""A person is slow to decide, and on a busy machine an action may be slow to make its next call."""


async def run_or_pause(bridge: Bridge, code: str, calls: HostCalls, *, run_id: str, clock: float | None) -> Outcome:
    """Run ``code`` in the guest.

    Raises:
        RunPaused: It waits for a decision; the guest is ended, so that nothing of the action happens any more.
        SandboxError: As `Bridge.execute`.
    """
    calls.gate.hold_clock = bridge.paused
    if not calls.may_pause:
        return await bridge.execute(code, handler=calls, clock=clock)
    running = asyncio.create_task(bridge.execute(code, handler=calls, clock=clock))
    stalled = asyncio.create_task(_stalled(calls))
    try:
        await asyncio.wait({running, stalled}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
        # Killed, not interrupted: what the action would do on its way out is not to happen.
        await bridge.kill("the run waits for a decision")
        raise paused(run_id, stalled.result())
    finally:
        for task in (running, stalled):
            task.cancel()
        await asyncio.gather(running, stalled, return_exceptions=True)


async def _stalled(calls: HostCalls) -> list[CallRequest]:
    """Wait until the action can only go on after a decision that nobody here gives.

    Returns what is to be decided, without what the tools declare secret. A call that comes later than this notices is
    made again when the run is resumed.
    """
    gate, records = calls.gate, calls.records
    seen = (-1, -1)
    while True:
        await asyncio.sleep(_STALL_SECONDS)
        waiting, now = gate.waiting, (len(records.calls), calls.items_given)
        running = sum(not (call.seconds or call.idle) and call.key not in waiting for call in records.calls)
        if waiting and not running and now == seen:
            requests = [waiting[key] for key in sorted(waiting)]
            return [
                request.model_copy(update={"arguments": records.shown_names(request.tool, request.arguments)})
                for request in requests
            ]
        seen = now


def paused(run_id: str, waiting: Sequence[CallRequest]) -> RunPaused:
    """The error of a run that waits for decisions about these calls."""
    calls = ", ".join(f"call {call.id} ({call.tool}: {call.reason})" for call in waiting)
    return RunPaused(
        f"The run {run_id} waits for a decision about {calls}. Decide with journal.decide({run_id!r}, {waiting[0].id}, "
        f"True), or on the command line with `codeact-tools runs approve`; then go on with agent.resume({run_id!r}).",
        run_id=run_id,
        waiting=[CallRecord(id=call.id, tool=call.tool, arguments=call.arguments) for call in waiting],
    )
