"""What goes wrong at an endpoint, in words that say what to do."""

from __future__ import annotations

import re
from typing import Any

from ..errors import (
    ConfigurationError,
    ContextOverflow,
    ModelError,
    ModelReplyError,
    ModelUnavailable,
)

_OVERFLOW = re.compile(
    r"context[ _]?(length|size|window)|maximum (model )?length|too many (input )?tokens|prompt is too long"
    r"|max_model_len|too large for model|`inputs` tokens",
    re.IGNORECASE,
)
_ALLOWED = re.compile(
    r"(?:(?:maximum (?:context|model) length|context (?:size|window|length))(?: is| of)?|must be <=|max_model_len)"
    r"\D{0,3}(\d+)|(\d+) maximum",
    re.IGNORECASE,
)
_NEEDED = re.compile(
    r"(?:requested|resulted in|contains?(?: at least)?|too long:|request \(|Given:)\s*(\d+)", re.IGNORECASE
)


def mapped(error: Exception, *, name: str, url: str, retries: int, streaming: bool = False) -> Exception:
    """Return the error of this library that says what ``error`` means, and what to do.

    Args:
        error: Whatever the client raised.
        name: The model's name.
        url: The endpoint's base URL.
        retries: How often the client has tried again.
        streaming: Whether the reply had begun.
    """
    if isinstance(error, ModelError | ConfigurationError):
        return error
    text = one_line(error)
    if "Timeout" in type(error).__name__:
        return ModelUnavailable(f"{url} did not answer in time: {text}; is it still loading the model?")
    status = getattr(error, "status_code", None)
    if status is not None:
        return _of_status(int(status), error, text, name=name, url=url, retries=retries)
    if streaming:
        if _OVERFLOW.search(text):
            return _overflow(error, name, text)
        return ModelReplyError(f"the reply of {url} broke off or is damaged: {text}; try again")
    if type(error).__name__ == "APIConnectionError":
        cause = one_line(error.__cause__) if error.__cause__ else text
        return ModelUnavailable(f"cannot reach {url}: {cause}; is the server running, and the address right?")
    return ModelUnavailable(f"{url} does not answer as an OpenAI-compatible server: {text}")


def _of_status(status: int, error: Exception, text: str, *, name: str, url: str, retries: int) -> Exception:
    if status in {400, 413, 422} and (status == 413 or _OVERFLOW.search(text)):
        return _overflow(error, name, text)
    remedy = {
        401: "the key is missing or wrong: pass api_key, or set CODEACT_TOOLS_API_KEY",
        403: "the key is not allowed to use this model",
        404: "nothing is at this address: most servers want a base_url that ends in /v1",
        405: "nothing is at this address: most servers want a base_url that ends in /v1",
        429: f"the rate limit or the quota is used up, also after {retries} retries: wait, or ask for less",
    }.get(status, "the server fails; see its log" if status >= 500 else "it refuses the request")
    detail = "a web page" if is_page(error) else text
    return ModelUnavailable(f"{url} answered {status}: {remedy} ({detail})")


def _overflow(error: Exception, name: str, text: str) -> ContextOverflow:
    """Say that the conversation is too long, with the numbers that the server gives as fields or in its message."""
    body = getattr(error, "body", None)
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    needed, allowed = fields.get("n_prompt_tokens"), fields.get("n_ctx")  # llama.cpp
    if needed is None and (found := _NEEDED.search(text)) is not None:
        needed = int(found[1])
    if allowed is None and (found := _ALLOWED.search(text)) is not None:
        allowed = int(found[1] or found[2])
    return ContextOverflow(f"the conversation is too long for {name!r}: {text}", needed=needed, allowed=allowed)


def is_page(error: BaseException) -> bool:
    """Whether the server answered with a web page."""
    response = getattr(error, "response", None)
    return response is not None and "html" in response.headers.get("content-type", "")


def said(error: BaseException) -> str:
    """Return the error's message, and the body of the response where the client found no message in it."""
    text, response = str(error), getattr(error, "response", None)
    if response is None or len(text) > len("Error code: 400") or is_page(error):
        return text
    return f"{text} {response.text}"


def one_line(error: BaseException) -> str:
    """Return what the error, or the server in its own form, says, on one line of 300 characters at most."""
    text = " ".join(said(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:299]}…"
