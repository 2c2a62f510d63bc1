"""What goes wrong at an endpoint, in words that say what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from ..errors import (
    ConfigurationError,
    ContextOverflow,
    ModelError,
    ModelReplyError,
    ModelUnavailable,
)

_OVERFLOW = re.compile(
    r"context[ _]?(length|size|window|limit)|maximum (model |prompt )?length|too many (input )?tokens"
    r"|prompt (is )?too long|input is too long|max_model_len|too large for model|`inputs` (tokens|must have)"
    r"|input length|longer than the (maximum|model)|exceeds? the (maximum number of tokens|configured limit)"
    r"|reduce the length of (the|your) (messages|prompt|input)",
    re.IGNORECASE,
)
_ALLOWED = re.compile(
    r"(?:(?:maximum (?:context |model |prompt )?length|context (?:size|window|length)|configured limit)"
    r"(?: is| of)?(?: only)?|must be <=|max_model_len|must have less than|cannot exceed|tokens allowed)"
    r"\D{0,3}(\d+)|(\d+) maximum",
    re.IGNORECASE,
)
_NEEDED = re.compile(
    r"(?:requested(?: about| a total of)?|resulted in|(?:contains?|has)(?: at least)?|too long:|request \(|Given:"
    r"|input \(|(?:prompt \(|input )length(?: is)?|keep the first|token count \(|received)\s*(\d+)\b(?! output)",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model\b.{0,80}\b(?:not (?:found|exist|available|served|a valid)|does not exist|unknown)"
    r"|(?:unknown|invalid|no such|not a valid) model",
    re.IGNORECASE | re.DOTALL,
)


def mapped(
    error: Exception, *, name: str, url: str, retries: int, streaming: bool = False, secrets: Sequence[str] = ()
) -> Exception:
    """Return the error of this library that says what ``error`` means, and what to do.

    Args:
        error: Whatever the client raised.
        name: The model's name.
        url: The endpoint's base URL.
        retries: How often the client has tried again.
        streaming: Whether the reply had begun.
        secrets: What no message may show, though a server repeats it.
    """
    if isinstance(error, ModelError | ConfigurationError):
        return error
    text = one_line(error, secrets)
    if "Timeout" in type(error).__name__:
        return ModelUnavailable(f"{url} did not answer in time: {text}; is it still loading the model?")
    if (status := status_of(error)) is not None:
        return _of_status(status, error, text, name=name, url=url, retries=retries)
    if streaming:
        if _OVERFLOW.search(text):
            return _overflow(error, name, text)
        return ModelReplyError(f"the reply of {url} broke off or is damaged: {text}; try again")
    if type(error).__name__ == "APIConnectionError":
        cause = one_line(error.__cause__, secrets) if error.__cause__ else text
        if dropped(error):
            return ModelUnavailable(f"{url} closed the connection before it answered: {cause}; see the server's log")
        return ModelUnavailable(f"cannot reach {url}: {cause}; is the server running, and the address right?")
    if isinstance(error, ExceptionGroup):  # an address that the network library does not even try
        text = one_line(error.exceptions[0], secrets)
    return ModelUnavailable(f"{url} does not answer as an OpenAI-compatible server: {text}")


def _of_status(status: int, error: Exception, text: str, *, name: str, url: str, retries: int) -> Exception:
    if overflows(error) or status == 413:
        return _overflow(error, name, text)
    address = f"try {url}/v1" if not urlsplit(url).path.strip("/") else "most servers want a base_url that ends in /v1"
    later = _asked(error)
    remedy = {
        401: "the key is missing or wrong: pass api_key, or set CODEACT_TOOLS_API_KEY",
        402: "the account has no credit left",
        403: "the key is not allowed to use this model",
        404: f"nothing is at this address: {address}",
        405: f"nothing is at this address: {address}",
        429: f"the rate limit or the quota is used up, also after {retries} retries: wait{later}, or ask for less",
        503: f"the server is busy, or still loads the model: wait{later}, or see its log",
        529: f"the server is busy: wait{later}, and try again",
    }.get(status, "the server fails; see its log" if status >= 500 else "it refuses the request")
    detail = "a web page" if is_page(error) else text
    return ModelUnavailable(f"{url} answered {status}: {remedy} ({detail})")


def _asked(error: Exception) -> str:
    """Return how long the server asks to wait."""
    later = getattr(getattr(error, "response", None), "headers", {}).get("retry-after", "")[:40]
    return f" {later} seconds" if later.isdigit() else f" until {later}" if later else ""


def status_of(error: BaseException) -> int | None:
    """Return the status that the server answered, also where the connection broke off inside of its explanation."""
    each: BaseException | None = error
    while each is not None:
        status = getattr(each, "status_code", None) or getattr(getattr(each, "response", None), "status_code", None)
        if status is not None:
            return int(status)
        each = each.__context__
    return None


def dropped(error: BaseException) -> bool:
    """Whether the server closed the connection before the first byte of its answer.

    This is what a server does that has just closed a connection for being idle, when the next request comes over it.
    """
    names = {type(each).__name__ for each in (error, error.__cause__)}
    return "APIConnectionError" in names and bool(names & {"ReadError", "WriteError", "RemoteProtocolError"})


def overflows(error: BaseException) -> bool:
    """Whether the server says that the conversation is too long; llama.cpp and Ollama have said so with status 500."""
    if status_of(error) not in {400, 422, 500}:
        return False
    return getattr(error, "code", None) == "context_length_exceeded" or bool(_OVERFLOW.search(said(error)))


def unknown_model(error: BaseException) -> bool:
    """Whether the server may mean that it does not have the model."""
    status = status_of(error)
    return (status == 404 and not is_page(error)) or (status in {400, 422} and bool(_NO_MODEL.search(said(error))))


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
    return f"{text} {response.text if response.is_closed else ''}"


def one_line(error: BaseException, secrets: Sequence[str] = ()) -> str:
    """Return what the error, or the server in its own form, says, on one line of 300 characters at most."""
    text = " ".join(said(error).split()) or type(error).__name__
    for secret in secrets:
        text = text.replace(secret, "***")
    return text if len(text) <= 300 else f"{text[:299]}…"
