"""The daemon in each sandbox (``envd``): commands and files."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from .connect import Json, RPCError, messages, streamed, streamed_error, streamed_message, unary_error
from .control import ControlPlane
from .machine import Event, Machine, Process

_SIGNALS: Final = {"SIGNAL_SIGTERM": 15, "SIGNAL_SIGKILL": 9, 15: 15, 9: 9}
_KEEPALIVE: Final = 5.0
_MOST_FILES: Final = 10_000

Handler = Callable[[Machine, Request], Awaitable[Response]]


class Daemon:
    """Serves the daemons of all sandboxes; a header says which one is meant."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def routes(self) -> list[Route]:
        """What it serves."""
        unary = {
            "process.Process/List": _list_processes,
            "process.Process/SendInput": _send_input,
            "process.Process/SendSignal": _send_signal,
            "process.Process/CloseStdin": _close_input,
            "filesystem.Filesystem/Stat": _stat,
            "filesystem.Filesystem/ListDir": _list_folder,
            "filesystem.Filesystem/MakeDir": _make_folder,
            "filesystem.Filesystem/Move": _move,
            "filesystem.Filesystem/Remove": _remove,
        }
        streams = {"process.Process/Start": _start, "process.Process/Connect": _connect}
        return [
            *(Route(f"/{path}", self._guarded(_unary(do)), methods=["POST"]) for path, do in unary.items()),
            *(Route(f"/{path}", self._guarded(_stream(do)), methods=["POST"]) for path, do in streams.items()),
            Route("/process.Process/StreamInput", self._guarded(_stream_input), methods=["POST"]),
            Route("/files", self._guarded(_read_file), methods=["GET"]),
            Route("/files", self._guarded(_write_files), methods=["POST"]),
            Route("/health", self._guarded(_health), methods=["GET"], name="health"),
        ]

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            sandbox = request.headers.get("E2b-Sandbox-Id", "")
            machine = self._plane.machines.get(sandbox)
            if machine is None or machine.paused:
                # The proxy in front of the sandboxes says so.
                body = {"sandboxId": sandbox, "message": "The sandbox was not found", "code": 502}
                return JSONResponse(body, 502)
            if request.url.path != "/health" and request.headers.get("X-Access-Token") != machine.token:
                return JSONResponse({"code": 401, "message": "unauthorized"}, 401)
            try:
                return await handler(machine, request)
            except RPCError as error:
                return JSONResponse({"code": 404 if error.code == "not_found" else 400, "message": error.message}, 404)

        return guarded


def _unary(do: Callable[[Machine, Json], Awaitable[Json]]) -> Handler:
    async def handle(machine: Machine, request: Request) -> Response:
        try:
            return JSONResponse(await do(machine, await request.json()))
        except RPCError as error:
            return unary_error(error)

    return handle


def _stream(do: Callable[[Machine, Json, Mapping[str, str]], AsyncIterator[Json]]) -> Handler:
    async def handle(machine: Machine, request: Request) -> Response:
        return streamed(do(machine, await anext(messages(request)), request.headers))

    return handle


# ---- processes -------------------------------------------------------------------------------------------------------


async def _start(machine: Machine, request: Json, headers: Mapping[str, str]) -> AsyncIterator[Json]:
    process = await machine.start(request["process"], stdin=request.get("stdin", True))
    async for message in _watch(process, headers):
        yield message


async def _connect(machine: Machine, request: Json, headers: Mapping[str, str]) -> AsyncIterator[Json]:
    async for message in _watch(machine.find(request), headers):
        yield message


async def _watch(process: Process, headers: Mapping[str, str]) -> AsyncIterator[Json]:
    """Yield a process's events; the client's time limit ends the process, as the real daemon does."""
    limit = headers.get("connect-timeout-ms")
    loop = asyncio.get_running_loop()
    timer = loop.call_later(int(limit) / 1000, process.child.kill) if limit else None
    events = process.events()
    upcoming: asyncio.Future[Event] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([upcoming], timeout=_KEEPALIVE)
            if not done:
                yield {"event": {"keepalive": {}}}
                continue
            try:
                kind, value = upcoming.result()
            except StopAsyncIteration:
                return
            upcoming = None
            if kind in ("stdout", "stderr"):
                kind, value = "data", {kind: base64.b64encode(value).decode()}
            yield {"event": {kind: value}}
    finally:
        if upcoming is not None:
            upcoming.cancel()
        if timer is not None:
            timer.cancel()


