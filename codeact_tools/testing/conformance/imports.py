"""What importing a toolkit does, seen from a fresh interpreter.

    python -m codeact_tools.testing.conformance.imports '{"modules": ["finance_tools"], "path": [...]}'

prints what the toolkit's own code did as JSON. What libraries below it do is only noted: their authors answer for it.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, Final, NamedTuple

from .guard import Guard

_SECONDS: Final = 60
_TRANSPARENT: Final = frozenset({"codeact_tools", "pydantic", "pydantic_core", "pydantic_settings"})
"""Libraries that do what their caller asks for: a configuration that is made at import reads the environment."""


class Watched(NamedTuple):
    """What an import did."""

    problems: tuple[str, ...]
    """By the toolkit's own code."""
    notes: tuple[str, ...]
    """By others."""


def watch_import(modules: Sequence[str]) -> Watched:
    """Import ``modules`` in a process of its own, and tell what that did."""
    if not modules:
        return Watched((), ("its tools are defined in the main program, so no import was watched",))
    request = json.dumps({"modules": list(modules), "path": [os.path.abspath(each) for each in sys.path]})  # noqa: PTH100
    command = [sys.executable, "-m", __name__, request]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return Watched((f"does not end within {_SECONDS} seconds",), ())
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Watched((f"fails in a fresh interpreter ({last})",), ())
    answer = json.loads(done.stdout.splitlines()[-1])
    return Watched(tuple(answer["problems"]), tuple(answer["notes"]))


class _ImportGuard(Guard):
    """Attributes each deed to the code nearest to it that is not of the standard library."""

    def __init__(self, packages: frozenset[str]) -> None:
        super().__init__(refuse=False)
        self.problems: dict[str, None] = {}
        self.notes: dict[str, None] = {}
        self.readers: dict[str, None] = {}
        """Libraries that read, or change, environment variables."""
        self._packages = packages
        self._known = _known_folders()

    def look(self, event: str, args: tuple[Any, ...]) -> None:
        before = len(self.deeds)
        super().look(event, args)
        for deed in self.deeds[before:]:
            self.note(deed.what)
        if event == "open" and len(self.deeds) == before and isinstance(args[0], str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(args[0]))  # noqa: PTH100 - a Path would be slower, at every file
            if not path.startswith(self._known):
                self.note(f"reads {path!r}")

    def note(self, what: str) -> None:
        """Put it down to whoever did it."""
        owner = _responsible(sys._getframe(1))
        if owner in self._packages:
            self.problems[what] = None
        elif owner and "environment" in what:
            self.readers[owner] = None
        elif owner:
            self.notes[f"{owner} {what} while it is imported"] = None


def _known_folders() -> tuple[str, ...]:
    folders = {
        sys.prefix,
        sys.base_prefix,
        "/usr/share/zoneinfo",
        "/usr/lib",
        "/proc/",
        "/dev/",
        *filter(os.path.isabs, sys.path),
    }
    return tuple(sorted(folders))


def _responsible(frame: FrameType | None) -> str:
    """The top-level package nearest to a frame, but for those that only do what they are told."""
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package and package not in sys.stdlib_module_names and package not in _TRANSPARENT and package != "__main__":
            return package
        frame = frame.f_back
    return ""


def _watched_environment(note: Callable[[str], None]) -> type[Any]:
    class Environment(os._Environ):  # type: ignore[type-arg]  # str at run time
        def __getitem__(self, key: str) -> str:
            if not key.startswith("PYDANTIC_"):  # pydantic's own, read where a model is defined
                note(f"reads the environment variable {key!r}")
            return super().__getitem__(key)  # type: ignore[no-any-return]

        def __iter__(self) -> Iterator[str]:
            note("reads all environment variables")
            return super().__iter__()

    return Environment


def _main() -> None:
    request = json.loads(sys.argv[1])
    sys.path[:] = request["path"]
    for name in ("codeact_tools.tools", "codeact_tools.registry"):
        importlib.import_module(name)  # so that nothing of it is put down to the toolkit
    guard = _ImportGuard(frozenset(name.partition(".")[0] for name in request["modules"]))
    output, sys.stdout = sys.stdout, sys.stderr
    with guard:
        os.environ.__class__ = _watched_environment(guard.note)
        for name in request["modules"]:
            importlib.import_module(name)
    readers = [f"these read environment variables while they are imported: {', '.join(guard.readers)}"]
    notes = [*guard.notes, *(readers if guard.readers else [])]
    output.write("\n" + json.dumps({"problems": list(guard.problems), "notes": notes}) + "\n")


if __name__ == "__main__":
    _main()
