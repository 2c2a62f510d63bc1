"""Where a toolkit comes from: its distribution, and its source."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..specs import ToolSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What a page says of a tool that its specification does not know."""

    distribution: str = ""
    """What ``pip install`` takes; empty where the tools belong to no distribution."""
    version: str = ""
    """Of the toolkit, or of its distribution."""
    source_url: str = ""
    """Where the source is read: a URL with ``{path}`` and ``{line}``, such as
    ``https://git.example/shop/blob/main/src/{path}#L{line}``. Empty: pages hold the source itself."""

    @property
    def stability(self) -> str:
        """``stable``, or ``unstable`` before version 1.0 and in pre-releases; empty where there is no version.

        >>> Origin(version="0.3").stability, Origin(version="2.0").stability, Origin(version="2.0rc1").stability
        ('unstable', 'stable', 'unstable')
        """
        if not self.version:
            return ""
        is_release = all(part.isdecimal() for part in self.version.split("."))
        return "stable" if is_release and not self.version.startswith("0") else "unstable"


class Source(NamedTuple):
    """The source of a tool's function."""

    path: str
    """Below the folder that holds its package, with slashes: ``finance_tools/rates.py``."""
    line: int
    """1-based."""
    text: str
    """Empty where the source is not there."""


def source_of(spec: ToolSpec) -> Source:
    """Find the source of a tool's function."""
    file, _, line = spec.location.rpartition(":")
    function = inspect.unwrap(getattr(spec.function, "func", spec.function))
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        text = ""  # made at run time, or a callable object: the location alone is shown
    return Source(_short(Path(file), getattr(function, "__module__", "")), int(line) if line.isdigit() else 0, text)


def _short(file: Path, module: str) -> str:
    """The part of a path that is the same on every machine."""
    depth = len(module.split(".")) if module in sys.modules and module != "__main__" else 1
    if file.name == "__init__.py":
        depth += 1
    return "/".join(file.parts[-depth:])
