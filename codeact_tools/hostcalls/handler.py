"""Answers a call: authorize, decode, validate, run, validate the result, encode."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final, Literal

from ..answers import ANSWER_TOOL
from ..approvals import CallRequest, Done
from ..errors import InvalidCall, InvalidResult, RegistryError, ToolDenied
from ..events import CallRetried, Event, OutputReceived, ToolCalled, ToolReported
from ..gate import Gate
from ..invocation import call_here, invoke
from ..journal import HIDDEN, PastAction, PastCall, RunLog, holds_hidden
from ..recall import Recall, RecordedTool
from ..registry import ToolRegistry
from ..sandbox.bridge import CallRefused, Stream, Work
from ..tools import BoundCall, ToolContext, ToolSpec
from ..wire import Codec, WireError
from .call import CANCELLED, Call, PlainCall, as_answer
from .quotas import Quotas
from .records import CallRecords
from .refusals import ENDS_THE_RUN, refusal_of
from .rerun import RerunCalls
from .streams import done_items, live_items

OutputStream = Literal["stdout", "stderr"]
_SETTLE_SECONDS: Final = 5.0


class HostCalls:
    """Answers the calls of a session's actions. Everything in a call is untrusted.

    Args:
        registry: The tools.
        codec: Of the session.
        run_id: The run.
        gate: Decides which calls may run.
        log: Where each call is recorded, before it runs and before its result is known to the action.
        calls: How many calls the run has made already.
        made: The same by tool.
        recorded: Tools that only the journal knows.
        lossy: Whether values of the actions come from a journal, which keeps no secrets.
    """

    def __init__(
        self,
        registry: ToolRegistry,
        codec: Codec,
        *,
        run_id: str,
        gate: Gate,
        log: RunLog | None = None,
        calls: int = 0,
        made: Mapping[str, int] | None = None,
        recorded: Mapping[str, RecordedTool] | None = None,
        lossy: bool = False,
    ) -> None:
        self.codec = codec
        self.gate = gate
        self.lossy = lossy
        self.records = CallRecords(registry, log, recorded or {})
        """The calls of the current action."""
        self.output: list[tuple[OutputStream, str]] = []
        """What the current action printed."""
        self.items_given = 0
        """Items of streams."""
        self.broken_off = False
        """Whether the action ended in the middle, because its guest did or the run was cancelled."""
        self.may_pause = False
        """Whether the action may have to stop for a decision that nobody here gives."""
        self.in_threads: set[int] = set()
        """Calls that worker threads are at, wanted or not."""
        self._registry = registry
        self._run_id = run_id
        self._quotas = Quotas(made or {}, self.records.note)
        self._count = calls
        self._specs = self.records.specs
        self._rerun: RerunCalls | None = None
        self._turn = 0
        self._state: dict[str, Any] = {}
        self._results: dict[str, tuple[object, Any]] = {}

    def begin(self, turn: int, listener: Callable[[Event], None] | None, recall: Recall | None = None) -> None:
        """Start the records of the next action.

        Args:
            turn: The action's number.
            listener: Called with each event of the action, on the event loop's thread.
            recall: The calls that it made the first time, where it is run again.
        """
        self._turn = turn
        self.records.begin(listener)
        self._rerun = None if recall is None else RerunCalls(self, recall)
        self.may_pause = self.gate.may_pause(resumed=recall is not None and not recall.finished)
        self.broken_off = False
        self.gate.waiting.clear()
        self.output = []

    def broke_off(self) -> None:
        """The action has ended in the middle: it closed none of the streams that are open."""
        self.broken_off = True

    async def settle(self) -> None:
        """Wait a while for the threads of calls that nobody waits for any longer, so that their end is on record."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                while self.in_threads:  # noqa: ASYNC110 - threads end them
                    await asyncio.sleep(0.01)

    def release(self) -> None:
        """Forget everything that calls have left behind, with the values whose handles the actions hold."""
        self.codec.release()
        self._results.clear()
        self._state.clear()
        self.records.calls = []

    def on_output(self, stream: OutputStream, text: str) -> None:
        """Take a piece of output, in any thread."""
        self.output.append((stream, text))
        if self.records.listener is not None:
            self.records.tell(OutputReceived(stream=stream, text=text))

    # ---- one call ----------------------------------------------------------------------------------------------------

    def call(
        self,
        id: int,  # noqa: A002, ARG002 - its number in the guest; that in the run is another
        tool: str,
        args: list[Any],
        kwargs: dict[str, Any],
    ) -> Coroutine[Any, Any, Any] | Work:
        """Begin one call: a coroutine that returns a wire value or a stream of them, or work for a thread.

        Raises:
            CallRefused: What the action sees as an exception.
        """
        if self._rerun is not None:
            return self._rerun.call(tool, args, kwargs)
        return self._begin(self.new(tool, args, kwargs))

    def quick(self, id: int, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Work | None:  # noqa: A002, ARG002
        """Begin a call of a plain function without the event loop; None for any other."""
        spec = self._specs.get(tool)
        if spec is None or not spec.plain or spec.kind != "function" or self.gate.concerns(spec):
            return None
        if self._rerun is not None:
            return None
        work = self._begin(self.new(tool, args, kwargs))
        return work if isinstance(work, PlainCall) else None

    def new(self, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Call:
        """Number a call that the run has not made before."""
        self._count += 1
        call = Call(self._count, tool, args, kwargs)
        self.records.calls.append(call)
        return call

    def _begin(self, call: Call) -> Coroutine[Any, Any, Any] | Work:
        try:
            spec, bound = self.bind(call.tool, call.args, call.kwargs)
            call.spec, call.arguments = spec, bound.arguments
            if not spec.plain or self.gate.concerns(spec):
                return self.answer(call, spec, bound)
            self.records.tell_of(ToolCalled, call)
            plain = PlainCall(self, call, spec, bound)
            return plain if spec.kind == "function" else plain.go_on()
        except Exception as error:
            raise self.refused(call, error) from error

    async def answer(self, call: Call, spec: ToolSpec, bound: BoundCall, past: PastCall | None = None) -> Any:
        """Let a call through the gate, run it, and return its wire value, or a stream of them.

        Args:
            call: The call.
            spec: Its tool.
            bound: Its arguments.
            past: What the journal has of it, where it began before the run was resumed.

        Raises:
            CallRefused: What the action sees as an exception.
        """
        try:
            if past is not None or self.gate.concerns(spec):
                verdict = await self.gate.let_through(spec, self._request(call, spec), past, self.records.note_decision)
                if isinstance(verdict, Done):
                    return self._taken_as_done(call, spec, verdict.result)
                if verdict.arguments is not None:
                    secret = self.records.known(call.tool).hidden_names(call.arguments)
                    own = {name: value for name, value in call.arguments.items() if name in secret}
                    bound = spec.rebind({**own, **verdict.arguments})
                    call.arguments = bound.arguments
            if past is None or not past.started:
                await self._quotas.admit(spec)
            await self.records.begin_durably(call)
            self.records.tell_of(ToolCalled, call)
            if spec.streams:
                call.idle = True
                values = await invoke(spec, bound, self.context(spec, call.key))
                return Stream(live_items(self, spec, values, call))
            value, answer = await self.result(spec, bound, call)
        except ENDS_THE_RUN:
            raise
        except Exception as error:
            raise self.refused(call, error) from error
        except BaseException:
            if call.key not in self.gate.waiting:  # the run pauses, and the call is still to be decided about
                self.records.finish(call, error="cancelled", answer=CANCELLED)
            raise
        await self.records.finish_durably(call, value, answer)
        return answer

    def _taken_as_done(self, call: Call, spec: ToolSpec, result: Any) -> Any:
        """The result of a call that somebody says has happened."""
        if spec.streams:
            return Stream(done_items(self, spec, result, call))
        value = spec.check_result(result)
        answer = self.encode(spec, value)
        self.records.finish(call, result=value, answer={"value": answer})
        return answer

    def answer_again(self, action: PastAction) -> None:
        """Give the typed answer that a finished action gave, once more."""
        for past in action.calls:
            if past.record.tool == ANSWER_TOOL and past.answer is not None and "value" in past.answer:
                spec, bound = self.bind(ANSWER_TOOL, past.args, past.kwargs)
                call_here(spec, bound)

    # ---- arguments ---------------------------------------------------------------------------------------------------

    def bind(self, tool: str, args: list[Any], kwargs: dict[str, Any]) -> tuple[ToolSpec, BoundCall]:
        """Look up the tool, decode the arguments and validate them.

        Raises:
            ToolDenied: There is no such tool, or an argument held a secret that is gone.
            InvalidCall: The arguments do not fit.
        """
        spec = self._specs.get(tool)
        if spec is None:
            try:
                spec = self._specs[tool] = self._registry.get(tool)
            except RegistryError as error:
                raise ToolDenied(str(error)) from error
        if self.lossy and tool != ANSWER_TOOL and holds_hidden([args, kwargs]):
            raise ToolDenied(
                f"{tool}: an argument holds {HIDDEN!r}, which stands for a secret that was not recorded, so it is gone "
                "since the run was resumed; get the value again."
            )
        decode = self.codec.decode
        try:
            values = [decode(value) for value in args]
            named = {name: decode(value) for name, value in kwargs.items()}
        except WireError as error:
            raise InvalidCall(
                f"{spec.qualified}: an argument cannot be sent: {error}\nSignature: {spec.signature()}"
            ) from error
        return spec, spec.bind(values, named)

    def _request(self, call: Call, spec: ToolSpec) -> CallRequest:
        effects = spec.effects
        return CallRequest(
            id=call.key, tool=spec.qualified, arguments=call.arguments, run_id=self._run_id, turn=self._turn,
            read_only=effects.read_only, destructive=effects.destructive, idempotent=effects.idempotent,
            open_world=effects.open_world,
        )  # fmt: skip

    def context(self, spec: ToolSpec, call_id: int) -> ToolContext:
        """What the tool learns about its call."""

        def report(message: str) -> None:
            if self.records.listener is not None:
                self.records.tell(ToolReported(call_id=call_id, tool=spec.qualified, message=message))

        return ToolContext(
            run_id=self._run_id,
            call_id=call_id,
            turn=self._turn,
            tool=spec.qualified,
            state=self._state,
            on_report=report,
        )

    # ---- results -----------------------------------------------------------------------------------------------------

    async def result(self, spec: ToolSpec, bound: BoundCall, call: Call) -> tuple[object, Any]:
        """Run a tool, within its concurrency; return its result, and as it is on the wire."""
        key = self._cache_key(spec, bound)
        if key is not None and key in self._results:
            return self._results[key]
        async with self._quotas.place(spec):
            context = self.context(spec, call.key)
            value = spec.check_result(await invoke(spec, bound, context, lambda *retry: self._retried(call, *retry)))
        found = value, self.encode(spec, value)
        if key is not None:
            self._results[key] = found
        return found

    def _retried(self, call: Call, attempt: int, error: Exception, seconds: float) -> None:
        text = f"{type(error).__name__}: {error}"
        self.records.note(CallRetried(call_id=call.key, tool=call.tool, attempt=attempt, error=text, seconds=seconds))

    def _cache_key(self, spec: ToolSpec, bound: BoundCall) -> str | None:
        if not spec.cache:
            return None
        try:
            return json.dumps([spec.qualified, self.codec.encode(bound.arguments)], sort_keys=True)
        except WireError:  # an argument that cannot be told apart from another is not looked up
            return None

    def encode(self, spec: ToolSpec, value: object) -> Any:
        """A result as it is on the wire.

        Raises:
            InvalidResult: It cannot cross.
        """
        try:
            return self.codec.encode_as(value, spec.item)
        except WireError as error:
            raise InvalidResult(f"{spec.qualified} returned what cannot be sent to the action: {error}") from error

    def refused(self, call: Call, error: Exception) -> CallRefused:
        """Record that a call failed; return what the action sees of it."""
        refusal = self.refusal(call.tool, error)
        self.records.finish(call, error=f"{type(error).__name__}: {error}", answer=as_answer(refusal))
        return refusal

    def refusal(self, tool: str, error: Exception) -> CallRefused:
        """What the action sees of ``error``."""
        return refusal_of(tool, error, self._registry.catalog, self.codec)
