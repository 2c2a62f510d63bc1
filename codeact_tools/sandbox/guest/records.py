"""Typed values of the tools, as an action sees them: objects with fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

Defaults = dict[str, Callable[[], Any]]


class Record:
    """Base of the value classes: fields as attributes, equality, a readable repr, matching by position."""

    _fields: ClassVar[tuple[str, ...]] = ()
    """All fields in order."""
    _arguments: ClassVar[tuple[str, ...]] = ()
    """Those that the constructor takes."""
    _sent: ClassVar[frozenset[str]] = frozenset()
    """Those that are sent back to the host, which makes the others anew."""
    _optional: ClassVar[frozenset[str]] = frozenset()
    """Those that the host fills where they are left out."""
    _defaults: ClassVar[Defaults] = {}
    _by_position: ClassVar[tuple[str, ...]] = ()
    """Those that the constructor takes by position, too."""
    _frozen: ClassVar[bool] = False
    _extra: ClassVar[bool] = False
    """Whether it takes fields that it does not name."""
    _signature_text: ClassVar[str] = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        cls = type(self)
        if args and not cls._by_position:
            raise TypeError(f"{cls.__name__} takes its fields by name: {cls._signature_text}")
        if len(args) > len(cls._by_position):
            count = len(cls._by_position)
            raise TypeError(f"{cls.__name__} takes {count} fields by position, got {len(args)}: {cls._signature_text}")
        values = dict(zip(cls._by_position, args, strict=False))
        for name, value in kwargs.items():
            if name not in cls._arguments and not cls._extra:
                raise TypeError(f"{cls.__name__} has no field {name!r}{nearest(name, cls._arguments)}")
            if name in values:
                raise TypeError(f"{cls.__name__} got two values for {name!r}")
            values[name] = value
        missing = [n for n in cls._arguments if n not in values and n not in cls._defaults and n not in cls._optional]
        if missing:
            raise TypeError(f"{cls.__name__} needs {', '.join(map(repr, missing))}: {cls._signature_text}")
        for name in cls._arguments:
            if name in values:
                self.__dict__[name] = values[name]
            elif name in cls._defaults:
                self.__dict__[name] = cls._defaults[name]()
        for name in values.keys() - set(cls._fields):
            self.__dict__[name] = values[name]

    @classmethod
    def _received(cls, fields: dict[str, Any]) -> Record:
        record = cls.__new__(cls)
        record.__dict__.update(fields)
        return record

    def _sendable(self) -> dict[str, Any]:
        values = self.__dict__
        return {name: value for name, value in values.items() if name in self._sent or name not in self._fields}

    def __getattr__(self, name: str) -> Any:
        cls = type(self)
        if name in cls._fields:
            raise AttributeError(f"{cls.__name__}.{name} has no value here: the host fills it", name=name, obj=self)
        hint = nearest(name, cls._fields) if not name.startswith("__") else ""
        raise AttributeError(f"{cls.__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        cls = type(self)
        if cls._frozen:
            raise AttributeError(f"{cls.__name__} is immutable; make a new one with the changed field")
        if name not in cls._fields and not cls._extra:
            raise AttributeError(f"{cls.__name__} has no field {name!r}{nearest(name, cls._fields)}")
        self.__dict__[name] = value
        for made in set(cls._fields).difference(cls._arguments, (name,)):
            self.__dict__.pop(made, None)  # the constructor made it of what was there before

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a field of {type(self).__name__} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        if not self._frozen:
            raise TypeError(f"unhashable type: {type(self).__name__!r}")
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        import reprlib

        return reprlib.recursive_repr(f"{type(self).__name__}(...)")(_record_repr)(self)


def _record_repr(record: Record) -> str:
    fields = ", ".join(f"{name}={value!r}" for name, value in vars(record).items())
    return f"{type(record).__name__}({fields})"


class Handle:
    """Something that stays on the host: it can be passed to other tools, and looked at, not opened."""

    __slots__ = ("_id", "_text")

    def __init__(self, id: str, text: str) -> None:  # noqa: A002 - the wire's word
        self._id = id
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and other._id == self._id

    def __hash__(self) -> int:
        return hash(self._id)


def nearest(name: str, names: tuple[str, ...] | list[str]) -> str:
    """A sentence that names the nearest of ``names``, or all of them where they are few."""
    if not names:
        return ""
    import difflib

    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f". Did you mean: {close[0]!r}?"
    return f". There is: {', '.join(names)}" if len(names) <= 20 else ""
