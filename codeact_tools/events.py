"""The one union of run events, and the values that they carry.

`CodeActAgent.stream` yields these; terminal, JSON output, trace and evaluation are folds over them. Each is a frozen
pydantic model with a literal ``type``, so ``EVENT_ADAPTER.validate_json(line)`` reads back what ``model_dump_json()``
wrote.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, TypeAdapter
from pydantic_core import to_jsonable_python

FindingKind = Literal["syntax", "import", "name", "type", "argument", "attribute", "key", "await", "constraint"]
ErrorKind = Literal["check", "tool", "python", "limit", "sandbox"]


class Value(BaseModel):
    """Base of all events and of the values in them: frozen, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings", defer_build=True)


class Choice(Value):
    """What ``model="auto"`` or ``sandbox="auto"`` chose, and why."""

    name: str
    reason: str
    """One line for people: ``no key and no GPU here, so the embedded CPU model``."""
    warnings: tuple[str, ...] = ()


class Finding(Value):
    """One thing that the check found in an action."""

    kind: FindingKind
    severity: Literal["error", "warning"] = "error"
    """Errors block the action in mode ``"block"``; warnings never do."""
    message: str
    """What is wrong, in one sentence."""
    line: int = 1
    """1-based line of the action."""
    column: int = 1
    """1-based column."""
    end_column: int | None = None
    hint: str | None = None
    """What to write instead: the nearest name, what can be imported, the right signature."""


class Artifact(Value):
    """A file that an action wrote into its working folder, or a figure that it drew. It is data: never executed."""

    name: str
    """Path relative to the working folder."""
    media_type: str = "application/octet-stream"
    data: bytes = Field(repr=False)

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


def _jsonable(value: object) -> object:
    """``value`` as JSON-ready data; what has no JSON form appears as its ``repr``."""
    return to_jsonable_python(value, fallback=repr, inf_nan_mode="strings", bytes_mode="base64")


Plain = Annotated[Any, PlainSerializer(_jsonable, when_used="json")]
"""Any Python value; in JSON, what has no form of its own appears as its ``repr``."""


class CallRecord(Value):
    """One tool call of an action, as the host saw it."""

    id: int
    """Number of the call within its session, from 1."""
    tool: str
    """Qualified name: ``name``, or ``toolkit.name``."""
    arguments: dict[str, Plain] = {}
    """The validated arguments by parameter name; the raw ones where validation failed."""
    result: Plain = None
    error: str | None = None
    """None where the call succeeded."""
    seconds: float = 0.0


class ExecutionError(Value):
    """Why an action did not finish."""

    kind: ErrorKind
    """``check``: refused before it ran; ``tool``: a tool failed; ``python``: the action raised; ``limit``: it exceeded
    a limit; ``sandbox``: the sandbox failed."""
    message: str
    """One or a few lines, without the traceback."""
    name: str = ""
    """Class name of the exception, where there is one."""
    traceback: str = ""
    """Trimmed to the action's own lines, with their source."""
    state_lost: bool = False
    """Whether the session's variables are gone."""


