"""A history under a cut: which messages are shown, shown shortened, or told of in a line."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..dialects import Dialect
from ..models.base import Message
from ..observing import cap_middle

_LINE_CHARS: Final = 100
"""Most characters of the code, and of the outcome, in a line that stands for a turn."""
_TRACEBACK: Final = "Traceback (most recent call last)"
_REFUSED: Final = "The action was not run"
_COUNTDOWN: Final = re.compile(r"^You (have \d+ steps left|should take the last step)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How much of a history is left out. A later cut of the same history never shows more than an earlier one.

    Places are indices of the history, so a cut stays good while the history grows.
    """

    shortened: int = 0
    """Observations before this place are cut in the middle."""
    summarised: int = 0
    """Turns before this place are a line each."""
    observation_chars: int = 0
    """Most characters of a shortened observation."""
    summary_chars: int = 0
    """Most characters of the lines; the oldest are counted only."""
    variables: str = ""
    """Names and types of the interpreter's variables when the cut was made."""
    excerpt: bool = False
    """Whether the lines end with the output of the last action that they stand for: there was no room for the turn."""


UNCUT: Final = Cut()
"""Nothing is left out."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A reply of the model, and what it read then."""

    number: int
    reply: int
    """Place of the reply in the history."""
    shown: int | None
    """Place of the observation; None where the reply was the answer to its task."""

    @property
    def end(self) -> int:
        """The place behind it."""
        return (self.reply if self.shown is None else self.shown) + 1


@dataclass(frozen=True, slots=True)
class Outline:
    """Where in a history its tasks and its turns are."""

    tasks: tuple[int, ...]
    turns: tuple[Turn, ...]

    def kept(self, most: int) -> tuple[Turn, ...]:
        """The last turns of the task at hand, ``most`` of them."""
        return tuple(turn for turn in self.turns if turn.reply > self.tasks[-1])[-most:] if most else ()


def outline_of(history: Sequence[Message], tasks: Collection[int]) -> Outline:
    """Read the roles of ``history``; its first message of the user states a task, and so do those in ``tasks``."""
    first = next(index for index, message in enumerate(history) if message.role == "user")
    starts = sorted({first, *(each for each in tasks if first < each < len(history))})
    turns: list[Turn] = []
    for index in range(first, len(history)):
        if history[index].role == "assistant":
            answered = index + 1 >= len(history) or index + 1 in starts
            turns.append(Turn(len(turns) + 1, index, None if answered else index + 1))
    return Outline(tuple(starts), tuple(turns))


def view(history: Sequence[Message], cut: Cut, *, dialect: Dialect, tasks: Collection[int] = ()) -> list[Message]:
    """Return what the model reads of ``history`` under ``cut``; the arguments are those of `trim`."""
    if cut == UNCUT:
        return list(history)
    outline = outline_of(history, tasks)
    task = next((each for each in reversed(outline.tasks) if each <= cut.summarised), outline.tasks[0])
    observations = {turn.shown for turn in outline.turns}
    shown = [*history[: outline.tasks[0]], Message("user", _told(history, outline, cut, task, dialect))]
    for index in range(max(task + 1, cut.summarised), len(history)):
        message = history[index]
        if index < cut.shortened and index in observations:
            message = Message(message.role, cap_middle(message.content, cut.observation_chars))
        shown.append(message)
    return shown


def named(variables: Mapping[str, str], most: int) -> str:
    """Names and types in one line of about ``most`` characters: the last that were defined, and a count of the others.

    >>> named({"orders": "list[Order]", "total": "Decimal", "rate": "float"}, 40)
    '1 other, total: Decimal, rate: float'
    """
    entries = [f"{name}: {_short(kind)}" for name, kind in variables.items()]
    kept, length = len(entries), 0
    while kept and (length := length + len(entries[kept - 1]) + 2) <= most:
        kept -= 1
    others = [f"{kept} other{'s' if kept > 1 else ''}"] if kept else []
    return ", ".join([*others, *entries[kept:]])


