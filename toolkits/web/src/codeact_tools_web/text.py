"""Bytes to text: which encoding a document has."""

from __future__ import annotations

import codecs
import re
from email.message import Message
from typing import Final

from charset_normalizer import from_bytes

_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_META: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]{1,40})", re.IGNORECASE)
_LATIN: Final = frozenset({"ascii", "iso8859-1"})
_NOT_OF_DOCUMENTS: Final = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "utf-7", "undefined"})
_LOOKED_AT: Final = 4096


def decoded(data: bytes, content_type: str) -> str:
    """Return a document's text.

    Its encoding is what its first bytes mark, else what the server says, else what the document says, else UTF-8
    where it can be that, else what its letters look like. Bytes that do not fit become U+FFFD.

    >>> decoded("Käse".encode("cp1252"), "text/html; charset=latin1")
    'Käse'
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data.decode(name, errors="replace")
    declared = _usable(_parameter(content_type))
    if declared is None and (found := _META.search(data[:_LOOKED_AT])):
        declared = _usable(found[1].decode("ascii"))
        declared = "utf-8" if declared in ("utf-16", "utf-16-le", "utf-16-be") else declared  # it was read as ASCII
    if declared is not None:
        return data.decode(declared, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end >= len(data) - 3:  # cut within a character
            return data.decode("utf-8", errors="replace")
    best = from_bytes(data[:50_000]).best()
    return data.decode(best.encoding if best is not None else "cp1252", errors="replace")


def _parameter(content_type: str) -> str:
    message = Message()
    message["Content-Type"] = content_type
    return str(message.get_param("charset") or "")


def _usable(name: str) -> str | None:
    """Python's name of an encoding of text; None where it has none. Latin-1 is read as browsers do: as Windows-1252."""
    try:
        codec = codecs.lookup(name.strip("\"' "))
    except (LookupError, ValueError):
        return None
    if not getattr(codec, "_is_text_encoding", True) or codec.name.replace("_", "-") in _NOT_OF_DOCUMENTS:
        return None
    return "cp1252" if codec.name in _LATIN else codec.name
