"""Which files make up the host's packages that an action may import: theirs and their requirements', no others."""

from __future__ import annotations

import functools
import importlib.metadata
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SLOW: Final = {"matplotlib": ("matplotlib.pyplot",)}
"""Submodules that nearly every action on a package needs, and that take long to import."""
_EXTRA: Final = re.compile(r"\bextra\s*==")


class PackageSet(NamedTuple):
    """What the sandbox has to show, and what it imports before the first session."""

    paths: tuple[str, ...] = ()
    """Files and folders, each directly in a folder of `sys.path`."""
    imports: tuple[str, ...] = ()
    """The top-level modules of the packages that were asked for, not those of their requirements, and a few below."""


def find_packages(names: Iterable[str]) -> PackageSet:
    """Find distributions (``"scikit-learn"``) or modules (``"sklearn"``) in this environment, with what they require.

    Raises:
        ConfigurationError: One is not installed, or not as files that can be shown on their own (an editable install).
    """
    owners = importlib.metadata.packages_distributions()
    wanted = [_distribution(name, owners) for name in names]
    paths: dict[str, None] = {}
    for distribution in _with_requirements(wanted):
        paths.update(dict.fromkeys(_entries(distribution)))
    modules = {
        module: None
        for distribution in wanted
        for module, holders in owners.items()
        if distribution.name in holders and not module.startswith("_")
    }
    imports = [name for module in modules for name in (module, *_SLOW.get(module, ()))]
    return PackageSet(tuple(paths), tuple(imports))


@functools.lru_cache(maxsize=32)
def importable(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the modules by which the packages are imported: ``sklearn`` for ``scikit-learn``.

    For a package that is not installed here, as for a sandbox elsewhere, its name is taken for its module's.
    """
    if not names:
        return ()
    owners = importlib.metadata.packages_distributions()
    found: dict[str, None] = {}
    for name in names:
        key = _key(name)
        modules = [module for module, holders in owners.items() if key in map(_key, holders) and module[0] != "_"]
        found.update(dict.fromkeys([name] if name in owners else modules or [name.replace("-", "_")]))
    return tuple(found)


def _key(name: str) -> str:
    """The name as package registries compare it, see PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distribution(name: str, owners: Mapping[str, list[str]]) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        holders = owners.get(name, [])
        if len(holders) == 1:
            return importlib.metadata.distribution(holders[0])
    raise ConfigurationError(
        f"packages names {name!r}, which is not installed in this environment: `pip install {name}`, or take it out."
    )


def _with_requirements(
    wanted: list[importlib.metadata.Distribution],
) -> Iterator[importlib.metadata.Distribution]:
    """Yield each distribution and, once, everything installed that it requires.

    Environment markers are not evaluated: what they would exclude is usually not installed, and when it is, showing it
    does no harm.
    """
    seen: set[str] = set()
    waiting = list(wanted)
    while waiting:
        distribution = waiting.pop()
        key = _key(distribution.name)
        if key in seen:
            continue
        seen.add(key)
        yield distribution
        for requirement in distribution.requires or ():
            name = _NAME.match(requirement)
            if name is None or _EXTRA.search(requirement):
                continue
            try:
                waiting.append(importlib.metadata.distribution(name[0]))
            except importlib.metadata.PackageNotFoundError:
                continue  # required on another platform only; where it is not, the import says so


def _entries(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    base = Path(str(distribution.locate_file("")))
    found = False
    for name in sorted({file.parts[0] for file in distribution.files or () if file.parts}):
        if name in ("..", "__pycache__") or name.endswith(".pth") or not (base / name).exists():
            continue
        found = found or not name.endswith((".dist-info", ".egg-info"))
        yield str(base / name)
    if not found:
        raise ConfigurationError(
            f"The package {distribution.name!r} has no files of its own in {str(base)!r}: is it an editable install? "
            f"Install it as files (`pip install {distribution.name}`) to show it to the sandbox."
        )
