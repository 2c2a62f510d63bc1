"""Templates that clients build: what is copied into them is there; other steps are recorded, not run."""

from __future__ import annotations

import io
import posixpath
import secrets
import tarfile
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .control import ControlPlane, problem

_HOME: Final = "/home/user/"


class Builds:
    """The control plane's part about templates."""

    def __init__(self, plane: ControlPlane, url: str) -> None:
        self._plane = plane
        self._url = url
        self._names: dict[str, str] = {}
        self._uploads: dict[str, dict[str, bytes]] = {}
        self.steps: dict[str, list[dict[str, Any]]] = {}
        """For each template, the steps of its last build."""

    def routes(self) -> list[Route]:
        """What it serves."""
        guarded = self._plane.guarded
        build = "/templates/{template}/builds/{build}"
        return [
            Route("/v3/templates", guarded(self._request), methods=["POST"]),
            Route("/templates/{template}/files/{hash}", guarded(self._link), methods=["GET"]),
            Route("/uploads/{hash}", self._upload, methods=["PUT"]),
            Route(f"/v2{build}", guarded(self._build), methods=["POST"]),
            Route(f"{build}/status", guarded(self._status), methods=["GET"]),
        ]

    async def _request(self, request: Request) -> Response:
        name = (await request.json())["name"]
        template = "t" + secrets.token_hex(8)
        self._names[template] = name
        answer = {"templateID": template, "buildID": secrets.token_hex(8), "public": False}
        return JSONResponse({**answer, "names": [name], "tags": [], "aliases": [name]}, 202)

    async def _link(self, request: Request) -> Response:
        digest = request.path_params["hash"]
        return JSONResponse({"present": digest in self._uploads, "url": f"{self._url}/uploads/{digest}"}, 201)

    async def _upload(self, request: Request) -> Response:
        with tarfile.open(fileobj=io.BytesIO(await request.body())) as archive:
            members = [(member, archive.extractfile(member)) for member in archive if member.isfile()]
            self._uploads[request.path_params["hash"]] = {
                member.name: content.read() for member, content in members if content is not None
            }
        return Response()

    async def _build(self, request: Request) -> Response:
        body = await request.json()
        base = body.get("fromTemplate", "base")
        if base not in self._plane.templates:
            return problem(404, f"template {base!r} not found")
        files = dict(self._plane.templates[base])
        for step in body["steps"]:
            if step["type"] == "COPY":
                source, target = step["args"][:2]
                for name, data in self._uploads[step["filesHash"]].items():
                    inside = posixpath.join(target, posixpath.relpath(name, source))
                    files[inside.removeprefix(_HOME)] = data
        template = request.path_params["template"]
        for name in (template, self._names[template]):
            self._plane.templates[name] = files
            self.steps[name] = body["steps"]
        return Response(status_code=202)

    async def _status(self, request: Request) -> Response:
        template, build = request.path_params["template"], request.path_params["build"]
        answer = {"templateID": template, "buildID": build, "status": "ready", "logs": [], "logEntries": []}
        return JSONResponse(answer)
