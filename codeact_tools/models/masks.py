"""Holding a transformers model to a grammar, token by token, with llguidance."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigurationError, ModelReplyError
from .grammar import lark_grammar

MOST_DRAWN = 64
"""Where a token is drawn at random, it is one of so many."""


def vocabulary(tokenizer: Any, size: int, ends: list[int]) -> Any:
    """Return a tokenizer's vocabulary as llguidance reads it; takes a tenth of a second.

    Args:
        tokenizer: A fast tokenizer of transformers.
        size: How many tokens the model can tell apart, at least as many as the tokenizer has.
        ends: Tokens that end a reply.

    Raises:
        ConfigurationError: llguidance is not installed.
    """
    try:
        library: Any = importlib.import_module("llguidance.hf")
    except ImportError as error:
        msg = f"a grammar needs llguidance ({error}); run `pip install 'codeact-tools[transformers]'`"
        raise ConfigurationError(msg) from error
    return library.from_tokenizer(tokenizer, n_vocab=max(size, len(tokenizer)), eos_token=ends)


class GrammarMask:
    """A logits processor for one reply: what the grammar does not allow next cannot be chosen.

    Not every token is held against the grammar, but the likeliest ones in turn: a model mostly wants to write what it
    may, and most of the time the first one passes. That costs microseconds, where a mask of the whole vocabulary costs
    tens of milliseconds in a grammar whose every character is a token.
    """

    def __init__(self, grammar: str, words: Any, start: int, ends: list[int], *, sampled: bool) -> None:
        """Prepare for a reply.

        Args:
            grammar: In GBNF.
            words: The `vocabulary`.
            start: How many tokens the prompt has.
            ends: Tokens that end a reply.
            sampled: Whether a token is drawn, from the `MOST_DRAWN` likeliest; else the likeliest one is taken.

        Raises:
            ModelReplyError: The grammar is none.
        """
        library: Any = importlib.import_module("llguidance")
        self._matcher = library.LLMatcher(words, library.LLMatcher.grammar_from_lark(lark_grammar(grammar)))
        self._start = start
        self._read = 0
        self._ends = ends
        self._width = MOST_DRAWN if sampled else 1
        self._check()

    def __call__(self, ids: Any, scores: Any) -> Any:
        """Return ``scores`` with all but the allowed candidates at minus infinity, as `generate` asks for it."""
        return self.mask(ids[0, self._start :].tolist(), scores[0])[None]

    def mask(self, written: Sequence[int], scores: Any) -> Any:
        """Return the scores of the next token with all but the allowed candidates at minus infinity.

        Args:
            written: The tokens of the reply so far.
            scores: One for each token of the vocabulary.

        Raises:
            ModelReplyError: The grammar allows nothing.
        """
        new = list(written[self._read :])
        self._read += len(new)
        if new and not self._matcher.is_stopped():
            self._matcher.consume_tokens(new)
            self._check()
        allowed = self._ends if self._matcher.is_stopped() else self._candidates(scores)
        masked = scores.new_full(scores.shape, float("-inf"))
        masked[allowed] = scores[allowed]
        return masked

    def _candidates(self, scores: Any) -> list[int]:
        tried, width, size = 0, self._width, scores.shape[-1]
        while tried < size:
            likeliest = scores.topk(min(width, size)).indices.tolist()
            if allowed := [token for token in likeliest[tried:] if self._matcher.validate_tokens([token])]:
                return allowed
            tried, width = width, width * 8
        msg = "the grammar allows no token at all here; is it meant for another vocabulary?"
        raise ModelReplyError(msg)

    def _check(self) -> None:
        if self._matcher.is_error():
            msg = f"the grammar fails: {' '.join(self._matcher.get_error().split())[:300]}"
            raise ModelReplyError(msg)
