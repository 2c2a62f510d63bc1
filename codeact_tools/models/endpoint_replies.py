"""What an OpenAI-compatible server is asked, and what it answers: the fields of requests, the chunks of replies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from ..errors import ModelReplyError, ModelUnavailable
from ..events import Usage
from .base import Delta, Sampling
from .endpoint_errors import overflows, said

_MOST_STOPS = 4
"""Hosted endpoints refuse more stop strings; the rest are applied here."""

_OPTIONAL = ("stream_options", "seed", "stop", "temperature", "max_tokens", "include_stop_str_in_output")
"""Fields that a server may refuse; the request is repeated without the one that it names."""


def request_fields(sampling: Sampling, refused: set[str], *, include_stop: bool, chat: bool) -> dict[str, Any]:
    """Return the fields of a request that say how to generate, without those that the server refuses."""
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "stream_options": {"include_usage": True},
    }
    if sampling.stop:
        fields["stop"] = list(sampling.stop[:_MOST_STOPS])
    if sampling.seed is not None:
        fields["seed"] = sampling.seed
    if include_stop and sampling.stop:
        fields["include_stop_str_in_output"] = True
    if chat and "max_tokens" in refused and "max_completion_tokens" not in refused:
        fields["max_completion_tokens"] = sampling.max_tokens  # the newer name, which OpenAI's own models want
    return {name: value for name, value in fields.items() if name not in refused}


def refused_field(error: Exception, fields: Mapping[str, Any]) -> str | None:
    """Return the field of the request that the server names in its refusal."""
    if getattr(error, "status_code", None) not in {400, 422} or overflows(error):
        return None
    text = said(error)
    if (parameter := getattr(error, "param", None)) in fields:
        return str(parameter)
    candidates = [name for name in (*_OPTIONAL, "max_completion_tokens") if name in fields]
    return next((name for name in candidates if re.search(rf"['\"`.]{name}['\"`]", text)), None)


class ReplyState:
    """What has arrived of a reply."""

    def __init__(self) -> None:
        self.text = False
        self.reasoning = False
        self.called = False
        self.refusal = ""
        self.finish_reason: str | None = None

    @property
    def begun(self) -> bool:
        """Whether anything was handed on, so that the request cannot be repeated."""
        return self.text or self.reasoning

    def read(self, chunk: Mapping[str, Any]) -> Delta | None:
        """Translate one chunk; None where it says nothing."""
        usage = _usage(_object(chunk.get("usage")))
        choices = chunk.get("choices")
        choice = _object(choices[0]) if isinstance(choices, list) and choices else {}
        delta = _object(choice.get("delta"))
        text, reasoning = _parts(choice.get("text") or delta.get("content"))
        reasoning += _parts(delta.get("reasoning_content") or delta.get("reasoning"))[0]
        reason = choice.get("finish_reason") or None
        self.text |= bool(text)
        self.reasoning |= bool(reasoning)
        self.called |= bool(delta.get("tool_calls"))
        self.refusal += _parts(delta.get("refusal"))[0]
        self.finish_reason = reason or self.finish_reason
        if not text and not reasoning and usage is None and reason is None:
            return None
        finish: Literal["stop", "length"] | None = None
        if reason is not None:
            finish = "length" if str(reason).lower() in _CUT_OFF else "stop"
        return Delta(text=text, reasoning=reasoning, usage=usage, finish_reason=finish)

    def check(self, kind: str, url: str, sampling: Sampling) -> None:
        """Raise where the reply that has ended is none.

        Args:
            kind: The content type of the response.
            url: Where it came from.
            sampling: What was asked for.

        Raises:
            ModelUnavailable: It was no stream at all.
            ModelReplyError: It is empty, or broke off.
        """
        if "html" in kind:
            msg = f"{url} answered with a web page; most servers want a base_url that ends in /v1"
            raise ModelUnavailable(msg)
        if (wrong := self._fault(kind, sampling)) is not None:
            raise ModelReplyError(f"{wrong} (from {url})")

    def _fault(self, kind: str, sampling: Sampling) -> str | None:
        if self.finish_reason is None:
            return f"the reply broke off: the server sent no end (content type {kind!r}); try again"
        if self.finish_reason == "error":
            return "the reply broke off: the server says that it failed; try again"
        if self.finish_reason == "content_filter":
            return "the server's content filter withheld the reply"
        if self.text:
            return None
        if self.refusal:
            return f"the model refuses: {self.refusal}"
        if self.called:
            return "the model made a call in the server's own form, and wrote no text; turn tool calling off there"
        if self.reasoning:
            return f"the model used its {sampling.max_tokens} tokens for reasoning and did not reply; raise max_tokens"
        return "the model's reply is empty; does the server use the chat template of this model?"


_CUT_OFF = frozenset({"length", "max_tokens", "model_length"})
"""Reasons for an end that mean the token limit: OpenAI's name, Anthropic's and Gemini's, Mistral's."""


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _parts(content: object) -> tuple[str, str]:
    """Return text and reasoning of ``content``, which may be a list of parts, as Mistral's is."""
    if isinstance(content, str):
        return content, ""
    text = reasoning = ""
    for part in map(_object, content if isinstance(content, list) else ()):
        text += _parts(part.get("text"))[0]
        reasoning += _parts(part.get("thinking"))[0]
    return text, reasoning


def _usage(counts: Mapping[str, Any]) -> Usage | None:
    """Read the tokens; and what they cost, where the server says so, as OpenRouter does."""
    if not counts:
        return None
    cached = _object(counts.get("prompt_tokens_details")).get("cached_tokens")
    cost = counts.get("cost")
    return Usage(
        prompt_tokens=_count(counts.get("prompt_tokens")),
        completion_tokens=_count(counts.get("completion_tokens")),
        cached_tokens=_count(cached if cached is not None else counts.get("prompt_cache_hit_tokens")),  # DeepSeek's
        cost=float(cost) if isinstance(cost, int | float) else None,
    )


def _count(value: object) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0
