"""Names of types: each is unique in its catalog."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any

from . import vocabulary


class TypeNames:
    """Gives types the names by which the model sees them."""

    def __init__(self, reserved: Collection[str]) -> None:
        self._names: dict[Any, str] = {}
        self._owners: dict[str, Any] = {}
        self._reserved = {*vocabulary.RESERVED, *reserved}

    @property
    def tables(self) -> tuple[dict[Any, Any], ...]:
        """What grows with each name, so that it can be taken back."""
        return (self._names, self._owners)

    def get(self, python: Any) -> str | None:
        """The name of a type; None where it has none yet."""
        return self._names.get(python)

    def claim(self, python: Any, toolkit: str | None) -> str:
        """Give ``python`` a name that nothing else has: its own, with its toolkit or module, or with a number."""
        own = python.__name__.rpartition(".")[2]
        module = str(getattr(python, "__module__", "") or "").rpartition(".")[2]
        prefixed = (_camel(each) + own for each in (toolkit or "", module) if each)
        numbered = (f"{own}{number}" for number in itertools.count(2))
        for name in itertools.chain([own], prefixed, numbered):
            if name not in self._owners and name not in self._reserved and name.isidentifier():
                return self.own(python, name)
        raise AssertionError("unreachable")

    def own(self, python: Any, name: str) -> str:
        """Give ``python`` this very name."""
        self._names[python] = name
        self._owners[name] = python
        return name

    def is_taken(self, name: str) -> bool:
        """Whether a type has the name."""
        return name in self._owners

    def reserve(self, names: Collection[str]) -> None:
        """Keep ``names`` free of types."""
        self._reserved.update(names)


def _camel(name: str) -> str:
    """``home_office`` as ``HomeOffice``."""
    return "".join(part[:1].upper() + part[1:] for part in name.replace(".", "_").replace("-", "_").split("_"))
