"""Messages cut out of a byte stream: a 4-byte big-endian length and a UTF-8 JSON object each."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from ..errors import ProtocolViolation
from .scalars import Json


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"bare {name}")


def _finite(text: str) -> float:
    """JSON has no infinity, but a number like ``1e999`` becomes one."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"a number that is too large, {text[:20]}")
    return value


def _make_to_json() -> Callable[[object], str]:
    """`json.JSONEncoder.encode` makes a new encoder in C for each text, which takes longer than a small one."""
    encoder = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))
    make: Callable[..., Callable[[object, int], tuple[str, ...]]] | None = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    encode = make(None, encoder.default, json.encoder.encode_basestring, None, ":", ",", False, False, False)
    join = "".join
    return lambda value: join(encode(value, 0))


_to_json = _make_to_json()
_decoder: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_scan: Callable[[str, int], tuple[Json, int]] = vars(_decoder)["scan_once"]


def encode_frame(message: Mapping[str, Json]) -> bytes:
    """Return the message as a frame."""
    # A lone surrogate becomes its JSON escape, which is what JSON has for it.
    body = _to_json(message).encode("utf-8", "backslashreplace")
    return len(body).to_bytes(4, "big") + body


class FrameBuffer:
    """Cuts a byte stream into frames.

    Args:
        limit: Bytes that a frame's body may have; more is refused before it is read.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()

    def __len__(self) -> int:
        """Bytes that belong to no complete frame yet."""
        return len(self._data)

    def feed(self, chunk: bytes) -> list[dict[str, Json]]:
        """Return the messages that are complete with this chunk.

        Raises:
            ProtocolViolation: The bytes are not frames, or one is too large.
        """
        data = self._data
        if not data and len(chunk) > 4 and len(chunk) - 4 == int.from_bytes(chunk[:4], "big") <= self._limit:
            return [_parse(chunk[4:])]  # most often it is one whole message
        data += chunk
        messages: list[dict[str, Json]] = []
        start = 0
        while len(data) - start >= 4:
            size = int.from_bytes(data[start : start + 4], "big")
            if size > self._limit:
                raise ProtocolViolation(
                    f"the guest announced a message of {size:,} bytes; at most {self._limit:,} are allowed"
                )
            end = start + 4 + size
            if len(data) < end:
                break
            messages.append(_parse(data[start + 4 : end]))
            start = end
        del data[:start]
        return messages


def _parse(body: bytes | bytearray) -> dict[str, Json]:
    try:
        text = body.decode()
        message, end = _scan(text, 0)
    except (ValueError, RecursionError, StopIteration) as error:
        reason = "" if isinstance(error, StopIteration) else f": {str(error)[:100]}"
        raise ProtocolViolation(f"the guest sent a message that is not JSON{reason}") from None
    if end != len(text):
        raise ProtocolViolation("the guest sent a message with something behind it")
    if not isinstance(message, dict):
        raise ProtocolViolation(f"the guest sent a {type(message).__name__} where a message was expected")
    return message
