"""Arrays, tables and images cross as themselves where their libraries are, and as plain described values elsewhere."""

# ruff: noqa: E501 - the frames are a table

from __future__ import annotations

import contextlib
import copy
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeact_tools import Session
from codeact_tools.errors import DefinitionError
from codeact_tools.registry import ToolRegistry
from codeact_tools.rendering import render_listing
from codeact_tools.sandbox.guest import values
from codeact_tools.sandbox.guest.classes import build_class
from codeact_tools.sandbox.manifest import build_manifest
from codeact_tools.signatures import Catalog, Opaque
from codeact_tools.wire import Codec, WireError, encode_frame

np: Any = pytest.importorskip("numpy")
pd: Any = pytest.importorskip("pandas")
images: Any = pytest.importorskip("PIL.Image")

CATALOG = Catalog()
for each in (np.ndarray, pd.DataFrame, pd.Series, images.Image):
    CATALOG.expression(each, owner="test")
HOST = Codec(CATALOG)


def guest() -> values.Codec:
    """A guest's codec that knows the classes, with the libraries that are there at this moment."""
    codec = values.Codec()
    registry: Any = type("Registry", (), {"specs": (), "catalog": CATALOG})
    for entry in build_manifest(registry, HOST)["types"]:
        codec.register(entry["name"], build_class(entry, codec), entry["kind"])
    return codec


def sent(wire: Any) -> Any:
    """As the other side reads it."""
    return json.loads(encode_frame({"v": wire})[4:])["v"]


MOMENTS = pd.to_datetime(["2026-01-01 12:00:00.000000001", None, "2026-03-29 02:30"], format="ISO8601")
FRAMES = {
    "numbers": pd.DataFrame({"a": [1, 2], "b": [0.5, float("nan")], "c": [True, False]}),
    "text": pd.DataFrame({"t": ["x", None, "ä"], "o": pd.Series(["ä\ud800", 1, None], dtype=object)}),
    "small types": pd.DataFrame({"i": np.array([1], "int8"), "f": np.array([0.1], "float32"), "z": np.array([1j])}),
    "missing": pd.DataFrame({"i": pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean")}),
    "times": pd.DataFrame({"n": MOMENTS, "z": MOMENTS.tz_localize("UTC").tz_convert("Europe/Rome"), "d": MOMENTS - MOMENTS[0]}),
    "category": pd.DataFrame({"c": pd.Categorical(["b", None, "a"], categories=["b", "a"], ordered=True)}),
    "index": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="key")),
    "two indexes": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["n", None])),
    "dates as index": pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2026-01-01", periods=2, tz="Europe/Rome")),
    "columns": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])),
    "twice": pd.DataFrame([[1, "x"]], columns=["a", "a"]),
    "numbered": pd.DataFrame([[1, "x"]], columns=[3, 5], index=pd.RangeIndex(4, 5, name="r")),
    "no rows": pd.DataFrame({"a": np.array([], "int64"), "t": pd.Series([], dtype="str")}),
    "no columns": pd.DataFrame(index=["a", "b"]),
    "nothing": pd.DataFrame(),
    "objects": pd.DataFrame({"o": [[1, (2,)], {"k": date(2026, 1, 1)}]}),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_frames_cross_exactly(name: str) -> None:
    """Values, types, index, names of columns: in the action and back on the host."""
    frame = FRAMES[name]
    other = guest()
    inside = other.decode(sent(HOST.encode(frame)))
    back = HOST.decode(sent(other.encode(inside)))
    for each in (inside, back):
        pd.testing.assert_frame_equal(each, frame, check_exact=True, check_freq=False)
        assert type(each.index) is type(frame.index)


@pytest.mark.parametrize("name", [name for name, frame in FRAMES.items() if frame.shape[1]])
def test_series_cross_exactly(name: str) -> None:
    """With name and index."""
    series = FRAMES[name].iloc[:, 0]
    other = guest()
    inside = other.decode(sent(HOST.encode([series])))[0]
    back = HOST.decode(sent(other.encode([inside])))[0]
    for each in (inside, back):
        pd.testing.assert_series_equal(each, series, check_exact=True, check_freq=False)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_images_cross_exactly(mode: str) -> None:
    """Pixel by pixel, in the modes that PNG keeps."""
    image = images.effect_noise((5, 3), 50).convert(mode)
    other = guest()
    back = HOST.decode(sent(other.encode(other.decode(sent(HOST.encode(image))))))
    assert (back.mode, back.size, back.convert("RGBA").tobytes()) == (mode, (5, 3), image.convert("RGBA").tobytes())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (pd.DataFrame({"p": pd.period_range("2026", periods=1)}), "the column 'p' of period"),
        (pd.DataFrame({"o": pd.Series([pd.NA, 1], dtype=object)}), "convert_dtypes"),
        (pd.DataFrame({"o": [object()]}), "cannot cross"),
        (np.array([object()]), "array of object"),
        (images.new("CMYK", (1, 1)), "convert it to 'RGB'"),
    ],
)
def test_what_has_no_exact_form_is_refused(value: Any, words: str) -> None:
    """The message says what to convert."""
    with pytest.raises(WireError, match=words):
        HOST.encode(value)


