"""``codeact-tools toolkits``: what is installed, what it may do, whether it changed, how good it is; and new ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from ..errors import ConfigurationError
from ..observing import counted
from ..toolkits import (
    LOCK,
    LOCK_FILE,
    InstalledToolkit,
    Lock,
    LockedToolkit,
    compare,
    compare_locks,
    describe,
    find_lock,
    list_toolkits,
    load_toolkit,
    locked,
    read_lock,
)
from .exits import Exit
from .output import complain, write
from .render import printable
from .running import Flag, Names

if TYPE_CHECKING:
    from ..settings import Setting

toolkits_app = App(name="toolkits", help="Look at the installed toolkits, hold them by a lock, make new ones.")

Level = Literal["bronze", "silver", "gold"]


@toolkits_app.command(name="list")
def list_them(*, load: Annotated[bool, Flag] = False) -> Exit:
    """List the installed toolkits; nothing of them is imported.

    Args:
        load: Import each of them, to find those that are broken.
    """
    for toolkit in list_toolkits(load=load):
        state = f"broken: {toolkit.error}" if toolkit.error else "" if toolkit.enabled else "not enabled"
        write(f"{toolkit.name:<20} {toolkit.distribution} {toolkit.version}  {state}".rstrip())
    return Exit.ANSWER


@toolkits_app.command
def show(name: str, /) -> Exit:
    """Show what a toolkit may do: hosts, secrets, packages, settings, and each tool with its effects.

    It is imported, with the rights of this process; a lock does not keep you from looking.

    For example:

        codeact-tools toolkits show calendar

    Args:
        name: The installed toolkit.
    """
    from ..settings import settings_of

    toolkit, record = load_toolkit(name, lock=None), _record(name)
    now = locked(toolkit, record)
    write(printable(f"{name} {toolkit.version or ''} ({record.distribution} {record.version})"))
    write(printable(toolkit.summary))
    write(f"  lock      {_state(name, now)}")
    _write_grants(now)
    settings = settings_of(toolkit)
    write(f"  settings  {'' if settings else 'none'}".rstrip())
    for setting in settings:
        write(f"    {printable(_setting_line(setting))}")
    for tool, details in now.tools.items():
        write(f"\n  {tool}  {', '.join(details.effects) or 'no effects declared'}")
        write(f"    {printable(details.signature)}")
        write(f"    {printable(details.description[0] if details.description else 'not documented')}")
    return Exit.ANSWER


@toolkits_app.command
def lock(
    *names: str,
    file: Annotated[Path | None, Parameter(show_default=False)] = None,
    accept: Annotated[tuple[str, ...], Names] = (),
) -> Exit:
    """Write down what toolkits are, so that a later change is refused until it is accepted.

    Held are signatures, docs, types, effects, hosts, secrets and packages.
    What has changed since the last time is shown, and not taken over unless it is accepted.
    The exit code is 1 where something is left to be accepted.

    For example:

        codeact-tools toolkits lock calendar
        codeact-tools toolkits lock --accept calendar

    Args:
        names: Toolkits; by default those of the lock, or all installed ones where there is no lock yet.
        file: The lock; by default what CODEACT_TOOLS_LOCK names, else codeact-tools.lock in this folder.
        accept: Take this toolkit as it is now; repeat the option, or "all".
    """
    path = file or Path(os.environ.get(LOCK) or LOCK_FILE)
    before = (read_lock(path) if path.exists() else None) or Lock()
    accepted = [name for name in accept if name != "all"]
    installed = [each.name for each in list_toolkits() if each.enabled and not each.error]
    wanted = sorted({*names, *accepted} or {*before.toolkits} or {*installed})
    held, refused = dict(before.toolkits), []
    for name in wanted:
        now = locked(load_toolkit(name, lock=None), _record(name))
        old = held.get(name)
        changes = compare(name, old, now) if old is not None else []
        if changes:
            write(describe(changes))
        if changes and name not in accept and "all" not in accept:
            refused.append(name)
            continue
        held[name] = now
        write(f"{name}: {counted(len(now.tools), 'tool')} of {now.distribution} {now.version}")
        if old is None:
            _write_grants(now)
    _write(path, Lock(toolkits=held).text)
    if refused:
        complain(f"error: {', '.join(refused)} changed; to accept: codeact-tools toolkits lock --accept {refused[0]}")
    return Exit.FAILED if refused else Exit.ANSWER


@toolkits_app.command
def diff(before: Path, after: Path | None = None, /) -> Exit:
    """Show how toolkits differ between two locks, or a lock and what is installed.

    A difference is breaking where what worked may not work any more, or more is asked for.
    The exit code is 1 where one is.

    For example:

        codeact-tools toolkits diff released.lock

    Args:
        before: A lock.
        after: A later lock; by default what is installed.
    """
    old = read_lock(before) or Lock()
    new = read_lock(after) if after is not None else _installed(old)
    changes = compare_locks(old, new or Lock())
    write(describe(changes) or "No change.")
    return Exit.FAILED if any(change.breaking for change in changes) else Exit.ANSWER


@toolkits_app.command
def check(
    toolkit: str, /, *, level: Level | None = None, examples: Literal["safe", "all", "none"] | None = None
) -> Exit:
    """Check how good a toolkit is: a report, and a level from bronze to gold.

    Its examples run, on this machine and with your rights, in an empty folder.
    Those of tools that change something, or reach out, run only where you say so.

    For example:

        codeact-tools toolkits check calendar --level gold

    Args:
        toolkit: An installed toolkit, or the folder of one with its pyproject.toml.
        level: End with exit code 1 where it has not reached this level.
        examples: Which examples run: safe (of tools that only read), all, none. By default the safe ones; all, where \