class Observation(Value):
    """What one action did."""

    text: str
    """What the model reads: output, last expression, error; capped in the middle."""
    result: str | None = None
    """``repr`` of the last expression, None where there is none."""
    stdout: str = ""
    stderr: str = ""
    error: ExecutionError | None = None
    findings: tuple[Finding, ...] = ()
    calls: tuple[CallRecord, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the action ran to its end."""
        return self.error is None


class Usage(Value):
    """What a run, or one model reply, consumed."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that the model did not have to read again."""
    turns: int = 0
    seconds: float = 0.0
    cost: float | None = None
    """In the endpoint's currency, US dollars as a rule; None where it reports none."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            turns=self.turns + other.turns,
            seconds=self.seconds + other.seconds,
            cost=None if self.cost is None and other.cost is None else (self.cost or 0.0) + (other.cost or 0.0),
        )


class RunStarted(Value):
    """The first event of a run."""

    type: Literal["run_started"] = "run_started"
    run_id: str
    task: str
    model: str
    sandbox: str
    """The back end and its mode, e.g. ``local (jail)``."""
    dialect: str
    tools: tuple[str, ...]
    choices: tuple[Choice, ...] = ()
    """What ``"auto"`` chose, and why."""


class TurnStarted(Value):
    """The model is about to be asked."""

    type: Literal["turn_started"] = "turn_started"
    turn: int
    """1-based."""


class TextDelta(Value):
    """A piece of the model's reply, as it is written."""

    type: Literal["text_delta"] = "text_delta"
    text: str


class ReplyFinished(Value):
    """The model's reply is complete."""

    type: Literal["reply_finished"] = "reply_finished"
    text: str
    """The whole reply, as it enters the conversation."""
    usage: Usage


class ActionStarted(Value):
    """The reply holds an action; it is checked next, and then run."""

    type: Literal["action_started"] = "action_started"
    code: str


class ActionChecked(Value):
    """The check is done; nothing has run yet."""

    type: Literal["action_checked"] = "action_checked"
    findings: tuple[Finding, ...] = ()
    effects: tuple[str, ...] = ()
    """Qualified names of the tools with side effects that the action can reach."""
    seconds: float = 0.0


class OutputReceived(Value):
    """The action printed something."""

    type: Literal["output_received"] = "output_received"
    stream: Literal["stdout", "stderr"] = "stdout"
    text: str


class ToolCalled(Value):
    """A tool call arrived on the host and its arguments are valid; it starts now."""

    type: Literal["tool_called"] = "tool_called"
    call: CallRecord


class ToolReported(Value):
    """A tool tells how far it is (`ToolContext.report`)."""

    type: Literal["tool_reported"] = "tool_reported"
    call_id: int
    tool: str
    message: str


class ToolReturned(Value):
    """A tool call ended, with a result or an error."""

    type: Literal["tool_returned"] = "tool_returned"
    call: CallRecord


class ActionFinished(Value):
    """The action ended; this is what the model reads next."""

    type: Literal["action_finished"] = "action_finished"
    observation: Observation


class WarningRaised(Value):
    """Something works less well than it could; the run goes on."""

    type: Literal["warning_raised"] = "warning_raised"
    message: str


class CallRetried(Value):
    """A tool call failed in a way that its tool declares transient, or timed out; it is tried again after a pause."""

    type: Literal["call_retried"] = "call_retried"
    call_id: int
    tool: str
    attempt: int
    """The attempt that failed, from 1."""
    error: str
    seconds: float
    """The pause before the next attempt."""


class ApprovalRequested(Value):
    """A call waits for somebody's decision; it has not run."""

    type: Literal["approval_requested"] = "approval_requested"
    call: CallRecord
    reason: str = ""
    """Why it is asked: the tool declares it, or what the policy said."""


class ApprovalDecided(Value):
    """Somebody, or a policy, decided about a call."""

    type: Literal["approval_decided"] = "approval_decided"
    call_id: int
    tool: str
    verdict: Literal["allow", "deny"]
    arguments: dict[str, Plain] | None = None
    """The arguments that replace the action's own, where they were edited."""
    reason: str = ""
    by: str = ""
    """Who decided: ``policy``, ``callback``, ``terminal``, or the name that was given."""


class LimitReached(Value):
    """A limit of the run, or of one tool, is used up."""

    type: Literal["limit_reached"] = "limit_reached"
    limit: str
    """Its name: ``turns``, ``tokens``, ``seconds``, ``cost``, or ``calls of shop.refund``."""
    message: str


class ContextTrimmed(Value):
    """The conversation did not fit the model's window; what it reads next is shorter than what happened."""

    type: Literal["context_trimmed"] = "context_trimmed"
    shortened: int
    """Observations cut in the middle."""
    summarised: int
    """Turns that one line now stands for."""
    tokens_before: int
    tokens_after: int
    message: str
    """What was dropped, in one sentence for people."""


class Diverged(Value):
    """An action that was run again, with its recorded tool results, did something else than the record says."""

    type: Literal["diverged"] = "diverged"
    action: int
    """Which one, from 1."""
    what: Literal["output", "calls", "prompt", "tools", "reply", "check", "answer"]
    recorded: str
    now: str
    message: str


class RunResumed(Value):
    """A run goes on from its journal."""

    type: Literal["run_resumed"] = "run_resumed"
    run_id: str
    actions: int
    """Actions that are run again to rebuild the interpreter's state."""
    calls: int
    """Tool calls that are answered from the journal."""


class RunPaused(Value):
    """The last event of a run that waits for a decision; `CodeActAgent.resume` goes on with it, in any process."""

    type: Literal["run_paused"] = "run_paused"
    run_id: str
    waiting: tuple[CallRecord, ...]
    message: str
    usage: Usage


class RunFinished(Value):
    """The last event of a run that ended with an answer."""

    type: Literal["run_finished"] = "run_finished"
    answer: Plain
    usage: Usage


class RunFailed(Value):
    """The last event of a run that ended without an answer."""

    type: Literal["run_failed"] = "run_failed"
    error: str
    """Class name of the `CodeActError`, or ``Cancelled``."""
    message: str
    usage: Usage


Event = (
    RunStarted
    | TurnStarted
    | TextDelta
    | ReplyFinished
    | ActionStarted
    | ActionChecked
    | OutputReceived
    | ToolCalled
    | ToolReported
    | ToolReturned
    | ActionFinished
    | WarningRaised
    | CallRetried
    | ApprovalRequested
    | ApprovalDecided
    | LimitReached
    | ContextTrimmed
    | Diverged
    | RunResumed
    | RunPaused
    | RunFinished
    | RunFailed
)
"""All events of a run."""


class Recorded(NamedTuple):
    """An event with its time, as a journal keeps it; traces are folds over these."""

    at: float
    """Seconds since 1970, UTC."""
    event: Event


EVENT_ADAPTER: TypeAdapter[Event] = TypeAdapter(
    Annotated[Event, Field(discriminator="type")], config=ConfigDict(defer_build=True)
)
"""Reads and writes any event."""