async def _stream_input(machine: Machine, request: Request) -> Response:
    """Take input as long as it comes. The answer is last: a request that streams has to be read before it."""
    if not machine.faults.input_streams:
        return streamed_error(RPCError("unimplemented", "process.Process.StreamInput is not implemented"))
    try:
        requests = messages(request)
        process = machine.find((await anext(requests))["start"])
        async for message in requests:
            if "data" in message:
                await process.write(base64.b64decode(message["data"]["input"]["stdin"]))
    except RPCError as error:
        return streamed_error(error)
    return streamed_message({})


async def _list_processes(machine: Machine, _: Json) -> Json:
    return {"processes": [{"pid": pid, "config": process.config} for pid, process in machine.processes.items()]}


async def _send_input(machine: Machine, request: Json) -> Json:
    await machine.find(request).write(base64.b64decode(request["input"]["stdin"]))
    return {}


async def _send_signal(machine: Machine, request: Json) -> Json:
    machine.find(request).child.send_signal(_SIGNALS[request["signal"]])
    return {}


async def _close_input(machine: Machine, request: Json) -> Json:
    machine.find(request).close_input()
    return {}


# ---- files -----------------------------------------------------------------------------------------------------------


async def _health(_machine: Machine, _request: Request) -> Response:
    return Response(status_code=204)


async def _read_file(machine: Machine, request: Request) -> Response:
    path = _existing(machine, request.query_params["path"])
    if path.is_dir():
        return JSONResponse({"code": 400, "message": f"path {path.name!r} is a directory"}, 400)
    return FileResponse(path)


async def _write_files(machine: Machine, request: Request) -> Response:
    given = request.query_params.get("path")
    if request.headers.get("content-type", "").startswith("multipart/"):
        async with request.form(max_files=_MOST_FILES) as form:
            uploads = [item for _, item in form.multi_items() if isinstance(item, UploadFile)]
            contents = [(given or upload.filename or "", await upload.read()) for upload in uploads]
    else:
        contents = [(given or "", await request.body())]
    written = []
    for name, data in contents:
        path = machine.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        written.append({"name": path.name, "type": "file", "path": str(path)})
    return JSONResponse(written)


async def _stat(machine: Machine, request: Json) -> Json:
    return {"entry": _entry(_existing(machine, request["path"]))}


async def _list_folder(machine: Machine, request: Json) -> Json:
    folder = _existing(machine, request["path"])
    if not folder.is_dir():
        raise RPCError("invalid_argument", f"{request['path']!r} is not a directory")
    depth = request.get("depth") or 1
    base = len(folder.parts)
    return {"entries": [_entry(path) for path in sorted(folder.rglob("*")) if len(path.parts) - base <= depth]}


async def _make_folder(machine: Machine, request: Json) -> Json:
    path = machine.path(request["path"])
    if path.exists():
        raise RPCError("already_exists", f"{request['path']!r} exists")
    path.mkdir(parents=True)
    return {"entry": _entry(path)}


async def _move(machine: Machine, request: Json) -> Json:
    source, target = _existing(machine, request["source"]), machine.path(request["destination"])
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
    return {"entry": _entry(target)}


async def _remove(machine: Machine, request: Json) -> Json:
    path = machine.path(request["path"])
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return {}


def _existing(machine: Machine, name: str) -> Path:
    path = machine.path(name)
    if not path.exists():
        raise RPCError("not_found", f"path {name!r} does not exist")
    return path


def _entry(path: Path) -> Json:
    about = path.stat()
    return {
        "name": path.name,
        "type": "FILE_TYPE_DIRECTORY" if path.is_dir() else "FILE_TYPE_FILE",
        "path": os.fspath(path),
        "size": str(about.st_size),
        "mode": stat.S_IMODE(about.st_mode),
        "permissions": stat.filemode(about.st_mode),
        "owner": "user",
        "group": "user",
    }
