"""Tables in every format: right values, and no harm from files that mean harm."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from codeact_tools_files import (
    AlreadyExists,
    FilesConfig,
    FilesError,
    InvalidTable,
    NotAllowed,
    NotText,
    TooLarge,
    read_table,
    table_info,
    write_table,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeact_tools import ToolContext

openpyxl = pytest.importorskip("openpyxl")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SUFFIXES = ["csv", "tsv", "json", "jsonl", "parquet", "xlsx"]


def limited(root: Path, **limits: float) -> ToolContext:
    """A call with small limits."""
    return ToolContext(config=FilesConfig.model_validate({"roots": [root], "writable": True, **limits}))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_comes_back_as_it_was(context: ToolContext, suffix: str) -> None:
    """Numbers, text, truth and what is missing, in every format."""
    table = pd.DataFrame({
        "n": [1, 2, 3], "x": [0.5, None, 1e-9], "t": ["ä, b", None, "0;\t'\""], "ok": [True, False, True],
    })  # fmt: skip
    path = f"out/table.{suffix}"
    assert write_table(path, table, context=context).new
    pd.testing.assert_frame_equal(read_table(path, context=context), table, check_dtype=False)
    info = table_info(path, context=context)
    assert (info.rows, [each.name for each in info.columns]) == (3, ["n", "x", "t", "ok"])
    assert [each.type for each in info.columns][:2] == ["int64", "float64"]
    assert info.sheets == (["Sheet1"] if suffix == "xlsx" else [])
    part = read_table(path, ["t", "n"], offset=1, limit=1, context=context)
    assert part.to_dict("records") == [{"t": part["t"][0], "n": 2}]
    assert len(read_table(path, offset=9, context=context)) == 0
    with pytest.raises(AlreadyExists):
        write_table(path, table, context=context)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_as_dictionaries(context: ToolContext, suffix: str) -> None:
    """What an action without pandas writes."""
    write_table(f"a.{suffix}", [{"who": "Anna", "n": 1}, {"who": "Ben", "n": 2}], context=context)
    assert list(read_table(f"a.{suffix}", context=context)["who"]) == ["Anna", "Ben"]
    write_table(f"b.{suffix}", [], context=context)
    assert len(read_table(f"b.{suffix}", context=context)) == 0


def test_values_of_their_own(context: ToolContext) -> None:
    """Dates and decimals where the format has them; an index that has a name is a column."""
    rows: list[dict[str, object]] = [{"d": date(2026, 1, 2), "t": datetime(2026, 1, 2, 3, 4), "m": Decimal("1.10")}]
    write_table("a.parquet", pd.DataFrame(rows), context=context)
    assert read_table("a.parquet", context=context).to_dict("records") == [
        {"d": date(2026, 1, 2), "t": pd.Timestamp(2026, 1, 2, 3, 4), "m": Decimal("1.10")}
    ]
    write_table("a.xlsx", pd.DataFrame(rows)[["d", "t"]], context=context)
    assert read_table("a.xlsx", context=context)["t"][0] == pd.Timestamp(2026, 1, 2, 3, 4)
    grouped = pd.DataFrame({"k": ["a", "b", "a"], "n": [1, 2, 3]}).groupby("k").sum()
    write_table("b.csv", grouped, context=context)
    write_table("c.csv", pd.DataFrame({"n": [1, 2, 3]})[lambda frame: frame["n"] > 1], context=context)
    assert read_table("b.csv", context=context).to_dict("records") == [{"k": "a", "n": 4}, {"k": "b", "n": 2}]
    assert list(read_table("c.csv", context=context).columns) == ["n"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_and_encodings_of_csv(root: Path, context: ToolContext, separator: str) -> None:
    """What European spreadsheets write; only an empty cell is missing, "NA" and "None" are text."""
    text = f"land{separator}größe\nNA{separator}1\nNone{separator}2\n{separator}3\n"
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        (root / "a.csv").write_bytes(text.encode(encoding))
        frame = read_table("a.csv", context=context)
        assert list(frame.columns) == ["land", "größe"]
        assert list(frame["land"].fillna("missing")) == ["NA", "None", "missing"]


def test_workbooks_with_several_sheets(root: Path, context: ToolContext) -> None:
    """By name; leading empty rows and columns without a name do not matter, formulas are the values stored."""
    book = openpyxl.Workbook()
    book.active.title = "Sums"
    book.active.append([])
    book.active.append(["name", None, "total", "total"])
    book.active.append(["a", None, 1, "=1+1"])
    book.create_sheet("Other").append(["x"])
    book.create_sheet("Empty")
    book.save(root / "a.xlsx")
    assert table_info("a.xlsx", context=context).sheets == ["Sums", "Other", "Empty"]
    frame = read_table("a.xlsx", context=context)
    assert list(frame.columns) == ["name", "total", "total.1"]
    assert frame["total"].tolist() == [1]
    assert frame["total.1"].isna().all()
    assert read_table("a.xlsx", sheet="Empty", context=context).shape == (0, 0)
    with pytest.raises(InvalidTable, match=r"has no sheet 'Summs'; did you mean 'Sums'\?; its sheets: 'Sums', 'Other'"):
        read_table("a.xlsx", sheet="Summs", context=context)
    (root / "a.csv").write_text("a\n1\n")
    with pytest.raises(InvalidTable, match=r"'a\.csv' has no sheets; leave sheet out"):
        read_table("a.csv", sheet="Sums", context=context)


def test_mistakes_are_answered_with_what_there_is(root: Path, context: ToolContext) -> None:
    """A column, a format, a value that has no place."""
    (root / "a.csv").write_text("region,amount\nN,1\n")
    with pytest.raises(InvalidTable, match=r"no column 'Region'; did you mean 'region'\?; its columns: 'region', 'amo"):
        read_table("a.csv", ["Region"], context=context)
    with pytest.raises(InvalidTable, match=r"tables end with \.csv, \.tsv, \.json, \.jsonl, \.ndjson, \.parquet"):
        read_table("a.xls", context=context)
    with pytest.raises(InvalidTable, match="cannot be written as xlsx"):
        write_table("b.xlsx", [{"t": "bell \a"}], context=context)
    with pytest.raises(InvalidTable, match="cannot be written as csv"):
        write_table("b.csv", [{"t": "\ud800"}], context=context)
    with pytest.raises(NotAllowed):
        write_table("b.csv", [{"n": 1}], context=ToolContext(config=FilesConfig(roots=[root])))
    (root / "list.json").write_text("[1, 2]")
    with pytest.raises(InvalidTable, match="neither a list of objects nor an object of lists"):
        read_table("list.json", context=context)


def test_a_library_that_is_not_installed_is_named(
    root: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the extra that brings it."""
    (root / "a.xlsx").write_bytes(b"")
    (root / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InvalidTable, match=r"needs openpyxl, .* pip install 'codeact-tools-files\[excel\]'"):
        read_table("a.xlsx", context=context)
    with pytest.raises(InvalidTable, match=r"needs pyarrow, .* pip install 'codeact-tools-files\[parquet\]'"):
        write_table("b.parquet", [{"n": 1}], context=context)


