"""A warm `ty` language server that reads the session as a notebook.

The wire is the Language Server Protocol 3.17: JSON-RPC 2.0 behind ``Content-Length`` headers, notebooks by
``notebookDocument/didOpen`` and ``didChange``, findings pulled cell by cell with ``textDocument/diagnostic``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..events import Finding, FindingKind
from .folders import OwnedFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ServerUnavailable(Exception):
    """The type checker is not installed, died, or took longer than its budget; the message says which."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One diagnostic of ``ty``, with 0-based positions in the cell, counted in characters."""

    rule: str
    message: str
    line: int
    column: int
    end_line: int
    end_column: int

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> Self:
        """Take over one ``Diagnostic`` of the protocol, without the notes that ``ty`` appends to the message."""
        start, end = item["range"]["start"], item["range"]["end"]
        message = str(item["message"]).split("\n\n", 1)[0]
        return cls(str(item.get("code", "")), message, start["line"], start["character"], end["line"], end["character"])

    def finding(self, kind: FindingKind, message: str, hint: str | None = None) -> Finding:
        """A blocking finding at the place of the diagnostic."""
        end = self.end_column + 1 if self.end_line == self.line else None
        return Finding(
            kind=kind, message=message, hint=hint, line=self.line + 1, column=self.column + 1, end_column=end
        )


@dataclass(frozen=True, slots=True)
class _Cell:
    uri: str
    text: str


def find_ty() -> str | None:
    """Path of the installed ``ty`` executable: of this environment first, then of ``PATH``."""
    beside = shutil.which("ty", path=sysconfig.get_path("scripts"))
    return beside or shutil.which("ty")


