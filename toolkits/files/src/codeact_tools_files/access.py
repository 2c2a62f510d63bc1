"""Open what the configuration grants: the one way from a path of the model to a descriptor."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from codeact_tools import ToolContext

from .beneath import Place, open_file, open_folder, place_in
from .config import FilesConfig, Root, nearest
from .errors import NotAllowed, NotFound, TooLarge, WrongKind, told

KIB, MIB = 1024, 1024 * 1024
_LOOKED_THROUGH = 1000
"""Names among which the nearest to a missing one is looked for."""


class Deadline:
    """The time that one call has."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = 0.0
        self.restart()

    def restart(self) -> None:
        """Give all of it again."""
        self._end = time.monotonic() + self._seconds

    @property
    def passed(self) -> bool:
        """Whether it is over."""
        return time.monotonic() > self._end

    def check(self, what: str) -> None:
        """Go on while there is time.

        Raises:
            TooLarge: There is none left.
        """
        if self.passed:
            raise TooLarge(f"{what} was given up after {self._seconds:g} s; ask for a smaller part")


class Access:
    """The granted folders, and the limits of one call."""

    def __init__(self, config: FilesConfig) -> None:
        self.config = config
        self.deadline = Deadline(config.seconds)
        self.skipped = 0
        """Folders and files that could not be read, on a walk over many."""

    @classmethod
    def of(cls, context: ToolContext | None) -> Access:
        """What the toolkit's configuration grants; called as a plain function, what the environment grants.

        Raises:
            TypeError: The toolkit is configured with something else.
        """
        config = context.config if context is not None else None
        if config is not None and not isinstance(config, FilesConfig):
            raise TypeError(f"the toolkit 'files' is configured with a FilesConfig, not with {config!r}")
        return cls(config or FilesConfig())

    @contextmanager
    def place(self, path: str, *, write: bool = False, create: bool = False, follow: bool = True) -> Iterator[Place]:
        """Walk to an entry, to change it if ``write``; if ``create``, folders that are missing on the way are made.

        Raises:
            FilesError: The path leads nowhere, or must not be taken.
        """
        root, parts = self.config.locate(path)
        if root is None:
            raise WrongKind(f"{path!r} stands for the granted folders; begin the path with one: {self._names()}")
        if write and not root.writable:
            raise NotAllowed(f"{path!r} cannot be changed: the folder {root.name!r} is granted for reading only")
        walk = place_in(root.path, parts, allow=self.config.allow, follow=follow, create=create)
        with told(path), self._missing_told(root, path, parts), walk as place:
            yield place

    @contextmanager
    def file(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file for reading.

        Raises:
            FilesError: It is not there, no file, or must not be read.
        """
        with self.place(path) as place:
            if place.status() is None:
                raise self.missing(place, path)
            with io.BufferedReader(io.FileIO(open_file(place, path), "rb")) as file:
                yield file

    @contextmanager
    def folder(self, path: str) -> Iterator[int]:
        """Open a folder for listing.

        Raises:
            FilesError: It is not there, no folder, or must not be read.
        """
        with self.place(path) as place:
            if place.status() is None:
                raise self.missing(place, path)
            folder = open_folder(place, path)
            try:
                yield folder
            finally:
                os.close(folder)

    def whole(self, path: str) -> bytes:
        """Read all of a file that must not be too large.

        Raises:
            TooLarge: It is.
            FilesError: It cannot be read.
        """
        most = self.config.file_mb * MIB
        with self.file(path) as file:
            content = file.read(most + 1)  # by what comes, not by the size: files of /proc have none
        if len(content) > most:
            raise TooLarge(
                f"{path!r} is larger than {self.config.file_mb} MiB; read parts of it with read_text or read_lines"
            )
        return content

    def missing(self, place: Place, path: str) -> NotFound:
        """The error for an entry that is not there, with the nearest name that is."""
        known: list[str] = []
        with os.scandir(place.folder) as entries:
            for entry, _ in zip(entries, range(_LOOKED_THROUGH), strict=False):
                if not self.config.is_hidden(entry.name):
                    known.append(entry.name)
        hint = nearest(place.name, sorted(known)) or "; list_files() shows what there is"
        return NotFound(f"{path!r} does not exist{hint}")

    def _names(self) -> str:
        return ", ".join(repr(root.name) for root in self.config.granted)

    @contextmanager
    def _missing_told(self, root: Root, path: str, parts: tuple[str, ...]) -> Iterator[None]:
        """Say more where a path begins with the name of the only folder."""
        try:
            yield
        except NotFound as error:
            if len(self.config.granted) == 1 and len(parts) > 1 and parts[0] == root.name:
                raise NotFound(f"{path!r} does not exist; leave {root.name!r} out at its beginning") from error
            raise
