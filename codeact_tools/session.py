"""One interpreter session without a model: check an action, run it, answer its calls, observe."""

from __future__ import annotations

import asyncio
import mimetypes
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Self, cast

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
    ExecutionError,
    Observation,
    WarningRaised,
)
from .gate import Gate
from .hostcalls import HostCalls
from .journal import Past, PastAction, Redactor, RunLog
from .observing import cap_middle, differences, echo, error_text, fault_error, guest_error, paused, read_limits, refused
from .recall import Recall, RecordedTools
from .registry import ToolRegistry
from .sandbox import resolve_sandbox
from .sandbox.base import Limits, ResumingSandbox, Sandbox, SandboxRequest
from .sandbox.bridge import Bridge, Outcome
from .sandbox.manifest import build_manifest
from .sandbox.packages import importable
from .toolkits import ToolSource, resolve_tools
from .wire import Codec

CheckMode = Literal["block", "warn", "off"]
OnEvent = Callable[[Event], None]

_STATE_LOST = "The interpreter was restarted: variables of earlier actions are gone; define again what you need."

_RECOVERING = (
    "A fresh sandbox takes its place: the variables are rebuilt from the journal, and the action is run again; calls "
    "that have been answered are not repeated."
)


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
        on_event: Called with each event, on the thread that runs the session.
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
        self.limits = read_limits(limits)
        self.run_id = run_id or uuid.uuid4().hex
        self.choice: Choice
        """Which sandbox was chosen, and why."""
        self._sandbox, self.choice = resolve_sandbox(sandbox)
        self._environment: str | None = getattr(self._sandbox, "environment", None)
        self._check: CheckMode = check
        self.packages = tuple(dict.fromkeys((*packages, *self.registry.packages)))
        """Third-party packages that are there for the actions: those asked for, and those that toolkits declare."""
        self.allow_imports = (*allow_imports, *importable(self.packages, self._environment))
        """What an action may import besides ``tools``."""
        self._observation_chars = observation_chars
        self.on_event = on_event
        """Called with each event; may be replaced between two actions."""
        self._codec = Codec(self.registry.catalog)
        self._log = log
        self._recorded = recorded
        self._seed = seed
        self._gate = Gate(policies, approve, confirm_destructive=confirm_destructive, can_pause=log is not None)
        self._host_calls = HostCalls(
            self.registry,
            self._codec,
            run_id=self.run_id,
            gate=self._gate,
            log=log,
            calls=resume["last_call"] if resume else max(past.calls, default=0) if past else 0,
            made=Counter(call.record.tool for call in past.calls.values() if call.started) if past else None,
            recorded=recorded.tools if recorded else {},
            lossy=past is not None,
        )
        self._checker = self._make_checker() if check != "off" else None
        self._preparing: asyncio.Task[None] | None = None
        """Starts the type checker while the sandbox opens."""
        self._bridge: Bridge | None = None
        self._description = ""
        self._portal: Portal | None = None
        self._turn = len(past.actions) if past else 0
        self._notice: str | None = None
        self._warned = False
        self._closed = False
        self._resume = resume
        self._ran: list[dict[str, Any]] = []
        """What the check knows of the actions that ran, for `suspend`."""
        self._recovering = False
        self._one_at_a_time = asyncio.Lock()

    def _make_checker(self) -> Checker:
        return Checker(
            self.registry,
            allow_imports=self.allow_imports,
            packages=self.packages,
            environment=self._environment,
        )

    # ---- opening and closing -------------------------------------------------------------------------------------

    @property
    def sandbox(self) -> str:
        """The back end and its mode, e.g. ``local (jail)``; its bare name before it is open."""
        return self._description or self._sandbox.name

    @property
    def variables(self) -> dict[str, str]:
        """The variables with the types of their values, as far as the guest tells; hints, for the model to read."""
        return (self._ran[-1].get("variables") or {}) if self._ran else {}

    async def aopen(self) -> None:
        """Start the guest; a no-op where it runs already."""
        if self._closed:
            raise ConfigurationError("This session is closed; open a new one.")
        if self._bridge is not None:
            return
        if self._checker is not None and self._preparing is None:
            self._preparing = asyncio.create_task(self._checker.prepare())
        resume, self._resume = self._resume, None
        if resume is not None:
            await self._take_up(resume)
            return
        process = await self._sandbox.open(SandboxRequest(limits=self.limits, packages=self.packages))
        bridge = Bridge(process, self.limits)
        try:
            manifest = self._recorded.manifest if self._recorded else build_manifest(self.registry, self._codec)
            await bridge.start(manifest, allow_imports=self.allow_imports, seed=self._seed)
        except BaseException:
            await bridge.close()
            raise
        self._bridge, self._description = bridge, process.description

    async def _take_up(self, suspended: Mapping[str, Any]) -> None:
        if not isinstance(self._sandbox, ResumingSandbox):
            raise ConfigurationError(f"resume= needs the sandbox that was suspended, and {self.sandbox} resumes none.")
        process = await self._sandbox.resume(suspended["guest"])
        self._bridge, self._description = Bridge(process, self.limits), process.description
        self._bridge.resume(suspended)
        self._turn, self._ran = suspended["turn"], [*suspended["ran"]]
        if self._checker is not None:
            for action in self._ran:
                self._checker.commit(**action)

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
            suspended = await cast(Bridge, self._bridge).suspend()
            self._bridge = None
            await self.aclose()
        return {**suspended, "turn": self._turn, "ran": self._ran}

    async def aclose(self) -> None:
        """End the guest and all that it started; idempotent."""
        self._closed = True
        bridge, self._bridge = self._bridge, None
        try:
            if bridge is not None:
                await bridge.close()
        finally:
            self._host_calls.release()
            await self._close_checker()

    async def _close_checker(self) -> None:
        if self._checker is None:
            return
        if self._preparing is not None:
            self._preparing.cancel()
        await self._checker.aclose()
        if self._preparing is not None:
            await asyncio.wait([self._preparing])

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
        if past is None:
            self._emit(ActionStarted(code=code))
        checked = await self._checked(code)
        ran: str | None = None
        began = past is not None and past.calls  # the check let it pass then, whatever it says now
        if checked is not None and not checked.ok and self._check == "block" and not began:
            observation = refused(checked, self._observation_chars)
        else:
            ran = checked.code if checked else code
            recall = None if past is None else self._recall(past, finished=False)
            observation = await self._executed(ran, checked, recall)
            self._report_unmade(recall)
        observation = observation.model_copy(update={"seconds": time.perf_counter() - started})
        self._emit(ActionFinished(observation=observation), {"ran": ran})
        return observation

    async def _checked(self, code: str) -> CheckResult | None:
        if self._checker is None:
            return None
        result = await self._checker.check(code)
        if result.degraded and not self._warned:
            self._warned = True
            self._emit(WarningRaised(message=result.degraded))
        self._emit(ActionChecked(findings=result.findings, effects=result.effects, seconds=result.seconds))
        return result

    async def _executed(
        self, code: str, checked: CheckResult | None, recall: Recall | None = None, *, quiet: bool = False
    ) -> Observation:
        calls = self._host_calls
        calls.begin(self._turn, None if quiet else self.on_event, recall)
        notice = self._notice
        outcome: Outcome | None = None
        error: ExecutionError | None = None
        artifacts: tuple[Artifact, ...] = ()
        notes: list[str] = []
        await self.aopen()
        bridge = cast(Bridge, self._bridge)
        try:
            outcome = await self._run_or_pause(bridge, code, recall.clock if recall else None)
            self._notice = None
            error = guest_error(outcome, self.limits)
            artifacts, notes = await self._collect(bridge, outcome)
        except SandboxError as fault:
            if isinstance(fault, SandboxCrashed) and self._log is not None and not quiet and not self._recovering:
                return await self._recovered(code, checked, fault)
            error = fault_error(fault)
            if error.state_lost:
                await self._discard()
        except asyncio.CancelledError:
            self._commit(code, None)
            raise
        if error is None or not error.state_lost:
            self._commit(code, outcome)
        if outcome is not None and outcome.dropped_output:
            notes.append(f"[{outcome.dropped_output:,} more bytes of output were dropped]")
        if checked is not None and checked.findings:
            notes.append("The check warns:\n" + checked.render())
        result = outcome.result if outcome and outcome.assigned is None else None
        stdout = "".join(text for stream, text in calls.output if stream == "stdout")
        stderr = "".join(text for stream, text in calls.output if stream == "stderr")
        parts = [notice or "", stdout, stderr, echo(outcome), error_text(error), *notes]
        return Observation(
            text=cap_middle("\n".join(part.rstrip("\n") for part in parts if part.strip()), self._observation_chars),
            result=result,
            stdout=stdout,
            stderr=stderr,
            error=error,
            findings=checked.findings if checked else (),
            calls=calls.records,
            artifacts=artifacts,
        )

    async def _recovered(self, code: str, checked: CheckResult | None, fault: SandboxCrashed) -> Observation:
        """Go on in a fresh sandbox after the old one ended: rebuild the variables, and run the action once more."""
        self._emit(WarningRaised(message=f"{fault} {_RECOVERING}"))
        await self._host_calls.settle()
        past = cast(RunLog, self._log).past()
        unfinished = past.actions[-1]
        await self._discard()
        self._notice = None
        self._recovering = True
        try:
            self._host_calls.lossy = True
            for difference in await self._rebuild(past.to_rebuild):
                self._emit(difference)
            recall = self._recall(unfinished, finished=False)
            observation = await self._executed(code, checked, recall)
            self._report_unmade(recall)
            return observation
        finally:
            self._recovering = False

    async def _run_or_pause(self, bridge: Bridge, code: str, clock: float | None) -> Outcome:
        """Run the action; where it waits for a decision that nobody here gives, end the guest and say so."""
        calls = self._host_calls
        self._gate.hold_clock = bridge.paused
        if not calls.may_pause:
            return await bridge.execute(code, handler=calls, clock=clock)
        running = asyncio.create_task(bridge.execute(code, handler=calls, clock=clock))
        stalled = asyncio.create_task(calls.stalled())
        try:
            await asyncio.wait({running, stalled}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            # Killed, not interrupted: what the action would do on its way out is not to happen.
            await bridge.kill("the run waits for a decision")
            raise paused(self.run_id, stalled.result())
        finally:
            for task in (running, stalled):
                task.cancel()
            await asyncio.gather(running, stalled, return_exceptions=True)

    def _commit(self, code: str, outcome: Outcome | None) -> None:
        """Tell the check what ran: to its end, up to an error, or, where there is no outcome, nobody knows how far."""
        action: dict[str, Any] = {"code": code, "failed": True}
        if outcome is not None:
            line = outcome.error.line if outcome.error is not None else None
            names = None if outcome.names is None else dict(outcome.names)
            action |= {"failed": outcome.error is not None, "failed_line": line, "variables": names}
        self._ran.append(action)
        if self._checker is not None:
            self._checker.commit(**action)

    async def _collect(self, bridge: Bridge, outcome: Outcome) -> tuple[tuple[Artifact, ...], list[str]]:
        """Fetch the files that the action wrote, up to the limit; name those that stay inside."""
        artifacts: list[Artifact] = []
        left = self.limits.artifacts_mb << 20
        kept_inside: list[str] = []
        for name, size in outcome.files:
            if size > left:
                kept_inside.append(name)
                continue
            try:
                data = await bridge.get(name)
            except FileNotFoundError:  # a thread of the action has removed it since
                continue
            left -= len(data)
            media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
            artifacts.append(Artifact(name=name, media_type=media_type, data=data))
        notes = [f"[files: {', '.join(artifact.name for artifact in artifacts)}]"] if artifacts else []
        if kept_inside:
            notes.append(
                f"[too large to hand out ({self.limits.artifacts_mb} MiB per action): {', '.join(kept_inside)}]"
            )
        return tuple(artifacts), notes

    async def _discard(self) -> None:
        """Drop a guest that is gone; the next action starts a fresh one and says so."""
        bridge, self._bridge = self._bridge, None
        self._notice = _STATE_LOST
        self._ran.clear()
        if bridge is not None:
            await bridge.close()
        if self._checker is not None:
            self._checker.forget()

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
            seen = await self._executed(past.ran or past.code, None, recall, quiet=True)
            if seen.error is not None and seen.error.state_lost:
                raise SandboxCrashed(
                    f"The sandbox ended while action {past.number} was run again to rebuild the variables: "
                    f"{seen.error.message}"
                )
            if recall.left:
                raise recall.diverged()
            found += differences(past, seen, self._redactor)
        self._turn = turn
        return found

    def answer_again(self, past: PastAction) -> None:
        """Give the typed answer that a finished action gave, once more."""
        self._host_calls.answer_again(past)

    async def go_on(self, past: PastAction) -> Observation:
        """Run an action that did not finish; the calls that did are answered from the record."""
        async with self._one_at_a_time:
            return await self._act(past.code, past)

    def _recall(self, past: PastAction, *, finished: bool) -> Recall:
        return Recall(past, finished=finished, redact=self._redactor)

    @property
    def _redactor(self) -> Redactor:
        return Redactor() if self._log is None else self._log.redact

    def _report_unmade(self, recall: Recall | None) -> None:
        """Name recorded calls of an unfinished action that it did not make again."""
        for call in recall.left if recall else ():
            tool = call.record.tool
            message = f"The action called {tool} the first time (call {call.key}), and not when it was run again."
            number = recall.number if recall else 0
            self._emit(Diverged(action=number, what="calls", recorded=tool, now="", message=message))

    # ---- files ---------------------------------------------------------------------------------------------------

    def upload(self, name: str, data: bytes) -> None:
        """Write ``data`` to the file ``name`` of the session's working folder."""
        self._sync().run(self.aupload(name, data))

    async def aupload(self, name: str, data: bytes) -> None:
        """`upload`, for sessions opened with ``async with``."""
        await self.aopen()
        await cast(Bridge, self._bridge).put(name, data)

    def download(self, name: str) -> bytes:
        """Return the content of the file ``name`` of the session's working folder."""
        return self._sync().run(self.adownload(name))

    async def adownload(self, name: str) -> bytes:
        """`download`, for sessions opened with ``async with``."""
        await self.aopen()
        return await cast(Bridge, self._bridge).get(name)

    # ---- helpers -------------------------------------------------------------------------------------------------

    def _sync(self) -> Portal:
        if self._portal is None:
            raise ConfigurationError("Open the session with 'with Session(...) as session:' before you use it.")
        return self._portal

    def _without_secrets(self, event: Event) -> Event:
        if not isinstance(event, ActionFinished) or not event.observation.calls:
            return event
        shown = event.observation.model_copy(update={"calls": self._host_calls.shown_records})
        return ActionFinished(observation=shown)

    def _emit(self, event: Event, data: Mapping[str, Any] | None = None) -> None:
        if self._log is not None:
            self._log.event(self._without_secrets(event), data)
        if self.on_event is not None:
            self.on_event(event)
