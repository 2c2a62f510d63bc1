"""What the SDK raises, in our terms: which of ours it is, and what the reader can do about it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import httpx
from e2b import exceptions as sdk
from e2b.api.client.errors import UnexpectedStatus
from e2b.sandbox.commands.command_handle import CommandExitException
from e2b.volume.client.errors import UnexpectedStatus as UnexpectedVolumeStatus

from ..errors import CodeActError, ConfigurationError, SandboxCrashed, SandboxUnavailable

_KEYS: Final = "https://e2b.dev/dashboard?tab=keys"
_LOST: Final = "The interpreter's variables are lost."
_UNKNOWN_ANSWER: Final = "This version of the SDK does not know E2B's answer; update `e2b-code-interpreter`."
_TEMPLATES: Final = "Build it with `codeact-tools e2b template`, or name one that `e2b template list` shows."


class _Meaning(NamedTuple):
    opening: type[CodeActError]
    """While a sandbox is being opened, or looked at."""
    running: type[CodeActError]
    """While a guest runs in it."""
    remedy: str


def _always(kind: type[CodeActError], remedy: str) -> _Meaning:
    return _Meaning(kind, kind, remedy)


def _fault(remedy: str) -> _Meaning:
    return _Meaning(SandboxUnavailable, SandboxCrashed, remedy)


_MEANINGS: Final[dict[type[BaseException], _Meaning]] = {
    sdk.AuthenticationException: _always(
        ConfigurationError, f"Set E2B_API_KEY to a valid key of your account: {_KEYS}."
    ),
    sdk.GitAuthException: _always(ConfigurationError, "Give the sandbox credentials for that repository."),
    sdk.InvalidArgumentException: _always(ConfigurationError, "Correct the options of E2BSandbox."),
    sdk.TemplateException: _always(ConfigurationError, f"The template is too old for this SDK. {_TEMPLATES}"),
    sdk.BuildException: _always(
        ConfigurationError, "Correct the template's packages; the build's log says which failed."
    ),
    sdk.FileUploadException: _fault("The template's files could not be uploaded; try again."),
    sdk.RateLimitException: _fault(
        "Too many sandboxes, or too many requests at a time: end some (`codeact-tools sandboxes ls`, `kill`), wait, or "
        "raise the account's limits."
    ),
    sdk.ServiceBusyException: _fault("E2B has no room right now; nothing was changed, so try again in a while."),
    sdk.NotEnoughSpaceException: _fault("The sandbox's disk is full: take a template with a larger one."),
    sdk.GuestUnresponsiveException: _fault("Its memory cannot be restored; start a fresh session."),
    sdk.SandboxNotFoundException: _fault(f"It expired or was killed. {_LOST}"),
    sdk.SandboxNotRunningException: _fault(
        f"It expired, was paused or was killed. {_LOST} A longer `timeout` of E2BSandbox lets it live longer."
    ),
    sdk.SandboxUnreachableException: _fault(
        "Nothing says that it ended: look at the network, and at https://status.e2b.dev."
    ),
    sdk.FileNotFoundException: _fault("A file that belongs to the session is gone from the sandbox."),
    sdk.VolumeNotFoundException: _always(ConfigurationError, "Create the volume first, or correct its name."),
    sdk.VolumePathNotFoundException: _always(ConfigurationError, "Correct the path in the volume."),
    sdk.NotFoundException: _fault("What it asked for is not there any longer."),
    sdk.TimeoutException: _fault("E2B did not answer in time; try again, or raise `request_timeout`."),
    sdk.GitUpstreamException: _fault("Set the branch's upstream in the sandbox."),
    sdk.VolumeException: _always(ConfigurationError, "Look at the volumes that the options name."),
    sdk.SecretNotFoundException: _always(ConfigurationError, "Create the secret in E2B first, or correct its name."),
    sdk.SecretException: _always(ConfigurationError, "Look at the secrets that `network` names."),
    sdk.SandboxException: _fault("E2B refused; the message is its own."),
    UnexpectedStatus: _fault(_UNKNOWN_ANSWER),
    UnexpectedVolumeStatus: _fault(_UNKNOWN_ANSWER),
    CommandExitException: _fault(f"The command that carries the session ended. {_LOST}"),
    httpx.TransportError: _fault("E2B cannot be reached: look at the network, a proxy, and E2B_DOMAIN."),
    OSError: _fault("E2B cannot be reached: look at the network, a proxy, and E2B_DOMAIN."),
}


def translate(error: BaseException, doing: str, *, opening: bool = True) -> CodeActError:
    """Return our error for one of the SDK's; ``doing`` ends the sentence "E2B failed while ..."."""
    if isinstance(error, CodeActError):
        return error
    if isinstance(error, sdk.SandboxException) and _names_missing_template(error):
        return ConfigurationError(f"E2B does not know the template: {error}. {_TEMPLATES}")
    meaning = next((_MEANINGS[kind] for kind in type(error).__mro__ if kind in _MEANINGS), _UNKNOWN)
    kind = meaning.opening if opening else meaning.running
    text = str(error).strip().rstrip(".") or type(error).__name__
    return kind(f"E2B failed while {doing}: {text}. {meaning.remedy}")


_UNKNOWN: Final = _fault("This is unexpected: please report it.")


@contextlib.contextmanager
def translated(doing: str, *, opening: bool = True) -> Iterator[None]:
    """Raise our errors for the SDK's, with theirs as the cause; ours, and cancellation, pass."""
    try:
        yield
    except (CodeActError, asyncio.CancelledError):
        raise
    except Exception as error:
        raise translate(error, doing, opening=opening) from error


def is_gone(error: BaseException) -> bool:
    """Whether the sandbox has ended for good, so that trying again is in vain."""
    return isinstance(
        error,
        sdk.SandboxNotRunningException | sdk.SandboxNotFoundException | sdk.AuthenticationException,
    )


def is_lost_connection(error: BaseException | None) -> bool:
    """Whether a connection broke, so that trying again may help."""
    return isinstance(error, sdk.SandboxUnreachableException | httpx.ReadError | httpx.RemoteProtocolError)


def is_unimplemented(error: BaseException) -> bool:
    """Whether the daemon does not know what it was asked."""
    return isinstance(error, sdk.SandboxException) and "unimplemented" in str(error).lower()


def _names_missing_template(error: sdk.SandboxException) -> bool:
    return error.status_code in (400, 403, 404) and "template" in str(error).lower()
