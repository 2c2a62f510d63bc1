"""Keeps what the guest itself runs on apart from what an action may patch.

An action owns its interpreter: ``builtins.repr = ...`` and ``json.dumps = ...`` are its right. So actions get built-ins
of their own, and the guest's modules hold copies of the modules that they use: what an action changes shows in what
actions do, not in how the guest reports on them. An action that goes further, by way of ``print.__self__`` or the
garbage collector, garbles the guest's messages, and the host refuses them.
"""

from __future__ import annotations

import builtins
import sys
from types import ModuleType

_SHARED = ("builtins", "importlib", "sys")
"""Modules that the guest changes on purpose."""
_COPIES: dict[str, ModuleType] = {}


def own_builtins() -> ModuleType:
    """Return a copy of `builtins` for actions, which from now on is what ``import builtins`` gives.

    Functions keep the built-ins under which they were made, so the guest and every library that is loaded go on with
    the real ones, and so does what libraries import later.
    """
    sys.modules["builtins"] = copy = _copied(builtins)
    return copy


def seal() -> None:
    """Give the guest's modules copies of the modules that they use.

    Sessions that are forked find it done: to look through the modules again would copy the memory that they are in.
    """
    if _COPIES:
        return
    package = __name__.rpartition(".")[0]
    ours = [module for name, module in sys.modules.items() if name.startswith(f"{package}.")]
    for module in ours:
        for name, used in list(vars(module).items()):
            if isinstance(used, ModuleType) and used not in ours and used.__name__ not in _SHARED:
                setattr(module, name, _copied(used))
    _copied(builtins)


def _copied(module: ModuleType) -> ModuleType:
    if module in _COPIES.values():
        return module
    if module.__name__ not in _COPIES:
        _COPIES[module.__name__] = copy = ModuleType(module.__name__, module.__doc__)
        vars(copy).update(vars(module))
    return _COPIES[module.__name__]
