"""Installed toolkits: found by their entry point without importing anything, loaded lazily by name.

A distribution publishes a `Toolkit` in the entry point group ``codeact_tools.toolkits``::

    [project.entry-points."codeact_tools.toolkits"]
    finance = "finance_tools:toolkit"

and an application asks for it by that name: ``CodeActAgent(tools=["finance"])``.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

from .errors import CodeActError, ConfigurationError, PluginError
from .registry import ToolRegistry
from .tools import Toolkit, ToolSpec

GROUP = "codeact_tools.toolkits"
"""The entry point group."""

ENABLED = "CODEACT_TOOLS_TOOLKITS"
"""Environment variable with the names, separated by commas, of the toolkits that may be loaded. Unset: all of them."""

ToolSource = str | Callable[..., Any] | Toolkit | ToolSpec | ToolRegistry
"""What stands for tools: an installed toolkit's name, a function, a toolkit, a finished specification, a registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledToolkit:
    """What the metadata of the installed distributions says of one toolkit; nothing of it has been imported."""

    name: str
    distribution: str
    version: str
    """The distribution's version."""
    target: str
    """Where the `Toolkit` is: ``module:attribute``."""
    enabled: bool = True
    """Whether `ENABLED` lets it be loaded."""
    error: str | None = None
    """Why it cannot be loaded, as far as that is known."""


def list_toolkits(*, load: bool = False) -> list[InstalledToolkit]:
    """List the installed toolkits in the order of their names.

    Nothing is imported, so ``error`` holds only what metadata can tell: a name that several distributions claim, a
    module that is missing.

    Args:
        load: Also load each enabled toolkit, to find those that break on import; their error is recorded and the
            others are not affected.
    """
    return [_tried(record, entry_point) if load else record for record, entry_point in _discover()]


def load_toolkit(name: str) -> Toolkit:
    """Import the installed toolkit ``name``.

    Raises:
        PluginError: No such toolkit is installed or enabled, or it is broken; the message names the distribution, the
            cause and the remedy.
    """
    found = _discover()
    for record, entry_point in found:
        if record.name == name:
            return _load(record, entry_point)
    raise PluginError(_unknown(name, [record.name for record, _ in found]))


def resolve_tools(items: Iterable[ToolSource] | ToolRegistry) -> ToolRegistry:
    """Make one registry of functions, toolkits, registries and names of installed toolkits.

    >>> resolve_tools([]).specs
    ()

    Raises:
        PluginError: A name is not that of a toolkit which can be loaded.
        RegistryError: Two tools claim one name.
        DefinitionError: A function cannot be a tool.
        ConfigurationError: ``items`` is a single name instead of a list of names.
    """
    if isinstance(items, ToolRegistry):
        return items
    if isinstance(items, str):
        raise ConfigurationError(f"tools={items!r} is a string; pass a list: tools=[{items!r}].")
    return ToolRegistry([load_toolkit(item) if isinstance(item, str) else item for item in items])


def _discover() -> list[tuple[InstalledToolkit, EntryPoint]]:
    """Return all entry points of the group, by name, each with what its metadata tells."""
    by_name: defaultdict[str, list[EntryPoint]] = defaultdict(list)
    for entry_point in entry_points(group=GROUP):
        by_name[entry_point.name].append(entry_point)
    return [
        (_record(entry_point, by_name[name]), entry_point) for name in sorted(by_name) for entry_point in by_name[name]
    ]


def _record(entry_point: EntryPoint, claims: list[EntryPoint]) -> InstalledToolkit:
    distribution, version = _owner(entry_point)
    record = InstalledToolkit(
        name=entry_point.name,
        distribution=distribution,
        version=version,
        target=entry_point.value,
        enabled=_is_enabled(entry_point.name),
    )
    if len(claims) > 1:
        owners = " and ".join(sorted(repr(_owner(claim)[0]) for claim in claims))
        return replace(record, error=f"the distributions {owners} both provide {entry_point.name!r}; uninstall one")
    if not entry_point.name.isidentifier():
        return replace(record, error=f"its name {entry_point.name!r} is not a Python identifier")
    package = entry_point.value.partition(":")[0].partition(".")[0].strip()
    if not package or (package not in sys.modules and find_spec(package) is None):
        return replace(record, error=f"the module {package!r} that it names is not there")
    return record


def _owner(entry_point: EntryPoint) -> tuple[str, str]:
    """Return name and version of the distribution, with one look at its metadata."""
    if entry_point.dist is None:
        return "unknown", "unknown"
    metadata = entry_point.dist.metadata
    return metadata["Name"], metadata["Version"]


def _is_enabled(name: str) -> bool:
    enabled = os.environ.get(ENABLED)
    return enabled is None or name in {part.strip() for part in enabled.split(",")}


def _load(record: InstalledToolkit, entry_point: EntryPoint) -> Toolkit:
    if not record.enabled:
        raise PluginError(
            f"The toolkit {record.name!r} of the distribution {record.distribution!r} is installed but not enabled: "
            f"{ENABLED}={os.environ[ENABLED]!r}. Add it there, or unset the variable."
        )
    try:
        return _import(record, entry_point)
    except _Broken as broken:
        raise PluginError(
            f"The toolkit {record.name!r} of the distribution {record.distribution!r} {record.version} cannot be "
            f"loaded: {broken}. Install a version that works (pip install --upgrade {record.distribution}), or do not "
            f"ask for it."
        ) from broken.__cause__


class _Broken(Exception):
    """Why a toolkit cannot be loaded: the end of a sentence, without its full stop."""


def _import(record: InstalledToolkit, entry_point: EntryPoint) -> Toolkit:
    """Import one toolkit and check that it is what its entry point promises."""
    if record.error is not None:
        raise _Broken(record.error)
    try:
        toolkit = entry_point.load()
    except CodeActError as error:
        raise _Broken(str(error).rstrip(".")) from error
    except (Exception, SystemExit) as error:
        raise _Broken(f"importing {record.target!r} raised {type(error).__name__}: {error}".rstrip(".")) from error
    if not isinstance(toolkit, Toolkit):
        raise _Broken(f"{record.target!r} is of type {type(toolkit).__name__!r}, not a Toolkit")
    if toolkit.name != record.name:
        raise _Broken(f"its entry point is named {record.name!r}, but the toolkit {toolkit.name!r}")
    return toolkit


def _tried(record: InstalledToolkit, entry_point: EntryPoint) -> InstalledToolkit:
    """Return ``record`` with the error of loading it, where there is one."""
    if record.error is not None or not record.enabled:
        return record
    try:
        _import(record, entry_point)
    except _Broken as broken:
        return replace(record, error=str(broken))
    return record


def _unknown(name: str, installed: list[str]) -> str:
    message = f"No toolkit {name!r} is installed"
    if near := get_close_matches(name, installed, n=3):
        return f"{message}; did you mean {' or '.join(map(repr, near))}?"
    known = f"installed are {', '.join(map(repr, installed))}" if installed else "none is"
    return f"{message}; {known}. Toolkits are packages: try pip install codeact-tools-{name}."
