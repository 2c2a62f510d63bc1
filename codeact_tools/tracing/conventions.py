"""Forms that OpenTelemetry's conventions for generative AI prescribe, as plain data.

Source: https://github.com/open-telemetry/semantic-conventions-genai, "Spans" and the JSON schemas of messages.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from ..events import Usage

CAPTURE_CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The environment variable by which all instrumentations record what was written, or do not."""
_CAPTURES: Final = frozenset({"true", "1", "span_only", "span_and_event"})


def captures_content() -> bool:
    """Whether the environment asks for content in spans; not by default."""
    return os.environ.get(CAPTURE_CONTENT, "").strip().lower() in _CAPTURES


def usage_attributes(usage: Usage) -> dict[str, int | float]:
    """Tokens, and the cost where it is known."""
    attributes: dict[str, int | float] = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
    }
    if usage.cached_tokens:
        attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens
    if usage.cost is not None:
        attributes["codeact.usage.cost"] = usage.cost
    return attributes


def messages_of(role: str, text: str) -> str:
    """One message as a list of messages in JSON, the form of ``gen_ai.input.messages`` and its like.

    >>> messages_of("user", "Count.")
    '[{"role": "user", "parts": [{"type": "text", "content": "Count."}]}]'
    """
    message: dict[str, Any] = {"role": role, "parts": [{"type": "text", "content": text}]}
    if role == "assistant":
        message["finish_reason"] = "stop"
    return as_json([message])


def error_type(error: str) -> str:
    """The class of an error whose text begins with it.

    >>> error_type("KeyError: 'x'"), error_type(": odd")
    ('KeyError', '_OTHER')
    """
    return error.partition(":")[0].strip() or "_OTHER"


def as_json(value: object) -> str:
    """Structured values, which spans can hold as text only."""
    return json.dumps(value, ensure_ascii=False)
