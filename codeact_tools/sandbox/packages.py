"""Which files make up the packages that an action may import: theirs and their requirements', no others.

They are this interpreter's, or those of a virtual environment that is named by its folder.
"""

from __future__ import annotations

import functools
import importlib.metadata
import re
import sys
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


def find_packages(names: Iterable[str], environment: str | None = None) -> PackageSet:
    """Find distributions (``"scikit-learn"``) or modules (``"sklearn"``), with what they require.

    Args:
        names: Of the packages.
        environment: Folder of a virtual environment; this interpreter's own by default.

    Raises:
        ConfigurationError: One is not installed there, or not as files that can be shown on their own (an editable
            install); or the environment is none of this version of Python.
    """
    place = _Place(environment)
    owners = place.owners()
    wanted = [place.distribution(name, owners) for name in names]
    paths: dict[str, None] = {}
    for distribution in place.with_requirements(wanted):
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
def importable(names: tuple[str, ...], environment: str | None = None) -> tuple[str, ...]:
    """Return the modules by which the packages are imported: ``sklearn`` for ``scikit-learn``.

    For a package that is not installed here, as for a sandbox elsewhere, its name is taken for its module's.
    """
    if not names:
        return ()
    owners = _Place(environment).owners()
    found: dict[str, None] = {}
    for name in names:
        key = _key(name)
        modules = [module for module, holders in owners.items() if key in map(_key, holders) and module[0] != "_"]
        found.update(dict.fromkeys([name] if name in owners else modules or [name.replace("-", "_")]))
    return tuple(found)


class _Place:
    """Where packages are installed."""

    def __init__(self, environment: str | None) -> None:
        self._folders = sys.path if environment is None else [_site_packages(Path(environment).expanduser())]
        self._name = "this environment" if environment is None else repr(environment)
        self._install = "pip install" if environment is None else f"{environment}/bin/python -m pip install"

    def owners(self) -> dict[str, list[str]]:
        """Top-level modules, each with the distributions that it belongs to."""
        owners: dict[str, list[str]] = {}
        for distribution in importlib.metadata.distributions(path=self._folders):
            for module in _modules(distribution):
                owners.setdefault(module, []).append(distribution.name)
        return owners

    def distribution(self, name: str, owners: Mapping[str, list[str]]) -> importlib.metadata.Distribution:
        """The one of that name, or the one that the module of that name belongs to."""
        holders = owners.get(name, [])
        found = self._find(name) or (self._find(holders[0]) if len(holders) == 1 else None)
        if found is None:
            raise ConfigurationError(
                f"packages names {name!r}, which is not installed in {self._name}: `{self._install} {name}`, "
                "or take it out."
            )
        return found

    def with_requirements(
        self, wanted: list[importlib.metadata.Distribution]
    ) -> Iterator[importlib.metadata.Distribution]:
        """Yield each distribution and, once, everything installed that it requires.

        Environment markers are not evaluated: what they would exclude is usually not installed, and when it is, showing
        it does no harm. What is required on another platform only is not there; where it is needed, the import says so.
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
                if name is not None and not _EXTRA.search(requirement) and (found := self._find(name[0])) is not None:
                    waiting.append(found)

    def _find(self, name: str) -> importlib.metadata.Distribution | None:
        return next(iter(importlib.metadata.distributions(name=name, path=self._folders)), None)


def _site_packages(environment: Path) -> str:
    """The folder of the environment's packages, which are of use to this version of Python alone."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}{'t' * ('t' in getattr(sys, 'abiflags', ''))}"
    folder = environment / "lib" / version / "site-packages"
    if folder.is_dir():
        return str(folder.absolute())
    others = sorted(path.parent.name for path in environment.glob("lib/python*/site-packages"))
    found = f"it holds packages of {', '.join(others)}" if others else "it has no lib/python*/site-packages"
    raise ConfigurationError(
        f"environment={str(environment)!r} is no environment of {version}, which runs here and in the sandbox: "
        f"{found}. Make one with `{sys.executable} -m venv {environment}`, or run under the version that made it."
    )


def _modules(distribution: importlib.metadata.Distribution) -> set[str]:
    declared = (distribution.read_text("top_level.txt") or "").split()
    files = [file for file in distribution.files or () if file.suffix == ".py"]
    return set(declared) or {file.parts[0] if len(file.parts) > 1 else file.stem for file in files}


def _key(name: str) -> str:
    """The name as package registries compare it, see PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


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
