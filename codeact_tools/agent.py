"""`CodeActAgent`: what an agent is made of, and the ways to run it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar, overload

from ._portal import Portal
from .approvals import Approval, Policy
from .budget import RunLimits, read_limits
from .conversation import Conversation, RunResult
from .dialects import Dialect, find_dialect
from .errors import ConfigurationError, JournalError
from .events import Event
from .journal import VARIABLE, Journal, Store, open_journal
from .models import resolve_model
from .models.base import Model, Sampling
from .registry import ToolRegistry
from .sandbox.base import Limits, Sandbox
from .session import CheckMode
from .toolkits import ToolSource, resolve_tools

T = TypeVar("T")


class CodeActAgent:
    """A language model that acts by writing Python with your tools.

    >>> agent = CodeActAgent(tools=["calendar"], model=model)
    >>> agent.run("On which weekday is Christmas Eve in 2026?").answer
    'On a Thursday.'

    Args:
        tools: As for `Session`.
        model: ``"auto"``, the name of a model (see `codeact_tools.models.resolve_model`), or a `Model`.
        sandbox, check, allow_imports, packages, limits, policies: As for `Session`.
        approve: As for `Session`, and asked about destructive tools, too; or ``"pause"``: a call that needs approval
            stops the run with `RunPaused`, to be resumed after somebody has decided.
        journal: Where every run is recorded: a file, a `Journal` or a `Store`; False for nowhere; by default the file
            of ``CODEACT_TOOLS_JOURNAL``, else one in the user's folder for application state.
        dialect: How actions and answers are written; the model's own by default.
        max_turns: Most replies of the model in one run.
        run_limits: Most tokens, seconds and cost of one run: a `RunLimits`, or its fields as a mapping.
        instructions: Appended to the system prompt.
        prompt_tokens: Most tokens that the tools may take up in the system prompt.
        observation_chars: Most characters of an observation; what is beyond is cut out of the middle.
        constrain: Whether the model is held to a grammar inside its actions: Python whose calls of tools exist. Needs a
            model that takes one; see `codeact_tools.models.grammar`.
        sampling: Temperature (0 by default), seed and most tokens of one reply.
    """

    def __init__(
        self,
        tools: Iterable[ToolSource] | ToolRegistry = (),
        *,
        model: str | Model = "auto",
        sandbox: str | Sandbox = "auto",
        check: CheckMode = "block",
        allow_imports: Sequence[str] = (),
        packages: Sequence[str] = (),
        limits: Limits | Mapping[str, Any] | None = None,
        policies: Sequence[Policy] = (),
        approve: Approval = None,
        journal: Journal | Store | str | os.PathLike[str] | bool | None = None,
        dialect: str | Dialect | None = None,
        max_turns: int = 10,
        run_limits: RunLimits | Mapping[str, Any] | None = None,
        instructions: str = "",
        prompt_tokens: int | None = None,
        observation_chars: int = 4000,
        constrain: bool = False,
        sampling: Sampling | None = None,
    ) -> None:
        if max_turns < 1:
            raise ConfigurationError(f"max_turns={max_turns!r}: a run needs at least one turn.")
        self.registry = resolve_tools(tools)
        self.model, self.choice = resolve_model(model)
        self.dialect = find_dialect(dialect or self.model.dialect)
        self.max_turns = max_turns
        self.run_limits = read_limits(run_limits)
        self.instructions = instructions
        self.prompt_tokens = prompt_tokens
        self.sampling = sampling or Sampling()
        self.constrain = constrain
        self.session_options: dict[str, Any] = {
            "sandbox": sandbox,
            "check": check,
            "allow_imports": allow_imports,
            "packages": packages,
            "limits": limits,
            "policies": policies,
            "approve": approve,
            "confirm_destructive": True,
            "observation_chars": observation_chars,
        }
        self.origin: Mapping[str, Any] = {}
        """What a program that resumes runs needs to make this agent again: kept with each run, as JSON."""
        self._journal = journal

    def open_journal(self) -> tuple[Journal | None, str | None]:
        """Where runs are recorded, and why nowhere, where that was not asked for.

        Raises:
            JournalError: The journal that was asked for cannot be opened.
        """
        try:
            return open_journal(self._journal), None
        except JournalError as error:
            if self._journal is not None or VARIABLE in os.environ:
                raise
            return None, f"This run cannot be resumed, because it is not recorded. {error}"

    @overload
    def run(self, task: str, *, on_event: Callable[[Event], None] | None = None) -> RunResult[str]: ...
    @overload
    def run(
        self, task: str, *, output_type: type[T], on_event: Callable[[Event], None] | None = None
    ) -> RunResult[T]: ...
    def run(
        self, task: str, *, output_type: Any = str, on_event: Callable[[Event], None] | None = None
    ) -> RunResult[Any]:
        """Solve ``task`` and return the answer.

        Args:
            task: What to do, in plain words.
            output_type: The answer's type; a wrong one is shown to the model, which corrects it.
            on_event: Called with each event as it happens, in the calling thread unless an event loop runs there.

        Raises:
            RunError: The run ended without an answer.
            ModelError: The model cannot be reached, or its replies cannot be used.
            SandboxError: The sandbox cannot be opened.
            KeyboardInterrupt: Ctrl-C; by then the run is cleaned up and no process is left.
        """
        with Portal() as portal:
            return portal.run(self.arun(task, output_type=output_type, on_event=on_event))

    async def arun(
        self, task: str, *, output_type: Any = str, on_event: Callable[[Event], None] | None = None
    ) -> RunResult[Any]:
        """`run` for asynchronous callers."""
        async with self.conversation(output_type=output_type) as conversation:
            return await conversation.arun(task, on_event=on_event)

    async def stream(self, task: str, *, output_type: Any = str) -> AsyncGenerator[Event]:
        """Solve ``task`` and yield what happens.

        The last event is `RunFinished`, or `RunFailed`, after which the error is raised. Closing the iterator cancels
        the run.
        """
        conversation = self.conversation(output_type=output_type)
        async with conversation, aclosing(conversation.stream(task)) as stream:
            async for event in stream:
                yield event

    def conversation(self, *, output_type: Any = str) -> Conversation:
        """A dialogue: one session and one history for several tasks. Use it with ``async with``."""
        return Conversation(self, output_type=output_type)

    def resume(
        self, run_id: str, *, output_type: Any = str, on_event: Callable[[Event], None] | None = None
    ) -> RunResult[Any]:
        """Go on with a run that was cut off, failed or waits for a decision, from its journal, and return the answer.

        The variables are rebuilt by running the finished actions again, with the recorded results of their calls: no
        tool runs twice. A call that had started and not finished is repeated if its tool is ``read_only`` or
        ``idempotent``; otherwise ``approve`` is asked, or the run pauses.

        Args:
            run_id: The run, or the beginning of its name; ``last`` for the newest.
            output_type: As for `run`.
            on_event: As for `run`; it sees what happens from now on.

        Raises:
            RunNotFound: The journal knows no such run.
            RunBusy: Another process goes on with it.
            RunPaused: It waits for a decision.
            RunDiverged: Its tools have changed, or an action did something else than the first time.
            CodeActError: As for `run`.
        """
        with Portal() as portal:
            return portal.run(self.aresume(run_id, output_type=output_type, on_event=on_event))

    async def aresume(
        self, run_id: str, *, output_type: Any = str, on_event: Callable[[Event], None] | None = None
    ) -> RunResult[Any]:
        """`resume` for asynchronous callers."""
        async with self.resumed(run_id, output_type=output_type) as conversation:
            return await conversation.ago_on(on_event=on_event)

    def resumed(self, run_id: str, *, output_type: Any = str) -> Conversation:
        """The conversation of a run in the journal; `Conversation.ago_on` finishes its last task.

        Raises:
            RunNotFound: The journal knows no such run.
            ConfigurationError: The agent has no journal.
        """
        journal, problem = self.open_journal()
        if journal is None:
            raise ConfigurationError(problem or "This agent has no journal (journal=False), so no run can be resumed.")
        return Conversation(self, output_type=output_type, past=journal.past(journal.find(run_id)))
