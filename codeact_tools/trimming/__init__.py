"""What the model reads of a conversation that has grown too long for its window.

The history itself stays whole. A `Cut` says how much of it is left out, `view` shows the rest, and `trim` chooses the
next cut: old observations are cut in the middle first, then old turns become a line each below the task that they
belong to. The system prompt, the task at hand and the last turns are kept. Nothing is cut inside the protocol: a reply
of the model is shown as it was written or not at all, and an observation goes away with its action.

    >>> from codeact_tools.dialects import DIALECTS
    >>> from codeact_tools.models.base import Message
    >>> chat = DIALECTS["chat"]
    >>> history = [Message("system", "Act."), Message("user", "Count to three.")]
    >>> for number in range(1, 4):
    ...     history.append(Message("assistant", chat.write_action(f"print({number})")))
    ...     history.append(Message("user", chat.observe(f"{number}")))
    >>> shown = view(history, Cut(summarised=4, summary_chars=500, variables="total: int"), dialect=chat)
    >>> print(shown[1].content)
    Count to three.
    <BLANKLINE>
    [To save room, 1 earlier turn is left out here; it did happen:
    1. print(1) -> 1
    Variables that exist now: total: int]

Trimming goes in big steps: it starts when the window is nearly full and goes down to a good half of it, and a cut stays
as it is until the next step. Between two steps the view only grows at its end, so that a model's cache of the prefix
stays good.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..dialects import Dialect
from ..errors import ContextOverflow
from ..events import ContextTrimmed
from ..models.base import Message, Model
from ..models.windows import context_window, count_tokens
from .views import UNCUT, Cut, Outline, Turn, named, outline_of, view

__all__ = ["UNCUT", "Count", "Cut", "Trimmed", "fit", "trim", "view"]

Count = Callable[[Sequence[Message]], int]
"""Counts the tokens of a prompt."""

FULL: Final = 0.9
"""Trimming starts where the conversation fills this part of its room."""
GOAL: Final = 0.6
"""Trimming goes down to this part, if it can without touching the last turns."""
DOUBTFUL: Final = 1.25
"""What counts for so much of the window may still fit it, because counts are estimates."""
KEPT_TURNS: Final = 2
"""Turns of the task at hand that are shown whole, as long as there is any room for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """What the model reads next."""

    messages: list[Message]
    cut: Cut
    """Pass it to the next `trim` of the same history."""
    event: ContextTrimmed | None
    """What was dropped; None where nothing more was."""


