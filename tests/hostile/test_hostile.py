"""Every hostile program, in each mode of the local sandbox, as this user and, when this is root, as another one."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, Literal

import pytest

if sys.platform != "linux":
    pytest.skip("the local sandbox needs Linux", allow_module_level=True)

from codeact_tools.sandbox.local import LocalSandbox, Mode
from codeact_tools.sandbox.packages import find_packages
from codeact_tools.testing.unconfined import UnconfinedSandbox
from tests.hostile.host import LIMITS, PROGRAMS, Canaries, run_program
from tests.hostile.program import program_source

Who = Literal["this user", "another user"]
ROOT: Final = Path(__file__).parent.parent.parent
OTHER: Final = 54321
"""A user without any right on the host, whose number need not be in any table."""

CASES: Final[list[tuple[Mode, Who, str]]] = [
    (mode, who, name)
    for mode in ("jail", "jail-lite")
    for who in ("this user", "another user")
    for name, program in PROGRAMS.items()
    if mode == "jail" or program.lite
]


@functools.cache
def works(mode: Mode) -> str:
    """Return why ``mode`` cannot be tested here, or nothing."""
    report = next(report for report in LocalSandbox.probe() if report.mode == mode)
    return "" if report.works else f"{mode} cannot work here: {report.reason}"


@functools.cache
def run(mode: Mode, who: Who) -> dict[str, Any]:
    """Run all programs once, in a process of their own."""
    command = ["-B", "-m", "tests.hostile.host", mode]
    if who == "this user":
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=800)
    else:
        with tempfile.TemporaryDirectory(dir="/tmp") as copy:
            python = prepare(Path(copy))
            done = subprocess.run(
                [python, *command],
                cwd=copy,
                env={"PATH": os.defpath},
                user=OTHER,
                group=OTHER,
                extra_groups=[],
                capture_output=True,
                text=True,
                timeout=800,
            )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def prepare(copy: Path) -> str:
    """Copy what the other user needs to where it can read it, and return a Python that it can start."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for python in (Path(sys.executable).resolve(), Path("/usr/bin", version), Path("/usr/local/bin", version)):
        if python.exists() and all(parent.stat().st_mode & 0o001 for parent in python.resolve().parents):
            break
    else:
        pytest.skip(f"no {version} that another user can start")
    shutil.copytree(ROOT / "codeact_tools", copy / "codeact_tools")
    shutil.copytree(ROOT / "tests" / "hostile", copy / "tests" / "hostile")
    for path in map(Path, find_packages(("pydantic", "docstring-parser")).paths):
        if path.is_dir():
            shutil.copytree(path, copy / path.name, dirs_exist_ok=True)
        else:
            shutil.copy(path, copy)
    subprocess.run(["/bin/chmod", "-R", "a+rX", str(copy)], check=True)
    return str(python)


def skip_where_it_cannot_run(mode: Mode, who: Who) -> None:
    """Skip, with the reason."""
    if reason := works(mode):
        pytest.skip(reason)
    if who == "another user" and os.geteuid() != 0:
        pytest.skip("only root can become another user; this user is an ordinary one already")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("mode", "who", "name"), CASES)
def test_the_program_is_contained(mode: Mode, who: Who, name: str) -> None:
    """The program gets nothing, ends in time, and the next action is right or refused by name."""
    skip_where_it_cannot_run(mode, who)
    assert run(mode, who)["wrong"][name] == [], PROGRAMS[name].holds


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["jail", "jail-lite"])
@pytest.mark.parametrize("who", ["this user", "another user"])
def test_the_host_is_unharmed(mode: Mode, who: Who) -> None:
    """No server was reached, no file changed, no process or descriptor is left, and the victim lives."""
    skip_where_it_cannot_run(mode, who)
    assert run(mode, who)["harm"] == []


async def test_the_canaries_bite(tmp_path: Path) -> None:
    """Without a sandbox, the harmless ones among the programs do get what they are after."""
    home = tmp_path / "home"
    home.mkdir()
    canaries = Canaries(home)
    try:
        for name in ("read_secrets", "loopback", "import_tricks", "proc_walk"):
            code = program_source(PROGRAMS[name], canaries.facts("jail"))
            report = await run_program(UnconfinedSandbox(), code)
            assert "ESCAPED" in report["output"], name
        assert canaries.secrets[0] in json.dumps(report) or canaries.harm()
    finally:
        canaries.close()
    assert LIMITS.seconds < 5
