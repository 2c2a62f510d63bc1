"""Writing ahead: what a conversation has said before is guessed, and several tokens are read in one step.

An action copies names from the prompt and values from observations. Where the last tokens have been in the conversation
before, what followed them there is the guess; the model reads all of it at once, and keeps what it would have chosen
itself, so a guess changes no token. After "Prompt Lookup Decoding" (Saxena, 2023). transformers has the same in
`generate`, which reads the whole prompt again where a cache holds the beginning of it, and takes the first occurrence
of a pair of tokens.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

LONGEST = 4
"""Tokens in a row that are looked up first; then one less, down to `SHORTEST`."""

SHORTEST = 2
"""Fewer tokens say too little about what follows."""


class Lookup:
    """Where every run of two to four tokens was last seen; a token costs microseconds."""

    def __init__(self, tokens: Sequence[int] = ()) -> None:
        self.tokens: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}
        self.extend(tokens)

    def extend(self, tokens: Sequence[int]) -> None:
        """Add what was read or written.

        A run counts as seen when its next token is known.
        """
        for token in tokens:
            end = len(self.tokens)
            for size in range(SHORTEST, min(LONGEST, end) + 1):
                self._ends[tuple(self.tokens[end - size :])] = end
            self.tokens.append(token)

    def guess(self, most: int) -> list[int]:
        """Return at most ``most`` tokens that may come next: what followed the last ones, the longest run first.

        >>> Lookup([7, 1, 2, 3, 4, 9, 1, 2]).guess(3)
        [3, 4, 9]
        """
        for size in range(min(LONGEST, len(self.tokens)), SHORTEST - 1, -1):
            if (end := self._ends.get(tuple(self.tokens[-size:]))) is not None:
                return self.tokens[end : end + most]
        return []


def write_ahead(
    model: Any,
    tokens: Sequence[int],
    cache: Any,
    *,
    guesses: int,
    limit: int,
    temperature: float,
    ends: Sequence[int],
    wanted: Callable[[list[int]], bool],
) -> list[int]:
    """Return the tokens of the reply.

    Args:
        model: A causal model of transformers.
        tokens: The prompt.
        cache: Keys and values of its first tokens, at most all but the last; those of the reply's follow, except those
            of its last token.
        guesses: Most tokens to guess at a time.
        limit: Most tokens of the reply.
        temperature: 0: the likeliest token each time.
        ends: Tokens that end the reply.
        wanted: Takes the reply so far after every step; returns whether to go on.
    """
    torch: Any = importlib.import_module("torch")
    lookup, written = Lookup(tokens), list[int]()
    unread = list(tokens[int(cache.get_seq_length()) :])
    while True:
        guess = lookup.guess(min(guesses, limit - len(written) - 1))
        ids = torch.tensor([unread + guess], device=model.device)
        scores = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=len(guess) + 1).logits[0]
        chosen = _choose(torch, scores.float(), temperature)
        right = next((at for at, token in enumerate(guess) if token != chosen[at]), len(guess))
        new = chosen[: right + 1]
        new = new[: next((at + 1 for at, token in enumerate(new) if token in ends), len(new))]
        lookup.extend(new)
        written += new
        if (extra := int(cache.get_seq_length()) - len(lookup.tokens) + 1) > 0:
            cache.crop(-extra)
        unread = new[-1:]
        if not wanted(written) or new[-1] in ends or len(written) >= limit:
            return written


def _choose(torch: Any, scores: Any, temperature: float) -> list[int]:
    """Return the token that is chosen at each of the places."""
    if temperature > 0:
        drawn = torch.multinomial((scores / temperature).softmax(dim=-1), num_samples=1)
        return [int(token) for token in drawn[:, 0].tolist()]
    return [int(token) for token in scores.argmax(dim=-1).tolist()]
