"""Where actions run: one protocol (`base`), the embedded sandbox of this machine (`local`), and E2B's cloud (`e2b`)."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING, Literal, cast

from ..errors import ConfigurationError
from ..events import Choice

if TYPE_CHECKING:
    from .base import Sandbox

__all__ = ["resolve_sandbox"]

_KEY = "E2B_API_KEY"


def resolve_sandbox(sandbox: str | Sandbox = "auto") -> tuple[Sandbox, Choice]:
    """Return the back end that ``sandbox`` names, and one line on why.

    >>> resolve_sandbox("local")[1].name
    'local'

    Args:
        sandbox: ``"auto"`` (E2B where ``E2B_API_KEY`` is set, else local), ``"local"``, ``"jail"`` or ``"jail-lite"``
            (local in that mode), ``"monty"`` (a subset of Python, see `monty`; what ``"local"`` falls back to where its
            extra is installed), ``"e2b"``, or a back end, which comes back as it is.

    Raises:
        ConfigurationError: There is no such back end, or an extra is missing.
    """
    if not isinstance(sandbox, str):
        return sandbox, Choice(name=sandbox.name, reason="given by the application")
    if sandbox == "auto":
        return _auto()
    if sandbox == "e2b":
        if missing := _missing_for_e2b():
            raise ConfigurationError(f"sandbox='e2b' cannot be used: {missing}.")
        return _e2b(), Choice(name="e2b", reason="asked for")
    if sandbox == "local":
        return _local("auto"), Choice(name="local", reason="asked for")
    if sandbox == "jail":
        return _local("jail"), Choice(name="local", reason="asked for, in mode 'jail' alone")
    if sandbox == "jail-lite":
        return _local("jail-lite"), Choice(name="local", reason="asked for, in mode 'jail-lite' alone")
    if sandbox == "monty":
        return _monty(), Choice(name="monty", reason="asked for; a subset of Python")
    raise ConfigurationError(
        f"sandbox is {sandbox!r}; it is 'auto', 'local', 'monty', 'e2b' or an object with a method `open`."
    )


def _auto() -> tuple[Sandbox, Choice]:
    if not os.environ.get(_KEY):
        return _local("auto"), Choice(name="local", reason=f"{_KEY} is not set, so the sandbox of this machine")
    if missing := _missing_for_e2b():
        reason = "E2B cannot be used, so the sandbox of this machine"
        return _local("auto"), Choice(name="local", reason=reason, warnings=(f"{_KEY} is set, but {missing}.",))
    return _e2b(), Choice(name="e2b", reason=f"{_KEY} is set")


def _local(mode: Literal["auto", "jail", "jail-lite"]) -> Sandbox:
    from .local import LocalSandbox

    if mode == "auto" and importlib.util.find_spec("pydantic_monty") is not None:
        from .monty import LocalOrMonty

        return LocalOrMonty()
    return LocalSandbox(mode)


def _monty() -> Sandbox:
    from .monty import MontySandbox, installed

    if not installed():
        raise ConfigurationError(
            "sandbox='monty' cannot be used: it is not installed (`pip install 'codeact-tools[monty]'`)."
        )
    return MontySandbox()


def _missing_for_e2b() -> str:
    if importlib.util.find_spec(f"{__name__}.e2b") is None:
        return "this version of codeact-tools has no E2B back end"
    if importlib.util.find_spec("e2b_code_interpreter") is None:
        return "its package is not installed (`pip install 'codeact-tools[e2b]'`)"
    return ""


def _e2b() -> Sandbox:
    return cast("Sandbox", importlib.import_module(f"{__name__}.e2b").E2BSandbox())
