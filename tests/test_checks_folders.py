"""The folders of the type checker's stubs: removed by their owner, or after it was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codeact_tools.checks import Checker
from codeact_tools.checks.folders import PREFIX, OwnedFolder, sweep
from codeact_tools.registry import ToolRegistry

OWNER = """
import sys
from codeact_tools.checks import Checker
from codeact_tools.registry import ToolRegistry

checker = Checker(ToolRegistry([]))
checker.check_sync("1 + 1")
print("ready", flush=True)
sys.stdin.read()
"""
Owner = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own, for this process and for those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def owner() -> Iterator[Owner]:
    """Starts processes that have checked an action, and wait."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def folders(temporary: Path) -> list[str]:
    """Names of the folders that are there."""
    return sorted(each.name for each in temporary.iterdir() if each.name.startswith(PREFIX))


def test_a_checker_removes_its_folder(temporary: Path) -> None:
    """When it is closed."""
    with Checker(ToolRegistry([])) as checker:
        checker.check_sync("1 + 1")
        assert len(folders(temporary)) == 1
    assert folders(temporary) == []


def test_the_next_checker_removes_the_folder_of_a_process_that_was_killed(temporary: Path, owner: Owner) -> None:
    """And leaves that of one that lives."""
    killed = owner()
    [left] = folders(temporary)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert folders(temporary) == [left]
    owner()
    [living] = folders(temporary)
    assert living != left
    sweep(str(temporary))
    assert folders(temporary) == [living]


def test_a_folder_of_this_process_is_in_use() -> None:
    """Whichever of its checkers sweeps."""
    first, second = OwnedFolder(), OwnedFolder()
    sweep(str(first.path.parent))
    assert first.path.is_dir()
    assert second.path.is_dir()
    second.remove()
    second.remove()
    assert first.path.is_dir()
    first.remove()
    assert not first.path.exists()


def test_nothing_else_is_removed(temporary: Path) -> None:
    """No link, no folder without a lock, nothing of another name; and nothing that a folder links to."""
    kept = temporary / "kept"
    kept.mkdir()
    (kept / ".owner").touch()
    (kept / "data").touch()
    (temporary / f"{PREFIX}link").symlink_to(kept)
    (temporary / f"{PREFIX}plain").mkdir()
    (temporary / f"{PREFIX}file").touch()
    linking = temporary / f"{PREFIX}linking"
    linking.mkdir()
    (linking / ".owner").symlink_to(kept / ".owner")
    left = temporary / f"{PREFIX}left"
    left.mkdir()
    (left / ".owner").touch()
    (left / "package").symlink_to(kept)
    sweep(str(temporary))
    assert folders(temporary) == [f"{PREFIX}{name}" for name in ("file", "link", "linking", "plain")]
    assert sorted(each.name for each in kept.iterdir()) == [".owner", "data"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of other users")
def test_other_users_folders_are_left_alone(temporary: Path) -> None:
    """Even by somebody who could remove them."""
    other = temporary / f"{PREFIX}other"
    other.mkdir()
    (other / ".owner").touch()
    os.chown(other, 12345, 12345)
    sweep(str(temporary))
    assert folders(temporary) == [other.name]


def test_a_folder_that_a_sweep_takes_before_it_is_locked_is_made_anew(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner notices, whether the other one still holds the lock or has removed the folder already."""
    import fcntl

    real, swept = fcntl.flock, list[str]()

    def flock(descriptor: int, operation: int) -> None:
        if not swept:
            swept.extend(folders(temporary))
            sweep(str(temporary))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    folder = OwnedFolder()
    assert swept
    assert folders(temporary) == [folder.path.name] != swept
    folder.remove()


def test_where_files_cannot_be_locked_folders_are_made_all_the_same(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no sweep takes them for leftovers."""
    import fcntl

    def flock(descriptor: int, operation: int) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    folder = OwnedFolder()
    monkeypatch.undo()
    sweep(str(folder.path.parent))
    assert folder.path.is_dir()
    folder.remove()
    assert not folder.path.exists()
