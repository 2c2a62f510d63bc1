"""Fuzzing the host's side of the bridge, led by the code that each input reaches.

    pip install atheris
    python -m tests.hostile.fuzz_coverage -max_total_time=600

The first byte of an input says whether it is cut into frames alone, or said by a guest during an action; the rules are
those of `tests.test_bridge_fuzz`. Arguments are libFuzzer's. The first finding ends it, with the input in a file.
"""

from __future__ import annotations

import asyncio
import importlib
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

atheris: Any = importlib.import_module("atheris")
with atheris.instrument_imports(include=["codeact_tools.sandbox", "codeact_tools.wire", "codeact_tools.hostcalls"]):
    from codeact_tools.errors import ProtocolViolation
    from codeact_tools.wire import FrameBuffer, encode_frame
    from tests.test_bridge_fuzz import LIMITS, conversation, listen_to

LOOP = asyncio.new_event_loop()


def look_at(data: bytes) -> None:
    """Judge one input."""
    if not data or data[0] < 128:
        cut(data[1:])
    else:
        rng = random.Random(data[0])  # noqa: S311 - repeatable
        LOOP.run_until_complete(listen_to(data[1:], rng, most_calls=data.count(b"{")))


def cut(data: bytes) -> None:
    """Frames come out whole and alike however the stream is cut; otherwise the violation has a name."""

    def feed(size: int) -> list[Any] | None:
        buffer, found = FrameBuffer(LIMITS.frame_kb * 1024), []
        try:
            for start in range(0, len(data), size):
                found += buffer.feed(data[start : start + size])
        except ProtocolViolation:
            return None
        return [*found, len(buffer)]

    whole, parts = feed(len(data) or 1), feed(7)
    assert (whole is None) == (parts is None)
    assert repr(whole) == repr(parts)
    for message in (whole or [0])[:-1]:
        encode_frame(message)


def main() -> None:
    """Start from a few hundred conversations that are wrong in the ways that the other fuzzer knows."""
    with tempfile.TemporaryDirectory() as corpus:
        for seed in range(300):
            frames, _ = conversation(random.Random(seed))  # noqa: S311 - repeatable
            said = b"".join(frames)[:4000]
            Path(corpus, f"{seed}a").write_bytes(b"\0" + said)
            Path(corpus, f"{seed}b").write_bytes(bytes([128 + seed % 128]) + said)
        atheris.Setup([*sys.argv, corpus], look_at)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
