"""Tables of pandas on the wire: columns with their types, never pickled; and images as PNG.

A column is ``{"name", "dtype", "values"}``: an array of NumPy where the type is one of its own, else a list in which
None stands for what is missing. A category has codes and ``categories``, a time with a zone is an array in UTC. An
index is a column, ``{"range": [start, stop, step], "name"}``, or ``{"levels": [column, ...]}``.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Callable
from typing import Any, Final

from .scalars import Json, WireError, decode_array, decode_bytes, encode_array, encode_bytes, expect

Encode = Callable[[Any], Json]
Decode = Callable[[Json], Any]

_PLAIN: Final = "biufcmM"
"""Kinds of NumPy's types that cross as arrays."""
_LISTED: Final = re.compile(r"object|str|string|boolean|U?Int(8|16|32|64)|Float(32|64)")
"""Types whose values cross as a list."""
_ZONED: Final = re.compile(r"datetime64\[(s|ms|us|ns), ([^\]]{1,60})\]")
_MODES: Final = ("1", "L", "LA", "P", "RGB", "RGBA")
"""Modes of images that PNG keeps."""
MAX_PIXELS: Final = 50_000_000


def encode_frame(value: Any, encode: Encode) -> Json:
    """A ``DataFrame``."""
    columns = [_encode_column(value.iloc[:, place], encode) for place in range(value.shape[1])]
    return {"$": "frame", "v": [_encode_index(value.index, encode), _encode_index(value.columns, encode), columns]}


def encode_series(value: Any, encode: Encode) -> Json:
    """A ``Series``."""
    return {"$": "series", "v": [_encode_index(value.index, encode), _encode_column(value, encode)]}


def decode_frame(parts: Json, decode: Decode) -> Any:
    """Read a ``DataFrame``."""
    pd = _library("pandas", "a table", "rows, as a list of dictionaries")
    index, names, columns = expect(parts, list)
    made = [_decode_column(column, decode) for column in expect(columns, list)]
    rows = _decode_index(index, decode)
    frame = pd.DataFrame(dict(enumerate(made)), index=None if made else rows)
    if made and len({len(each) for each in made}) > 1:
        raise WireError("a malformed table")
    frame.index = rows
    frame.columns = _decode_index(names, decode)
    return frame


def decode_series(parts: Json, decode: Decode) -> Any:
    """Read a ``Series``."""
    _library("pandas", "a table", "a list")
    index, column = expect(parts, list)
    series = _decode_column(column, decode)
    series.index = _decode_index(index, decode)
    series.name = decode(expect(column, dict)["name"])
    return series


def _encode_column(values: Any, encode: Encode) -> Json:
    """A ``Series`` or an ``Index``, without its own index."""
    dtype = str(values.dtype)
    column = {"name": encode(values.name), "dtype": dtype}
    if dtype == "category":
        kinds = values.cat if hasattr(values, "cat") else values
        categories = _encode_column(kinds.categories, encode)
        codes = encode_array(_numpy(kinds.codes))
        return {**column, "values": codes, "categories": categories, "ordered": bool(kinds.ordered)}
    if _ZONED.fullmatch(dtype):
        utc = values.dt.tz_convert("UTC").dt.tz_localize(None) if hasattr(values, "dt") else _naive(values)
        return {**column, "values": encode_array(_numpy(utc))}
    if getattr(values.dtype, "kind", "") in _PLAIN and not hasattr(values.dtype, "na_value"):
        return {**column, "values": encode_array(_numpy(values))}
    if not _LISTED.fullmatch(dtype):
        raise WireError(f"the column {values.name!r} of {dtype} cannot cross; make it text, numbers or dates")
    items = values.astype(object).where(values.notna(), None) if dtype != "object" else values
    return {**column, "values": [_encode_item(each, encode) for each in items]}


def _encode_item(value: Any, encode: Encode) -> Json:
    if type(value).__name__ in ("NAType", "NaTType"):
        raise WireError("a column of objects holds what is missing; call convert_dtypes() first")
    return encode(value)


def _encode_index(index: Any, encode: Encode) -> Json:
    kind = type(index).__name__
    if kind == "RangeIndex":
        return {"range": [index.start, index.stop, index.step], "name": encode(index.name)}
    if kind == "MultiIndex":
        return {"levels": [_encode_column(index.get_level_values(level), encode) for level in range(index.nlevels)]}
    return _encode_column(index, encode)


def _decode_column(column: Json, decode: Decode) -> Any:
    """A ``Series`` without a name, numbered from 0."""
    pd = importlib.import_module("pandas")
    dtype, values = expect(expect(column, dict)["dtype"], str), column["values"]
    if dtype == "category":
        categories = pd.Index(_decode_column(column["categories"], decode))
        codes = _decode_array(values)
        made = pd.Categorical.from_codes(codes, categories=categories, ordered=expect(column["ordered"], bool))
        return pd.Series(made)
    if zoned := _ZONED.fullmatch(dtype):
        return pd.Series(_decode_array(values)).dt.tz_localize("UTC").dt.tz_convert(zoned[2])
    if not isinstance(values, list):
        array = _decode_array(values)
        if str(array.dtype) != dtype or array.ndim != 1:
            raise WireError("a malformed column")
        return pd.Series(array)
    if not _LISTED.fullmatch(dtype):
        raise WireError("a malformed column")
    return pd.Series([decode(each) for each in values], dtype=dtype)


def _decode_index(index: Json, decode: Decode) -> Any:
    pd = importlib.import_module("pandas")
    if "range" in expect(index, dict):
        start, stop, step = (expect(each, int) for each in expect(index["range"], list))
        return pd.RangeIndex(start, stop, step, name=decode(index["name"]))
    if "levels" in index:
        levels = expect(index["levels"], list)
        made = [_decode_column(each, decode) for each in levels]
        return pd.MultiIndex.from_arrays(made, names=[decode(each["name"]) for each in levels])
    return pd.Index(_decode_column(index, decode), name=decode(index["name"]))


def _decode_array(value: Json) -> Any:
    if not isinstance(value, dict) or value.keys() != {"$", "v"} or value["$"] != "ndarray":
        raise WireError("a malformed column")
    return decode_array(value["v"])


def _numpy(values: Any) -> Any:
    return importlib.import_module("numpy").asarray(values)


def _naive(index: Any) -> Any:
    return index.tz_convert("UTC").tz_localize(None)


# ---- images ----------------------------------------------------------------------------------------------------------


def encode_image(value: Any) -> Json:
    """An image of Pillow, as PNG."""
    if value.mode not in _MODES:
        raise WireError(f"an image of mode {value.mode!r} cannot cross; convert it to 'RGB' or 'L'")
    if value.width * value.height > MAX_PIXELS:
        raise WireError(f"an image has more than {MAX_PIXELS:,} pixels; make it smaller")
    content = io.BytesIO()
    value.save(content, "PNG")
    return {"$": "image", "v": encode_bytes(content.getvalue())["v"]}


def decode_image(data: Json) -> Any:
    """Read a PNG whose header promises no more pixels than there may be."""
    images = _library("PIL.Image", "an image", "the name of a file")
    content = decode_bytes(data)
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    if content[:8] != b"\x89PNG\r\n\x1a\n" or not 0 < width * height <= MAX_PIXELS:
        raise WireError("a malformed image")
    try:
        image = images.open(io.BytesIO(content), formats=["PNG"])
        image.load()
    except SyntaxError as error:  # what Pillow raises for broken chunks
        raise WireError("a malformed image") from error
    return image.copy()


def _library(name: str, what: str, instead: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise WireError(f"{what} cannot be taken, because the host has no {name}; pass {instead}") from None