def test_more_rows_than_one_call_returns(root: Path) -> None:
    """Never cut in silence: an error tells how many there are, and how to read them."""
    context = limited(root, rows=10)
    for suffix in SUFFIXES:
        path = f"a.{suffix}"
        write_table(path, [{"n": number} for number in range(25)], context=context)
        with pytest.raises(TooLarge, match="has 25 rows; read at most 10 at a time with offset and limit"):
            read_table(path, context=context)
        with pytest.raises(TooLarge):
            read_table(path, limit=20, context=context)
        parts = [read_table(path, offset=start, limit=10, context=context) for start in (0, 10, 20)]
        assert [number for part in parts for number in part["n"]] == list(range(25))
        assert table_info(path, context=context).rows == 25


# ---- files that mean harm ----------------------------------------------------------------------------------------

FORMULAS = ["=1+1", "=cmd|' /C calc'!A0", "+49 123", "-", "@SUM(A1)", "\t=1"]


def test_text_that_a_spreadsheet_takes_for_a_formula(root: Path, context: ToolContext) -> None:
    """It is text when it is read, text in a workbook that is written, and marked in CSV where that is asked for."""
    rows: list[dict[str, object]] = [{"t": text} for text in FORMULAS]
    write_table("a.csv", pd.DataFrame(rows), context=context)
    assert list(read_table("a.csv", context=context)["t"]) == FORMULAS
    write_table("b.csv", pd.DataFrame(rows), escape_formulas=True, context=context)
    assert list(read_table("b.csv", context=context)["t"]) == [f"'{text}" for text in FORMULAS]
    write_table("a.xlsx", pd.DataFrame(rows), context=context)
    cells = [cell for (cell,) in openpyxl.load_workbook(root / "a.xlsx").active.iter_rows(min_row=2)]
    assert all(cell.data_type == "s" for cell in cells)
    assert list(read_table("a.xlsx", context=context)["t"]) == FORMULAS


