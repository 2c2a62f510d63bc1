"""Values that stay on the host: which they are, and what an action has in their place."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..expressions import Constrained, Generic, Name, Ref, TypeExpr, Union
from .scalars import Json, WireError, clean


class Kept(NamedTuple):
    """A value that stays on the host though its class could cross."""

    name: str
    """Of its handle."""
    value: Any


class Handles:
    """The values of one session that stay on the host, by the keys that stand for them in the guest.

    Args:
        large: Classes that cross as values, by the names of their handles where they are `Opaque`.
    """

    def __init__(self, large: Mapping[str, type[Any]]) -> None:
        self._large = large
        self._held: dict[str, object] = {}
        self._keys: dict[int, str] = {}

    def kept(self, value: Any, expression: TypeExpr) -> Any:
        """The value, with `Kept` for each table, array and image in it that the expression leaves on the host."""
        return self._kept(value, expression) if self._large else value

    def _kept(self, value: Any, expression: TypeExpr) -> Any:
        match expression:
            case Ref(name=name) if (cls := self._large.get(name)) is not None:
                return Kept(name, value) if isinstance(value, cls) else value
            case Constrained(base=base):
                return self._kept(value, base)
            case Union(options=options):
                return next((kept for each in options if (kept := self._kept(value, each)) is not value), value)
            case Generic(origin="list" | "Sequence" | "Iterable", arguments=(item,)) if isinstance(value, list | tuple):
                return [self._kept(each, item) for each in value]
            case Generic(origin="dict" | "Mapping", arguments=(_, item)) if isinstance(value, dict):
                return {key: self._kept(each, item) for key, each in value.items()}
            case Generic(origin="tuple", arguments=(item, Name(text="..."))) if isinstance(value, tuple):
                return tuple(self._kept(each, item) for each in value)
            case Generic(origin="tuple", arguments=items) if isinstance(value, tuple) and len(items) == len(value):
                return tuple(self._kept(each, item) for each, item in zip(value, items, strict=True))
        return value

    def encode(self, name: str, value: object) -> Json:
        """The handle of a value."""
        key = self._keys.get(id(value))
        if key is None:
            key = secrets.token_urlsafe(16)
            self.adopt(key, value)
        return {"$": "handle", "t": name, "v": {"id": key, "repr": clean(self._label(name, value)[:500])}}

    def decode(self, key: str) -> object:
        """The value of a handle.

        Raises:
            WireError: There is none.
        """
        if key not in self._held:
            raise WireError("the handle belongs to no value of the session; if the run was resumed, get it again")
        return self._held[key]

    def adopt(self, key: str, value: object) -> None:
        """Let ``value`` stand behind the handle ``key``."""
        self._keys[id(value)] = key
        self._held[key] = value

    def release(self) -> None:
        """Forget all values."""
        self._held.clear()
        self._keys.clear()

    def _label(self, name: str, value: object) -> str:
        """What the action sees of a value that stays on the host."""
        if name in self._large:
            shape = getattr(value, "shape", getattr(value, "size", ()))
            return f"<{name}: {' x '.join(map(str, shape))}>"
        if type(value).__repr__ is object.__repr__:  # an address of the host is nobody's business
            return f"<{name}>"
        try:
            return repr(value)
        except Exception:  # the value is good even where its class cannot show it
            return f"<{name}>"
