"""Keys and values of past conversations, so that a turn reads only what is new of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_WORTH_KEEPING = 32
"""Tokens: a conversation that would lose more than this to another one is copied instead of cut."""


@dataclass(slots=True)
class Prefix:
    """One conversation's tokens, and the model's cache of them."""

    tokens: list[int]
    cache: Any
    """A transformers ``Cache``; it holds as many positions as there are tokens."""


class PrefixCache:
    """The last few conversations, least recently used first; bounded in number.

    Not thread-safe: the model's lock guards it.
    """

    def __init__(self, make: Callable[[], Any], *, most: int) -> None:
        """Take the function that makes an empty cache, and the most conversations to keep, at least one."""
        self._make = make
        self._most = max(1, most)
        self._prefixes: list[Prefix] = []

    def __len__(self) -> int:
        return len(self._prefixes)

    def take(self, tokens: Sequence[int]) -> Prefix:
        """Take out, or make, the cache that shares the longest beginning with ``tokens``, cut to what they share.

        At least the last of ``tokens`` is left to be read, because reading it is what yields the next one.
        """
        best, shared = None, 0
        for prefix in reversed(self._prefixes):
            common = min(common_length(prefix.tokens, tokens), len(tokens) - 1)
            if common > shared:
                best, shared = prefix, common
        if best is None:
            return Prefix([], self._make())
        if len(best.tokens) - shared > _WORTH_KEEPING and self._most > 1:
            best = Prefix(list(best.tokens), copy.deepcopy(best.cache))
        else:
            self._prefixes.remove(best)
        if len(best.tokens) > shared:
            best.cache.crop(shared - len(best.tokens))
            del best.tokens[shared:]
        return best

    def keep(self, prefix: Prefix) -> None:
        """Put a conversation back, as the most recently used."""
        self._prefixes.append(prefix)
        del self._prefixes[: -self._most]

    def clear(self) -> None:
        """Forget all."""
        self._prefixes.clear()


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens both begin with."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))
