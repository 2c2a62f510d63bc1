"""Arrays of NumPy as nested lists, for a sandbox without it."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from typing import Any


def plain_array(dtype: str, shape: list[int], content: bytes) -> Any:
    """The array as NumPy's ``tolist`` gives it.

    Raises:
        TypeError: Its type has no counterpart in Python.
    """
    return _nested(_items(dtype, content), shape)


def _nested(items: list[Any], shape: list[int]) -> Any:
    """Nested lists of this shape; without dimensions the item itself."""
    if not shape:
        return items[0]
    if len(shape) == 1:
        return items
    size = len(items) // shape[0] if shape[0] else 0
    return [_nested(items[start * size : (start + 1) * size], shape[1:]) for start in range(shape[0])]


def _items(dtype: str, content: bytes) -> list[Any]:
    """The items of an array, as NumPy's ``tolist`` gives them."""
    order, kind, size = "<" if dtype[0] == "|" else dtype[0], dtype[1], int(dtype[2:].partition("[")[0])
    if kind == "S":
        return [content[start : start + size].rstrip(b"\0") for start in range(0, len(content), size or 1)]
    if kind == "U":
        text = content.decode(f"utf-32-{'le' if order == '<' else 'be'}", "surrogatepass")
        return [text[start : start + size].rstrip("\0") for start in range(0, len(text), size or 1)]
    parts = 2 if kind == "c" else 1
    code = _CODES.get((kind, size // parts))
    if code is None:
        raise TypeError(f"an array of {dtype} cannot be read without NumPy, which is not in this sandbox")
    found = [item for (item,) in struct.iter_unpack(f"{order}{code}", content)]
    if kind == "c":
        return [complex(*pair) for pair in zip(found[::2], found[1::2], strict=True)]
    return [_moment(dtype, item) for item in found] if kind in "mM" else found


def _moment(dtype: str, number: int) -> Any:
    """A date, a time or a duration, to the microsecond; None for what is missing, the number where there is no unit."""
    written = dtype.partition("[")[2].rstrip("]")
    unit = written.lstrip("0123456789")
    step, count = _UNITS.get(unit), int(written[: -len(unit)] or 1) if unit else 1
    if number == -(2**63):
        return None
    if step is None:
        return number
    span = timedelta(microseconds=number * count // 1000 if unit == "ns" else step * number * count)
    if dtype[1] == "m":
        return span
    moment = datetime(1970, 1, 1) + span
    return moment.date() if unit in ("D", "W") else moment


_UNITS = {
    "ns": 0,
    "us": 1,
    "ms": 1000,
    "s": 10**6,
    "m": 6 * 10**7,
    "h": 36 * 10**8,
    "D": 864 * 10**8,
    "W": 6048 * 10**8,
}
"""Microseconds of the units of NumPy's times."""
_CODES: dict[tuple[str, int], str] = {
    ("b", 1): "?", ("i", 1): "b", ("u", 1): "B", ("i", 2): "h", ("u", 2): "H", ("i", 4): "i", ("u", 4): "I",
    ("i", 8): "q", ("u", 8): "Q", ("f", 2): "e", ("f", 4): "f", ("f", 8): "d", ("c", 4): "f", ("c", 8): "d",
    ("m", 8): "q", ("M", 8): "q",
}  # fmt: skip
