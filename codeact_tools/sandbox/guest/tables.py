"""Tables and images as the guest writes and reads them: with pandas and Pillow where they are, else as plain values."""

from __future__ import annotations

import base64
import binascii
import importlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Json = Any
Encode = Callable[[Any], Json]
Decode = Callable[[Json], Any]
_SHOWN = 5


class Table(Sequence[dict[Any, Any]]):
    """A table of the host, for a sandbox without pandas: rows as dictionaries, read-only, passed back as it came."""

    def __init__(self, wire: Json, columns: list[Any], dtypes: list[str], values: list[list[Any]]) -> None:
        self._wire = wire
        self.columns = columns
        """Names of the columns."""
        self.dtypes = dict(zip(columns, dtypes, strict=True))
        """Their types."""
        self._values = values

    def __len__(self) -> int:
        return len(self._values[0]) if self._values else 0

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[each] for each in range(len(self))[place]]
        if isinstance(place, int):
            return {name: values[place] for name, values in zip(self.columns, self._values, strict=True)}
        return self._values[self.columns.index(place)] if place in self.columns else self._missing(place)

    def __iter__(self) -> Iterator[dict[Any, Any]]:
        return (self[place] for place in range(len(self)))

    def _missing(self, name: object) -> Any:
        raise KeyError(f"no column {name!r}; there is {', '.join(map(str, self.columns))}")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"a table here is a list of rows, because the sandbox has no pandas: table[0]['name'] is a value, "
            f"table['name'] a column; it has no {name!r}",
            name=name,
            obj=self,
        )

    def __repr__(self) -> str:
        types = ", ".join(f"{name}: {dtype}" for name, dtype in self.dtypes.items())
        rows = "".join(f"\n  {row}" for row in self[:_SHOWN])
        more = f"\n  ... {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        return f"<table of {len(self)} rows: {types}>{rows}{more}"