the toolkit has a configuration for its examples.
    """
    from ..testing.conformance import LEVELS, examine
    from ..testing.conformance.checks import subject_of
    from .sources import toolkits_of

    reports = [examine(subject_of(each, examples)) for each in toolkits_of(toolkit)]
    write(printable("\n".join(report.text for report in reports)))
    lowest = min(LEVELS.index(report.level) for report in reports)
    return Exit.FAILED if lowest < LEVELS.index(level or "none") else Exit.ANSWER


@toolkits_app.command
def new(name: str, /, *, directory: Path = Path()) -> Exit:
    """Write a new toolkit: a small distribution that is complete, tested, documented and gold.

    For example:

        codeact-tools toolkits new weather

    Args:
        name: Of the toolkit; an identifier, because in an action it is tools.NAME.
        directory: The folder in which to make the distribution's own.
    """
    from .scaffold import write_toolkit

    for each in list_toolkits():
        if each.name == name:
            complain(
                f"warning: the distribution {each.distribution!r} has a toolkit {name!r} already; where both are "
                "installed, neither can be loaded."
            )
    made = write_toolkit(name, directory)
    for path in made.files:
        write(str(path))
    complain(f"Next: pip install -e '{made.folder}[dev]' && pytest {made.folder}")
    return Exit.ANSWER


def _record(name: str) -> InstalledToolkit:
    return next(each for each in list_toolkits() if each.name == name)


def _state(name: str, now: LockedToolkit) -> str:
    held = find_lock()
    if held is None or name not in held.toolkits:
        return "not locked"
    changed = compare(name, held.toolkits[name], now)
    return f"changed since {held.path}:\n{describe(changed)}" if changed else f"as accepted in {held.path}"


def _write_grants(toolkit: LockedToolkit) -> None:
    for word in ("hosts", "secrets", "packages"):
        write(printable(f"  {word:<8}  {', '.join(getattr(toolkit, word)) or 'none'}"))


def _setting_line(setting: Setting) -> str:
    where = f" ({' or '.join(setting.variables)})" if setting.variables and setting.variables != (setting.name,) else ""
    facts = [
        "secret" if setting.secret else setting.type,
        "required" if setting.required else f"default {setting.default}" if setting.default else "optional",
        "set" if setting.is_set else "not set",
    ]
    return f"{setting.name}{where}: {', '.join(facts)}{f'. {setting.doc}' if setting.doc else ''}"


def _installed(old: Lock) -> Lock:
    """What is installed of the toolkits of a lock."""
    present = {each.name for each in list_toolkits()}
    return Lock(
        toolkits={
            name: locked(load_toolkit(name, lock=None), _record(name)) for name in old.toolkits if name in present
        }
    )


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise ConfigurationError(f"The lock {str(path)!r} cannot be written: {error.strerror}.") from error
