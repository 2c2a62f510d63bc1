"""The formats of tables: bytes to a ``DataFrame`` and back. No library gets a path to open."""

from __future__ import annotations

import csv
import importlib
import io
import itertools
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import pandas as pd

from .access import MIB
from .errors import FilesError, InvalidTable, TooLarge
from .lines import decoded
from .sheets import read_sheet, write_sheet

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "xlsx"]

SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
    ".xlsx": "xlsx",
}  # fmt: skip
MOST_COLUMNS: Final = 10_000
_SEPARATORS: Final = ",;\t|"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class Source(NamedTuple):
    """A file that holds a table."""

    path: str
    content: bytes
    sheet: str | None
    """Of a workbook; None: the first one."""
    offset: int
    most: int
    """Rows to read, at least where the format can stop early."""
    budget: int
    """Bytes that may come out of what is compressed."""


class Loaded(NamedTuple):
    """What was read."""

    frame: pd.DataFrame
    """At most some rows, from the offset."""
    rows: int
    """Of the whole table."""
    sheets: tuple[str, ...] = ()


def format_of(path: str) -> Format:
    """The format by the name's ending.

    Raises:
        InvalidTable: It is none that is known.
    """
    suffix = path[path.rfind(".") :].lower() if "." in path.rpartition("/")[2] else ""
    if suffix not in SUFFIXES:
        raise InvalidTable(f"{path!r} does not end like a table; tables end with {', '.join(SUFFIXES)}")
    return SUFFIXES[suffix]


def load(source: Source) -> Loaded:
    """Parse a table.

    Raises:
        InvalidTable: It is malformed, or the library for it is not installed.
        TooLarge: It holds more than its size told.
    """
    read: Callable[[Source], Loaded] = {
        "csv": _read_csv, "tsv": _read_csv, "json": _read_json, "jsonl": _read_json, "parquet": _read_parquet,
        "xlsx": _read_xlsx,
    }[format_of(source.path)]  # fmt: skip
    try:
        return read(source)
    except FilesError:
        raise
    except Exception as error:  # a parser meets what nobody foresaw, and raises it in its own words
        reason = str(error).split("\n")[0][:200] or type(error).__name__
        kind = "nested too deeply" if isinstance(error, RecursionError) else reason
        raise InvalidTable(f"{source.path!r} is no {format_of(source.path)} table: {kind}") from error


def dump(table: pd.DataFrame | Sequence[Mapping[str, Any]], path: str, *, sheet: str, escape_formulas: bool) -> bytes:
    """Serialize a table.

    Raises:
        InvalidTable: Its values have no place in the format, or the library for it is not installed.
    """
    kind = format_of(path)
    out = io.BytesIO()
    try:
        frame = table if isinstance(table, pd.DataFrame) else pd.DataFrame(table)
        frame = frame.reset_index() if any(name is not None for name in frame.index.names) else frame
        if kind in ("csv", "tsv"):
            safe = _escaped(frame) if escape_formulas else frame
            safe.to_csv(out, index=False, sep="\t" if kind == "tsv" else ",", lineterminator="\n")
        elif kind in ("json", "jsonl"):
            lines = kind == "jsonl"
            frame.to_json(out, orient="records", lines=lines, date_format="iso", force_ascii=False, double_precision=15)
        elif kind == "parquet":
            library("pyarrow", "parquet")
            frame.to_parquet(out, engine="pyarrow", index=False)
        else:
            library("openpyxl", "excel")
            write_sheet(frame, out, sheet)
    except FilesError:
        raise
    except Exception as error:
        reason = str(error).split("\n")[0][:200] or type(error).__name__
        raise InvalidTable(f"the table cannot be written as {kind}: {reason}") from error
    return out.getvalue()


