"""The sample site: a few pages that ship with this package, for examples and first steps.

It answers as ``https://sample.invalid``. The name is reserved (RFC 6761): no host on the internet can have it, so
nothing that exists is shadowed, and no connection is made. Its requests go through everything else that a request goes
through: the reading of the address, the allowed hosts, robots.txt, redirects, limits and extraction.
"""

from __future__ import annotations

import gzip
from importlib.resources import files
from typing import Final

import httpx2

HOST: Final = "sample.invalid"
_TYPES: Final = {"html": "text/html; charset=utf-8", "txt": "text/plain", "json": "application/json", "csv": "text/csv"}
_MOVED: Final = {"/old": "/tides"}


class SampleSite(httpx2.AsyncBaseTransport):
    """Serves the files of the folder ``site``."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request for one of the pages."""
        path = request.url.path
        if path in _MOVED:
            return httpx2.Response(301, headers={"Location": _MOVED[path]})
        name = path.strip("/") or "index"
        name = name if "." in name else f"{name}.html"
        kind = name.rpartition(".")[2]
        page = files(__package__) / "site" / name
        if "/" in name or kind not in _TYPES or not page.is_file():
            return httpx2.Response(404, text="There is no such page.")
        headers = {"Content-Type": _TYPES[kind], "Content-Encoding": "gzip"}
        return httpx2.Response(200, headers=headers, stream=httpx2.ByteStream(gzip.compress(page.read_bytes())))


def pages() -> dict[str, str]:
    """The addresses of the site's pages, with their HTML."""
    found = sorted((files(__package__) / "site").iterdir(), key=lambda page: page.name)
    return {
        f"https://{HOST}/{page.name.removesuffix('.html').replace('index', '')}": page.read_text(encoding="utf-8")
        for page in found
        if page.name.endswith(".html")
    }