def test_without_the_libraries_values_are_plain_and_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table is rows that can be looked at and passed back as they came; an array is lists; an image is a file."""
    wires = {name: sent(HOST.encode(frame)) for name, frame in FRAMES.items()}
    series, image = sent(HOST.encode(FRAMES["index"]["a"])), sent(HOST.encode(images.new("RGB", (4, 2))))
    for library in ("numpy", "pandas", "PIL.Image", "PIL"):
        monkeypatch.setitem(sys.modules, library, None)
    other = guest()
    tables = {name: other.decode(wire) for name, wire in wires.items()}
    assert all(other.encode(tables[name]) == wire for name, wire in wires.items())
    numbers = tables["numbers"]
    assert repr(numbers).startswith("<table of 2 rows: a: int64, b: float64, c: bool>\n  {'a': 1, 'b': 0.5, 'c': True}")
    assert (numbers[0]["a"], numbers["a"], len(numbers), [row["c"] for row in numbers]) == (1, [1, 2], 2, [True, False])
    assert tables["times"]["n"] == [datetime(2026, 1, 1, 12), None, datetime(2026, 3, 29, 2, 30)]
    assert tables["category"]["c"] == ["b", None, "a"]
    assert list(other.decode(series)) == [{"index": "x", "a": 1}, {"index": "y", "a": 2}]
    with pytest.raises(AttributeError, match="no pandas"):
        numbers.groupby("a")
    with pytest.raises(KeyError, match="there is a, b, c"):
        numbers["d"]
    picture = other.decode(image)
    assert repr(picture) == "<image of 4 x 2 pixels; .save('name.png') writes it>"
    assert other.encode(picture) == image


ARRAYS = [
    (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
    (np.array([0.5], ">f4"), [0.5]),
    (np.array([1.5], "f2"), [1.5]),
    (np.array(7), 7),
    (np.zeros((0, 2)), []),
    (np.array(["a", "bcd"]), ["a", "bcd"]),
    (np.array([b"a\xff", b""]), [b"a\xff", b""]),
    (np.array([1 + 2j, 3]), [1 + 2j, 3 + 0j]),
    (np.array(["2026-01-02", "NaT"], "M8[D]"), [date(2026, 1, 2), None]),
    (np.array(["2026-01-02T03:04:05"], "M8[s]"), [datetime(2026, 1, 2, 3, 4, 5)]),
    (np.array([90], "m8[m]"), [timedelta(hours=1.5)]),
    (np.array([True]), [True]),
]


@pytest.mark.parametrize(("array", "plain"), ARRAYS, ids=lambda value: str(getattr(value, "dtype", "")))
def test_arrays_without_numpy_are_lists(array: Any, plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every kind that crosses, with the items that NumPy's own ``tolist`` gives."""
    wire = sent(HOST.encode(array))
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert values.Codec().decode(wire) == plain


WIRES = [HOST.encode(frame) for frame in FRAMES.values()] + [HOST.encode(FRAMES["text"]["t"])]
GARBAGE = st.one_of(
    st.none(), st.integers(-3, 3), st.text(max_size=5), st.just([]), st.just({}), st.just("datetime64[ns, Nowhere]"),
    st.sampled_from(["int64", "category", "object", "M8[ns]", "|O"]), st.sampled_from(WIRES),
)  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from _places(inner)


@given(st.sampled_from(WIRES), st.data())
@settings(max_examples=400)
@pytest.mark.filterwarnings("ignore")
def test_damaged_tables_are_refused_by_name(wire: Any, data: st.DataObject) -> None:
    """Whatever a guest puts in the place of a part, the host gets a table or a WireError."""
    damaged = copy.deepcopy(sent(wire))
    for _ in range(data.draw(st.integers(1, 3))):
        places = list(_places(damaged))
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        holder[key] = copy.deepcopy(data.draw(GARBAGE))
    with contextlib.suppress(WireError):
        HOST.decode(damaged)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 8 + b"\xff" * 8, b"GIF89a" + b"\0" * 30])