def library(name: str, extra: str) -> Any:
    """Import an optional library.

    Raises:
        InvalidTable: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InvalidTable(
            f"this format needs {name}, which is not installed here: pip install 'codeact-tools-files[{extra}]'"
        ) from error


def _read_csv(source: Source) -> Loaded:
    text = decoded(source.content, source.path)[0]
    head = text[:MIB].split("\n", 1)[0]
    separator = max(_SEPARATORS, key=head.count)
    if head.count(separator) >= MOST_COLUMNS:
        raise InvalidTable(f"{source.path!r} has more than {MOST_COLUMNS:,} columns")
    if not text.strip():
        return Loaded(pd.DataFrame(), 0)
    first = [row for row in itertools.islice(csv.reader(io.StringIO(text), delimiter=separator), 20) if row][:2]
    if len(first[-1]) > len(first[0]):  # else pandas takes the first column for an index
        raise InvalidTable(f"{source.path!r} has rows with more values than the first line has names")
    frame = pd.read_csv(
        io.StringIO(text), sep=separator, keep_default_na=False, na_values=[""], low_memory=False, index_col=False
    )
    return _part(frame, source)


def _read_json(source: Source) -> Loaded:
    text = decoded(source.content, source.path)[0]
    try:
        data = json.loads(text) if format_of(source.path) == "json" else [json.loads(each) for each in _filled(text)]
    except json.JSONDecodeError as error:
        raise InvalidTable(f"{source.path!r} is no JSON: {error}") from error
    is_columns = isinstance(data, dict) and data and all(isinstance(each, list) for each in data.values())
    is_rows = isinstance(data, list) and all(isinstance(each, dict) for each in data)
    if not is_columns and not is_rows:
        raise InvalidTable(f"{source.path!r} is JSON, but neither a list of objects nor an object of lists: no table")
    return _part(pd.DataFrame(data), source)


def _filled(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def _read_parquet(source: Source) -> Loaded:
    pa = library("pyarrow", "parquet")
    pq = library("pyarrow.parquet", "parquet")
    limits = {"thrift_string_size_limit": 16 * MIB, "thrift_container_size_limit": MIB}
    meta = pq.ParquetFile(pa.BufferReader(source.content), **limits).metadata
    if meta.num_columns > MOST_COLUMNS:
        raise InvalidTable(f"{source.path!r} has more than {MOST_COLUMNS:,} columns")
    groups = [meta.row_group(index) for index in range(meta.num_row_groups)]
    sizes = [group.column(index).total_uncompressed_size for group in groups for index in range(group.num_columns)]
    _within(source, sum(sizes))
    schema = meta.schema.to_arrow_schema()
    texts = [field.name for field in schema if field.type in (pa.string(), pa.binary())]
    file = pq.ParquetFile(pa.BufferReader(source.content), read_dictionary=texts, **limits)
    batches, skip, left, total = [], source.offset, source.most, 0
    for batch in file.iter_batches(batch_size=min(1024, max(left, 1)), use_threads=False):
        part = batch.slice(skip, left)
        skip = max(skip - batch.num_rows, 0)
        left -= part.num_rows
        total += sum(_size(column) for column in part.columns)
        _within(source, total)
        batches.append(part.cast(schema.remove_metadata()))
        if not left:
            break
    table = pa.Table.from_batches(batches, schema.remove_metadata())
    return Loaded(table.to_pandas(), meta.num_rows)


def _size(column: Any) -> int:
    """What a column takes when each of its values has a place of its own, though one is written for all of them."""
    if not hasattr(column, "dictionary"):
        return int(column.nbytes)
    compute = library("pyarrow.compute", "parquet")
    try:
        lengths = compute.binary_length(column.dictionary)
    except NotImplementedError:  # a category of numbers
        return int(column.nbytes)
    return int(compute.sum(lengths.take(column.indices)).as_py() or 0)


def _read_xlsx(source: Source) -> Loaded:
    library("openpyxl", "excel")
    with zipfile.ZipFile(io.BytesIO(source.content)) as archive:
        unpacked = _unpacked(archive, source)
    frame, sheets = read_sheet(unpacked, source.path, source.sheet)
    return _part(frame, source)._replace(sheets=sheets)


def _unpacked(archive: zipfile.ZipFile, source: Source) -> io.BytesIO:
    """Copy an archive without compression: what comes out counts, not what its directory claims."""
    out, total = io.BytesIO(), 0
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as copy:
        for info in archive.infolist():
            with archive.open(info) as packed, copy.open(info.filename, "w") as plain:
                while block := packed.read(MIB // 4):
                    total += len(block)
                    _within(source, total)
                    plain.write(block)
    out.seek(0)
    return out


def _within(source: Source, size: int) -> None:
    if size > source.budget:
        raise TooLarge(
            f"{source.path!r} unpacks to more than {source.budget // MIB} MiB, which is too much for one call"
        )


def _part(frame: pd.DataFrame, source: Source) -> Loaded:
    part = frame.iloc[source.offset : source.offset + source.most]
    return Loaded(part.reset_index(drop=True), len(frame))


def _escaped(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy whose text no spreadsheet takes for a formula."""
    return frame.map(lambda value: f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value)
