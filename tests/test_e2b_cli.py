"""The commands about E2B's cloud, against a server of its protocols."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("e2b_code_interpreter", reason="needs the extra e2b")
pytest.importorskip("starlette", reason="needs the extra e2b-test")

from e2b_code_interpreter import AsyncSandbox

from codeact_tools import Session
from codeact_tools.cli import main
from codeact_tools.cli.exits import Exit
from codeact_tools.sandbox.base import Limits, SandboxRequest
from codeact_tools.sandbox.e2b import E2BSandbox
from codeact_tools.testing.e2b_server import E2BServer, Failure


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[E2BServer]:
    """A server that the environment names."""
    with E2BServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


async def abandon(cloud: E2BServer) -> str:
    """Open a sandbox as a session does, and leave it running as a host that crashes does."""
    guest = await E2BSandbox(metadata={"team": "a"}).open(SandboxRequest(limits=Limits()))
    return (await guest.leave())["sandbox_id"]


@pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")
def test_sandboxes_that_were_left_behind(cloud: E2BServer, capsys: pytest.CaptureFixture[str]) -> None:
    """`ls` shows those of this library, wherever they were opened; `kill` ends them, and no others."""
    left = [asyncio.run(abandon(cloud)) for _ in range(2)]
    other = asyncio.run(AsyncSandbox.create(timeout=60)).sandbox_id
    assert main(["sandboxes", "ls"]) == Exit.ANSWER
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(left)
    assert all("running  code-interpreter-v1" in line and line.endswith("team=a") for line in lines)
    assert main(["sandboxes", "kill", left[0], "gone"]) == Exit.FAILED
    said = capsys.readouterr()
    assert (said.out, said.err) == (f"killed {left[0]}\n", "gone is not there\n")
    assert main(["sandboxes", "kill", "--all"]) == Exit.ANSWER
    assert list(cloud.sandboxes) == [other]
    assert main(["sandboxes", "kill", "--all"]) == Exit.ANSWER
    assert main(["sandboxes", "kill"]) == Exit.USAGE


def test_a_wrong_key_is_said(
    cloud: E2BServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an error of use, with the remedy."""
    monkeypatch.setenv("E2B_API_KEY", "e2b_wrong")
    assert main(["sandboxes", "ls"]) == Exit.USAGE
    assert "E2B_API_KEY" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")
def test_a_template_that_is_built_needs_no_upload(cloud: E2BServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The guest is copied into it and its packages are installed; sessions start from it without an upload."""
    assert main(["e2b", "template", "my-tools", "-p", "polars", "-p", "attrs>=25"]) == Exit.ANSWER
    assert capsys.readouterr().out.startswith("t")
    commands = [" ".join(step["args"]) for step in cloud.steps("my-tools") if step["type"] == "RUN"]
    assert any("pip install" in command and "polars" in command and "attrs>=25" in command for command in commands)
    cloud.faults.failures.append(Failure(status=500, path="/files", times=9))
    with Session(sandbox=E2BSandbox("my-tools")) as session:
        assert session.run("6 * 7").result == "42"
    cloud.faults.failures.clear()
    assert main(["e2b", "template", "x", "--base", "nope"]) == Exit.USAGE
    assert "nope" in capsys.readouterr().err


SHOP = '''
from codeact_tools import Toolkit, tool


@tool(read_only=True)
def price(item: str) -> float:
    """Look up a price."""
    return 2.5


toolkit = Toolkit("shop", tools=[price], packages=["attrs"])
'''


@pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")
def test_a_template_has_what_toolkits_declare(
    cloud: E2BServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The packages of toolkits are installed in it, each once, besides those that are named."""
    file = tmp_path / "shop.py"
    file.write_text(SHOP)
    assert main(["e2b", "template", "shop", "-t", f"{file},calendar", "-p", "attrs", "-p", "polars"]) == Exit.ANSWER
    capsys.readouterr()
    [install] = [
        command
        for command in (" ".join(step["args"]) for step in cloud.steps("shop") if step["type"] == "RUN")
        if "pip install" in command
    ]
    assert install.split("pip install ")[1].split()[:2] == ["attrs", "polars"], install
    assert main(["e2b", "template", "shop", "-t", "no_such_toolkit"]) == Exit.USAGE
