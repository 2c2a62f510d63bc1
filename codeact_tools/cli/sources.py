"""Toolkits from what a command line names: an installed one, or the folder of a distribution."""

from __future__ import annotations

import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import CodeActError, ConfigurationError
from ..toolkits import GROUP, load_toolkit
from ..toolkits.loading import raised
from ..tools import Toolkit


def toolkits_of(source: str) -> list[Toolkit]:
    """Load the toolkits that ``source`` stands for; a lock does not keep them from being looked at.

    Raises:
        PluginError: No such toolkit is installed, or it is broken.
        ConfigurationError: The folder holds no toolkit, or its module cannot be imported.
    """
    folder = Path(source)
    if "/" not in source and not folder.is_dir():
        return [load_toolkit(source, lock=None)]
    targets = _targets(folder)
    sys.path[:0] = [str(each.resolve()) for each in (folder / "src", folder) if each.is_dir()]
    return [_imported(target, source) for target in targets]


def _imported(target: str, source: str) -> Toolkit:
    module, _, attribute = target.partition(":")
    try:
        toolkit = getattr(import_module(module), attribute)
    except CodeActError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"The toolkit in {source!r} cannot be imported: {target} raised {raised(error)}."
        ) from error
    if not isinstance(toolkit, Toolkit):
        raise ConfigurationError(f"{target} in {source!r} is no Toolkit, but of type {type(toolkit).__name__!r}.")
    return toolkit


def _targets(folder: Path) -> list[str]:
    """The entry points of the toolkits, from the project's own file."""
    file = folder / "pyproject.toml"
    try:
        project: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{str(file)!r} cannot be read: {error}") from error
    targets = project.get("project", {}).get("entry-points", {}).get(GROUP, {})
    if not targets:
        raise ConfigurationError(f'{str(file)!r} has no entry in [project.entry-points."{GROUP}"].')
    return [str(target) for target in targets.values()]
