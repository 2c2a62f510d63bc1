"""What a command line names: a task in words, a pipe or a file; tools by toolkit or by file."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from ..errors import CodeActError, ConfigurationError
from ..reflection import OPTIONS
from ..toolkits import ToolSource
from ..toolkits.loading import raised
from ..tools import Toolkit, ToolOptions

STDIN = "<stdin>"
"""Stands for the argument ``-``, which the command line's parser takes for an option."""


def read_task(task: str | None, file: Path | None) -> str:
    """Return the task: ``task`` itself, standard input where it is `STDIN`, or the text of ``file``.

    Raises:
        ConfigurationError: None or both are given, the file cannot be read, or the task is empty.
    """
    if (task is None) == (file is None):
        raise ConfigurationError('Give the task once: as an argument ("..."), as - for standard input, or with --file.')
    if file is not None:
        text, origin = _read(file), f"the file {str(file)!r}"
    elif task == STDIN:
        text, origin = sys.stdin.read() if sys.stdin else "", "standard input"
    else:
        text, origin = task or "", "the argument"
    if not text.strip():
        raise ConfigurationError(f"The task is empty ({origin}); say what to do.")
    return text.strip()


def read_tools(names: Iterable[str]) -> list[ToolSource]:
    """Return what ``names`` stand for: installed toolkits as they are, Python files as the tools that they define.

    Raises:
        ConfigurationError: A file cannot be read or run, or defines no tools.
    """
    parts = [part.strip() for name in names for part in name.split(",")]
    return [source for part in parts if part for source in (_tools_of(Path(part)) if part.endswith(".py") else [part])]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"The file {str(file)!r} cannot be read: {reason}.") from error


def _tools_of(file: Path) -> list[ToolSource]:
    """Run a Python file and return its toolkits, and the decorated functions that it defines."""
    members = vars(_run(file)).values()
    toolkits: list[ToolSource] = [member for member in members if isinstance(member, Toolkit)]
    found = toolkits or [member for member in members if isinstance(getattr(member, OPTIONS, None), ToolOptions)]
    if not found:
        raise ConfigurationError(f"The file {str(file)!r} defines no tools; decorate its functions with @tool.")
    return found


def _run(file: Path) -> ModuleType:
    _read(file)
    spec = spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"The file {str(file)!r} is no Python module.")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except CodeActError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"The file {str(file)!r} raised {raised(error)}.") from error
    finally:
        sys.path.pop(0)
    return module
