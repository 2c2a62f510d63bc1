"""The commands about E2B: sandboxes that were left behind, and templates."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ..errors import ConfigurationError
from ..tools import Toolkit
from .exits import Exit
from .inputs import read_tools
from .output import complain, write
from .running import Flag, Names

if TYPE_CHECKING:
    from ..sandbox.e2b_account import Found

sandboxes_app = App(name="sandboxes")
e2b_app = App(name="e2b")


@sandboxes_app.command(name="ls")
def list_them() -> Exit:
    """List the sandboxes in E2B's cloud that sessions of this account opened and nobody has ended.

    A host that crashes leaves its sandbox behind until the sandbox's time is up.
    """
    _require_sdk()
    from ..sandbox.e2b_account import list_sandboxes

    for found in asyncio.run(list_sandboxes()):
        write(_line(found))
    return Exit.ANSWER


@sandboxes_app.command
def kill(*ids: str, all: Annotated[bool, Flag] = False) -> Exit:  # noqa: A002
    """Kill sandboxes in E2B's cloud; what runs in them is lost.

    The exit code is 1 where one of them is not there.

    For example:

        codeact-tools sandboxes kill --all

    Args:
        ids: As `sandboxes ls` shows them.
        all: All that `sandboxes ls` shows, those of other hosts included.
    """
    _require_sdk()
    from ..sandbox.e2b_account import kill_sandboxes, list_sandboxes

    if all == bool(ids):
        raise ConfigurationError("Name the sandboxes to kill, or say --all.")
    wanted = [found.id for found in asyncio.run(list_sandboxes())] if all else list(ids)
    killed = asyncio.run(kill_sandboxes(wanted))
    for sandbox, there in zip(wanted, killed, strict=True):
        if there:
            write(f"killed {sandbox}")
        else:
            complain(f"{sandbox} is not there")
    return Exit.ANSWER if min(killed, default=True) else Exit.FAILED


@e2b_app.command
def template(
    name: str,
    /,
    *,
    tools: Annotated[tuple[str, ...], Parameter(alias="-t"), Names] = (),
    packages: Annotated[tuple[str, ...], Parameter(alias="-p"), Names] = (),
    base: str = "code-interpreter-v1",
) -> Exit:
    """Build an E2B template in which the guest and packages are installed, so that sessions start sooner.

    Use it as E2BSandbox("NAME"). Build it again after an update of codeact-tools: until then the
    guest is uploaded at each start.

    For example:

        codeact-tools e2b template my-tools -t files,sql -p "scikit-learn>=1.5"

    Args:
        name: The template's name in your account.
        tools: Toolkit, or Python file with one, whose declared packages are installed; repeat the option, or separate
            by commas.
        packages: Requirement for pip; may be given several times.
        base: The template to begin with.
    """
    _require_sdk()
    from ..sandbox.e2b_account import build_template

    wanted = tuple(dict.fromkeys([*_declared(tools), *packages]))
    write(asyncio.run(build_template(name, packages=wanted, base=base, on_log=complain)))
    return Exit.ANSWER


def _declared(tools: Sequence[str]) -> Iterator[str]:
    """The packages that toolkits declare; none of them is configured for that."""
    from ..toolkits import load_toolkit

    for source in read_tools(tools):
        toolkit = load_toolkit(source) if isinstance(source, str) else source
        if isinstance(toolkit, Toolkit):
            yield from toolkit.packages


def _line(found: Found) -> str:
    now = datetime.now(UTC)
    age, left = (int((span).total_seconds()) for span in (now - found.started, found.ends - now))
    more = " ".join(f"{key}={value}" for key, value in sorted(found.metadata.items()))
    time = f"{age} s old" + (f", ends in {left} s" if found.state == "running" else "")
    return f"{found.id}  {found.state}  {found.template}  {time}  {more}".rstrip()


def _require_sdk() -> None:
    if importlib.util.find_spec("e2b_code_interpreter") is None:
        raise ConfigurationError("This needs E2B's package: pip install 'codeact-tools[e2b]'.")