def test_damaged_images_are_refused(data: bytes) -> None:
    """No image that is not a PNG, or that promises more pixels than there may be, is opened."""
    import base64

    with pytest.raises(WireError, match="malformed image"):
        HOST.decode({"$": "image", "v": base64.b64encode(data).decode()})


def load() -> pd.DataFrame:
    """The sales."""
    return pd.DataFrame({"shop": ["a", "b", "a"], "sum": [1, 2, 3]})


def total(sales: pd.DataFrame) -> int:
    """Add up."""
    return int(sales["sum"].sum())


def grid() -> np.ndarray:
    """Two by two."""
    return np.eye(2)


def trace(matrix: np.ndarray) -> float:
    """Its trace."""
    return float(np.trace(matrix))


def test_the_listing_says_what_stands_for_a_missing_library() -> None:
    """The model reads where the class comes from, and what it gets without."""
    text = render_listing(ToolRegistry([load, grid])).text
    assert "# DataFrame: of pandas where it can be imported, else a list of rows as dictionaries" in text
    assert "# ndarray: of numpy where it can be imported, else nested lists" in text


def test_with_the_packages_an_action_computes_with_them() -> None:
    """The action uses pandas and NumPy on what tools return, and passes their values to tools."""
    with Session(tools=[load, total, grid, trace], sandbox="local", packages=["numpy", "pandas"]) as session:
        seen = session.run("sales = load()\nonly = sales[sales['shop'] == 'a']\ntotal(only), total(sales)")
        assert (seen.result, seen.error) == ("(4, 6)", None)
        seen = session.run("trace(grid() * 3), type(sales).__name__")
        assert seen.result == "(6.0, 'DataFrame')"
        refused = session.run("total('sales')")
        assert refused.error is not None


def load_large() -> Opaque[pd.DataFrame]:
    """The sales, which stay on the host."""
    return load()


def both_large() -> tuple[Opaque[pd.DataFrame], list[Opaque[pd.DataFrame] | None]]:
    """Twice the sales."""
    return load(), [load(), None]


def many_large() -> Iterator[Opaque[pd.DataFrame]]:
    """The sales, again and again."""
    while True:
        yield load()


def head(sales: Opaque[pd.DataFrame], rows: int = 1) -> pd.DataFrame:
    """The first rows."""
    return sales.head(rows)


def test_a_large_table_stays_on_the_host() -> None:
    """The same class is a handle where the signature says so, and a value elsewhere, in containers and streams too."""
    tools: list[Any] = [load_large, both_large, many_large, head, load]
    with Session(tools=tools, sandbox="local", check="off") as session:
        seen = session.run("sales = load_large()\nsales, len(head(sales, rows=2)), len(load())")
        assert seen.result == "(<DataFrameHandle: 3 x 2>, 2, 3)", seen.text
        seen = session.run("one, (two, none) = both_large()\n[type(each).__name__ for each in (one, two, none)]")
        assert seen.result == "['DataFrameHandle', 'DataFrameHandle', 'NoneType']", seen.text
        seen = session.run("type(next(many_large())).__name__")
        assert seen.result == "'DataFrameHandle'", seen.text
        assert session.registry.get("head").signature() == "head(sales: DataFrameHandle, rows: int = 1) -> DataFrame"


@dataclass
class Report:
    """Holds a large table."""

    sales: Opaque[pd.DataFrame]


def of_list() -> Opaque[list]:  # type: ignore[type-arg]
    """A list cannot stay."""
    return []


def of_field() -> Report:
    """Neither can a field."""
    return Report(load())


@pytest.mark.parametrize(("function", "words"), [(of_list, "can make one itself"), (of_field, "in a signature only")])
def test_what_cannot_stay_on_the_host_is_refused(function: Any, words: str) -> None:
    """At registration, with what to write instead."""
    with pytest.raises(DefinitionError, match=f"{words}.*class of its own"):
        ToolRegistry([function])


def test_without_them_lists_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and nested lists are taken for a table and an array, and what a tool returned is passed on as it is."""
    with Session(tools=[load, total, grid, trace], sandbox="local", check="off") as session:
        seen = session.run("sales = load()\ntotal(sales), sum(row['sum'] for row in sales if row['shop'] == 'a')")
        assert seen.result == "(6, 4)", seen.text
        seen = session.run(
            "total([{'sum': 5}, {'sum': 6}]), total({'sum': [1]}), trace([[1, 2], [3, 4]]), trace(grid())"
        )
        assert seen.result == "(11, 1, 5.0, 2.0)", seen.text
        refused = session.run("trace('x')")
        assert refused.error is not None
        assert "'matrix' must be a ndarray, got 'x'" in refused.error.message
