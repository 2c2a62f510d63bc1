"""One interpreter session without a model: check an action, run it, answer its calls, observe."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Self, cast

from . import observing
from ._portal import Portal
from .approvals import Approval, Policy
from .checks import Checker, CheckResult
from .errors import ConfigurationError, SandboxCrashed, SandboxError
from .events import (
    ActionChecked,
    ActionFinished,
    ActionStarted,
    Artifact,
    Choice,
    Diverged,
    Event,
    Observation,
    WarningRaised,
)
from .gate import Gate
from .history import ActionHistory
from .hostcalls import HostCalls, run_or_pause
from .interpreter import Interpreter
from .journal import Past, PastAction, Redactor, RunLog
from .recall import Recall, RecordedTools
from .registry import ToolRegistry
from .sandbox import resolve_sandbox
from .sandbox.base import Limits, Sandbox, SandboxRequest
from .sandbox.bridge import Bridge, Outcome
from .sandbox.manifest import build_manifest
from .sandbox.packages import importable
from .toolkits import ToolSource, resolve_tools
from .wire import Codec

CheckMode = Literal["block", "warn", "off"]
OnEvent = Callable[[Event], None]


class Session:
    """A persistent Python session in a sandbox where only the registered tools are importable.

    >>> with Session(tools=["calendar"], sandbox="local") as session:
    ...     seen = session.run("eve = weekday(date(2026, 12, 24))")
    ...     session.run("eve.upper()").result
    "'THURSDAY'"

    The synchronous methods (`run`, `upload`, `download`, ``with``) and the asynchronous ones (`arun`, `aupload`,
    `adownload`, ``async with``) do the same; one session uses the one kind or the other.

    Args:
        tools: Functions, `Toolkit`s, names of installed toolkits, or one `ToolRegistry`.
        sandbox: ``"auto"`` (E2B where a key is set, else local), ``"local"``, ``"e2b"``, or a back end.
        check: ``"block"`` refuses an action with findings before anything of it runs; ``"warn"`` runs it and adds the
            findings to the observation; ``"off"`` leaves only the host's validation of each call.
        allow_imports: Modules that an action may import besides ``tools``; ``"*"`` stands for all that exist inside.
        packages: Third-party packages of this environment that are there, read-only, for the action, which may import
            them; those that the toolkits declare come on top.
        limits: A `Limits`, or its fields as a mapping.
        policies: Functions that decide about each call, in this order; see `codeact_tools.approvals`. Where none has an
            opinion, calls of tools with ``approval=True`` need approval.
        approve: Asked about each call that needs approval; without it such calls are denied.
        confirm_destructive: Whether calls of destructive tools need approval, too; in the run of an agent they do.
        observation_chars: Most characters of an observation's text; what is beyond is cut out of the middle.
        on_event: Called with each event, on the event loop's thread; with the synchronous methods, on the caller's.
        run_id: Names the run towards tools; made up where it is not given.
        resume: What `suspend` returned: go on there, with the same tools and options, instead of afresh.
        log: Where all that happens is recorded; `CodeActAgent` gives one.
        seed: Of the actions' random numbers; None: other ones each time.
        past: What the run has done before.
        recorded: The tools of a run that is only replayed, in place of ``tools``.

    Raises:
        DefinitionError, RegistryError, PluginError: The tools cannot be registered.
        ConfigurationError: An option is wrong.
        SandboxUnavailable: On entering, where no sandbox can be opened.
    """

    def __init__(
        self,
        tools: Iterable[ToolSource] | ToolRegistry = (),
        *,
        sandbox: str | Sandbox = "auto",
        check: CheckMode = "block",
        allow_imports: Sequence[str] = (),
        packages: Sequence[str] = (),
        limits: Limits | Mapping[str, Any] | None = None,
        policies: Sequence[Policy] = (),
        approve: Approval = None,
        confirm_destructive: bool = False,
        observation_chars: int = 10_000,
        on_event: OnEvent | None = None,
        run_id: str | None = None,
        resume: Mapping[str, Any] | None = None,
        log: RunLog | None = None,
        seed: int | None = None,
        past: Past | None = None,
        recorded: RecordedTools | None = None,
    ) -> None:
        if check not in ("block", "warn", "off"):
            raise ConfigurationError(f"check={check!r} is not known; use 'block', 'warn' or 'off'.")
        if isinstance(allow_imports, str) or isinstance(packages, str):
            raise ConfigurationError("allow_imports and packages are lists of names: write ['math'], not 'math'.")
        self.registry = resolve_tools(tools)
        """What the session's actions can call."""
        self.limits = observing.read_limits(limits)
        self.run_id = run_id or uuid.uuid4().hex
        self.choice: Choice
        """Which sandbox was chosen, and why."""
        place, self.choice = resolve_sandbox(sandbox)
        environment: str | None = getattr(place, "environment", None)
        self.packages = tuple(dict.fromkeys((*packages, *self.registry.packages)))
        """Third-party packages that are there for the actions: those asked for, and those that toolkits declare."""
        self.allow_imports = (*allow_imports, *importable(self.packages, environment))
        """What an action may import besides ``tools``."""
        self.on_event = on_event
        """Called with each event; may be replaced between two actions."""
        self._check: CheckMode = check
        self._observation_chars = observation_chars
        self._log = log
        self._redact = Redactor() if log is None else log.redact
        registry, codec = self.registry, Codec(self.registry.catalog)
        gate = Gate(policies, approve, confirm_destructive=confirm_destructive, can_pause=log is not None)
        self._host_calls = HostCalls(
            registry, codec, run_id=self.run_id, gate=gate, log=log,
            calls=resume["last_call"] if resume else max(past.calls, default=0) if past else 0,
            made=Counter(call.record.tool for call in past.calls.values() if call.started) if past else None,
            recorded=recorded.tools if recorded else {}, lossy=past is not None,
        )  # fmt: skip
        checker = None if check == "off" else Checker(
            registry, allow_imports=self.allow_imports, packages=self.packages, environment=environment
        )  # fmt: skip
        self._history = ActionHistory(checker)
        self._interpreter = Interpreter(
            place, SandboxRequest(limits=self.limits, packages=self.packages), self._history,
            manifest=lambda: recorded.manifest if recorded else build_manifest(registry, codec),
            allow_imports=self.allow_imports, seed=seed, suspended=resume,
        )  # fmt: skip
        self._turn = resume["turn"] if resume else len(past.actions) if past else 0
        self._portal: Portal | None = None
        self._warned = False
        self._closed = False
        self._one_at_a_time = asyncio.Lock()

    # ---- opening and closing -------------------------------------------------------------------------------------

    @property
    def sandbox(self) -> str:
        """The back end and its mode, e.g. ``local (jail)``; its bare name before it is open."""
        return self._interpreter.description

    @property
    def variables(self) -> dict[str, str]:
        """The variables with the types of their values, as far as the guest tells; hints, for the model to read."""
        return self._history.variables

    async def aopen(self) -> None:
        """Start the guest; a no-op where it runs already."""
        await self._opened()

    async def _opened(self) -> Bridge:
        if self._closed:
            raise ConfigurationError("This session is closed; open a new one.")
        return await self._interpreter.opened()

    def suspend(self) -> dict[str, Any]:
        """Pause the sandbox between two actions and close the session; the interpreter's state is kept.

        Only in E2B; a local guest ends with its process. What comes out of tools as a handle or a stream is not kept.

        Returns:
            Plain data for JSON. ``Session(..., resume=data)`` goes on there, in this process or in another one.

        Raises:
            ConfigurationError: The sandbox cannot be suspended; the session goes on.
        """
        return self._sync().run(self.asuspend())

    async def asuspend(self) -> dict[str, Any]:
        """`suspend`, for sessions opened with ``async with``."""
        async with self._one_at_a_time:
            await self.aopen()
            suspended = await self._interpreter.suspend()
            await self.aclose()
        return {**suspended, "turn": self._turn}

    async def aclose(self) -> None:
        """End the guest and all that it started; idempotent."""
        self._closed = True
        try:
            await self._interpreter.aclose()
        finally:
            self._host_calls.release()

    async def __aenter__(self) -> Self:
        try:
            await self.aopen()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        self._portal = Portal()
        try:
            self._portal.run(self.aopen())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """`aclose`, for sessions opened with ``with``."""
        portal, self._portal = self._portal, None
        if portal is not None:
            try:
                portal.run(self.aclose())
            finally:
                portal.close()

    # ---- actions -------------------------------------------------------------------------------------------------

    def run(self, code: str) -> Observation:
        """Check ``code``, run it in the session, and return what it did; an action's error is in the observation."""
        return self._sync().run(self.arun(code))

    async def arun(self, code: str) -> Observation:
        """`run`, for sessions opened with ``async with``; actions that are started together run one after the other."""
        async with self._one_at_a_time:
            return await self._act(code)

    async def _act(self, code: str, past: PastAction | None = None) -> Observation:
        self._turn = self._turn + 1 if past is None else past.number
        started = time.perf_counter()
        if past is None and self._heard:
            self._emit(ActionStarted(code=code))
        checked = await self._checked(code)
        ran: str | None = None
        began = past is not None and past.calls  # the check let it pass then, whatever it says now
        if checked is not None and not checked.ok and self._check == "block" and not began:
            observation = observing.refused(checked, self._observation_chars)
        else:
            ran = checked.code if checked else code
            recall = None if past is None else self._recall(past, finished=False)
            await self.aopen()
            try:
                observation = await self._executed(ran, checked, recall, recover=self._log is not None)
            except SandboxCrashed as fault:
                recall = await self._recovered(fault)
                observation = await self._executed(ran, checked, recall)
            for difference in observing.unmade(recall) if recall else ():
                self._emit(difference)
        observation = observation.model_copy(update={"seconds": time.perf_counter() - started})
        if self._heard:
            self._emit(ActionFinished(observation=observation), {"ran": ran})
        return observation

    async def _checked(self, code: str) -> CheckResult | None:
        result = await self._history.check(code)
        if result is None:
            return None
        if result.degraded and not self._warned:
            self._warned = True
            self._emit(WarningRaised(message=result.degraded))
        self._emit(ActionChecked(findings=result.findings, effects=result.effects, seconds=result.seconds))
        return result

    async def _executed(
        self, code: str, checked: CheckResult | None, recall: Recall | None, *, recover: bool = False
    ) -> Observation:
        """Run an action and return what it did, also where that is the end of the sandbox.

        Raises:
            SandboxCrashed: The sandbox ended, and the caller would ``recover`` from that.
        """
        calls, interpreter = self._host_calls, self._interpreter
        calls.begin(self._turn, None if recall and recall.finished else self.on_event, recall)
        bridge = await self._opened()
        notice, clock = interpreter.notice, recall.clock if recall else None
        outcome: Outcome | None = None
        artifacts: tuple[Artifact, ...] = ()
        notes: list[str] = []
        try:
            outcome = await run_or_pause(bridge, code, calls, run_id=self.run_id, clock=clock)
            interpreter.notice = None
            error = observing.guest_error(outcome, self.limits)
            artifacts, notes = await observing.fetch_artifacts(bridge, outcome, self.limits)
        except SandboxError as fault:
            if recover and isinstance(fault, SandboxCrashed):
                raise
            error = observing.fault_error(fault)
            if error.state_lost:
                await interpreter.discard()
        except asyncio.CancelledError:
            self._history.commit(code, None)
            raise
        finally:
            calls.records.flush()
        if error is None or not error.state_lost:
            self._history.commit(code, outcome)
        return observing.observe(
            outcome, error, checked, output=calls.output, calls=calls.records.observed(), artifacts=artifacts,
            notice=notice, notes=notes, most=self._observation_chars,
        )  # fmt: skip

    # ---- running again -------------------------------------------------------------------------------------------

    async def rebuild(self, actions: Sequence[PastAction]) -> list[Diverged]:
        """Run finished actions again, their calls answered from the record, until the variables are what they were.

        Returns:
            Where an action now shows something else than the first time.

        Raises:
            RunDiverged: An action made other calls than the first time; the interpreter's state is not what it was.
            SandboxCrashed: The sandbox ended meanwhile.
        """
        async with self._one_at_a_time:
            return await self._rebuild(actions)

    async def _rebuild(self, actions: Sequence[PastAction]) -> list[Diverged]:
        found: list[Diverged] = []
        turn = self._turn
        for past in actions:
            self._turn = past.number
            recall = self._recall(past, finished=True)
            seen = await self._executed(past.ran or past.code, None, recall)
            if seen.error is not None and seen.error.state_lost:
                raise SandboxCrashed(f"Action {past.number}, run again to rebuild the variables: {seen.error.message}")
            if recall.left:
                raise recall.diverged()
            found += observing.differences(past, seen, self._redact)
        self._turn = turn
        return found

    def answer_again(self, past: PastAction) -> None:
        """Give the typed answer that a finished action gave, once more."""
        self._host_calls.answer_again(past)

    async def go_on(self, past: PastAction) -> Observation:
        """Run an action that did not finish; the calls that did are answered from the record."""
        async with self._one_at_a_time:
            return await self._act(past.code, past)

    async def _recovered(self, fault: SandboxCrashed) -> Recall:
        """Take a fresh sandbox in place of the one that ended; return what the journal has of the action at hand."""
        self._emit(observing.recovering(fault))
        await self._host_calls.settle()
        past = cast(RunLog, self._log).past()
        await self._interpreter.discard()
        self._interpreter.notice = None
        self._host_calls.lossy = True
        for difference in await self._rebuild(past.to_rebuild):
            self._emit(difference)
        return self._recall(past.actions[-1], finished=False)

    def _recall(self, past: PastAction, *, finished: bool) -> Recall:
        return Recall(past, finished=finished, redact=self._redact)

    # ---- files ---------------------------------------------------------------------------------------------------

    def upload(self, name: str, data: bytes) -> None:
        """Write ``data`` to the file ``name`` of the session's working folder."""
        self._sync().run(self.aupload(name, data))

    async def aupload(self, name: str, data: bytes) -> None:
        """`upload`, for sessions opened with ``async with``."""
        await (await self._opened()).put(name, data)

    def download(self, name: str) -> bytes:
        """Return the content of the file ``name`` of the session's working folder."""
        return self._sync().run(self.adownload(name))

    async def adownload(self, name: str) -> bytes:
        """`download`, for sessions opened with ``async with``."""
        return await (await self._opened()).get(name)

    # ---- helpers -------------------------------------------------------------------------------------------------

    def _sync(self) -> Portal:
        if self._portal is None:
            raise ConfigurationError("Open the session with 'with Session(...) as session:' before you use it.")
        return self._portal

    @property
    def _heard(self) -> bool:
        """Whether anybody wants the events, which take longer to make than a short action does."""
        return self._log is not None or self.on_event is not None

    def _emit(self, event: Event, data: Mapping[str, Any] | None = None) -> None:
        if self._log is not None:
            self._log.event(event, data)
        if self.on_event is not None:
            self.on_event(event)
