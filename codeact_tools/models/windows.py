"""How large a model's context window is, and how much of it a conversation fills.

Both are optional members of a model, so that a model of one's own needs neither: ``context_tokens``, tokens of prompt
and reply together, None while they are not known; and ``count(messages)``, the tokens of the prompt that ``messages``
become, template included. These functions fall back to what can be said without them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .base import Message, Model

MESSAGE_TOKENS = 5
"""What a chat template adds to a message: its role and its borders; ChatML's are five."""

BYTES_PER_TOKEN = 4
"""Of words, in UTF-8. English prose has 4 to 5, other scripts 4 to 6."""

_SINGLE = re.compile(r"[\d!-/:-@\[-`{-~\n]", re.ASCII)
"""What mostly is a token of its own: each digit in the vocabularies of Llama, Mistral and Qwen; punctuation."""


def context_window(model: Model) -> int | None:
    """Return how many tokens of prompt and reply ``model`` can hold; None where it does not know.

    An endpoint's window is known once the server was asked, which happens before the first reply.
    """
    window = getattr(model, "context_tokens", None)
    return int(window) if window else None


def count_tokens(model: Model, messages: Sequence[Message]) -> int:
    """Return how many tokens the prompt of ``messages`` has: exact where a tokenizer is at hand, else an estimate.

    Args:
        model: Whose tokenizer counts.
        messages: The conversation; the beginning of the reply that follows it is counted, too.
    """
    count = getattr(model, "count", None)
    return int(count(messages)) if count is not None else estimate(messages)


def estimate(messages: Sequence[Message]) -> int:
    """Return about how many tokens ``messages`` have, rather too many than too few.

    Each digit, punctuation mark and line end counts as a token, and so do every four bytes of the rest; five are added
    for the borders of each message. Against Qwen's tokenizer this gives 0.96 (a table of numbers) to 1.6 (Python).

    >>> estimate([Message("user", "How many days are left in 2026?")])
    22
    """
    return sum(map(_estimated, messages)) + MESSAGE_TOKENS


def _estimated(message: Message) -> int:
    single = len(_SINGLE.findall(message.content))
    rest = len(message.content.encode("utf-8", "surrogatepass")) - single
    return single + -(-rest // BYTES_PER_TOKEN) + MESSAGE_TOKENS
