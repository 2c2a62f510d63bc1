"""The module ``tools`` and its toolkits, built from the host's manifest."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .callables import KINDS, Entry, Tool
from .classes import build_class
from .errors import ERRORS
from .records import Record, nearest
from .values import Codec

if TYPE_CHECKING:
    from .link import Link


class ToolsModule(ModuleType):
    """``tools`` or one of its toolkits."""

    def __init__(self, name: str, doc: str) -> None:
        super().__init__(name, doc)
        self.__path__: list[str] = []
        self._ambiguous: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        if name in self._ambiguous:
            raise AttributeError(f"several toolkits have {name!r}; write {self._ambiguous[name]}", name=name, obj=self)
        hint = nearest(name, self._names()) if not name.startswith("__") else ""
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}{hint}", name=name, obj=self)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{self.__name__}.{name} cannot be deleted", name=name, obj=self)

    def __dir__(self) -> list[str]:
        return self._names()

    def _names(self) -> list[str]:
        return sorted(name for name in vars(self) if name[0] != "_")

    def __repr__(self) -> str:
        return f"<module {self.__name__!r}>"


def build(manifest: Entry, link: Link, codec: Codec) -> dict[str, Any]:
    """Make the modules known to the import system, and return the names to bind for an action."""
    root = ToolsModule("tools", "The tools of the session.")
    modules: dict[str | None, ToolsModule] = {None: root}
    for error in ERRORS:
        codec.register(error.__name__, error, "")
        setattr(root, error.__name__, error)
        error.__module__ = "tools"
    for entry in manifest["types"]:
        cls = build_class(entry, codec)
        codec.register(entry["name"], cls, entry["kind"])
        setattr(root, entry["name"], cls)
        if entry.get("toolkit"):
            setattr(_module(modules, entry["toolkit"]), entry["name"], cls)
    owners: dict[str, list[Entry]] = {}
    for entry in manifest["tools"]:
        tool = KINDS[entry["kind"]](entry, link, codec)
        owners.setdefault(entry["name"], []).append(entry)
        setattr(root, entry["name"], tool)
        if entry.get("toolkit"):
            setattr(_module(modules, entry["toolkit"]), entry["name"], tool)
    for name, entries in owners.items():
        if len(entries) > 1:
            del vars(root)[name]
            root._ambiguous[name] = " or ".join(f"tools.{entry['qualified']}" for entry in entries)
    for toolkit, module in modules.items():
        sys.modules[f"tools.{toolkit}" if toolkit else "tools"] = module
    bound = {name: value for name, value in vars(root).items() if name[0] != "_" and not isinstance(value, ModuleType)}
    return {"tools": root, **bound}


def _module(modules: dict[str | None, ToolsModule], toolkit: str) -> ToolsModule:
    if toolkit not in modules:
        module = modules[toolkit] = ToolsModule(f"tools.{toolkit}", f"The toolkit {toolkit!r}.")
        setattr(modules[None], toolkit, module)
    return modules[toolkit]


def show_help(thing: Any = None) -> None:
    """Print what is known about a tool, a type, or anything else."""
    if isinstance(thing, Tool):
        print(f"{thing._text()}\n\n{thing.__doc__ or ''}".rstrip())  # noqa: T201 - it answers the action
    elif isinstance(thing, type) and issubclass(thing, Record):
        print(f"{thing._signature_text}\n\n{thing.__doc__ or ''}".rstrip())  # noqa: T201
    elif isinstance(thing, ToolsModule) or thing is None:
        print(_contents(sys.modules["tools"] if thing is None else thing))  # noqa: T201
    else:
        import pydoc
        import re

        print(re.sub(".\b", "", pydoc.render_doc(thing)))  # noqa: T201


def _contents(module: ModuleType) -> str:
    return "\n".join(value._text() for value in vars(module).values() if isinstance(value, Tool))
