"""The guest's entry point: answer the host's requests until it hangs up."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from .console import Console
from .determinism import seed_random, set_clock
from .execution import Interpreter
from .files import Folder, Refused
from .interrupts import Interrupts
from .link import Frame, Link
from .policy import ImportPolicy
from .pristine import own_builtins, seal
from .tools import build
from .values import Codec

VERSION = 1
"""Of the messages and of the values' format."""
_OUTPUT = 1 << 20


def warm() -> None:
    """Import what a session would import when it first needs it; for a process that sessions are forked from."""
    import asyncio
    import dataclasses
    import datetime
    import decimal
    import difflib
    import enum
    import inspect
    import pathlib
    import random
    import reprlib
    import uuid

    seal()
    del asyncio, dataclasses, datetime, decimal, difflib, enum, inspect, pathlib, random, reprlib, uuid


def main(fd_in: int, fd_out: int) -> NoReturn:
    """Serve one session over two descriptors, which may be the same socket; never returns."""
    seal()
    interrupts = Interrupts()
    interrupts.install()
    link = Link(fd_in, fd_out, interrupts)
    session = Session(link, interrupts, link.next_request())
    link.answer({"op": "ready", "version": VERSION})
    while True:
        link.answer(session.handle(link.next_request()))


class Session:
    """What the ``init`` frame sets up, and the answers to the host's requests."""

    def __init__(self, link: Link, interrupts: Interrupts, init: Frame) -> None:
        os.environ.setdefault("MPLBACKEND", "Agg")
        seed_random(init.get("seed"))
        codec = Codec()
        bound = build(init["manifest"], link, codec)
        self._link = link
        self._console = Console(link, init.get("output_limit", _OUTPUT), own_builtins())
        self._console.install()
        link.frame_limit = init.get("frame_limit", link.frame_limit)
        self._folder = Folder.current()
        self._interpreter = Interpreter(bound, self._console, self._folder, interrupts)
        self._interpreter.echo_limit = init.get("echo_limit", self._interpreter.echo_limit)
        ImportPolicy(["tools", *init.get("allow_imports", ())]).install(self._console.builtins)

    def handle(self, request: Frame) -> Frame:
        """Do what the host asks; return the answer."""
        do: Callable[[Frame], Frame] = getattr(self, f"_do_{request['op']}")
        try:
            return do(request)
        except Refused as refusal:
            return {"op": "refused", "path": request.get("path"), "message": str(refusal)}

    def _do_exec(self, request: Frame) -> Frame:
        self._link.open()
        self._console.begin()
        set_clock(request.get("clock"))
        number = request["id"]
        return {"op": "done", "id": number, **self._interpreter.run(number, request["code"])}

    def _do_put(self, request: Frame) -> Frame:
        self._folder.put(request["path"], request["data"], request.get("append", False))
        return {"op": "stored", "path": request["path"]}

    def _do_get(self, request: Frame) -> Frame:
        data, eof = self._folder.get(request["path"], request["offset"], request["size"])
        return {"op": "data", "path": request["path"], "data": data, "eof": eof}

    def _do_files(self, _: Frame) -> Frame:
        return {"op": "listing", "files": self._folder.listing()}


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