class TypeServer:
    """One ``ty server`` process over a folder of stubs; started when it is needed, and again after its death.

    Not safe for use from several threads at once: the caller holds a lock.

    Args:
        stubs: Path and text of each stub.
        python_version: Of the code that is checked.
        executable: Path of ``ty``; that of the installed package by default.
        packages: Files and folders of an environment's ``site-packages`` that are visible besides; no others are.
    """

    def __init__(
        self,
        stubs: Mapping[str, str],
        *,
        python_version: str,
        executable: str | None = None,
        packages: Sequence[str] = (),
    ) -> None:
        self._stubs = stubs
        self._packages = packages
        self._python_version = python_version
        self._executable = executable
        self._folder: OwnedFolder | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._cells: list[_Cell] = []
        self._request = 0
        self._serial = 0
        self._closed = False

    def diagnose(self, cells: Sequence[str], *, seconds: float) -> list[Diagnostic]:
        """What ``ty`` finds in the last of ``cells``, the earlier ones being the session so far.

        Raises:
            ServerUnavailable: There is no answer within ``seconds``; the process is gone then, and the next call
                starts a new one.
        """
        expired = threading.Event()
        timer = threading.Timer(seconds, self._expire, [expired])
        timer.daemon = True
        timer.start()
        try:
            self._start()
            self._synchronize(cells)
            answer = self._ask("textDocument/diagnostic", {"textDocument": {"uri": self._cells[-1].uri}})
            return [Diagnostic.read(item) for item in answer["items"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._stop()
            reason = f"took longer than {seconds:g} s" if expired.is_set() else f"failed: {error}"
            raise ServerUnavailable(f"the type checker ty {reason}") from error
        finally:
            timer.cancel()

    def interrupt(self) -> None:
        """Make a `diagnose` that is under way fail at once, and every later one; may be called from any thread."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process and remove the stubs from the disk; nothing can be asked any more."""
        self._closed = True
        self._stop()
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def _expire(self, expired: threading.Event) -> None:
        expired.set()
        process = self._process
        if process is not None:
            process.kill()

    def _start(self) -> None:
        if self._closed:
            raise ServerUnavailable("the type checker ty is closed")
        if self._process is not None and self._process.poll() is None:
            return
        self._stop()
        executable = self._executable or find_ty()
        if executable is None:
            raise ServerUnavailable("the type checker ty is not installed (pip install 'codeact-tools[check]')")
        root = self._write_stubs()
        self._process = subprocess.Popen(
            [executable, "server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=root,
            # Nothing of the host's configuration or environments may reach it: no VIRTUAL_ENV, no user-level ty.toml.
            env={"PATH": "", "HOME": str(root), "XDG_CONFIG_HOME": str(root)},
        )
        if self._closed:
            self._process.kill()
        self._ask(
            "initialize",
            {
                "processId": None,
                "rootUri": root.as_uri(),
                "workspaceFolders": [{"uri": root.as_uri(), "name": "session"}],
                "capabilities": {
                    "general": {"positionEncodings": ["utf-32"]},
                    "textDocument": {"diagnostic": {}},
                    "notebookDocument": {"synchronization": {}},
                },
            },
        )
        self._send({"method": "initialized", "params": {}})

    def _write_stubs(self) -> Path:
        if self._folder is not None:
            return self._folder.path
        self._folder = OwnedFolder()
        root = self._folder.path
        library = root / "environment" / "lib" / f"python{self._python_version}" / "site-packages"
        library.mkdir(parents=True)
        (root / "environment" / "pyvenv.cfg").write_text(f"home = {root}\nversion = {self._python_version}.0\n")
        (root / "ty.toml").write_text(
            f'[environment]\npython = "environment"\npython-version = "{self._python_version}"\n'
            'python-platform = "linux"\nroot = ["."]\n'
        )
        for package in map(Path, self._packages):
            (library / package.name).symlink_to(package)
        for name, text in self._stubs.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return root

    def _stop(self) -> None:
        process, self._process = self._process, None
        self._cells = []
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                _close_quietly(stream)

    def _synchronize(self, texts: Sequence[str]) -> None:
        """Make the server's notebook hold exactly these cells, sending only what differs."""
        notebook = {"uri": f"{self._root}/session.ipynb", "version": self._serial}
        if not self._cells:
            added = [self._cell(text) for text in texts]
            document = {**notebook, "notebookType": "jupyter-notebook", "cells": [_entry(cell) for cell in added]}
            opened = [_document(cell) for cell in added]
            self._note("notebookDocument/didOpen", {"notebookDocument": document, "cellTextDocuments": opened})
            self._cells = added
            return
        same = 0
        for cell, text in zip(self._cells, texts, strict=False):
            if cell.text != text:
                break
            same += 1
        removed = self._cells[same:]
        added = [self._cell(text) for text in texts[same:]]
        if not removed and not added:
            return
        structure = {
            "array": {"start": same, "deleteCount": len(removed), "cells": [_entry(cell) for cell in added]},
            "didOpen": [_document(cell) for cell in added],
            "didClose": [{"uri": cell.uri} for cell in removed],
        }
        change = {"notebookDocument": notebook, "change": {"cells": {"structure": structure}}}
        self._note("notebookDocument/didChange", change)
        self._cells[same:] = added

    @property
    def _root(self) -> str:
        return self._write_stubs().resolve().as_uri()

    def _cell(self, text: str) -> _Cell:
        self._serial += 1
        return _Cell(f"{self._root.replace('file:', 'vscode-notebook-cell:', 1)}/session.ipynb#{self._serial}", text)

    def _ask(self, method: str, params: Mapping[str, object]) -> dict[str, Any]:
        self._request += 1
        self._send({"id": self._request, "method": method, "params": params})
        while True:
            message = self._receive()
            if "method" in message:
                if "id" in message:
                    self._send({"id": message["id"], "result": None})
            elif message.get("id") == self._request:
                if "error" in message:
                    raise ValueError(f"{method}: {message['error'].get('message')}")
                result: dict[str, Any] = message["result"]
                return result

    def _note(self, method: str, params: Mapping[str, object]) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: Mapping[str, object]) -> None:
        stream = self._process.stdin if self._process is not None else None
        if stream is None:
            raise OSError("it is not running")
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        stream.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        stream.flush()

    def _receive(self) -> dict[str, Any]:
        stream = self._process.stdout if self._process is not None else None
        if stream is None:
            raise OSError("it is not running")
        length = 0
        while line := stream.readline():
            if line == b"\r\n":
                message: dict[str, Any] = json.loads(stream.read(length))
                return message
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        raise OSError("it ended")


def _entry(cell: _Cell) -> dict[str, object]:
    return {"kind": 2, "document": cell.uri}


def _document(cell: _Cell) -> dict[str, object]:
    return {"uri": cell.uri, "languageId": "python", "version": 1, "text": cell.text}


def _close_quietly(stream: Any) -> None:
    """Close a pipe whose reader is dead: what is still buffered cannot be written, and need not be."""
    try:
        stream.close()
    except BrokenPipeError:
        return
