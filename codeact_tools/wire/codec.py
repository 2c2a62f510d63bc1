"""Values to wire and back, for one session."""

from __future__ import annotations

from typing import Any

from ..expressions import TypeExpr
from ..signatures import Catalog
from .decoding import Decoder
from .encoding import Encoder
from .handles import Handles
from .scalars import MAX_DEPTH, Json, WireError


class Codec:
    """Encodes and decodes values of plain Python, of the standard library's value types, and of a catalog's classes.

    One codec belongs to one session: it holds the values that stay on the host, and gives out handles to them.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._handles = Handles(catalog.large)
        self._encoder = Encoder(catalog, self._handles)
        self._decoder = Decoder(catalog, self._handles, self._encoder)

    def encode(self, value: Any) -> Json:
        """Return the value as JSON.

        Raises:
            WireError: It, or a part of it, cannot cross.
        """
        return self._encoder.encode(value)

    def encode_as(self, value: Any, expression: TypeExpr) -> Json:
        """`encode`, where the expression tells which tables, arrays and images stay on the host.

        Raises:
            WireError: As `encode`.
        """
        return self._encoder.encode(self._handles.kept(value, expression))

    def decode(self, value: Json) -> Any:
        """Return the value that the JSON stands for.

        Raises:
            WireError: It stands for none.
        """
        try:
            return self._decoder.decode(value)
        except RecursionError:
            raise WireError(f"it is nested deeper than {MAX_DEPTH} levels") from None

    def adopt(self, key: str, value: object) -> None:
        """Let ``value`` stand behind the handle ``key``, which an earlier process gave out."""
        self._handles.adopt(key, value)

    def release(self) -> None:
        """Forget the values that stay on the host; their handles are worth nothing afterwards."""
        self._handles.release()
