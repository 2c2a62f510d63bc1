"""Every hostile program in E2B's sandbox: the jail holds there as it does here, and so does the host's end."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("e2b_code_interpreter", reason="needs the extra e2b")
pytest.importorskip("starlette", reason="needs the extra e2b-test")
if sys.platform != "linux":
    pytest.skip("the jail needs Linux", allow_module_level=True)

from codeact_tools.sandbox.e2b import E2BSandbox
from codeact_tools.testing.e2b_server import E2BServer
from tests.hostile.host import AT_ONCE, PROGRAMS, Canaries, judge, run_program, wait_until_gone
from tests.hostile.program import program_source

Results = tuple[dict[str, list[str]], list[str]]


@pytest.fixture(scope="module")
def results() -> Results:
    """What was wrong with the end of each program, and what was done to the host."""
    with tempfile.TemporaryDirectory(prefix="home-", dir="/tmp") as home, E2BServer() as server:
        canaries = Canaries(Path(home))
        try:
            codes = {name: program_source(program, canaries.facts("jail")) for name, program in PROGRAMS.items()}
            reports = asyncio.run(_run_all(server, codes))
            wait_until_gone(lambda: server.sandboxes)
            harm = canaries.harm() + [f"sandbox {each} is left" for each in server.sandboxes]
        finally:
            canaries.close()
        return {name: judge(report, canaries) for name, report in reports.items()}, harm


async def _run_all(server: E2BServer, codes: dict[str, str]) -> dict[str, dict[str, Any]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(code: str) -> dict[str, Any]:
        async with gate:
            return await run_program(E2BSandbox(**server.options), code)

    reports = await asyncio.gather(*map(one, codes.values()))
    return dict(zip(codes, reports, strict=True))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_is_contained(results: Results, name: str) -> None:
    """The program gets nothing, ends in time, and the next action is right or refused by name."""
    assert results[0][name] == [], PROGRAMS[name].holds


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_host_is_unharmed(results: Results) -> None:
    """No server was reached, no file changed, the victim lives, and no sandbox is left."""
    assert results[1] == []
