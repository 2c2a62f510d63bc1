"""Which types the contract knows by name, and what to write instead of those that cannot cross to an action."""

from __future__ import annotations

import builtins
import collections
import collections.abc as abc
import datetime
import decimal
import fractions
import keyword
import pathlib
import re
import typing
import uuid
from typing import Any, Final

import typing_extensions
from pydantic import networks
from pydantic import types as pydantic_types

ALWAYS_IMPORTABLE: Final = ("tools", "__future__", "asyncio", "typing")
"""What every action may import: the tools, and what it takes to await several together and to annotate."""

BUILTIN: Final[dict[Any, str]] = {
    bool: "bool", int: "int", float: "float", complex: "complex", str: "str", bytes: "bytes", object: "object",
    type(None): "None", None: "None", Any: "Any", typing.LiteralString: "str", typing_extensions.LiteralString: "str",
    typing.NoReturn: "Never", typing.Never: "Never",
}  # fmt: skip

IMPORTS: Final[dict[Any, str]] = {
    datetime.date: "datetime", datetime.datetime: "datetime", datetime.time: "datetime", datetime.timedelta: "datetime",
    datetime.timezone: "datetime", decimal.Decimal: "decimal", fractions.Fraction: "fractions", uuid.UUID: "uuid",
    pathlib.Path: "pathlib", pathlib.PurePath: "pathlib", pathlib.PurePosixPath: "pathlib", re.Pattern: "re",
}  # fmt: skip
"""Classes of the standard library that the action imports by itself, and their modules."""

COMPANIONS: Final[dict[Any, tuple[type, ...]]] = {
    datetime.date: (datetime.timedelta,),
    datetime.datetime: (datetime.timedelta, datetime.timezone),
    datetime.time: (datetime.timezone,),
}
"""What the action needs in order to compute with a class of the standard library, and imports along with it."""

FOREIGN: Final = {
    ("numpy", "ndarray"): "numpy",
    ("pandas.core.frame", "DataFrame"): "pandas",
    ("pandas", "DataFrame"): "pandas",
    ("pandas.core.series", "Series"): "pandas",
    ("pandas", "Series"): "pandas",
    ("PIL.Image", "Image"): "PIL.Image",
}
"""Classes of other libraries that cross as themselves, by module and name, and where the guest imports them from."""

WITHOUT: Final = {
    "ndarray": "nested lists",
    "DataFrame": "a list of rows as dictionaries",
    "Series": "a list of rows as dictionaries",
    "Image": "a PNG with save(path)",
}
"""What stands in an action for the classes of `FOREIGN` where their library is not in the sandbox."""


def is_foreign(cls: Any) -> bool:
    """Whether a class is one of `FOREIGN`."""
    return isinstance(cls, type) and (cls.__module__, cls.__qualname__) in FOREIGN


CONTAINERS: Final[dict[Any, str]] = {
    list: "list", set: "set", frozenset: "frozenset", dict: "dict", tuple: "tuple",
    abc.Sequence: "Sequence", abc.MutableSequence: "list", abc.Mapping: "Mapping", abc.MutableMapping: "dict",
    abc.Iterable: "Iterable", abc.Collection: "Sequence", abc.Set: "AbstractSet", abc.MutableSet: "set",
    abc.Iterator: "Iterator", abc.AsyncIterator: "AsyncIterator", abc.AsyncIterable: "AsyncIterator",
    abc.Generator: "Iterator", abc.AsyncGenerator: "AsyncIterator",
}  # fmt: skip

STREAMS: Final = frozenset({"Iterator", "AsyncIterator"})
"""Containers whose items come one by one: results of tools only."""

ARITY: Final = {"dict": 2, "Mapping": 2}

NOTED: Final[dict[Any, tuple[Any, str]]] = {
    pydantic_types.AwareDatetime: (datetime.datetime, "#with a time zone"),
    pydantic_types.NaiveDatetime: (datetime.datetime, "#without a time zone"),
    pydantic_types.PastDate: (datetime.date, "#in the past"),
    pydantic_types.FutureDate: (datetime.date, "#in the future"),
    pydantic_types.PastDatetime: (datetime.datetime, "#in the past"),
    pydantic_types.FutureDatetime: (datetime.datetime, "#in the future"),
    networks.EmailStr: (str, "#an e-mail address"),
}
"""Pydantic's own types that are a plain type with a condition."""

ADVICE: Final[dict[Any, str]] = {
    abc.Callable: "a function cannot cross; bind it with functools.partial, or take a Literal that names it",
    type: "a class cannot cross; take a Literal that names it",
    abc.Awaitable: "declare the tool 'async def' and annotate what it returns in the end",
    abc.Coroutine: "declare the tool 'async def' and annotate what it returns in the end",
    bytearray: "write 'bytes'",
    memoryview: "write 'bytes'",
    collections.deque: "write 'list'",
    collections.defaultdict: "write 'dict'",
    collections.OrderedDict: "write 'dict'",
    collections.Counter: "write 'dict'",
    typing_extensions.Self: "name the class",
    typing.Self: "name the class",
    pydantic_types.SecretStr: "secrets stay on the host; read it from the environment, or take it by Depends",
    pydantic_types.SecretBytes: "secrets stay on the host; read it from the environment, or take it by Depends",
}
"""What to do about types that have no counterpart in an action."""

RESERVED: Final = frozenset(
    {*dir(builtins), *keyword.kwlist, *keyword.softkwlist, "tools"}
    | {"date", "datetime", "time", "timedelta", "timezone", "Decimal", "Fraction", "UUID", "Path", "PurePath"}
    | {"PurePosixPath", "Pattern", "Any", "Annotated", "Literal", "Sequence", "Mapping", "Iterable", "Iterator"}
    | {"AsyncIterator", "AbstractSet", "Never", "Generic", "TypeVar", "TypeAlias", "NamedTuple", "TypedDict"}
    | {"NotRequired", "InitVar", "dataclass", "Enum", "StrEnum", "IntEnum", "Flag", "IntFlag"}
    | {"ToolError", "ToolFailed", "InvalidCall", "ToolTimeout", "ToolDenied", "InvalidResult"}
)
"""Names that mean something else where definitions stand."""
PATTERN: Final = re.Pattern
