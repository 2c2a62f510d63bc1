"""What an OpenAI-compatible server is asked, and what it answers: the fields of requests, the chunks of replies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ModelReplyError, ModelUnavailable
from ..events import Usage
from .base import Delta, Sampling
from .endpoint_errors import said

if TYPE_CHECKING:
    from openai import AsyncStream
    from openai.types import Completion
    from openai.types.chat import ChatCompletionChunk

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
    if getattr(error, "status_code", None) not in {400, 422}:
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
        self.finish_reason: str | None = None

    @property
    def begun(self) -> bool:
        """Whether anything was handed on, so that the request cannot be repeated."""
        return self.text or self.reasoning

    def read(self, chunk: ChatCompletionChunk | Completion) -> Delta | None:
        """Translate one chunk; None where it says nothing."""
        usage = None if chunk.usage is None else _usage(chunk.usage)
        choice: Any = chunk.choices[0] if chunk.choices else None
        delta = getattr(choice, "delta", None)
        text = getattr(choice, "text", None) or getattr(delta, "content", None) or ""
        extra: Mapping[str, Any] = getattr(delta, "model_extra", None) or {}
        reasoning = extra.get("reasoning_content") or extra.get("reasoning") or ""
        reason = getattr(choice, "finish_reason", None)
        self.text |= bool(text)
        self.reasoning |= bool(reasoning)
        self.finish_reason = reason or self.finish_reason
        if not text and not reasoning and usage is None and reason is None:
            return None
        return Delta(
            text=text,
            reasoning=reasoning if isinstance(reasoning, str) else "",
            usage=usage,
            finish_reason=None if reason is None else "length" if reason == "length" else "stop",
        )

    def check(self, stream: AsyncStream[Any], sampling: Sampling) -> None:
        """Raise where the reply that has ended is none.

        Raises:
            ModelUnavailable: It was no stream at all.
            ModelReplyError: It is empty, or broke off.
        """
        kind = stream.response.headers.get("content-type", "")
        if "html" in kind:
            url = stream.response.request.url
            msg = f"{url} answered with a web page; most servers want a base_url that ends in /v1"
            raise ModelUnavailable(msg)
        if self.finish_reason is None:
            msg = f"the reply broke off: the server sent no end (content type {kind!r}); try again"
            raise ModelReplyError(msg)
        if self.finish_reason == "content_filter":
            msg = "the server's content filter withheld the reply"
            raise ModelReplyError(msg)
        if not self.text and self.reasoning:
            msg = f"the model used its {sampling.max_tokens} tokens for reasoning and did not reply; raise max_tokens"
            raise ModelReplyError(msg)
        if not self.text:
            msg = "the model's reply is empty; does the server use the chat template of this model?"
            raise ModelReplyError(msg)


def _usage(counts: Any) -> Usage:
    """Read the tokens; and what they cost, where the server says so, as OpenRouter does."""
    extra: Mapping[str, Any] = counts.model_extra or {}
    details = counts.prompt_tokens_details
    cached = details.cached_tokens if details is not None else extra.get("prompt_cache_hit_tokens")  # DeepSeek's name
    cost = extra.get("cost")
    return Usage(
        prompt_tokens=counts.prompt_tokens or 0,
        completion_tokens=counts.completion_tokens or 0,
        cached_tokens=cached or 0,
        cost=float(cost) if isinstance(cost, int | float) else None,
    )
