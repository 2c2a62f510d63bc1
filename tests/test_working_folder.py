"""Files of the working folder, whatever they are called."""

from __future__ import annotations

import sys

import pytest

from codeact_tools import Session
from tests.guests import running

NAMES = {b"plain.txt": "plain.txt", "grün.txt".encode(): "grün.txt", b"\xff\xfe.txt": "\\xff\\xfe.txt"}


async def test_a_name_that_is_not_utf8_is_shown_escaped() -> None:
    """Such a file is reported like any other, and can be read under the name that is shown."""
    async with running(allow_imports=["os"]) as guest:
        done = await guest(f"for name in {list(NAMES)}:\n    with open(name, 'wb') as file: _ = file.write(name)")
        assert [path for path, _ in done.files] == sorted(NAMES.values())
        assert await guest.bridge.files() == done.files
        for name, shown in NAMES.items():
            assert await guest.bridge.get(shown) == name
        changed = await guest("with open(b'\\xff\\xfe.txt', 'wb') as file: _ = file.write(b'new')")
        assert changed.files == [("\\xff\\xfe.txt", 3)]
        assert (await guest("'still here'")).result == "'still here'"


@pytest.mark.skipif(sys.platform != "linux", reason="the local sandbox needs Linux")
def test_a_session_hands_out_a_file_with_an_odd_name() -> None:
    """The session lives on, and the file is among its artifacts."""
    with Session(sandbox="local", check="off") as session:
        seen = session.run("with open(b'\\xffodd.bin', 'wb') as file: _ = file.write(b'content')")
        if "jail-lite" in session.sandbox:
            pytest.skip("no files can be written in this mode")
        assert [(artifact.name, artifact.data) for artifact in seen.artifacts] == [("\\xffodd.bin", b"content")]
        assert session.run("1 + 1").result == "2"