def _told(history: Sequence[Message], outline: Outline, cut: Cut, task: int, dialect: Dialect) -> str:
    """The message that states ``task``, with the earlier tasks above it and its own earlier turns below it."""
    text = history[task].content
    gone = [turn for turn in outline.turns if turn.reply < cut.summarised]
    if not gone:
        return text
    earlier, own = _lines(history, outline, gone, task, dialect)
    own = _newest(own, cut.summary_chars)
    earlier = _newest(earlier, cut.summary_chars - sum(map(len, own)))
    ending = [f"Variables that exist now: {cut.variables}"] if cut.variables else []
    if cut.excerpt and (shown := gone[-1].shown) is not None:
        output = _output(history[shown].content, dialect)
        ending.insert(0, f"The last of them printed:\n{cap_middle(output, cut.observation_chars)}")
    turns = sum(turn.reply > task for turn in gone)
    if turns:
        heading = (
            "1 earlier turn is left out here; it" if turns == 1 else f"{turns} earlier turns are left out here; they"
        )
        text = _bracketed(f"{text.rstrip()}\n\n", f"[To save room, {heading} did happen:", own, ending)
    if earlier:
        above = _bracketed("", "[Earlier in this conversation, a line each:", earlier, [] if turns else ending)
        text = f"{above}\n\n{text}"
    return text


def _bracketed(before: str, heading: str, lines: list[str], ending: list[str]) -> str:
    return before + "\n".join([heading, *lines, *ending]) + "]"


def _lines(
    history: Sequence[Message], outline: Outline, gone: Sequence[Turn], task: int, dialect: Dialect
) -> tuple[list[str], list[str]]:
    """A line for each turn that is gone: those of earlier tasks, and those of ``task``."""
    earlier: list[str] = []
    own: list[str] = []
    told = task
    for turn in gone:
        of = max(each for each in outline.tasks if each < turn.reply)
        if of not in (told, task):
            earlier.append(f"Task: {_short(history[of].content)}")
            told = of
        (own if of == task else earlier).append(_line(history, turn, dialect))
    return earlier, own


def _line(history: Sequence[Message], turn: Turn, dialect: Dialect) -> str:
    """What the turn did, and what came of it."""
    reply = dialect.parse(history[turn.reply].content)
    if turn.shown is None:
        return f"Answered: {_short(reply.answer or reply.code or reply.thought)}"
    did = _first_code_line(reply.code) if reply.code else "(no action)"
    return f"{turn.number}. {did} -> {_outcome(history[turn.shown].content, dialect)}"


def _newest(lines: list[str], most: int) -> list[str]:
    """As many of the last lines as ``most`` characters hold; how many others there were."""
    kept, left = len(lines), most
    while kept and (left := left - len(lines[kept - 1]) - 1) >= 0:
        kept -= 1
    return [f"({kept} older line{'s' if kept > 1 else ''})", *lines[kept:]] if kept else lines


def _first_code_line(code: str) -> str:
    """The first line that does something, with a sign that more follow."""
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("#", "import ", "from ", '"""'))] or lines
    return _short(telling[0]) + (" ..." if len(telling) > 1 else "")


def _outcome(observation: str, dialect: Dialect) -> str:
    """One line for what came of an action: the error, the finding, or the beginning of the output."""
    text = _output(observation, dialect)
    if not text or text == dialect.empty_output.strip():
        return "no output"
    if text.startswith(_REFUSED):
        return f"refused: {_short(text.partition(chr(10))[2])}"
    if (traceback := text.rfind(_TRACEBACK)) >= 0:
        frames = text[traceback:].splitlines()[1:]
        return _short(next((line for line in frames if line.strip() and not line[0].isspace()), "an error"))
    more = text.count("\n")
    return _short(text) + (f" (+{more} line{'s' if more > 1 else ''})" if more else "")


def _output(observation: str, dialect: Dialect) -> str:
    """The observation without the dialect's words around the output."""
    text = observation.removeprefix(dialect.observation.partition("{output}")[0])
    countdown = _COUNTDOWN.search(text)
    return (text[: countdown.start()] if countdown else text).strip()


def _short(text: str) -> str:
    """The first line of ``text`` that is not empty, at most `_LINE_CHARS` long."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= _LINE_CHARS else line[: _LINE_CHARS - 3] + "..."
