"""Loading installed toolkits by name, and making one registry of all that stands for tools."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import CodeActError, ConfigurationError, PluginError
from ..expressions import UNSET, Unset
from ..registry import ToolRegistry
from ..tools import API_LEVEL, Toolkit, ToolSpec
from .changes import compare, describe
from .installed import ENABLED, Found, InstalledToolkit, discover
from .locks import Lock, find_lock, locked, read_lock

ToolSource = str | Callable[..., Any] | Toolkit | ToolSpec | ToolRegistry
"""What stands for tools: an installed toolkit's name, a function, a toolkit, a finished specification, a registry."""

LockSource = Lock | Path | str | None | Unset
"""A lock, or its file; None: no lock; not given: the one that `find_lock` finds."""


def list_toolkits(*, load: bool = False, enabled: Collection[str] | None = None) -> list[InstalledToolkit]:
    """List the installed toolkits in the order of their names.

    Nothing is imported, so ``error`` holds only what metadata can tell: a name that several distributions claim, a
    module that is missing, a version of this library that it does not work with.

    Args:
        load: Also load each enabled toolkit, to find those that break on import; their error is recorded and the
            others are not affected.
        enabled: Only these may be loaded, and of these only those that the environment lets be loaded too.
    """
    return [_tried(found) if load else found.record for found in discover(enabled)]


def load_toolkit(name: str, *, enabled: Collection[str] | None = None, lock: LockSource = UNSET) -> Toolkit:
    """Import the installed toolkit ``name``.

    Args:
        name: Of the toolkit, as its entry point has it.
        enabled: As for `list_toolkits`.
        lock: What the toolkit must be like, see `find_lock` for the default. Only what the lock names is compared.

    Raises:
        PluginError: No such toolkit is installed or enabled, it is broken, or it has changed since it was locked; the
            message names the distribution, the cause and the remedy.
        ConfigurationError: The lock cannot be read.
    """
    found = discover(enabled)
    for each in found:
        if each.record.name == name:
            toolkit = _load(each)
            _compare(toolkit, each.record, find_lock() if isinstance(lock, Unset) else read_lock(lock))
            return toolkit
    raise PluginError(_unknown(name, [each.record.name for each in found]))


def resolve_tools(
    items: Iterable[ToolSource] | ToolRegistry, *, enabled: Collection[str] | None = None, lock: LockSource = UNSET
) -> ToolRegistry:
    """Make one registry of functions, toolkits, registries and names of installed toolkits.

    >>> resolve_tools([]).specs
    ()

    Args:
        items: What stands for tools.
        enabled: As for `list_toolkits`; restricts names alone.
        lock: As for `load_toolkit`.

    Raises:
        PluginError: A name is not that of a toolkit which can be loaded.
        RegistryError: Two tools claim one name.
        DefinitionError: A function cannot be a tool.
        ConfigurationError: ``items`` is a single name instead of a list of names, or a toolkit lacks a setting.
    """
    if isinstance(items, ToolRegistry):
        return items
    if isinstance(items, str):
        raise ConfigurationError(f"tools={items!r} is a string; pass a list: tools=[{items!r}].")
    return ToolRegistry(
        [load_toolkit(item, enabled=enabled, lock=lock) if isinstance(item, str) else item for item in items]
    )


def _load(found: Found) -> Toolkit:
    record = found.record
    if not record.enabled:
        named = os.environ.get(ENABLED)
        by_environment = named is not None and record.name not in map(str.strip, named.split(","))
        add = f"{ENABLED}={named!r}. Add it there, or unset the variable"
        raise PluginError(
            f"The toolkit {record.name!r} of the distribution {record.distribution!r} is installed but not enabled: "
            f"{add if by_environment else 'enabled= leaves it out'}."
        )
    try:
        return _import(found)
    except _Broken as broken:
        raise PluginError(
            f"The toolkit {record.name!r} of the distribution {record.distribution!r} {record.version} cannot be "
            f"loaded: {broken}. {broken.remedy or _another(record)}"
        ) from broken.__cause__


