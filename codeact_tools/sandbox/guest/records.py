"""Typed values of the tools, as an action sees them: objects with fields."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from typing import Any, ClassVar

Defaults = dict[str, Callable[[], Any]]


class Record:
    """Base of the value classes: fields as attributes, equality, a readable repr, matching by position."""

    _fields: ClassVar[dict[str, str]] = {}
    """All fields in order, with their annotations."""
    _arguments: ClassVar[tuple[str, ...]] = ()
    """Those that the constructor takes."""
    _sent: ClassVar[frozenset[str]] = frozenset()
    """Those that are sent back to the host, which makes the others anew."""
    _optional: ClassVar[frozenset[str]] = frozenset()
    """Those that the host fills where they are left out."""
    _initial: ClassVar[frozenset[str]] = frozenset()
    """Those that only the constructor knows: a dataclass's ``InitVar``."""
    _defaults: ClassVar[Defaults] = {}
    _by_position: ClassVar[tuple[str, ...]] = ()
    """Those that the constructor takes by position, too."""
    _frozen: ClassVar[bool] = False
    _ordered: ClassVar[bool] = False
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
        self.__dict__.update((name, value) for name, value in values.items() if name not in cls._fields)

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
            raise _frozen(f"{cls.__name__} is immutable; make a new one with the changed field")
        if name not in cls._fields and not cls._extra and "_fields" in vars(cls):
            raise AttributeError(f"{cls.__name__} has no field {name!r}{nearest(name, cls._fields)}")
        self.__dict__[name] = value
        for made in set(cls._fields).difference(cls._arguments, (name,)):
            self.__dict__.pop(made, None)  # the constructor made it of what was there before

    def __delattr__(self, name: str) -> None:
        cls = type(self)
        error = _frozen if cls._frozen else AttributeError
        raise error(f"a field of {cls.__name__} cannot be deleted")

    def __replace__(self, /, **changes: Any) -> Record:
        """For ``copy.replace``."""
        cls = type(self)
        kept = {name: value for name, value in vars(self).items() if name in cls._arguments or name not in cls._fields}
        return cls(**kept | changes)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, others = self.__dict__, other.__dict__
        if not mine.keys() ^ others.keys():
            return mine == others
        decisive = self._decisive()
        if any(name in decisive or name not in self._fields for name in mine.keys() ^ others.keys()):
            return False  # what only one of them has is no matter where it is made of the others
        return all(mine[name] == others[name] for name in mine.keys() & others.keys())

    def __hash__(self) -> int:
        return hash((type(self), *map(self.__dict__.get, self._decisive())))

    def _decisive(self) -> tuple[str, ...]:
        """The fields that are a part of every instance, wherever it was made."""
        return tuple(name for name in self._arguments if name not in self._initial)

    def __repr__(self) -> str:
        import reprlib

        return reprlib.recursive_repr(f"{type(self).__name__}(...)")(_record_repr)(self)


def _record_repr(record: Record) -> str:
    fields = ", ".join(f"{name}={value!r}" for name, value in vars(record).items())
    return f"{type(record).__name__}({fields})"


Record.__annotations__ = {}  # so that `typing.get_type_hints` gives the fields alone


def _frozen(message: str) -> AttributeError:
    import dataclasses

    return dataclasses.FrozenInstanceError(message)


def _comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Record, object], Any]:
    def method(self: Record, other: object) -> Any:
        if type(other) is not type(self):
            return NotImplemented
        return compare(*([getattr(each, name) for name in self._decisive()] for each in (self, other)))

    return method


ORDER = {f"__{each.__name__}__": _comparison(each) for each in (operator.lt, operator.le, operator.gt, operator.ge)}
"""Methods of the classes that are ordered, by one field after the other."""


class OfDataclass:
    """An attribute by which `dataclasses` knows its own; made when it is asked for, which few actions do.

    An instance has those fields that have a value here: not what only the host fills, and also what its class does not
    name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, record: Record | None, cls: type[Record]) -> Any:
        made = getattr(_dataclass(cls), self._name)
        if record is None or self._name != "__dataclass_fields__" or vars(record).keys() == made.keys():
            return made
        others = tuple(name for name in vars(record) if name not in made)
        more = getattr(_as_dataclass(cls, others), self._name) if others else {}
        return {name: field for name, field in {**made, **more}.items() if name in vars(record)}


def _dataclass(cls: Any) -> type:
    if "_dataclass" not in vars(cls):
        cls._dataclass = _as_dataclass(cls, tuple(cls._fields))
    made: type = cls._dataclass
    return made


def _as_dataclass(cls: type[Record], names: tuple[str, ...]) -> type:
    """An empty dataclass whose fields of these names are as those of ``cls``, and which has its options."""
    import dataclasses

    initial: Any = dataclasses.InitVar
    namespace: dict[str, Any] = {"__module__": "tools", "__annotations__": {}}
    for name in names:
        annotation = cls._fields.get(name, "Any")
        namespace["__annotations__"][name] = initial(annotation) if name in cls._initial else annotation
        is_made = name in cls._fields and name not in cls._arguments
        options: dict[str, Any] = {"init": not is_made, "repr": not is_made, "compare": not is_made}
        if name in cls._optional and not is_made:
            options["default_factory"] = _left_to_the_host
        elif name in cls._defaults:
            value = cls._defaults[name]()
            is_plain = type(value).__hash__ is not None
            options |= {"default": value} if is_plain else {"default_factory": cls._defaults[name]}
        namespace[name] = dataclasses.field(kw_only=name not in cls._by_position, **options)
    made = type(cls.__name__, (), namespace)
    return dataclasses.dataclass(init=False, frozen=cls._frozen, order=cls._ordered)(made)


def _left_to_the_host() -> Any:
    raise TypeError("only the host can make the default of this field; give it a value")


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


def nearest(name: str, names: Collection[str]) -> str:
    """A sentence that names the nearest of ``names``, or all of them where they are few."""
    if not names:
        return ""
    import difflib

    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f". Did you mean: {close[0]!r}?"
    return f". There is: {', '.join(names)}" if len(names) <= 20 else ""
