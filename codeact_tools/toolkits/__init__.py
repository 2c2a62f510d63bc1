"""Installed toolkits: found by their entry point without importing anything, loaded lazily by name, held by a lock.

A distribution publishes a `Toolkit` in the entry point group ``codeact_tools.toolkits``::

    [project.entry-points."codeact_tools.toolkits"]
    finance = "finance_tools:toolkit"

and an application asks for it by that name: ``CodeActAgent(tools=["finance"])``.

- `installed`: what the metadata says; `loading`: importing by name, one registry of all sources;
- `locks`: the file that holds what was accepted; `changes`: how two states of a toolkit differ.
"""

from .changes import Change, compare, compare_locks, describe
from .installed import ENABLED, GROUP, InstalledToolkit
from .loading import LockSource, ToolSource, list_toolkits, load_toolkit, resolve_tools
from .locks import LOCK, LOCK_FILE, Lock, LockedTool, LockedToolkit, find_lock, locked, read_lock

__all__ = [
    "ENABLED",
    "GROUP",
    "LOCK",
    "LOCK_FILE",
    "Change",
    "InstalledToolkit",
    "Lock",
    "LockSource",
    "LockedTool",
    "LockedToolkit",
    "ToolSource",
    "compare",
    "compare_locks",
    "describe",
    "find_lock",
    "list_toolkits",
    "load_toolkit",
    "locked",
    "read_lock",
    "resolve_tools",
]
