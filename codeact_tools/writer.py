"""The model, as it writes the replies of a conversation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from .chronicle import Chronicle
from .dialects import Dialect
from .errors import ContextOverflow
from .events import TextDelta, Usage
from .models.base import Message, until_stop
from .models.grammar import action_grammar
from .registry import ToolRegistry
from .trimming import UNCUT, Cut, fit

if TYPE_CHECKING:
    from .agent import CodeActAgent

_ANOTHER_WAY: Final = 0.8
"""Temperature for the reply of a model that has just repeated itself: at 0 it would do so again."""
_MOST_TRIMS: Final = 3
"""How often a model that refuses a conversation as too long is asked with less of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One reply of the model, before it is parsed."""

    text: str
    usage: Usage
    cut_off: bool
    """Whether the model ran into its token limit."""


class Writer:
    """Lets the model write one reply after the other, and shows it of the history what fits into its window.

    Args:
        agent: Its model, and how that is sampled.
        dialect: How actions and answers are written.
        registry: The tools that an action can use.
        cut: What of the history the model does not read any longer.
        chronicle: Is told of each piece of a reply, and of what the model does not read any longer.
    """

    def __init__(
        self,
        agent: CodeActAgent,
        dialect: Dialect,
        registry: ToolRegistry,
        *,
        cut: Cut = UNCUT,
        chronicle: Chronicle,
    ) -> None:
        self._model = agent.model
        self._dialect = dialect
        grammar = action_grammar(registry, dialect.action) if agent.constrain else agent.sampling.grammar
        self._sampling = replace(agent.sampling, stop=dialect.stop, grammar=grammar)
        self._cut = cut
        self._tell = chronicle.tell

    async def next(
        self, history: Sequence[Message], *, tasks: Collection[int], variables: Mapping[str, str], stuck: bool
    ) -> Written:
        """Write what follows on ``history``: on less of it, where the model refuses that.

        Args:
            history: The whole conversation.
            tasks: Where in it tasks are stated.
            variables: Those of the interpreter, with the types of their values.
            stuck: Whether the model has just repeated itself.

        Raises:
            ContextOverflow: Even the least that makes sense does not fit.
        """
        for attempt in range(_MOST_TRIMS):
            trimmed = fit(
                history, self._cut, model=self._model, dialect=self._dialect,
                reply_tokens=self._sampling.max_tokens, tasks=tasks, variables=variables, refused=attempt > 0,
            )  # fmt: skip
            self._cut = trimmed.cut
            if trimmed.event is not None:
                self._tell(trimmed.event, {"cut": asdict(trimmed.cut)})
            try:
                return await self.reply(trimmed.messages, stuck=stuck)
            except ContextOverflow:
                if attempt == _MOST_TRIMS - 1:
                    raise
        raise AssertionError("unreachable")

    async def reply(self, messages: Sequence[Message], *, stuck: bool = False) -> Written:
        """Write what follows on exactly these messages."""
        sampling = self._sampling
        if stuck:
            sampling = replace(sampling, temperature=max(sampling.temperature, _ANOTHER_WAY))
        pieces: list[str] = []
        usage, cut_off = Usage(), False
        async with aclosing(until_stop(self._model.stream(messages, sampling), sampling.stop)) as deltas:
            async for delta in deltas:
                if delta.text:
                    pieces.append(delta.text)
                    self._tell(TextDelta(text=delta.text))
                usage = delta.usage or usage
                cut_off = cut_off or delta.finish_reason == "length"
        return Written(text="".join(pieces), usage=usage.model_copy(update={"turns": 1}), cut_off=cut_off)

    def forget(self, known: int) -> None:
        """Take note that of the history only the first ``known`` messages are left."""
        if max(self._cut.shortened, self._cut.summarised) > known:
            self._cut = UNCUT
