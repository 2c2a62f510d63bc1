"""Where the tools compute: in processes of their own, used again while they are well and killed when they are late.

Symbolic mathematics can run for hours or fill the memory, and a thread cannot be stopped. So a worker is a child
process with limited memory and without this process's environment; see `engine`. It loads a library when a question
first needs it: on a busy machine the first question takes 0.4 s (a constant) to 1.6 s (statistics), each further one of
that kind 0.1 to 0.6 ms more than its computation.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from . import errors
from .errors import ScienceError, TooHard

SECONDS: Final = 10.0
"""How long one question may take, the start of a worker included."""
MEMORY_MB: Final = 2048
"""Address space of a worker."""
MOST_IDLE: Final = 2
"""Workers that wait for the next question; more of them exist only while more questions are asked at once."""

_ENGINE: Final = Path(__file__).parent / "engine" / "__main__.py"
_KEPT: Final = ("LD_LIBRARY_PATH", "PYTHONHOME")
"""What a worker gets of the environment: what Python may need in order to start, and no secrets."""

_idle: list[Worker] = []
"""Appending to a list and popping from it are atomic."""


def ask(operation: str, *, seconds: float = SECONDS, **arguments: Any) -> Any:
    """Have a worker compute.

    Args:
        operation: One of the engine's ``OPERATIONS``.
        seconds: After which it is given up.
        arguments: JSON values.

    Raises:
        ScienceError: One of `errors`.
    """
    worker = _available()
    try:
        answer = worker.ask({"operation": operation, "arguments": arguments, "seconds": seconds}, seconds)
    except BaseException:
        worker.close()
        raise
    if len(_idle) < MOST_IDLE:
        _idle.append(worker)
    else:
        worker.close()
    if "fault" in answer:
        kind: type[ScienceError] = getattr(errors, answer["fault"])
        raise kind(answer["message"], **answer["fields"])
    return answer["value"]


def _available() -> Worker:
    while True:
        try:
            worker = _idle.pop()
        except IndexError:
            return Worker()
        if worker.is_alive:
            return worker
        worker.close()


def warm_up() -> None:
    """Start a worker and have it load its libraries now, so that the first question does not wait for that."""
    for operation, arguments in _FIRST.items():
        ask(operation, **arguments)


_FIRST: Final[dict[str, dict[str, Any]]] = {
    "convert": {"value": "1 km", "to": "m"},
    "integral": {"expression": "x", "variable": "x", "lower": 0.0, "upper": 1.0},
    "comparison": {"first": [1.0, 2.0], "second": [2.0, 4.0], "paired": False, "confidence": 0.95},
}


def close_idle() -> None:
    """End the workers that wait; the next question starts one again."""
    while _idle:
        _idle.pop().close()


class Worker:
    """One process, which answers one question after the other."""

    def __init__(self) -> None:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-B", str(_ENGINE), json.dumps(sys.path), str(MEMORY_MB)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
            start_new_session=True,  # Ctrl-C is for the host, which then ends the worker
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("unreachable")
        self._questions, self._answers = self._process.stdin, self._process.stdout

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, question: dict[str, Any], seconds: float) -> Any:
        """Ask, and wait for the answer.

        Raises:
            TooHard: It does not come in time, or the process ends instead. The worker is of no use after that.
        """
        deadline = time.monotonic() + seconds
        try:
            self._questions.write(json.dumps(question).encode() + b"\n")
            self._questions.flush()
        except BrokenPipeError as error:
            raise TooHard("the computation could not be started; try again") from error
        line = bytearray()
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TooHard(f"it takes longer than {seconds:g} s; make it smaller, or compute numbers instead")
            piece = os.read(self._answers.fileno(), 1 << 20)
            if not piece:
                raise TooHard("it takes more memory than it may; make it smaller")
            line += piece
        return json.loads(line)

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        self._questions.close()
        self._answers.close()


atexit.register(close_idle)
os.register_at_fork(after_in_child=_idle.clear)  # a worker answers the process that started it
