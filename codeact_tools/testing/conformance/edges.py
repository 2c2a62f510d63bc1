"""Values at the limits of a type: what a caller may send, though no example does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from ...expressions import Constrained, Generic, Name, Ref, TypeExpr, Union

_PLAIN: Final[dict[str, tuple[Any, ...]]] = {
    "str": ("", " ", "\0", "\N{LATIN SMALL LETTER E WITH ACUTE}\u202e", "../../etc/passwd", "%s'\";--", "x" * 5000),
    "bytes": (b"", b"\0\xff"),
    "int": (0, -1, 10**6),
    "float": (0.0, -1.0, 1e300, float("inf"), float("nan")),
    "bool": (True, False),
    "date": (date.min, date.max),
    "datetime": (datetime.min, datetime.max),
    "time": (time.min, time.max),
    "timedelta": (timedelta(0), timedelta(days=-1), timedelta.max),
    "Decimal": (Decimal(0), Decimal(-1), Decimal("1e300"), Decimal("NaN")),
    "None": (None,),
}
_EMPTY: Final[dict[str, Any]] = {"list": [], "dict": {}, "set": set(), "Sequence": [], "Iterable": [], "Mapping": {}}


def edge_values(expression: TypeExpr) -> Iterator[Any]:
    """Yield values that the type takes, and that are unusual; constraints may still refuse some.

    >>> from codeact_tools.expressions import Name, Union
    >>> list(edge_values(Union((Name("bool"), Name("None")))))
    [True, False, None]
    """
    match expression:
        case Name(text=name) | Ref(name=name):
            yield from _PLAIN.get(name, ())
        case Constrained(base=base):
            yield from edge_values(base)
        case Union(options=options):
            for option in options:
                yield from edge_values(option)
        case Generic(origin=origin, arguments=arguments):
            if origin in _EMPTY:
                yield type(_EMPTY[origin])()
            if origin in ("list", "Sequence", "Iterable"):
                for value in edge_values(arguments[0]):
                    yield [value]
