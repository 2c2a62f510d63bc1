"""What an action may import. This keeps actions to what was agreed; it is no security boundary, and cannot be one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from .interrupts import ACTION


class ImportPolicy:
    """Checks import statements in the action's own code; a library may import what it needs for itself."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)
        self._everything = "*" in allowed

    def install(self, builtins: ModuleType) -> None:
        """Replace ``__import__`` of the actions' ``builtins``, and ``importlib.import_module``."""
        if not self._everything:
            vars(builtins)["__import__"] = self._guard(builtins.__import__)
            importlib.import_module = self._guard_function(importlib.import_module)

    def permits(self, name: str) -> bool:
        """Whether the module, or a package that it is in, may be imported."""
        parts = name.split(".")
        return any(".".join(parts[:count]) in self._allowed for count in range(1, len(parts) + 1))

    def _guard(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(
            name: str,
            globals: Mapping[str, object] | None = None,  # noqa: A002 - the built-in's parameters
            locals: Mapping[str, object] | None = None,  # noqa: A002
            fromlist: Sequence[str] | None = (),
            level: int = 0,
        ) -> Any:
            # A module written in C imports in the name of its caller, with a list: ``date.today()`` needs ``time``.
            own = level == 0 and not isinstance(fromlist, list)
            if own and _is_action(globals if globals is not None else sys._getframe(1).f_globals):
                self._require(name)
            return real(name, globals, locals, fromlist, level)

        return guarded

    def _guard_function(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def import_module(name: str, package: str | None = None) -> Any:
            caller = sys._getframe(1)
            if caller.f_code.co_filename.startswith(ACTION) or _is_action(caller.f_globals):
                self._require(name)
            return real(name, package)

        return import_module

    def _require(self, name: str) -> None:
        if not self.permits(name):
            names = ", ".join(sorted(name for name in self._allowed if name != "__future__"))
            raise ModuleNotFoundError(f"{name!r} cannot be imported here; what can be imported: {names}", name=name)


def _is_action(scope: Mapping[str, object]) -> bool:
    return scope.get("__name__") == "__main__"
