"""The control plane: which sandboxes there are, for whom, and for how long."""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .faults import Faults
from .machine import Machine

_DEFAULT_SECONDS: Final = 15
_VERSION: Final = "0.6.7"
"""Of the daemon: new enough for everything that the SDK knows."""

Templates = Mapping[str, Mapping[str, bytes]]
"""By name, the files that a template puts into a sandbox's home."""
Handler = Callable[[Request], Awaitable[Response]]


class ControlPlane:
    """All sandboxes of one account."""

    def __init__(self, api_key: str, templates: Templates, faults: Faults, capacity: int, user: int | None) -> None:
        self.machines: dict[str, Machine] = {}
        self.templates = dict(templates)
        self.capacity = capacity
        self._user = user
        self._key = api_key
        self._faults = faults
        self._created: dict[str, Machine] = {}
        """By the idempotency key of the request."""

    def routes(self) -> list[Route]:
        """What it serves."""
        one = "/sandboxes/{id}"
        return [
            Route("/v2/sandboxes", self.guarded(self._create), methods=["POST"]),
            Route("/v2/sandboxes", self.guarded(self._list), methods=["GET"]),
            Route(f"/v2{one}/connect", self.guarded(self._connect), methods=["POST"]),
            Route(one, self.guarded(self._get), methods=["GET"]),
            Route(one, self.guarded(self._kill), methods=["DELETE"]),
            Route(f"{one}/timeout", self.guarded(self._timeout), methods=["POST"]),
            Route(f"{one}/pause", self.guarded(self._pause), methods=["POST"]),
        ]

    def guarded(self, handler: Handler) -> Handler:
        """Ask for the key, and that the sandbox which the path names is there."""

        async def guarded(request: Request) -> Response:
            if request.headers.get("X-API-KEY") != self._key:
                return problem(401, "Invalid API key")
            sandbox = request.path_params.get("id")
            if sandbox is not None and sandbox not in self.machines:
                return problem(404, f"sandbox {sandbox!r} was not found")
            return await handler(request)

        return guarded

    async def _create(self, request: Request) -> Response:
        body: Mapping[str, Any] = await request.json()
        repeated = self._created.get(request.headers.get("Idempotency-Key", ""))
        if repeated is not None and repeated.id in self.machines:
            return JSONResponse(_handle(repeated), 201)
        template = body["templateID"]
        if template not in self.templates:
            return problem(404, f"template {template!r} not found")
        if len(self.machines) >= self.capacity:
            return problem(429, "you have reached the maximum number of concurrent E2B sandboxes", retry=False)
        machine = Machine(
            template=template,
            metadata=dict(body.get("metadata") or {}),
            environment=dict(body.get("envVars") or {}),
            request=body,
            faults=self._faults,
            on_end=self._forget,
            user=self._user,
        )
        for name, data in self.templates[template].items():
            path = machine.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.machines[machine.id] = machine
        self._created[request.headers.get("Idempotency-Key") or machine.id] = machine
        machine.live(body.get("timeout") or _DEFAULT_SECONDS)
        return JSONResponse(_handle(machine), 201)

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        wanted = {
            urllib.parse.unquote(key): urllib.parse.unquote(value)
            for key, value in urllib.parse.parse_qsl(query.get("metadata", ""))
        }
        states = [state for part in query.getlist("state") for state in part.split(",")]
        found = [
            machine
            for machine in self.machines.values()
            if wanted.items() <= machine.metadata.items() and (not states or _state(machine) in states)
        ]
        start, limit = int(query.get("nextToken") or 0), int(query.get("limit") or 100)
        headers = {"x-next-token": str(start + limit)} if len(found) > start + limit else {}
        return JSONResponse([_details(machine) for machine in found[start : start + limit]], headers=headers)

    async def _get(self, request: Request) -> Response:
        return JSONResponse(_details(self._machine(request)))

    async def _kill(self, request: Request) -> Response:
        self._machine(request).end()
        return Response(status_code=204)

    async def _timeout(self, request: Request) -> Response:
        machine = self._machine(request)
        machine.renewals += 1
        machine.live((await request.json())["timeout"])
        return Response(status_code=204)

    async def _pause(self, request: Request) -> Response:
        machine = self._machine(request)
        if machine.paused:
            return problem(409, "the sandbox is paused already")
        machine.pause()
        return Response(status_code=204)

    async def _connect(self, request: Request) -> Response:
        machine = self._machine(request)
        if machine.paused:
            machine.resume()
        machine.live((await request.json()).get("timeout") or _DEFAULT_SECONDS)
        return JSONResponse(_handle(machine))

    def _forget(self, machine: Machine) -> None:
        self.machines.pop(machine.id, None)

    def _machine(self, request: Request) -> Machine:
        return self.machines[request.path_params["id"]]


def problem(status: int, message: str, *, retry: bool | None = None) -> JSONResponse:
    """Refuse as E2B does; ``retry`` tells the client whether to try again."""
    headers = {} if retry is None else {"Should-Retry": str(retry).lower()}
    return JSONResponse({"code": status, "message": message}, status, headers)


def _state(machine: Machine) -> str:
    return "paused" if machine.paused else "running"


def _handle(machine: Machine) -> dict[str, Any]:
    return {
        "sandboxID": machine.id,
        "templateID": machine.template,
        "clientID": "local",
        "envdVersion": _VERSION,
        "envdAccessToken": machine.token,
        "trafficAccessToken": None,
        "domain": None,
    }


def _details(machine: Machine) -> dict[str, Any]:
    return {
        **_handle(machine),
        "startedAt": machine.started.isoformat(),
        "endAt": machine.ends.isoformat(),
        "cpuCount": 2,
        "memoryMB": 512,
        "diskSizeMB": 1024,
        "state": _state(machine),
        "metadata": machine.metadata,
    }