class Picture:
    """An image of the host, for a sandbox without Pillow: it can be saved as a file, and passed back."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        """PNG."""
        self.width, self.height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))

    def save(self, path: str) -> None:
        """Write it as PNG."""
        with open(path, "wb") as file:  # noqa: PTH123 - pathlib is slow to import here
            file.write(self.data)

    def __repr__(self) -> str:
        return f"<image of {self.width} x {self.height} pixels; .save('name.png') writes it>"


def encode_table(value: Any, encode: Encode) -> Json:
    """A ``DataFrame`` or a ``Series``."""
    index = _encode_index(value.index, encode)
    if hasattr(value, "columns"):
        columns = [_encode_column(value.iloc[:, place], encode) for place in range(value.shape[1])]
        return {"$": "frame", "v": [index, _encode_index(value.columns, encode), columns]}
    return {"$": "series", "v": [index, _encode_column(value, encode)]}


def encode_image(value: Any) -> Json:
    """An image of Pillow."""
    content = io.BytesIO()
    value.save(content, "PNG")
    return {"$": "image", "v": binascii.b2a_base64(content.getvalue(), newline=False).decode()}


def decode_image(data: str) -> Any:
    """An image where Pillow is here."""
    content = base64.b64decode(data)
    try:
        images: Any = importlib.import_module("PIL.Image")
    except ImportError:
        return Picture(content)
    return images.open(io.BytesIO(content), formats=["PNG"]).copy()


def decode_frame(wire: Json, decode: Decode) -> Any:
    """A ``DataFrame`` where pandas is here."""
    index, names, columns = wire["v"]
    if not _has_pandas():
        rows = [_plain(column, decode) for column in columns]
        return Table(wire, _plain_index(names, decode), [column["dtype"] for column in columns], rows)
    made = [_decode_column(column, decode) for column in columns]
    rows = _decode_index(index, decode)
    frame = _pandas().DataFrame(dict(enumerate(made)), index=None if made else rows)
    frame.index = rows
    frame.columns = _decode_index(names, decode)
    return frame


def decode_series(wire: Json, decode: Decode) -> Any:
    """A ``Series`` where pandas is here."""
    index, column = wire["v"]
    if not _has_pandas():
        name = decode(column["name"])
        return Table(
            wire,
            ["index", "value" if name is None else name],
            ["index", column["dtype"]],
            [_plain_index(index, decode), _plain(column, decode)],
        )
    series = _decode_column(column, decode)
    series.index = _decode_index(index, decode)
    series.name = decode(column["name"])
    return series


def _has_pandas() -> bool:
    try:
        _pandas()
    except ImportError:
        return False
    return True


def _pandas() -> Any:
    return sys.modules.get("pandas") or importlib.import_module("pandas")


def _encode_column(values: Any, encode: Encode) -> Json:
    dtype = str(values.dtype)
    column = {"name": encode(values.name), "dtype": dtype}
    numpy: Any = sys.modules["numpy"]
    if dtype == "category":
        kinds = values.cat if hasattr(values, "cat") else values
        categories = _encode_column(kinds.categories, encode)
        codes = encode(numpy.asarray(kinds.codes))
        return {**column, "values": codes, "categories": categories, "ordered": bool(kinds.ordered)}
    if dtype.startswith("datetime64[") and ", " in dtype:
        zoned = values.dt if hasattr(values, "dt") else values
        utc = zoned.tz_convert("UTC")
        return {**column, "values": encode(numpy.asarray((utc.dt if hasattr(utc, "dt") else utc).tz_localize(None)))}
    if getattr(values.dtype, "kind", "") in "biufcmM" and not hasattr(values.dtype, "na_value"):
        return {**column, "values": encode(numpy.asarray(values))}
    items = values.astype(object).where(values.notna(), None) if dtype != "object" else values
    return {**column, "values": [encode(each) for each in items]}


def _encode_index(index: Any, encode: Encode) -> Json:
    kind = type(index).__name__
    if kind == "RangeIndex":
        return {"range": [index.start, index.stop, index.step], "name": encode(index.name)}
    if kind == "MultiIndex":
        return {"levels": [_encode_column(index.get_level_values(level), encode) for level in range(index.nlevels)]}
    return _encode_column(index, encode)


def _decode_column(column: Json, decode: Decode) -> Any:
    pd = _pandas()
    dtype, values = column["dtype"], column["values"]
    if dtype == "category":
        categories = pd.Index(_decode_column(column["categories"], decode))
        made = pd.Categorical.from_codes(decode(values), categories=categories, ordered=column["ordered"])
        return pd.Series(made)
    if dtype.startswith("datetime64[") and ", " in dtype:
        return pd.Series(decode(values)).dt.tz_localize("UTC").dt.tz_convert(dtype[:-1].partition(", ")[2])
    if not isinstance(values, list):
        return pd.Series(decode(values))
    return pd.Series([decode(each) for each in values], dtype=dtype)


def _decode_index(index: Json, decode: Decode) -> Any:
    pd = _pandas()
    if "range" in index:
        return pd.RangeIndex(*index["range"], name=decode(index["name"]))
    if "levels" in index:
        made = [_decode_column(each, decode) for each in index["levels"]]
        return pd.MultiIndex.from_arrays(made, names=[decode(each["name"]) for each in index["levels"]])
    return pd.Index(_decode_column(index, decode), name=decode(index["name"]))


def _plain(column: Json, decode: Decode) -> list[Any]:
    """The values of a column without pandas."""
    values = column["values"]
    found: Any = [decode(each) for each in values] if isinstance(values, list) else decode(values)
    if column["dtype"] == "category":
        categories = _plain(column["categories"], decode)
        return [None if code < 0 else categories[code] for code in found]
    return list(found)


def _plain_index(index: Json, decode: Decode) -> list[Any]:
    if "range" in index:
        return list(range(*index["range"]))
    if "levels" in index:
        return list(zip(*(_plain(each, decode) for each in index["levels"]), strict=True))
    return _plain(index, decode)
