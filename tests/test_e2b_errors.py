"""No exception of the SDK gets out unmapped: the installed version's own list is what is asked."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

pytest.importorskip("e2b_code_interpreter", reason="needs the extra e2b")

import e2b
import e2b_code_interpreter
import httpx
from e2b import CommandExitException
from e2b import exceptions as sdk

from codeact_tools.errors import CodeActError, ConfigurationError, SandboxCrashed, SandboxError, SandboxUnavailable
from codeact_tools.sandbox.e2b_errors import translate, translated

_OWN = ("e2b", "e2b_code_interpreter")


def of_the_sdk() -> list[type[Exception]]:
    """Every exception class that a module of the SDK defines."""
    found: dict[type[Exception], None] = {}
    for package in (e2b, e2b_code_interpreter):
        top = Path(package.__path__[0])
        for file in sorted(top.rglob("*.py")):
            name = ".".join([package.__name__, *file.relative_to(top).with_suffix("").parts]).removesuffix(".__init__")
            for value in vars(importlib.import_module(name)).values():
                if isinstance(value, type) and issubclass(value, Exception) and value.__module__.split(".")[0] in _OWN:
                    found[value] = None
    return sorted(found, key=lambda kind: kind.__name__)


def make(kind: type[Exception], message: str = "what it says") -> Exception:
    """An exception of that class, whatever its constructor wants."""
    if kind is CommandExitException:
        return CommandExitException(stdout="", stderr=message, exit_code=1, error=message)
    error = kind.__new__(kind)
    error.args = (message,)
    return error


UNKNOWN_TEMPLATE = sdk.SandboxException("404: template 'x' not found", status_code=404)


def test_the_list_is_the_sdks() -> None:
    """The search finds the classes that are documented, those outside of `SandboxException` too."""
    names = {kind.__name__ for kind in of_the_sdk()}
    assert {"SandboxException", "AuthenticationException", "ServiceBusyException", "CommandExitException"} <= names
    assert len(names) >= 25


@pytest.mark.parametrize("opening", [True, False], ids=["opening", "running"])
@pytest.mark.parametrize("kind", of_the_sdk(), ids=lambda kind: kind.__name__)
def test_each_is_mapped(kind: type[Exception], opening: bool) -> None:
    """To an error of ours that says what was going on, and what helps."""
    error = translate(make(kind), "testing", opening=opening)
    assert isinstance(error, ConfigurationError | SandboxUnavailable | SandboxCrashed)
    assert str(error).startswith("E2B failed while testing: ")
    assert "unexpected" not in str(error)


@pytest.mark.parametrize(
    ("error", "opening", "running", "words"),
    [
        (sdk.AuthenticationException("401"), ConfigurationError, ConfigurationError, "E2B_API_KEY"),
        (make(sdk.RateLimitException), SandboxUnavailable, SandboxCrashed, "sandboxes ls"),
        (sdk.ServiceBusyException("503"), SandboxUnavailable, SandboxCrashed, "try again"),
        (sdk.NotEnoughSpaceException("507"), SandboxUnavailable, SandboxCrashed, "disk is full"),
        (sdk.SandboxNotRunningException("gone"), SandboxUnavailable, SandboxCrashed, "variables are lost"),
        (sdk.SandboxUnreachableException("?"), SandboxUnavailable, SandboxCrashed, "network"),
        (sdk.TimeoutException("late"), SandboxUnavailable, SandboxCrashed, "in time"),
        (httpx.ConnectError("refused"), SandboxUnavailable, SandboxCrashed, "cannot be reached"),
        (ConnectionRefusedError("refused"), SandboxUnavailable, SandboxCrashed, "cannot be reached"),
        (UNKNOWN_TEMPLATE, ConfigurationError, ConfigurationError, "e2b template"),
        (KeyError("a bug"), SandboxUnavailable, SandboxCrashed, "report"),
    ],
)  # fmt: skip
def test_the_remedy_fits(
    error: Exception, opening: type[CodeActError], running: type[CodeActError], words: str
) -> None:
    """The class says who has to act, and the message how."""
    for kind, phase in ((opening, True), (running, False)):
        found = translate(error, "testing", opening=phase)
        assert type(found) is kind
        assert words in str(found)


def test_ours_pass() -> None:
    """An error that is ours already stays as it is; theirs is kept as the cause."""
    with pytest.raises(SandboxCrashed, match=r"^mine$"), translated("testing"):
        raise SandboxCrashed("mine")
    with pytest.raises(SandboxError) as raised, translated("testing"):
        raise sdk.SandboxException("theirs")
    assert isinstance(raised.value.__cause__, sdk.SandboxException)