def workbook(root: Path, change: Callable[[str, bytes], bytes], *, extra: dict[str, bytes] | None = None) -> Path:
    """A real workbook, with its parts changed."""
    plain = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.active.append([1, 2])
    book.save(plain)
    path = root / "evil.xlsx"
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, change(info.filename, old.read(info)))
        for name, content in (extra or {}).items():
            new.writestr(name, content)
    return path


def test_a_zip_bomb(root: Path) -> None:
    """A few kilobytes that unpack to hundreds of megabytes are not unpacked."""
    path = workbook(root, lambda _, content: content, extra={"xl/sharedStrings.xml": b"<a/>" + b" " * 300_000_000})
    assert path.stat().st_size < 400_000
    with pytest.raises(TooLarge, match=r"'evil\.xlsx' unpacks to more than 128 MiB"):
        read_table("evil.xlsx", context=limited(root))


def test_a_zip_bomb_that_lies_about_its_size(root: Path) -> None:
    """What comes out counts, not what the directory claims."""
    path = workbook(root, lambda _, content: content, extra={"xl/media/a": b" " * 200_000_000})
    content = path.read_bytes()
    content = content.replace((200_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(content)
    with pytest.raises(FilesError):
        read_table("evil.xlsx", context=limited(root))


def test_a_cell_at_the_far_end_of_a_sheet(root: Path) -> None:
    """A million empty rows of sixteen thousand columns are not made for it."""

    def far(name: str, content: bytes) -> bytes:
        if name != "xl/worksheets/sheet1.xml":
            return content
        cell = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
        return content.replace(b"</sheetData>", cell).replace(b'ref="A1:B2"', b'ref="A1:XFD1048576"')

    workbook(root, far)
    with pytest.raises(TooLarge, match="more than 5,000,000 cells"):
        read_table("evil.xlsx", context=limited(root))


def test_entities_that_multiply(root: Path) -> None:
    """A billion laughs, and an entity that would read a file of the host."""
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 12))
    head = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">' + laughs
    for entities in (head, b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l11 SYSTEM "file:///etc/passwd">'):

        def multiplied(name: str, content: bytes, entities: bytes = entities) -> bytes:
            if name != "xl/worksheets/sheet1.xml":
                return content
            body = content[content.index(b"<worksheet") :]
            return entities + b"]>" + body.replace(b"<v>1</v>", b"<v>&l11;</v>")

        workbook(root, multiplied)
        with pytest.raises(FilesError):
            read_table("evil.xlsx", context=limited(root))


def test_deep_json(root: Path, context: ToolContext) -> None:
    """Deeper than any parser goes; and numbers with more digits than Python converts."""
    (root / "a.json").write_text("[" * 200_000 + "]" * 200_000)
    with pytest.raises(InvalidTable, match="nested too deeply"):
        read_table("a.json", context=context)
    (root / "a.json").write_text('[{"n": ' + "9" * 5000 + "}]")
    with pytest.raises(InvalidTable):
        read_table("a.json", context=context)
    (root / "b.jsonl").write_text('{"n": 1}\n{"n": \n')
    with pytest.raises(InvalidTable, match="is no JSON"):
        read_table("b.jsonl", context=context)


def test_broken_csv(root: Path, context: ToolContext) -> None:
    """Rows that do not fit, a quote without an end, columns without number, bytes without meaning."""
    for text in ("a,b\n1,2,3\n4,5,6\n", "a,b\n0,2,3\n1,5,6\n", 'a,b\n"1,2\n', "a,b\n1,2\n1,2,3,4\n"):
        (root / "a.csv").write_text(text)
        with pytest.raises(InvalidTable):
            read_table("a.csv", context=context)
    (root / "a.csv").write_text("," * 20_000 + "\n")
    with pytest.raises(InvalidTable, match="more than 10,000 columns"):
        read_table("a.csv", context=context)
    (root / "a.csv").write_bytes(b"a,b\n\0,1\n")
    with pytest.raises(NotText):
        read_table("a.csv", context=context)
    for text in ("", "\n\n", "a,b\n"):
        (root / "a.csv").write_text(text)
        assert len(read_table("a.csv", context=context)) == 0


@pytest.mark.parametrize("as_category", [True, False])
def test_parquet_that_unpacks_to_too_much(root: Path, as_category: bool) -> None:
    """Thousands of rows that all mean the same long text, which the file holds once."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), pa.array(["x" * 100_000]))
    pq.write_table(pa.table({"t": column if as_category else column.cast(pa.string())}), root / "a.parquet")
    assert (root / "a.parquet").stat().st_size < 500_000
    with pytest.raises(TooLarge, match="unpacks to more than 4 MiB"):
        read_table("a.parquet", context=limited(root, file_mb=1))
    assert len(read_table("a.parquet", limit=5, context=limited(root, file_mb=1))) == 5


def test_parquet_of_every_kind(root: Path, context: ToolContext) -> None:
    """Categories, nested values, bytes, and what is missing among them."""
    table = pa.table({
        "c": pa.array(["a", None, "a"]).dictionary_encode(), "k": pa.array([1, None, 1]).dictionary_encode(),
        "l": [[1], None, []], "b": [b"x", None, b""], "t": ["x", None, ""],
    })  # fmt: skip
    pq.write_table(table, root / "a.parquet")
    frame = read_table("a.parquet", context=context)
    assert [str(each) for each in frame.dtypes] == ["category", "float64", "object", "object", "str"]
    assert frame["c"].isna().tolist() == [False, True, False]
    assert frame["b"].tolist()[::2] == [b"x", b""]


@given(content=st.binary(max_size=300), keep=st.integers(0, 2000), suffix=st.sampled_from(SUFFIXES))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_garbage_is_an_error_of_its_own(
    root: Path, context: ToolContext, content: bytes, keep: int, suffix: str
) -> None:
    """Whatever the bytes are, also the beginning of a real file: a table, or an error that is declared."""
    write_table(f"real.{suffix}", [{"a": 1, "b": "x"}], overwrite=True, context=context)
    real = (root / f"real.{suffix}").read_bytes()
    for data in (content, real[:keep] + content, real[:keep] + content + real[keep + len(content) :]):
        (root / f"a.{suffix}").write_bytes(data)
        try:
            read_table(f"a.{suffix}", context=context)
            table_info(f"a.{suffix}", context=context)
        except (InvalidTable, NotText, TooLarge):
            pass


def test_json_of_rows_that_differ(root: Path, context: ToolContext) -> None:
    """What a row does not have is missing."""
    (root / "a.json").write_text(json.dumps([{"a": 1}, {"b": "x"}]))
    assert read_table("a.json", context=context).to_dict("list")["a"][0] == 1
    (root / "b.json").write_text(json.dumps({"a": [1, 2], "b": ["x", "y"]}))
    assert read_table("b.json", context=context)["b"].tolist() == ["x", "y"]
    (root / "c.json").write_text(json.dumps({"a": [1, 2], "b": ["x"]}))
    with pytest.raises(InvalidTable):
        read_table("c.json", context=context)
