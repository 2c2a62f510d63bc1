"""Notices a model that is stuck."""

from __future__ import annotations

import re
from typing import Final

from .dialects import Dialect
from .errors import AnswerInvalid, ModelReplyError
from .events import Observation

_ACTION_NUMBER: Final = re.compile(r"<action \d+>")
"""The file name of an action in tracebacks."""


class Patience:
    """Notices a model that is stuck, tells it so once, and then gives up with a named error."""

    MOST_IN_A_ROW = 3

    def __init__(self) -> None:
        self._last: tuple[str, str] | None = None
        self._repeated = 0
        self._useless = 0
        self._failed = False

    def watch(self, code: str, observation: Observation) -> str:
        """Return what the model reads, with a nudge where it has just seen the very same from the same code."""
        self._useless = 0
        text = observation.text
        self._failed = observation.error is not None and observation.error.name != "ToolDenied"
        seen = (code, _ACTION_NUMBER.sub("", text))
        self._repeated = self._repeated + 1 if seen == self._last else 1
        self._last = seen
        if self._repeated == self.MOST_IN_A_ROW:
            raise ModelReplyError(
                f"The model repeats itself: it wrote the same action {self.MOST_IN_A_ROW} times in a row, each with "
                f"the same outcome ({first_line(text)!r}). Rephrase the task, or use a stronger model."
            )
        if self._repeated == 1:
            return text
        remedy = "Give your final answer now, without code." if observation.ok else "Write something else."
        return f"{text}\nYou ran exactly this before, with this outcome. {remedy}"

    @property
    def stuck(self) -> bool:
        """Whether the last action was the same as the one before, with the same outcome."""
        return self._repeated > 1

    def doubt(self, dialect: Dialect) -> str | None:
        """What to say, once, to an answer that follows a failed action; None where it is taken for an answer."""
        doubtful, self._failed = self._failed, False
        return dialect.insistence if doubtful else None

    def cut_off(self, max_tokens: int) -> str:
        """The model ran into its token limit inside a block, so the block is incomplete."""
        self._count(f"never closes its code block within {max_tokens} tokens", "Raise sampling.max_tokens")
        return f"Your reply was cut off after {max_tokens} tokens, so nothing was run. Write a shorter action.\n"

    def nothing_in_it(self, dialect: Dialect) -> str:
        """The reply holds neither an action nor an answer."""
        self._count("writes replies with neither code nor an answer", "Check the model's chat template")
        return dialect.reminder

    def wrong_answer(self, error: AnswerInvalid) -> str:
        """The answer is not of the type that was asked for."""
        self._useless += 1
        if self._useless == self.MOST_IN_A_ROW:
            raise error
        return f"{error}\nAnswer again, in the right form.\n"

    def _count(self, habit: str, remedy: str) -> None:
        self._useless += 1
        if self._useless == self.MOST_IN_A_ROW:
            raise ModelReplyError(f"The model {habit}, {self._useless} times in a row. {remedy}, or use another model.")


def first_line(text: str) -> str:
    """The first line of ``text``, shortened to 80 characters."""
    return (text.splitlines() or [""])[0][:80]
