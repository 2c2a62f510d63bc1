"""Keeps secrets out of the journal: by value, by pattern, and by the parameters that tools declare."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

HIDDEN: Final = "[redacted]"
"""Stands for a secret."""

PATTERNS: Final = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    r"\bsk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic and many others
    r"\be2b_[0-9a-f]{32,}",
    r"\bgh[oprsu]_[A-Za-z0-9]{30,}",
    r"\bgithub_pat_[A-Za-z0-9_]{30,}",
    r"\bglpat-[A-Za-z0-9_-]{20,}",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\bAIza[0-9A-Za-z_-]{35}",
    r"\bhf_[A-Za-z0-9]{30,}",
    r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",  # a JSON Web Token
    r"(?i:(?<=\bbearer )[A-Za-z0-9._~+/-]{16,}=*)",
    r"(?<=://)[^\s/:@\"']*:[^\s/@\"']+(?=@)",  # user:password@ of a URL
)
"""Secrets that have a form of their own, as their issuers document it."""

_SHORTEST: Final = 6
"""Characters: a shorter value would hide half of the text."""


class Redactor:
    """Replaces secrets in text and in JSON-like values by `HIDDEN`.

    >>> Redactor(values=["hunter2!"])("the password is hunter2!")
    'the password is [redacted]'

    Args:
        patterns: Regular expressions of secrets, besides `PATTERNS`.
        values: Secrets themselves; those shorter than six characters are passed over.
    """

    def __init__(self, patterns: Iterable[str] = (), values: Iterable[str] = ()) -> None:
        self._patterns = (*PATTERNS, *patterns)
        self._values: frozenset[str] = frozenset()
        self._secret = re.compile("|".join(f"(?:{part})" for part in self._patterns))
        self.hide(values)

    def hide(self, values: Iterable[str]) -> None:
        """From now on, ``values`` are secrets, too."""
        found = self._values.union(value for value in values if len(value) >= _SHORTEST)
        if found == self._values:
            return
        self._values = found
        exact = map(re.escape, sorted(found, key=len, reverse=True))
        self._secret = re.compile("|".join(f"(?:{part})" for part in (*exact, *self._patterns)))

    def __call__(self, value: Any) -> Any:
        """``value`` without secrets; lists and dictionaries are walked, other values are left as they are."""
        if isinstance(value, str):
            return self._secret.sub(HIDDEN, value)
        if isinstance(value, list | tuple):
            return [self(item) for item in value]
        if isinstance(value, dict):
            return {self(key): self(item) for key, item in value.items()}
        return value