def _another(record: InstalledToolkit) -> str:
    return f"Install a version that works (pip install --upgrade {record.distribution}), or do not ask for it."


class _Broken(Exception):
    """Why a toolkit cannot be loaded: the end of a sentence, without its full stop."""

    def __init__(self, cause: str, *, remedy: str = "") -> None:
        super().__init__(cause)
        self.remedy = remedy


def _import(found: Found) -> Toolkit:
    """Import one toolkit and check that it is what its entry point promises."""
    record = found.record
    if record.error is not None:
        cause, clash, _ = record.error.partition("; uninstall one")
        raise _Broken(cause, remedy="Uninstall one of them, or do not ask for it." if clash else "")
    try:
        toolkit = found.entry_point.load()
    except CodeActError as error:
        raise _Broken(str(error).rstrip(".")) from error
    except (Exception, SystemExit) as error:
        raise _Broken(f"importing {record.target!r} raised {raised(error)}") from error
    if not isinstance(toolkit, Toolkit):
        raise _Broken(f"{record.target!r} is of type {type(toolkit).__name__!r}, not a Toolkit")
    if toolkit.name != record.name:
        raise _Broken(f"its entry point is named {record.name!r}, but the toolkit {toolkit.name!r}")
    if toolkit.api > API_LEVEL:
        upgrade = "Upgrade this library (pip install --upgrade codeact-tools)"
        raise _Broken(
            f"it is written for level {toolkit.api} of the toolkit API, and codeact-tools {__version__} has level "
            f"{API_LEVEL}",
            remedy=f"{upgrade}, or install an older {record.distribution}.",
        )
    return toolkit


def raised(error: BaseException) -> str:
    """What importing somebody's module raised, with the file and line of it, in a few words."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{type(error).__name__}: {error.msg} (in {error.filename}, line {error.lineno})"
    text = f"{type(error).__name__}: {error}".rstrip(".")
    frames = traceback.extract_tb(error.__traceback__)
    imports = [number for number, each in enumerate(frames) if each.filename.startswith("<frozen importlib")]
    inside = [each for each in frames[imports[0] :] if not each.filename.startswith("<")] if imports else []
    return f"{text} (in {inside[-1].filename}, line {inside[-1].lineno})" if inside else text


def _tried(found: Found) -> InstalledToolkit:
    """Return the record with the error of loading it, where there is one."""
    record = found.record
    if record.error is not None or not record.enabled:
        return record
    try:
        _import(found)
    except _Broken as broken:
        return replace(record, error=str(broken))
    return record


def _compare(toolkit: Toolkit, record: InstalledToolkit, lock: Lock | None) -> None:
    """Refuse a toolkit that is not as it was locked.

    Raises:
        PluginError: With what has changed.
    """
    accepted = lock.toolkits.get(toolkit.name) if lock is not None else None
    if lock is None or accepted is None:
        return
    changes = compare(toolkit.name, accepted, locked(toolkit, record))
    if not changes:
        return
    file = f" --file {lock.path}" if lock.path is not None else ""
    raise PluginError(
        f"The toolkit {toolkit.name!r} of the distribution {record.distribution!r} {record.version} is not what "
        f"{str(lock.path or 'the lock')!r} holds ({accepted.distribution} {accepted.version}):\n{describe(changes)}\n"
        f"Read the changes; whoever wrote them speaks to your model. To accept them: "
        f"codeact-tools toolkits lock --accept {toolkit.name}{file}"
    )


def _unknown(name: str, installed: list[str]) -> str:
    message = f"No toolkit {name!r} is installed"
    if near := get_close_matches(name, installed, n=3):
        return f"{message}; did you mean {' or '.join(map(repr, near))}?"
    known = f"installed are {', '.join(map(repr, installed))}" if installed else "none is"
    return f"{message}; {known}; see `codeact-tools toolkits list`."
