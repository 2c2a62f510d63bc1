"""The host's side of a tool call: authorize, decode, validate, run, validate the result, encode."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from typing import Any, Final, Literal

from .answers import ANSWER_TOOL
from .approvals import CallRequest, Done
from .errors import (
    CodeActError,
    ConfigurationError,
    InvalidCall,
    InvalidResult,
    JournalError,
    RegistryError,
    RunDiverged,
    ToolDenied,
    ToolFailed,
    ToolTimeout,
)
from .events import (
    ApprovalDecided,
    ApprovalRequested,
    CallRecord,
    CallRetried,
    Event,
    LimitReached,
    OutputReceived,
    ToolCalled,
    ToolReported,
    ToolReturned,
    WarningRaised,
)
from .gate import Gate
from .hostcall import CANCELLED, Call, PlainCall, as_answer
from .invocation import call_here, in_thread, without_host_paths
from .journal import HIDDEN, PastAction, PastCall, RunLog, holds_hidden
from .recall import Recall, RecordedTool
from .registry import ToolRegistry
from .sandbox.bridge import CallRefused, Stream, Work
from .tools import BoundCall, ToolContext, ToolSpec, invoke
from .wire import Codec, WireError

OutputStream = Literal["stdout", "stderr"]
_ENDS_THE_RUN: Final = (ConfigurationError, JournalError, RunDiverged)
"""Errors that are not the action's business."""


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
        self._registry = registry
        self._codec = codec
        self._run_id = run_id
        self._gate = gate
        self._log = log
        self._made = Counter(made or {})
        self._turns: dict[str, float] = {}
        """When the next call of a tool with a rate may start."""
        self._count = calls
        self._recorded_tools = recorded or {}
        self.lossy = lossy
        self._recall: Recall | None = None
        self._broken_off = False
        """Whether the action ended in the middle, because its guest did or the run was cancelled."""
        self._listener: Callable[[Event], None] | None = None
        self._turn = 0
        self._specs: dict[str, ToolSpec] = {}
        self._state: dict[str, Any] = {}
        self._places: dict[str, asyncio.Semaphore] = {}
        self._results: dict[str, tuple[object, Any]] = {}
        self._calls: list[Call] = []
        self._given = 0
        """Items of streams."""
        self.output: list[tuple[OutputStream, str]] = []
        """What the current action printed."""
        self.in_threads: set[int] = set()
        """Calls that worker threads are at, wanted or not."""
        self.loop: AbstractEventLoop
        """That of the current action."""

    @property
    def records(self) -> tuple[CallRecord, ...]:
        """The calls of the current action, in the order in which they arrived."""
        for call in self._calls:
            if not call.seconds:
                call.finish(None, "cancelled")
        return tuple(call.record() for call in self._calls)

    @property
    def shown_records(self) -> tuple[CallRecord, ...]:
        """`records` without what the tools declare secret."""
        return tuple(self._shown(call) for call in self._calls)

    def begin(self, turn: int, listener: Callable[[Event], None] | None, recall: Recall | None = None) -> None:
        """Start the records of the next action.

        Args:
            turn: The action's number.
            listener: Called with each event of the action, on the event loop's thread.
            recall: The calls that it made the first time, where it is run again.
        """
        self._turn = turn
        self.loop = asyncio.get_running_loop()
        self._listener = listener
        self._recall = recall
        self._broken_off = False
        self._calls = []
        self._gate.waiting.clear()
        self.output = []

    @property
    def may_pause(self) -> bool:
        """Whether the action may have to stop for a decision that nobody here gives."""
        return self._gate.may_pause(resumed=self._recall is not None and not self._recall.finished)

    def broke_off(self) -> None:
        """The action has ended in the middle: it closed none of the streams that are open."""
        self._broken_off = True

    async def settle(self) -> None:
        """Wait a while for the threads of calls that nobody waits for any longer, so that their end is on record."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                while self.in_threads:  # noqa: ASYNC110 - threads end them
                    await asyncio.sleep(0.01)

    async def stalled(self) -> list[CallRequest]:
        """Wait until the action can only go on after a decision that nobody here gives.

        Returns what is to be decided, without what the tools declare secret.

        A call that comes later than this notices is made again when the run is resumed.
        """
        seen = (-1, -1)
        while True:
            await asyncio.sleep(_STALL_SECONDS)
            waiting, now = self._gate.waiting, (len(self._calls), self._given)
            running = sum(not (call.seconds or call.idle) and call.key not in waiting for call in self._calls)
            if waiting and not running and now == seen:
                return [self._shown_request(waiting[key]) for key in sorted(waiting)]
            seen = now

    def _shown_request(self, request: CallRequest) -> CallRequest:
        return request.model_copy(update={"arguments": self._shown_names(request.tool, request.arguments)})

    def release(self) -> None:
        """Forget everything that calls have left behind, with the values whose handles the actions hold."""
        self._codec.release()
        self._results.clear()
        self._state.clear()
        self._calls = []

    def on_output(self, stream: OutputStream, text: str) -> None:
        """Take a piece of output."""
        self.output.append((stream, text))
        if self._listener is not None:
            self._listener(OutputReceived(stream=stream, text=text))

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
        if self._recall is not None:
            return self._again(self._recall, tool, args, kwargs)
        return self._begin(self._new(tool, args, kwargs))

    def quick(self, id: int, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Work | None:  # noqa: A002, ARG002
        """Begin a call of a plain function without the event loop; None for any other, and where somebody listens."""
        spec = self._specs.get(tool)
        if spec is None or not spec.plain or spec.kind != "function" or self._gate.concerns(spec):
            return None
        if self._recall is not None or self._listener is not None:
            return None
        work = self._begin(self._new(tool, args, kwargs))
        return work if isinstance(work, PlainCall) else None

    def _new(self, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Call:
        self._count += 1
        call = Call(self._count, tool, args, kwargs)
        self._calls.append(call)
        return call

    def _begin(self, call: Call) -> Coroutine[Any, Any, Any] | Work:
        try:
            spec, bound = self._bind(call.tool, call.args, call.kwargs)
            call.spec, call.arguments = spec, bound.arguments
            if not spec.plain or self._gate.concerns(spec):
                return self._answer(call, spec, bound)
            self._tell(ToolCalled, call)
            plain = PlainCall(self, call, spec, bound)
            return plain if spec.kind == "function" else plain.go_on()
        except Exception as error:
            raise self._refused(call, error) from error

    async def _answer(self, call: Call, spec: ToolSpec, bound: BoundCall, past: PastCall | None = None) -> Any:
        try:
            if past is not None or self._gate.concerns(spec):
                verdict = await self._gate.let_through(spec, self._request(call, spec), past, self._note)
                if isinstance(verdict, Done):
                    return self._taken_as_done(call, spec, verdict.result)
                if verdict.arguments is not None:
                    secret = self._known(call.tool).hidden_names(call.arguments)
                    own = {name: value for name, value in call.arguments.items() if name in secret}
                    bound = spec.rebind({**own, **verdict.arguments})
                    call.arguments = bound.arguments
            if past is None or not past.started:
                await self._admit(spec)
            await self.begin_durably(call)
            self._tell(ToolCalled, call)
            if spec.streams:
                call.idle = True
                return Stream(self._items(spec, await invoke(spec, bound, self._context(spec, call.key)), call))
            value, answer = await self._result(spec, bound, call)
        except _ENDS_THE_RUN:
            raise
        except Exception as error:
            raise self._refused(call, error) from error
        except BaseException:
            if call.key not in self._gate.waiting:  # the run pauses, and the call is still to be decided about
                self.finish(call, error="cancelled", answer=CANCELLED)
            raise
        await self.finish_durably(call, value, answer)
        return answer

    def _taken_as_done(self, call: Call, spec: ToolSpec, result: Any) -> Any:
        """The result of a call that somebody says has happened."""
        if spec.streams:
            return Stream(self._done_items(call, spec, result))
        value = spec.check_result(result)
        answer = self.encode(spec, value)
        self.finish(call, result=value, answer={"value": answer})
        return answer

    def _done_items(self, call: Call, spec: ToolSpec, result: Any) -> AsyncGenerator[Any]:
        if not isinstance(result, list | tuple):
            raise InvalidResult(f"{spec.qualified} yields items, so what it gave is a list, not {result!r}.")
        items = [self.encode(spec, spec.check_item(item)) for item in result]
        if self._log is not None:
            for item in items:
                self._log.item(call.key, HIDDEN if call.hides("return") else item)
        self.finish(call, result=f"{len(items)} items", answer={"items": "end"})
        return _again(items, "end")

    # ---- calls of an action that runs again --------------------------------------------------------------------------

    def _again(self, recall: Recall, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
        past = recall.take(tool, *self._shown_arguments(tool, args, kwargs))
        if past is None:
            return self._new_after(recall, tool, args, kwargs)
        call = Call(past.key, tool, args, kwargs)
        self._calls.append(call)
        if recall.knows_end(past) and (recall.finished or tool != ANSWER_TOOL or self._find(tool) is None):
            return self._recorded(call, past.answer if recall.finished else past.known, past)
        return self._live(call, past)

    def answer_again(self, action: PastAction) -> None:
        """Give the typed answer that a finished action gave, once more."""
        for past in action.calls:
            if past.record.tool == ANSWER_TOOL and past.answer is not None and "value" in past.answer:
                spec, bound = self._bind(ANSWER_TOOL, past.args, past.kwargs)
                call_here(spec, bound)

    async def _new_after(self, recall: Recall, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A call that the record does not have."""
        call = self._new(tool, args, kwargs)
        with self._gate.hold_clock():
            await recall.admit(tool)
        return await self._live(call, None)

    async def _live(self, call: Call, past: PastCall | None) -> Any:
        try:
            spec, bound = self._bind(call.tool, call.args, call.kwargs)
        except Exception as error:
            raise self._refused(call, error) from error
        call.spec, call.arguments = spec, bound.arguments
        return await self._answer(call, spec, bound, past)

    async def _recorded(self, call: Call, answer: Mapping[str, Any] | None, past: PastCall) -> Any:
        """Answer a call from the record."""
        call.recall(past.record)
        if self._recall is not None:
            with self._gate.hold_clock():
                await self._recall.in_turn(past)
        try:
            return await self._answer_of(call, answer, past)
        finally:
            if self._recall is not None:
                self._recall.answered(past)

    async def _answer_of(self, call: Call, answer: Mapping[str, Any] | None, past: PastCall) -> Any:
        match answer:
            case {"raise": refusal}:
                raise CallRefused(**refusal)
            case {"items": end}:
                return Stream(_again(past.items, end))
            case {"value": value} if value != HIDDEN or self._log is None:
                await self._revive(call, value)
                return value
            case {"value": _}:
                return await self._ask_again(call)
        return await asyncio.get_running_loop().create_future()  # cancelled the first time, so nobody waits for it

    async def _ask_again(self, call: Call) -> Any:
        """The result was a secret, so the record does not have it."""
        spec = self._find(call.tool)
        if spec is None or not spec.repeatable:
            raise CallRefused("ToolFailed", f"The result of {call.tool} was secret and is not known any longer.")
        try:
            spec, bound = self._bind(call.tool, call.args, call.kwargs)
            return (await self._result(spec, bound, call))[1]
        except _ENDS_THE_RUN:
            raise
        except Exception as error:
            raise self.refusal(call.tool, error) from error

    async def _revive(self, call: Call, value: Any) -> None:
        """Make the host's value behind a recorded handle anew, where the tool may be called again for it."""
        is_handle = isinstance(value, dict) and value.get("$") == "handle"
        if not is_handle or self._log is None or self._find(call.tool) is None:
            return
        try:
            spec, bound = self._bind(call.tool, call.args, call.kwargs)
            if spec.repeatable:
                made = spec.check_result(await invoke(spec, bound, self._context(spec, call.key)))
                self._codec.adopt(value["v"]["id"], made)
        except Exception as error:
            message = f"{call.tool} was called again for the value behind its handle, in vain: {error}"
            self._note_event(WarningRaised(message=message))

    # ---- records -----------------------------------------------------------------------------------------------------

    def started(self, call: Call) -> None:
        """Record that a call is about to run; on the disk before it does where it must not run twice."""
        if self._log is not None:
            args, kwargs = self._shown_arguments(call.tool, call.args, call.kwargs)
            event = ToolCalled(call=self._shown(call))
            self._log.event(event, {"args": args, "kwargs": kwargs}, durable=not call.repeatable)

    async def begin_durably(self, call: Call) -> None:
        """`started`, on the event loop, which does not wait for the disk."""
        if self._log is None or call.repeatable:
            self.started(call)
        else:
            await _undisturbed(in_thread(self.started, call))

    async def finish_durably(self, call: Call, result: object, answer: Any) -> None:
        """`finish`, on the event loop, which does not wait for the disk."""
        if self._log is None or call.repeatable:
            self.ended(call, result, None, {"value": answer})
        else:
            await _undisturbed(in_thread(self.ended, call, result, None, {"value": answer}))
        self._tell(ToolReturned, call)

    def finish(self, call: Call, *, result: object = None, error: str | None = None, answer: Mapping[str, Any]) -> None:
        """A call is over."""
        self.ended(call, result, error, answer)
        self._tell(ToolReturned, call)

    def ended(self, call: Call, result: object, error: str | None, answer: Mapping[str, Any]) -> None:
        """Record that a call is over, before the action knows."""
        call.finish(result, error)
        if self._log is None or call.recalled:
            return
        if "value" in answer and call.hides("return"):
            self._log.redact.hide([answer["value"]])
            answer = {"value": HIDDEN}
        args, kwargs = self._shown_arguments(call.tool, call.args, call.kwargs)
        data = {"answer": answer, "args": args, "kwargs": kwargs}
        self._log.event(ToolReturned(call=self._shown(call)), data, durable=not call.repeatable)

    def tell_later(self, call: Call, loop: AbstractEventLoop) -> None:
        """Tell the listener, on the event loop, that a call is over."""
        if self._listener is not None:
            with suppress(RuntimeError):  # the loop is closed: the session is over
                loop.call_soon_threadsafe(self._tell, ToolReturned, call)

    def _refused(self, call: Call, error: Exception) -> CallRefused:
        refusal = self.refusal(call.tool, error)
        self.finish(call, error=f"{type(error).__name__}: {error}", answer=as_answer(refusal))
        return refusal

    def _note(self, event: ApprovalRequested | ApprovalDecided, data: dict[str, Any] | None) -> None:
        """Record what was asked or decided, and tell the listener."""
        if self._log is not None:
            shown, arguments = self._noted(event)
            self._log.event(shown, data or arguments, durable=True)
        if self._listener is not None:
            self._listener(event)

    def _noted(
        self, event: ApprovalRequested | ApprovalDecided
    ) -> tuple[ApprovalRequested | ApprovalDecided, dict[str, Any] | None]:
        """The event without secrets, and what resuming needs besides."""
        if isinstance(event, ApprovalDecided):
            shown = event.arguments and self._shown_names(event.tool, event.arguments)
            return event.model_copy(update={"arguments": shown}), None
        call = next(call for call in self._calls if call.key == event.call.id)
        args, kwargs = self._shown_arguments(call.tool, call.args, call.kwargs)
        return event.model_copy(update={"call": self._shown(call)}), {"args": args, "kwargs": kwargs}

    def _shown(self, call: Call) -> CallRecord:
        """The call without what its tool declares secret."""
        record, secrets = call.record(), self._known(call.tool).secrets
        if not secrets:
            return record
        hidden: dict[str, Any] = {"arguments": self._shown_names(call.tool, record.arguments)}
        if "return" in secrets and record.error is None:
            hidden["result"] = HIDDEN
        return record.model_copy(update=hidden)

    def _shown_names(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by name without what the tool declares secret."""
        known = self._known(tool)
        secret = known.hidden_names(arguments) if known.secrets else ()
        return {name: HIDDEN if name in secret else value for name, value in arguments.items()}

    def _shown_arguments(self, tool: str, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments as they came over the bridge, without what the tool declares secret."""
        known = self._known(tool)
        if not known.secrets:
            return args, kwargs
        shown, named, secrets = known.hidden(args, kwargs)
        if self._log is not None:
            self._log.redact.hide(secrets)
        return shown, named

    def _known(self, tool: str) -> RecordedTool:
        """Parameters and secrets of a tool; none where nobody knows it, and its call will be denied."""
        if (found := self._recorded_tools.get(tool)) is not None:
            return found
        spec = self._find(tool)
        if spec is None:
            return RecordedTool()
        names = tuple((parameter.name, parameter.kind) for parameter in spec.parameters) if spec.options.secrets else ()
        return RecordedTool(names, spec.options.secrets)

    def _find(self, tool: str) -> ToolSpec | None:
        spec = self._specs.get(tool)
        if spec is None:
            try:
                spec = self._specs[tool] = self._registry.get(tool)
            except RegistryError:
                return None
        return spec

    def _request(self, call: Call, spec: ToolSpec) -> CallRequest:
        effects = spec.effects
        return CallRequest(
            id=call.key, tool=spec.qualified, arguments=call.arguments, run_id=self._run_id, turn=self._turn,
            read_only=effects.read_only, destructive=effects.destructive, idempotent=effects.idempotent,
            open_world=effects.open_world,
        )  # fmt: skip

    def _tell(self, kind: type[ToolCalled | ToolReturned], call: Call) -> None:
        """Tell the listener, if there is one: an event costs more than many a call."""
        if self._listener is not None:
            self._listener(kind(call=call.record()))

    def _bind(self, tool: str, args: list[Any], kwargs: dict[str, Any]) -> tuple[ToolSpec, BoundCall]:
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
        decode = self._codec.decode
        try:
            values = [decode(value) for value in args]
            named = {name: decode(value) for name, value in kwargs.items()}
        except WireError as error:
            raise InvalidCall(
                f"{spec.qualified}: an argument cannot be sent: {error}\nSignature: {spec.signature()}"
            ) from error
        return spec, spec.bind(values, named)

    def _context(self, spec: ToolSpec, call_id: int) -> ToolContext:
        loop, thread = asyncio.get_running_loop(), threading.get_ident()

        def tell(message: str) -> None:
            if self._listener is not None:
                self._listener(ToolReported(call_id=call_id, tool=spec.qualified, message=message))

        def report(message: str) -> None:
            if threading.get_ident() == thread:
                tell(message)
                return
            with suppress(RuntimeError):  # the loop is closed: a tool that was given up reports late
                loop.call_soon_threadsafe(tell, message)  # a synchronous tool reports from its own thread

        return ToolContext(
            run_id=self._run_id,
            call_id=call_id,
            turn=self._turn,
            tool=spec.qualified,
            state=self._state,
            on_report=report,
        )

    async def _admit(self, spec: ToolSpec) -> None:
        """Count a call of a tool that may be called so often only, and let it wait for its turn.

        Raises:
            ToolDenied: There were so many already.
        """
        name, most, rate = spec.qualified, spec.options.calls, spec.options.rate
        if most is not None:
            self._made[name] += 1
            if self._made[name] > most:
                message = f"{name} may be called at most {most} times in a run, and was; go on without it."
                if self._made[name] == most + 1:
                    self._note_event(LimitReached(limit=f"calls of {name}", message=message))
                raise ToolDenied(message)
        if rate is not None:
            now = time.monotonic()
            turn = max(now, self._turns.get(name, now))
            self._turns[name] = turn + 1 / rate
            await asyncio.sleep(turn - now)

    def _note_event(self, event: Event) -> None:
        if self._log is not None:
            self._log.event(event)
        if self._listener is not None:
            self._listener(event)

    async def _result(self, spec: ToolSpec, bound: BoundCall, call: Call) -> tuple[object, Any]:
        """Run a tool, within its concurrency; return its result, and as it is on the wire."""
        key = self._cache_key(spec, bound)
        if key is not None and key in self._results:
            return self._results[key]
        async with self._place(spec):
            context = self._context(spec, call.key)
            value = spec.check_result(await invoke(spec, bound, context, lambda *retry: self._retried(call, *retry)))
        found = value, self.encode(spec, value)
        if key is not None:
            self._results[key] = found
        return found

    def _retried(self, call: Call, attempt: int, error: Exception, seconds: float) -> None:
        text = f"{type(error).__name__}: {error}"
        self._note_event(CallRetried(call_id=call.key, tool=call.tool, attempt=attempt, error=text, seconds=seconds))

    def _cache_key(self, spec: ToolSpec, bound: BoundCall) -> str | None:
        if not spec.cache:
            return None
        try:
            return json.dumps([spec.qualified, self._codec.encode(bound.arguments)], sort_keys=True)
        except WireError:  # an argument that cannot be told apart from another is not looked up
            return None

    def _place(self, spec: ToolSpec) -> AbstractAsyncContextManager[object]:
        if spec.concurrency is None:
            return nullcontext()
        return self._places.setdefault(spec.qualified, asyncio.Semaphore(spec.concurrency))

    def encode(self, spec: ToolSpec, value: object) -> Any:
        """A result as it is on the wire.

        Raises:
            InvalidResult: It cannot cross.
        """
        try:
            return self._codec.encode_as(value, spec.item)
        except WireError as error:
            raise InvalidResult(f"{spec.qualified} returned what cannot be sent to the action: {error}") from error

    async def _items(self, spec: ToolSpec, values: AsyncGenerator[object], call: Call) -> AsyncGenerator[Any]:
        """Validate and encode a stream item by item; the record closes with their number."""
        count, call.idle = 0, False
        try:
            async with aclosing(values):
                async for value in values:
                    count += 1
                    item = self.encode(spec, spec.check_item(value))
                    if self._log is not None:
                        self._log.item(call.key, HIDDEN if call.hides("return") else item)
                    self._given += 1
                    call.idle = True
                    yield item
                    call.idle = False
        except _ENDS_THE_RUN:
            raise
        except Exception as error:
            raise self._refused(call, error) from error
        except BaseException:
            if self._broken_off:  # nobody knows what more the action would have taken
                raise
            self.finish(call, result=f"{count} items, then closed", answer={"items": "closed"})
            raise
        else:
            self.finish(call, result=f"{count} items", answer={"items": "end"})

    def refusal(self, tool: str, error: Exception) -> CallRefused:
        """What the action sees of ``error``: no host paths, no locals, no library jargon."""
        if isinstance(error, CallRefused):
            return error
        if isinstance(error, InvalidResult):
            return CallRefused(
                "InvalidResult", f"The tool {tool} misbehaved: its result does not fit its signature. {MOVE_ON}"
            )
        if isinstance(error, ToolFailed) and error.__cause__ is not None:
            return CallRefused("ToolFailed", str(error))
        if isinstance(error, InvalidCall | ToolTimeout | ToolDenied | ToolFailed):
            return CallRefused(type(error).__name__, str(error))
        if isinstance(error, CodeActError):
            return CallRefused("ToolFailed", f"{tool} failed.")
        return self._declared(tool, error)

    def _declared(self, tool: str, error: Exception) -> CallRefused:
        """A declared exception keeps its class in the action."""
        message = without_host_paths(str(error))
        definition = self._registry.catalog.by_python(type(error))
        if definition is None or definition.kind not in ("exception", "import"):
            return CallRefused("ToolFailed", f"{tool} failed: {type(error).__name__}: {message}")
        fields = {field.name: getattr(error, field.name, None) for field in definition.fields}
        try:
            encoded = {name: self._codec.encode(value) for name, value in fields.items()}
        except WireError:  # the exception counts, not what is attached to it
            encoded = {}
        return CallRefused(definition.name, message, encoded or None)


async def _undisturbed(work: Coroutine[Any, Any, None]) -> None:
    """Wait for ``work`` to its end, also where the wait is cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _again(items: list[Any], end: str) -> AsyncGenerator[Any]:
    """The items of a recorded stream.

    Raises:
        RunDiverged: The action closed it here the first time, and now asks for more.
    """
    for item in items:
        yield item
    if end == "closed":
        raise RunDiverged(f"The action takes more than the {len(items)} items of a stream that it took the first time.")


_STALL_SECONDS: Final = 0.05
_SETTLE_SECONDS: Final = 5.0
MOVE_ON = "Repeating the call will not help; go on without it, or say that it is broken."