def fit(
    history: Sequence[Message],
    cut: Cut = UNCUT,
    *,
    model: Model,
    dialect: Dialect,
    reply_tokens: int,
    tasks: Collection[int] = (),
    variables: Mapping[str, str] | None = None,
    refused: bool = False,
) -> Trimmed:
    """Return what ``model`` can read of ``history``: `trim` with the model's own window and count.

    Args:
        history: The whole conversation; see `trim`.
        cut: What was left out so far.
        model: Whose window it is. Where that is not known, nothing is trimmed until the model refuses.
        dialect: How the conversation is written.
        reply_tokens: Tokens of the window that the reply needs.
        tasks: See `trim`.
        variables: See `trim`.
        refused: The model has refused this very view for its length: show a good deal less, whatever the count says.

    Counts are estimates more often than not, and err on the side of too many. So the least form of a conversation that
    is only a little too long is shown all the same: the model decides.

    Raises:
        ContextOverflow: Even the least that makes sense does not fit.
    """
    window = context_window(model)
    shown = view(history, cut, dialect=dialect, tasks=tasks)
    if window is None and not refused:
        return Trimmed(messages=shown, cut=cut, event=None)

    def count(messages: Sequence[Message]) -> int:
        return count_tokens(model, messages)

    room = count(shown) if window is None else window - min(reply_tokens, window // 2)
    most = room if window is None else int(window * DOUBTFUL)
    if refused:
        room = most = int(min(room, count(shown)) * FULL)
    return trim(
        history,
        cut,
        room=room,
        most=most,
        dialect=dialect,
        count=count,
        tasks=tasks,
        variables=variables,
        force=refused,
    )


def trim(
    history: Sequence[Message],
    cut: Cut = UNCUT,
    *,
    room: int,
    dialect: Dialect,
    count: Count,
    most: int | None = None,
    tasks: Collection[int] = (),
    variables: Mapping[str, str] | None = None,
    force: bool = False,
) -> Trimmed:
    """Return what of ``history`` fits into ``room`` tokens.

    Args:
        history: The whole conversation, ready to be shown to the model: an optional system message, then messages of
            user and assistant in turn, a user's message first and last.
        cut: What was left out so far.
        room: Most tokens of the prompt.
        dialect: How the conversation is written.
        count: Counts the tokens of a prompt.
        most: Up to this many tokens the least form is returned where nothing fits into ``room``; ``room`` by default.
        tasks: Places of the messages that state a task; all others of the user are observations. The first message of
            the user always states one.
        variables: Names and types of the interpreter's variables; shown wherever turns are left out.
        force: Trim even where the conversation seems to fit.

    Raises:
        ContextOverflow: Even the least that makes sense does not fit; the message says what takes how much.
    """
    before = view(history, cut, dialect=dialect, tasks=tasks)
    size = count(before)
    unchanged = Trimmed(messages=before, cut=cut, event=None)
    if size <= room * FULL and not force:
        return unchanged
    outline = outline_of(history, tasks)
    steps = _steps(history, outline, cut, room=room, variables=variables or {})

    def measured(step: Cut) -> int:
        return count(view(history, step, dialect=dialect, tasks=tasks))

    chosen = _chosen(steps, measured, room=room, only_gentle=size <= room and not force)
    least = steps.cuts[-1]
    bearable = room if most is None else most
    if chosen is None and size > room and measured(least) <= bearable:
        chosen = least
    if chosen is None or (after := measured(chosen)) >= size:
        if size <= bearable and not force:
            return unchanged
        raise ContextOverflow(_too_large(history, outline, least, room=room, dialect=dialect, count=count))
    return Trimmed(
        messages=view(history, chosen, dialect=dialect, tasks=tasks),
        cut=chosen,
        event=_event(history, outline, cut, chosen, room=room, sizes=(size, after)),
    )


# ---- the choice of a cut ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Steps:
    """The cuts that can follow a cut, each leaving out a little more than the one before it."""

    cuts: list[Cut]
    gentle: int
    """How many of them leave the last turns alone."""


def _steps(
    history: Sequence[Message], outline: Outline, cut: Cut, *, room: int, variables: Mapping[str, str]
) -> _Steps:
    start = replace(
        cut,
        observation_chars=cut.observation_chars or max(160, min(1000, room // 8)),
        summary_chars=cut.summary_chars if cut.summarised else max(300, min(6000, room * 3 // 5)),
        variables=named(variables, max(120, min(2000, room // 4))),
        excerpt=False,
    )
    gentle = list(_shortening(history, outline, start, keep=KEPT_TURNS))
    drastic = list(_last_turns(history, outline, gentle[-1] if gentle else start))
    return _Steps([*gentle, *drastic], len(gentle))


def _shortening(history: Sequence[Message], outline: Outline, cut: Cut, *, keep: int) -> Iterator[Cut]:
    """First the observations of the older turns, then the turns themselves, the oldest first."""
    kept = outline.kept(keep)
    older = [turn for turn in outline.turns if turn not in kept and turn.end > cut.summarised]
    for turn in older:
        if turn.shown is not None and turn.end > cut.shortened:
            cut = replace(cut, shortened=turn.end)
            if len(history[turn.shown].content) > cut.observation_chars:
                yield cut
    for turn in older:
        cut = replace(cut, summarised=turn.end, shortened=max(cut.shortened, turn.end))
        yield cut


def _last_turns(history: Sequence[Message], outline: Outline, cut: Cut) -> Iterator[Cut]:
    """Where that is not enough: the last turn but one, the last observation, fewer lines, the last turn itself."""
    for step in _shortening(history, outline, cut, keep=1):
        yield (cut := step)
    yield (cut := replace(cut, shortened=max(cut.shortened, len(history))))
    for _ in range(2):
        chars, lines = max(cut.observation_chars // 2, 80), max(cut.summary_chars // 2, 100)
        yield (cut := replace(cut, observation_chars=chars, summary_chars=lines))
    for step in _shortening(history, outline, replace(cut, excerpt=True), keep=0):
        yield (cut := step)
    yield (cut := replace(cut, summary_chars=0))
    yield replace(cut, variables=cut.variables[:80])


def _chosen(steps: _Steps, measured: Callable[[Cut], int], *, room: int, only_gentle: bool) -> Cut | None:
    """The first cut that reaches the goal and leaves the last turns alone; else the first that fits at all."""
    sizes: dict[int, int] = {}

    def size(index: int) -> int:
        if index not in sizes:
            sizes[index] = measured(steps.cuts[index])
        return sizes[index]

    def first(low: int, high: int, limit: float) -> int | None:
        """Bisect: sizes fall from step to step, but for the first lines that come in."""
        found = bisect_left(range(low, high), True, key=lambda index: size(index) <= limit) + low
        return found if found < high else None

    last = steps.gentle - 1
    if last >= 0 and (only_gentle or size(last) <= room * FULL):
        reached = first(0, steps.gentle, room * GOAL)
        return steps.cuts[last if reached is None else reached]
    if only_gentle:
        return None
    for limit in (room * FULL, room):
        if (found := first(steps.gentle, len(steps.cuts), limit)) is not None:
            return steps.cuts[found]
    return next((steps.cuts[index] for index in range(len(steps.cuts)) if size(index) <= room), None)


# ---- what is said about it -------------------------------------------------------------------------------------------


def _event(
    history: Sequence[Message], outline: Outline, old: Cut, new: Cut, *, room: int, sizes: tuple[int, int]
) -> ContextTrimmed:
    def is_cut(turn: Turn, cut: Cut) -> bool:
        within = turn.shown is not None and turn.end > cut.summarised and turn.end <= cut.shortened
        return within and len(history[turn.end - 1].content) > cut.observation_chars

    shortened = sum(is_cut(turn, new) and not is_cut(turn, old) for turn in outline.turns)
    turns = sum(old.summarised < turn.end <= new.summarised for turn in outline.turns)
    done = [
        f"{shortened} observation{'s were' if shortened > 1 else ' was'} cut in the middle" if shortened else "",
        f"a line each now stands for {turns} older turn{'s' if turns > 1 else ''}" if turns else "",
    ]
    what = " and ".join(part for part in done if part) or "what was left of older turns was cut further"
    message = (
        f"The conversation took {sizes[0]:,} of the {room:,} tokens that the model's window has for it: {what}. "
        f"It takes {sizes[1]:,} now."
    )
    return ContextTrimmed(
        shortened=shortened, summarised=turns, tokens_before=sizes[0], tokens_after=sizes[1], message=message
    )


def _too_large(
    history: Sequence[Message], outline: Outline, least: Cut, *, room: int, dialect: Dialect, count: Count
) -> str:
    first, task = outline.tasks[0], outline.tasks[-1]
    total = count(view(history, least, dialect=dialect, tasks=outline.tasks))
    system = count(history[:first]) if first else 0
    stated = count([history[task]])
    parts = {"the system prompt with the tools": system, "the task": stated, "the rest": total - system - stated}
    shares = ", ".join(f"{name} {tokens:,}" for name, tokens in parts.items() if tokens > 0)
    return (
        f"The conversation does not fit the model's window: its shortest form takes {total:,} tokens ({shares}), and "
        f"the window has room for {room:,} beside the reply. Give the tools less room with prompt_tokens=, register "
        "fewer tools, shorten the task, lower sampling.max_tokens, or use a model with a larger window."
    )
