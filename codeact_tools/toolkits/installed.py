"""Which toolkits are installed, from the metadata of the installed distributions alone: nothing is imported."""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, distributions
from importlib.util import find_spec
from typing import Final, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement

from .. import __version__

GROUP: Final = "codeact_tools.toolkits"
"""The entry point group."""

ENABLED: Final = "CODEACT_TOOLS_TOOLKITS"
"""Environment variable with the names, separated by commas, of the toolkits that may be loaded. Unset: all of them."""

_HEADER: Final = re.compile(r"^(Name|Version|Requires-Dist):[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
_OURS: Final = re.compile(r"codeact[-_.]tools\b(?![-_.])", re.IGNORECASE)


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
    """Whether `ENABLED`, and the program, let it be loaded."""
    error: str | None = None
    """Why it cannot be loaded, as far as that is known."""


class Found(NamedTuple):
    """A toolkit, and how to import it."""

    record: InstalledToolkit
    entry_point: EntryPoint


def discover(enabled: Collection[str] | None = None) -> list[Found]:
    """Return all entry points of the group, by name, each with what its metadata tells.

    Args:
        enabled: Restricts what may be loaded, besides `ENABLED`.
    """
    allowed = _allowed(enabled)
    by_name: defaultdict[str, list[_Claim]] = defaultdict(list)
    for claim in _claims():
        by_name[claim.entry_point.name].append(claim)
    return [
        Found(_record(claim, by_name[name], allowed is None or name in allowed), claim.entry_point)
        for name in sorted(by_name)
        for claim in by_name[name]
    ]


class _Owner(NamedTuple):
    """A distribution."""

    name: str
    version: str
    requires: tuple[str, ...]
    """What it requires of this library, as written."""


class _Claim(NamedTuple):
    """An entry point, and the distribution that has it."""

    entry_point: EntryPoint
    owner: _Owner


def _claims() -> Iterator[_Claim]:
    """Yield the entry points of the group; of distributions with one name, those of the first on the path.

    `importlib.metadata.entry_points` would parse those of all groups, of every distribution that is installed.
    """
    seen: set[str] = set()
    for distribution in distributions():
        text = distribution.read_text("entry_points.txt") or ""
        if GROUP not in text:
            continue
        owner = _owner(distribution)
        key = re.sub(r"[-_.]+", "-", owner.name).lower()
        if key in seen:
            continue
        seen.add(key)
        for name, value in _entries(text):
            yield _Claim(EntryPoint(name=name, value=value, group=GROUP), owner)


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of the group; the format is that of ``configparser``."""
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line[1:].partition("]")[0].strip()
        elif section == GROUP and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def _allowed(enabled: Collection[str] | None) -> set[str] | None:
    """The names that the environment and the program both allow; None: all."""
    variable = os.environ.get(ENABLED)
    named = None if variable is None else {part.strip() for part in variable.split(",")}
    if enabled is None or named is None:
        return named if enabled is None else set(enabled)
    return named & set(enabled)


def _record(claim: _Claim, claims: list[_Claim], enabled: bool) -> InstalledToolkit:
    entry_point, owner = claim
    record = InstalledToolkit(
        name=entry_point.name,
        distribution=owner.name,
        version=owner.version,
        target=entry_point.value,
        enabled=enabled,
    )
    if len(claims) > 1:
        owners = " and ".join(sorted(repr(each.owner.name) for each in claims))
        return replace(record, error=f"the distributions {owners} both provide {entry_point.name!r}; uninstall one")
    if not entry_point.name.isidentifier():
        return replace(record, error=f"its name {entry_point.name!r} is not a Python identifier")
    for text in owner.requires:
        if _is_unmet(text):
            what = f"it requires {text}, and codeact-tools {__version__} is installed"
            return replace(record, error=what)
    package = entry_point.value.partition(":")[0].partition(".")[0].strip()
    if not package or (package not in sys.modules and find_spec(package) is None):
        return replace(record, error=f"the module {package!r} that it names is not there")
    return record


def _owner(distribution: Distribution) -> _Owner:
    """Return what the metadata of the distribution says, with one look at its head."""
    fields: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in _HEADER.findall(_head(distribution)):
        fields[name].append(value)
    requires = tuple(text for text in fields["Requires-Dist"] if _OURS.match(text))
    name, version = (fields[name][0] if fields[name] else "unknown" for name in ("Name", "Version"))
    return _Owner(name, version, requires)


def _head(distribution: Distribution) -> str:
    """The metadata before the description; the parser for e-mails would take ten times as long."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    return text.replace("\r\n", "\n").partition("\n\n")[0]


@lru_cache(maxsize=256)
def _is_unmet(text: str) -> bool:
    """Whether this library is not of the version that a requirement asks for."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return False  # an installer has accepted it
    applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    return applies and not requirement.specifier.contains(__version__, prereleases=True)
