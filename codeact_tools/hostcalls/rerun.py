"""The calls of an action that runs again: answered from the record as far as it goes, made anew after it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from ..answers import ANSWER_TOOL
from ..events import WarningRaised
from ..invocation import invoke
from ..journal import HIDDEN, PastCall
from ..recall import Recall
from ..sandbox.bridge import CallRefused, Stream
from .call import Call
from .refusals import ENDS_THE_RUN
from .streams import recorded_items

if TYPE_CHECKING:
    from .handler import HostCalls


class RerunCalls:
    """Answers the calls of one action that runs again.

    Args:
        host: Answers those that the record does not have.
        recall: The calls that the action made the first time.
    """

    def __init__(self, host: HostCalls, recall: Recall) -> None:
        self._host = host
        self._recall = recall

    def call(self, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
        """Begin one call."""
        host, recall = self._host, self._recall
        past = recall.take(tool, *host.records.shown_arguments(tool, args, kwargs))
        if past is None:
            return self._new(tool, args, kwargs)
        call = Call(past.key, tool, args, kwargs)
        host.records.calls.append(call)
        if recall.knows_end(past) and (recall.finished or tool != ANSWER_TOOL or host.records.find(tool) is None):
            return self._recorded(call, past.answer if recall.finished else past.known, past)
        return self._live(call, past)

    async def _new(self, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A call that the record does not have."""
        call = self._host.new(tool, args, kwargs)
        with self._host.gate.hold_clock():
            await self._recall.admit(tool)
        return await self._live(call, None)

    async def _live(self, call: Call, past: PastCall | None) -> Any:
        try:
            spec, bound = self._host.bind(call.tool, call.args, call.kwargs)
        except Exception as error:
            raise self._host.refused(call, error) from error
        call.spec, call.arguments = spec, bound.arguments
        return await self._host.answer(call, spec, bound, past)

    async def _recorded(self, call: Call, answer: Mapping[str, Any] | None, past: PastCall) -> Any:
        """Answer a call from the record."""
        call.recall(past.record)
        with self._host.gate.hold_clock():
            await self._recall.in_turn(past)
        try:
            return await self._answer_of(call, answer, past)
        finally:
            self._recall.answered(past)

    async def _answer_of(self, call: Call, answer: Mapping[str, Any] | None, past: PastCall) -> Any:
        match answer:
            case {"raise": refusal}:
                raise CallRefused(**refusal)
            case {"items": end}:
                return Stream(recorded_items(past.items, end))
            case {"value": value} if value != HIDDEN or self._host.records.log is None:
                await self._revive(call, value)
                return value
            case {"value": _}:
                return await self._ask_again(call)
        return await asyncio.get_running_loop().create_future()  # cancelled the first time, so nobody waits for it

    async def _ask_again(self, call: Call) -> Any:
        """The result was a secret, so the record does not have it."""
        host = self._host
        spec = host.records.find(call.tool)
        if spec is None or not spec.repeatable:
            raise CallRefused("ToolFailed", f"The result of {call.tool} was secret and is not known any longer.")
        try:
            spec, bound = host.bind(call.tool, call.args, call.kwargs)
            return (await host.result(spec, bound, call))[1]
        except ENDS_THE_RUN:
            raise
        except Exception as error:
            raise host.refusal(call.tool, error) from error

    async def _revive(self, call: Call, value: Any) -> None:
        """Make the host's value behind a recorded handle anew, where the tool may be called again for it."""
        host = self._host
        is_handle = isinstance(value, dict) and value.get("$") == "handle"
        if not is_handle or host.records.log is None or host.records.find(call.tool) is None:
            return
        try:
            spec, bound = host.bind(call.tool, call.args, call.kwargs)
            if spec.repeatable:
                made = spec.check_result(await invoke(spec, bound, host.context(spec, call.key)))
                host.codec.adopt(value["v"]["id"], made)
        except Exception as error:
            message = f"{call.tool} was called again for the value behind its handle, in vain: {error}"
            host.records.note(WarningRaised(message=message))
