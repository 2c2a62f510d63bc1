"""A run on a terminal: a fold over its events that writes what happens, as it happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import singledispatchmethod
from typing import Any, Self

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from ..dialects import DIALECTS
from ..events import (
    ActionChecked,
    ActionFinished,
    ActionStarted,
    ApprovalDecided,
    ApprovalRequested,
    CallRecord,
    CallRetried,
    ContextTrimmed,
    Diverged,
    Event,
    ExecutionError,
    LimitReached,
    OutputReceived,
    ReplyFinished,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    TextDelta,
    ToolCalled,
    ToolReturned,
    TurnStarted,
    Usage,
    WarningRaised,
)
from ..observing import counted
from .streaming import Piece, ReplySplitter

MOST_SHOWN = 100
"""Characters of one argument or one result."""

_VERDICTS = {"allow": "allowed", "deny": "denied"}

_VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
_VISIBLE |= dict.fromkeys(range(0x7F, 0xA0), 0xFFFD)
_VISIBLE |= dict.fromkeys((0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD)
"""The last ones turn the direction of writing: a call that waits for approval would read as another one."""


def printable(text: str) -> str:
    r"""Make control characters visible, so that what a model or a tool wrote cannot steer the terminal.

    >>> printable("\x1b[2Jgone")
    '␛[2Jgone'
    """
    return text.replace("\r\n", "\n").translate(_VISIBLE)


def shortened(value: Any) -> str:
    """Show a value that went over the bridge on one line.

    >>> shortened("abc" * 100)
    "'abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc…abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc'"
    """
    text = printable(repr(value)).replace("\n", "␊").replace("datetime.", "")
    half = MOST_SHOWN // 2 - 1
    return text if len(text) <= MOST_SHOWN else f"{text[:half]}…{text[-half:]}"


class TerminalRenderer:
    """Writes a run's events to a console; the answer itself is not written here, because it goes to stdout.

    It holds only what the layout needs: where the cursor is, and what of the reply has been shown.

    >>> import io
    >>> screen = io.StringIO()
    >>> renderer = TerminalRenderer(Console(file=screen, width=80))
    >>> renderer.show(WarningRaised(message="The GPU is busy."))
    >>> screen.getvalue()
    'warning: The GPU is busy.\\n'

    Args:
        console: Where to write.
        heading: Whether to begin with model, sandbox and tools.
    """

    def __init__(self, console: Console, *, heading: bool = True) -> None:
        self._console = console
        self._with_heading = heading
        self._column_is_0 = True
        self._splitter = ReplySplitter()
        self._gap = ""
        self._streamed = False
        self._code = ""
        self._open_call: int | None = None
        self._printed: str = ""
        self._started: RunStarted | None = None
        self._waiting = console.status(Text("reading", "dim"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._waiting.stop()
        self._fresh_line()

    def announce(self, event: Event) -> None:
        """Write the heading of the answer, which is about to go to stdout, where ``event`` brings it."""
        if isinstance(event, RunFinished):
            self._line(Text("\nanswer", "bold"))

    def show(self, event: Event) -> None:
        """Write one event."""
        self._waiting.stop()
        self._show(event)

    @singledispatchmethod
    def _show(self, event: Event) -> None: ...

    @_show.register
    def _(self, event: RunStarted) -> None:
        self._started = event
        if not self._with_heading:
            return
        reasons = [choice.reason for choice in event.choices] + ["", ""]
        self._heading("model", event.model, reasons[0])
        self._heading("sandbox", event.sandbox, reasons[1])
        self._heading("tools", _grouped(event.tools) or "none")
        for choice in event.choices:
            for warning in choice.warnings:
                self._show(WarningRaised(message=warning))

    @_show.register
    def _(self, event: TurnStarted) -> None:
        dialect = DIALECTS.get(self._started.dialect) if self._started else None
        self._splitter = ReplySplitter({dialect.action.open: dialect.action.close} if dialect else None)
        self._gap, self._code, self._streamed = "", "", False
        self._line(Text(f"\nturn {event.turn}", "bold dim"))
        self._waiting.start()  # the model reads the prompt first, which can take a while

    @_show.register
    def _(self, event: TextDelta) -> None:
        self._streamed = True
        for piece in self._splitter.feed(event.text):
            self._piece(piece)

    @_show.register
    def _(self, event: ReplyFinished) -> None:
        for piece in [*([] if self._streamed else self._splitter.feed(event.text)), *self._splitter.finish()]:
            self._piece(piece)
        self._fresh_line()

    @_show.register
    def _(self, event: ActionStarted) -> None:
        self._printed = ""
        if not self._code:
            for line in event.code.splitlines():
                self._piece(Piece("code", line))

    @_show.register
    def _(self, event: ActionChecked) -> None:
        for finding in event.findings:
            style = "red" if finding.severity == "error" else "yellow"
            hint = f" ({finding.hint})" if finding.hint else ""
            self._marked("✗", f"check, line {finding.line}: {finding.message}{hint}", style)

    @_show.register
    def _(self, event: OutputReceived) -> None:
        self._printed += event.text
        self._leave_call()
        for line in printable(event.text).splitlines(keepends=True):
            self._text(Text("  ┊ ", "dim") if self._column_is_0 else Text(""))
            self._text(Text(line, "yellow" if event.stream == "stderr" else ""))

    @_show.register
    def _(self, event: ToolCalled) -> None:
        self._leave_call()
        self._fresh_line()
        self._text(Text.assemble(("  → ", "green"), (event.call.tool, "green"), f"({_arguments(event.call)})"))
        self._open_call = event.call.id

    @_show.register
    def _(self, event: ToolReturned) -> None:
        call = event.call
        if self._open_call != call.id:
            self._fresh_line()
            self._text(Text.assemble(("  ← ", "green"), (call.tool, "green")))
        if call.error is None:
            self._text(Text(f" = {shortened(call.result)}"))
        else:
            self._text(Text(f" ✗ {printable(call.error)}", "red"))
        self._text(Text(f"  {_duration(call.seconds)}\n", "dim"))
        self._open_call = None

    @_show.register
    def _(self, event: ActionFinished) -> None:
        seen = event.observation
        self._fresh_line()
        if seen.stdout and not self._printed:
            self._show(OutputReceived(text=seen.stdout))
        if seen.result is not None:
            self._marked("=", seen.result, "cyan")
        if seen.error is not None and seen.error.kind != "check":
            self._marked("✗", _described(seen.error), "red")
        elif seen.error is not None and not seen.findings:
            self._marked("✗", seen.error.message, "red")
        for artifact in seen.artifacts:
            self._marked("+", f"{artifact.name} ({artifact.media_type}, {len(artifact.data):,} bytes)", "cyan")

    @_show.register
    def _(self, event: ApprovalRequested) -> None:
        self._leave_call()
        call = event.call
        self._line(Text(f"  ? {call.tool}({_arguments(call)}): {printable(event.reason)}", "yellow"))

    @_show.register
    def _(self, event: ApprovalDecided) -> None:
        reason = f": {printable(event.reason)}" if event.reason else ""
        edited = " with other arguments" if event.arguments is not None else ""
        self._line(Text(f"  ! {event.tool} {_VERDICTS[event.verdict]}{edited} by {event.by}{reason}", "yellow"))

    @_show.register
    def _(self, event: RunResumed) -> None:
        calls = f"{counted(event.calls, 'call')} answered from the journal"
        self._line(Text(f"resumed: {counted(event.actions, 'action')} run again, {calls}", "dim"))

    @_show.register(Diverged)
    @_show.register(LimitReached)
    @_show.register(ContextTrimmed)
    def _(self, event: Diverged | LimitReached | ContextTrimmed) -> None:
        self._line(Text(f"note: {printable(event.message)}", "yellow"))

    @_show.register
    def _(self, event: CallRetried) -> None:
        self._leave_call()
        why = f"{event.tool} failed ({printable(event.error)}); tried again in {_duration(event.seconds)}"
        self._line(Text(f"  ↻ {why}", "yellow"))

    @_show.register
    def _(self, event: RunPaused) -> None:
        self._summary(event.usage)

    @_show.register
    def _(self, event: WarningRaised) -> None:
        self._line(Text(f"warning: {printable(event.message)}", "yellow"))

    @_show.register
    def _(self, event: RunFinished) -> None:
        self._text(Text("\n"))
        self._summary(event.usage)

    @_show.register
    def _(self, event: RunFailed) -> None:
        self._summary(event.usage)

    def _summary(self, usage: Usage) -> None:
        """Write what the run used, on one line."""
        used = [self._started.model, self._started.sandbox] if self._started else []
        used.append(counted(usage.turns, "turn"))
        cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
        used.append(f"{usage.prompt_tokens:,} tokens read{cached}, {usage.completion_tokens:,} written")
        used.append(f"{usage.seconds:.1f} s")
        self._line(Text(printable(" · ".join(used)), "dim"))

    def _heading(self, name: str, value: str, reason: str = "") -> None:
        why = f"  ({reason})" if reason else ""
        self._line(Text.assemble((f"{name:<8} ", "dim"), printable(value), (printable(why), "dim")))

    def _piece(self, piece: Piece) -> None:
        """Write a part of the reply; blank lines around actions are left out."""
        if piece.kind == "code":
            self._gap = ""
            self._code += piece.text + "\n"
            line = self._highlighted(piece.text)
            self._line(Text.assemble(("  │ ", "blue"), line) if line else Text("  │", "blue"))
            return
        text = printable(piece.text)
        text = self._gap + text if not self._column_is_0 else text.lstrip("\n")
        stripped = text.rstrip()
        self._gap = text[len(stripped) :]
        if stripped:
            self._text(Text(stripped, "dim"))

    def _highlighted(self, line: str) -> Text:
        """Return the last line of the action in colours that know the lines before it: strings may span lines."""
        if self._console.color_system is None:
            return Text(printable(line))
        code = printable(self._code)
        return Syntax("", "python", theme="ansi_dark").highlight(code).split("\n")[code.count("\n") - 1]

    def _marked(self, mark: str, message: str, style: str) -> None:
        """Write a message with a mark before its first line."""
        first, *more = printable(message).rstrip().splitlines() or [""]
        self._line(Text(f"  {mark} {first}", style))
        for line in more:
            self._line(Text(f"    {line}", style))

    def _line(self, text: Text) -> None:
        self._fresh_line()
        self._text(text + "\n")

    def _leave_call(self) -> None:
        """End the line of a call that has not returned yet: something else is to be written."""
        if self._open_call is not None:
            self._open_call = None
            self._fresh_line()

    def _fresh_line(self) -> None:
        if not self._column_is_0:
            self._text(Text("\n"))

    def _text(self, text: Text) -> None:
        text.plain = text.plain.translate(_VISIBLE)  # one character for each, so the colours stay where they are
        if text.plain:
            self._console.print(text, end="", soft_wrap=True, highlight=False)
            self._column_is_0 = text.plain.endswith("\n")


def _grouped(tools: Iterable[str]) -> str:
    """List toolkits with the number of their tools, and other tools by name."""
    toolkits = Counter(name.rpartition(".")[0] or name for name in tools)
    alone = {name for name in tools if "." not in name}
    return ", ".join(name if name in alone else f"{name} ({count})" for name, count in toolkits.items())


def _described(error: ExecutionError) -> str:
    named = not error.name or error.message.startswith(error.name)
    return error.message if named else f"{error.name}: {error.message}"


def _arguments(call: CallRecord) -> str:
    return ", ".join(f"{name}={shortened(value)}" for name, value in call.arguments.items())


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
