"""Which of the host's files a guest can read: the standard library, its shared libraries, the guest's own source, time
zones, and the packages that were asked for. Nothing else.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

SCRATCH: Final = "/scratch"
"""Where the scratch file system of a session is mounted; everything else in the guest's root is read-only.

Not ``/home`` or ``/tmp``: a host's Python may live there, and what is mounted over it would be gone."""
FOLDER: Final = f"{SCRATCH}/work"
"""The guest's working folder."""
TEMPORARY: Final = f"{SCRATCH}/tmp"  # noqa: S108 - the guest's own
"""For temporary files; on the same file system, so that both count against one size."""

DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/urandom")
_TIME_ZONES: Final = "/usr/share/zoneinfo"
_LOADER_CACHE: Final = "/etc/ld.so.cache"
_OTHERS: Final = ("site-packages", "dist-packages")


class Layout(NamedTuple):
    """Paths of the host, each seen by the guest at the very same place."""

    read: tuple[str, ...]
    """Folders and files, parents first."""
    hidden: tuple[str, ...]
    """Folders inside ``read`` that appear empty: the packages that nobody asked for."""
    search: tuple[str, ...]
    """Folders on `sys.path` of which the guest sees only what is in ``read``."""
    libraries: tuple[tuple[str, str], ...]
    """Shared libraries: the name by which the loader looks for one, and the file that it finds."""


def layout(guest: str, packages: tuple[str, ...]) -> Layout:
    """Look at this interpreter, which must be one that was started with ``-I -S``; ``guest`` is the guest's source."""
    library = _outermost(path for path in sys.path if Path(path, "encodings").is_dir() or path.endswith("lib-dynload"))
    hidden = [str(folder / name) for folder in map(Path, library) for name in _OTHERS if (folder / name).is_dir()]
    extensions = [file for folder in library for file in Path(folder, "lib-dynload").glob("*.so")]
    extensions += [file for package in map(Path, packages) for file in _shared_objects(package)]
    extra = [path for path in (_TIME_ZONES, _LOADER_CACHE) if Path(path).exists()]
    search = {str(Path(path).parent) for path in packages}
    return Layout(
        read=(*library, *extra, guest, *packages),
        hidden=tuple(hidden),
        search=tuple(sorted(search)),
        libraries=_needed_libraries(extensions),
    )


def _shared_objects(package: Path) -> list[Path]:
    if package.is_dir():
        return [*package.rglob("*.so"), *package.rglob("*.so.*")]
    return [package] if package.suffix == ".so" else []


def _outermost(paths: Iterable[str]) -> list[str]:
    kept: list[Path] = []
    for path in sorted(map(Path, paths), key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return [str(path) for path in kept]


def _needed_libraries(extensions: list[Path]) -> tuple[tuple[str, str], ...]:
    """Ask the loader itself: load every extension module in a child, and see which libraries that brought.

    Reading the ELF headers would mean to know run paths, caches and the ways of each C library. What this process
    holds already needs no file, because the loader finds it by its name in memory.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, json.dumps(_load(extensions)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    # A module whose constructor kills the child costs the guest that module's libraries, nothing else.
    names: list[str] = json.loads(answer) if answer else []
    return tuple((os.path.normpath(name), os.path.realpath(name)) for name in names)


def _load(extensions: list[Path]) -> list[str]:
    before = set(_loaded())
    for path in extensions:
        try:
            ctypes.CDLL(str(path), mode=os.RTLD_LAZY)
        except OSError:
            continue  # it needs a library that this machine lacks, and will say so when it is imported
    return [name for name in _loaded() if name not in before and name.startswith("/")]


class _Object(ctypes.Structure):
    """The start of ``struct dl_phdr_info``, see ``dl_iterate_phdr(3)``."""

    _fields_ = (("address", ctypes.c_void_p), ("name", ctypes.c_char_p))


def _loaded() -> list[str]:
    names: list[str] = []

    def note(found: ctypes._Pointer[_Object], _size: int, _data: object) -> int:
        names.append(os.fsdecode(found.contents.name or b""))
        return 0

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Object), ctypes.c_size_t, ctypes.c_void_p)
    ctypes.CDLL(None).dl_iterate_phdr(callback(note), None)
    return names
