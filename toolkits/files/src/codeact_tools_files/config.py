"""What the application grants: folders, whether they may be written, and how much one call may read."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Self

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, PrivateAttr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .errors import NoRootGranted, NotAllowed, NotFound, OutsideRoots

SECRET: Final = (".env", ".env.*", ".git", ".netrc", ".ssh", "*.pem")


class Root(NamedTuple):
    """A granted folder."""

    name: str
    """What the model calls it."""
    path: Path
    """Where it is, without links."""
    writable: bool


def _listed(value: object) -> object:
    """Read a setting of the environment: JSON, or names separated as in ``PATH``."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith(("[", "{")):
        return json.loads(value)
    return [part for part in value.split(os.pathsep) if part]


def _switch(value: object) -> object:
    """Read ``true`` and ``false`` of the environment; anything else is a list of names."""
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
    return words.get(value.lower(), _listed(value)) if isinstance(value, str) else value


class FilesConfig(BaseSettings):
    """Settings of the toolkit ``files``; in the environment ``CODEACT_FILES_ROOTS`` and so on.

    >>> config = FilesConfig.for_examples()
    >>> [(root.name, root.writable) for root in config.granted]
    [('examples', True)]

    Raises:
        pydantic.ValidationError: A root is no folder, or two have the same name.
    """

    model_config = SettingsConfigDict(env_prefix="CODEACT_FILES_", frozen=True, extra="forbid")

    roots: Annotated[Mapping[str, str | Path] | Sequence[str | Path], NoDecode, BeforeValidator(_listed)] = Field(
        default=(),
        description="Folders that are granted, or a mapping of names to folders; in the environment separated as in "
        "PATH, or JSON. Where there are several, paths begin with the name of one.",
    )
    writable: Annotated[bool | frozenset[str], NoDecode, BeforeValidator(_switch)] = Field(
        default=False, description="Whether files may be written, or the names of the roots where they may."
    )
    hidden: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        default=SECRET, description="Names, with wildcards, of files and folders that are never shown nor opened."
    )
    text_kb: PositiveInt = Field(default=256, description="Most text that one call reads or one diff has, in KiB.")
    line_kb: PositiveInt = Field(default=16, description="Longer lines are cut, in KiB.")
    file_mb: PositiveInt = Field(default=32, description="Largest file that is read as a whole or written, in MiB.")
    results: PositiveInt = Field(default=1000, description="Most entries or matches that one call returns.")
    rows: PositiveInt = Field(default=100_000, description="Most rows of a table that one call reads.")
    seconds: PositiveFloat = Field(default=10.0, description="How long one call searches, lists, scans or compares.")

    _granted: tuple[Root, ...] = PrivateAttr(default=())

    def model_post_init(self, context: Any, /) -> None:
        """Look the folders up: a link that is a root is what it leads to now, wherever it leads later."""
        super().model_post_init(context)
        named = self.roots.items() if isinstance(self.roots, Mapping) else [(None, each) for each in self.roots]
        paths = [(name, _folder(path)) for name, path in named]
        names = [name or path.name or "root" for name, path in paths]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"roots: two folders are named {twice[0]!r}; give a mapping of names to folders")
        if wrong := [name for name in names if "/" in name or name in (".", "..")]:
            raise ValueError(f"roots: {wrong[0]!r} cannot be the first part of a path; choose another name")
        if not isinstance(self.writable, bool) and (unknown := sorted(self.writable - set(names))):
            raise ValueError(f"writable: {unknown[0]!r} is none of the roots: {', '.join(names)}")
        self._granted = tuple(
            Root(name, path, self.writable if isinstance(self.writable, bool) else name in self.writable)
            for name, (_, path) in zip(names, paths, strict=True)
        )

    @property
    def granted(self) -> tuple[Root, ...]:
        """The folders."""
        return self._granted

    @classmethod
    def for_examples(cls, folder: Path | None = None) -> Self:
        """A fresh, writable copy of the folder that the examples of the docstrings are about.

        Whoever runs the examples of a toolkit's tools asks its configuration for this one.

        Args:
            folder: Where to put it. None: a temporary folder, removed when the process ends.
        """
        parent = folder or Path(tempfile.mkdtemp(prefix="codeact-files-"))
        root = parent / "examples"
        with as_file(files(__package__) / "examples") as shipped:
            shutil.copytree(shipped, root, ignore=shutil.ignore_patterns("__pycache__"))
        if folder is None:
            atexit.register(shutil.rmtree, parent, ignore_errors=True)
        return cls(roots=[root], writable=True)

    def locate(self, path: str) -> tuple[Root | None, tuple[str, ...]]:
        """Split a path of the model into a root and the parts below it; no root: the list of several roots.

        Raises:
            NoRootGranted: There is none.
            OutsideRoots: It is absolute, or no path.
            NotFound: It begins with the name of no root.
        """
        if not self._granted:
            raise NoRootGranted(
                "no folder is granted, so no file can be read; the person who runs this has to set "
                "CODEACT_FILES_ROOTS to a folder, or pass toolkit.configured(FilesConfig(roots=['data']))"
            )
        if "\0" in path:
            raise OutsideRoots(f"{path!r} holds a NUL character, which no path may")
        if path.startswith(("/", "~/")) or path == "~" or path[1:3] == ":\\":
            raise OutsideRoots(f"{path!r} is not inside of the granted folders; paths begin {self._beginning()}")
        try:
            os.fsencode(path)
        except UnicodeEncodeError:
            raise OutsideRoots(f"{path!r} holds characters that no path may") from None
        parts = tuple(part for part in path.split("/") if part not in ("", "."))
        if len(self._granted) == 1:
            return self._granted[0], parts
        if not parts:
            return None, ()
        for root in self._granted:
            if root.name == parts[0]:
                return root, parts[1:]
        raise (OutsideRoots if parts[0] == ".." else NotFound)(f"{path!r} does not begin {self._beginning()}")

    def _beginning(self) -> str:
        if len(self._granted) == 1:
            return f"in the granted folder {self._granted[0].name!r}, without its name; '.' is that folder"
        return f"with one of {', '.join(repr(root.name) for root in self._granted)}"

    def is_hidden(self, name: str) -> bool:
        """Whether files of this name are hidden; case, width and invisible characters make no difference.

        >>> config = FilesConfig(hidden=(".env",))
        >>> [config.is_hidden(name) for name in (".env", ".ENV", ".e\\u200bnv", "env")]
        [True, True, True, False]
        """
        folded = _folded(name)
        return any(fnmatchcase(folded, _folded(pattern)) for pattern in self.hidden)

    def allow(self, name: str) -> None:
        """Let names through that are not hidden.

        Raises:
            NotAllowed: It is hidden.
        """
        if self.is_hidden(name):
            raise NotAllowed(f"{name!r} is hidden by the configuration; leave it out")


def _folder(path: str | Path) -> Path:
    try:
        found = Path(path).expanduser().resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"roots: {str(path)!r} is not there; create the folder, or name another one") from error
    if not found.is_dir():
        raise ValueError(f"roots: {str(path)!r} is not a folder; name a folder")
    return found


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", "".join(each for each in plain if unicodedata.category(each) != "Cf"))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence part with the name that is most like ``name``; empty where none is.

    >>> nearest("Sales.CSV", ["sales.csv", "notes"])
    "; did you mean 'sales.csv'?"
    """
    by_folded = {_folded(candidate): candidate for candidate in known}
    matches = [by_folded[match] for match in get_close_matches(_folded(name), by_folded, n=1, cutoff=0.7)]
    return f"; did you mean {matches[0]!r}?" if matches else ""
