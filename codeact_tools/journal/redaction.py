"""Keeps secrets out of the journal: by value, by pattern, and by the parameters that tools declare."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from ..errors import ConfigurationError

HIDDEN: Final = "[redacted]"
"""Stands for a secret."""


class _Form(NamedTuple):
    """Secrets that have a form of their own."""

    hints: tuple[str, ...]
    """Texts of which one is in every such secret: looking for these is quick."""
    pattern: re.Pattern[str]
    """It reads no character of a text twice as it looks for the next one, so that a hostile text costs little time."""
    instead: str = HIDDEN


def _form(hint: str, pattern: str, *, instead: str = HIDDEN) -> _Form:
    return _Form((hint,), re.compile(pattern), instead)


_FORMS: Final = (
    _form("-----BEGIN ", r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
    _form("sk-", r"sk-(?<!\wsk-)[A-Za-z0-9_-]{16,}"),  # OpenAI, Anthropic and many others
    _form("e2b_", r"e2b_(?<!\we2b_)[0-9a-f]{32,}"),
    _form("gh", r"gh[oprsu]_(?<!\w....)[A-Za-z0-9]{30,}"),
    _form("github_pat_", r"github_pat_(?<!\wgithub_pat_)[A-Za-z0-9_]{30,}"),
    _form("glpat-", r"glpat-(?<!\wglpat-)[A-Za-z0-9_-]{20,}"),
    _form("xox", r"xox[abeoprs]-(?<!\w.....)[A-Za-z0-9-]{10,}"),
    _form("AKIA", r"AKIA(?<!\wAKIA)[0-9A-Z]{16}\b"),
    _form("AIza", r"AIza(?<!\wAIza)[0-9A-Za-z_-]{35}"),
    _form("hf_", r"hf_(?<!\whf_)[A-Za-z0-9]{30,}"),
    # A JSON Web Token
    _form("eyJ", r"eyJ(?<![\w-]eyJ)[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    _Form(("earer ", "EARER "), re.compile(r"(?i:(?<=\bbearer )[A-Za-z0-9._~+/-]{16,}=*)")),
    # user:password@ of a URL
    _form("://", r"://[^\s/:@\"']*:[^\s/@\"']+@", instead=f"://{HIDDEN}@"),
)
"""As their issuers document them."""

_SHORTEST: Final = 6
"""Characters: a shorter value would hide half of the text."""


class Redactor:
    """Replaces secrets in text and in JSON-like values by `HIDDEN`.

    >>> Redactor(values=["hunter2!"])("the password is hunter2!")
    'the password is [redacted]'

    Args:
        patterns: Regular expressions of secrets, besides the well-known forms of keys and tokens.
        values: Secrets themselves; those shorter than six characters are passed over.

    Raises:
        ConfigurationError: A pattern cannot be used.
    """

    def __init__(self, patterns: Iterable[str] = (), values: Iterable[Any] = ()) -> None:
        self._patterns = tuple(_compiled(pattern) for pattern in patterns)
        self._values: frozenset[str] = frozenset()
        self._longest_first: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self.hide(values)

    def hide(self, values: Iterable[Any]) -> None:
        """From now on, ``values`` are secrets, too, and so are the texts and numbers in them."""
        new = {text for text in _texts(values) if len(text) >= _SHORTEST and text != HIDDEN}
        with self._lock:
            if not new <= self._values:
                self._values |= new
                self._longest_first = tuple(sorted(self._values, key=len, reverse=True))

    def __call__(self, value: Any) -> Any:
        """``value`` without secrets; lists and dictionaries are walked, other values are left as they are."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list | tuple):
            return [self(item) for item in value]
        if isinstance(value, dict):
            return {self(key): self(item) for key, item in value.items()}
        if self._values and isinstance(value, int | float) and repr(value) in self._values:
            return HIDDEN
        return value

    def _text(self, text: str) -> str:
        if len(text) >= _SHORTEST:
            for secret in self._longest_first:
                if secret in text:
                    text = text.replace(secret, HIDDEN)
            for form in _FORMS:
                for hint in form.hints:
                    if hint in text:
                        text = form.pattern.sub(form.instead, text)
        for pattern in self._patterns:
            text = pattern.sub(HIDDEN, text)
        return text


def holds_hidden(value: Any) -> bool:
    """Whether `HIDDEN` stands somewhere in a JSON-like value."""
    if isinstance(value, str):
        return HIDDEN in value
    if isinstance(value, dict):
        return any(holds_hidden(key) or holds_hidden(item) for key, item in value.items())
    return isinstance(value, list | tuple) and any(holds_hidden(item) for item in value)


def fits(recorded: Any, now: Any) -> bool:
    """Whether ``now`` may be what was recorded, with any text where the record has `HIDDEN`.

    >>> fits({"key": "Bearer [redacted]", "n": 1}, {"key": "Bearer abc", "n": 1})
    True
    """
    if recorded == HIDDEN:
        return True
    if isinstance(recorded, str) and isinstance(now, str):
        return recorded == now or (HIDDEN in recorded and _has_parts(recorded.split(HIDDEN), now))
    if isinstance(recorded, list) and isinstance(now, list | tuple):
        return len(recorded) == len(now) and all(map(fits, recorded, now))
    if isinstance(recorded, dict) and isinstance(now, dict):
        if recorded.keys() == now.keys():
            return all(fits(item, now[key]) for key, item in recorded.items())
        return len(recorded) == len(now) and all(
            fits(key, other) and fits(recorded[key], now[other]) for key, other in zip(recorded, now, strict=True)
        )
    return type(recorded) is type(now) and bool(recorded == now)


def _has_parts(parts: list[str], text: str) -> bool:
    """Whether ``text`` is these parts, with something between each two of them."""
    first, *middle, last = parts
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return at <= end


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """The texts and numbers in JSON-like values; not the names of fields, nor the tags of the wire format."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from _texts([value["v"]] if "$" in value and "v" in value else value.values())
        elif isinstance(value, list | tuple):
            yield from _texts(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield repr(value)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigurationError(f"secrets={pattern!r} is no regular expression: {error}.") from error
    if compiled.search("") is not None:
        raise ConfigurationError(f"secrets={pattern!r} fits the empty text, so it would hide everything.")
    return compiled
