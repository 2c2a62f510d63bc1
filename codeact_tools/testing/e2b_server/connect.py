"""The Connect protocol with its JSON codec, as far as the daemon needs it (https://connectrpc.com/docs/protocol)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

Json = dict[str, Any]
_END: Final = 0b10
_MEDIA_TYPE: Final = "application/connect+json"
_STATUS: Final = {
    "invalid_argument": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "unimplemented": 404,
    "already_exists": 409,
    "resource_exhausted": 429,
    "internal": 500,
    "unavailable": 503,
    "deadline_exceeded": 504,
}


class RPCError(Exception):
    """An error of the protocol: a code such as ``not_found``, and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Dropped(Exception):
    """Ends a response in its middle, as a lost connection does."""


def unary_error(error: RPCError) -> JSONResponse:
    """Answer a unary call with an error."""
    return JSONResponse({"code": error.code, "message": error.message}, _STATUS[error.code])


def envelope(message: Json, flags: int = 0) -> bytes:
    """One message of a stream: a byte of flags, four of length, JSON."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return bytes([flags]) + len(body).to_bytes(4, "big") + body


async def messages(request: Request) -> AsyncIterator[Json]:
    """Yield the messages of a streamed request as they arrive."""
    buffer = bytearray()
    async for chunk in request.stream():
        buffer += chunk
        while len(buffer) >= 5 and len(buffer) >= (end := 5 + int.from_bytes(buffer[1:5], "big")):
            body = bytes(buffer[5:end])
            del buffer[:end]
            yield json.loads(body)


def streamed(events: AsyncIterator[Json]) -> StreamingResponse:
    """Answer with a stream; an `RPCError` goes into its last message."""
    return StreamingResponse(_envelopes(events), media_type=_MEDIA_TYPE)


def streamed_message(message: Json) -> Response:
    """Answer a streamed request with one message."""
    return Response(envelope(message) + envelope({}, _END), media_type=_MEDIA_TYPE)


def streamed_error(error: RPCError) -> Response:
    """Answer a streamed request with an error."""
    return Response(_last(error), media_type=_MEDIA_TYPE)


async def _envelopes(events: AsyncIterator[Json]) -> AsyncIterator[bytes]:
    try:
        async for event in events:
            yield envelope(event)
    except RPCError as error:
        yield _last(error)
    else:
        yield envelope({}, _END)


def _last(error: RPCError) -> bytes:
    return envelope({"error": {"code": error.code, "message": error.message}}, _END)
