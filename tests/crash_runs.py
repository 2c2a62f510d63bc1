"""Runs of which a part is killed at some instant, and which are resumed: the processes of `test_crashes`.

``python -m tests.crash_runs FOLDER RUNS SEED`` prints a line of JSON for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai  # noqa: F401 - once, for all processes

from codeact_tools import CodeActAgent, tool
from codeact_tools.approvals import Done
from codeact_tools.errors import CodeActError, RunPaused
from codeact_tools.journal import Journal
from codeact_tools.models.endpoint import EndpointModel

REPLIES = (
    "<execute>\na = append('first')\nb = append('second')\nprint(a, b)\n</execute>",
    "<execute>\nimport asyncio, random\n"
    "c, d = await asyncio.gather(append_async('third'), append_async('fourth'))\n"
    "name = f'random {random.random()}'\ne = append(name)\nput('total', 5)\n</execute>",
    "<execute>\nlines = count()\nfor line in follow(2):\n    append('line ' + str(line))\n"
    "print(lines, a, b, c, d, e)\n</execute>",
    "The ledger has 7 lines.",
)
"""What the model says, turn by turn; the same whenever it is asked again."""
LINES = ("first", "second", "third", "fourth", "random", "line 0", "line 1")
"""How the ledger's lines begin in the end, each once."""
_PAUSE = 0.004
"""Seconds around an effect, so that a kill falls into it now and then."""


def ledger() -> Path:
    """The file with the effects."""
    return Path(os.environ["LEDGER"])


def write(line: str) -> int:
    """The effect: one more line."""
    time.sleep(_PAUSE)
    with ledger().open("a") as file:
        file.write(line + "\n")
    time.sleep(_PAUSE)
    return len(line)


@tool
def append(line: str) -> int:
    """Append a line to the ledger.

    Args:
        line: What to write.
    """
    return write(line)


@tool
async def append_async(line: str) -> int:
    """Append a line to the ledger.

    Args:
        line: What to write.
    """
    return await asyncio.to_thread(write, line)


@tool(idempotent=True)
def put(key: str, value: int) -> None:
    """Set a value.

    Args:
        key: Its name.
        value: What it is.
    """
    time.sleep(_PAUSE)
    ledger().with_suffix(f".{key}").write_text(str(value))


@tool(read_only=True)
def count() -> int:
    """Count the ledger's lines."""
    return len(ledger().read_text().splitlines())


@tool(read_only=True)
def follow(most: int) -> Iterator[int]:
    """Yield numbers.

    Args:
        most: How many.
    """
    for number in range(most):
        time.sleep(_PAUSE)
        yield number


def agent(journal: str, url: str) -> CodeActAgent:
    """The agent under test."""
    return CodeActAgent(
        [append, append_async, put, count, follow],
        model=EndpointModel(url, "scripted", api_key="none", retries=0),
        sandbox="local",
        allow_imports=["random"],
        journal=journal,
        check="off",  # a checker per process would take most of the time
    )


def go(journal: str, url: str, run: str | None) -> dict[str, Any]:
    """Start a run, or resume it; answer what it asks about a call by looking at the ledger."""
    try:
        done = agent(journal, url).resume(run) if run else agent(journal, url).run("Fill the ledger.")
    except RunPaused as pause:
        written = ledger().read_text().splitlines() if ledger().exists() else []
        for call in pause.waiting:
            line = call.arguments["line"]
            Journal(journal).decide(pause.run_id, call.id, Done(len(line)) if line in written else True, by="test")
        return {"paused": [call.tool for call in pause.waiting]}
    except CodeActError as error:
        return {"failed": type(error).__name__, "message": str(error)}
    return {"answer": done.answer}


class Endpoint(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that says `REPLIES`, by the number of turns that it is shown."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Stream the reply of this turn."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in re.findall(r"[\s\S]{1,40}", REPLIES[turn]):
            self._say({"delta": {"content": piece}, "index": 0, "finish_reason": None})
            time.sleep(0.001)
        self._say({"delta": {}, "index": 0, "finish_reason": "stop"})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _say(self, choice: dict[str, Any]) -> None:
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "scripted", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def do_GET(self) -> None:
        """Know nothing about models."""
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


class Driver:
    """Starts runs in processes of their own, kills one of the three that take part, and resumes until the answer."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)  # noqa: S311 - instants, not secrets
        self.journal = str(folder / "runs.sqlite3")
        self.port = 0
        self.endpoint = self.serve()
        self.usual = 0.0
        """Seconds of a run that nobody disturbs."""

    def serve(self) -> int:
        """Start the endpoint in a process of its own; return that."""
        socket = ThreadingHTTPServer(("127.0.0.1", self.port), Endpoint)
        self.port = socket.server_address[1]
        if child := os.fork():
            socket.server_close()
            return child
        socket.handle_error = lambda *_: None  # type: ignore[method-assign]  # those who were killed hang up
        socket.serve_forever()
        os._exit(0)

    def fork(self, run: str | None) -> tuple[int, int]:
        """Start or resume a run in a process of its own; return that and where its result comes from."""
        reading, writing = os.pipe()
        if child := os.fork():
            os.close(writing)
            return child, reading
        os.close(reading)
        try:
            result = go(self.journal, f"http://127.0.0.1:{self.port}/v1", run)
        except BaseException:
            result = {"crashed": traceback.format_exc()}
        os.write(writing, json.dumps(result).encode())
        os._exit(0)

    def disturbed(self, number: int) -> dict[str, Any]:
        """One run, with one kill; what became of it."""
        os.environ["LEDGER"] = str(self.folder / f"{number}.txt")
        victim = ("host", "guest", "endpoint")[number % 3]
        known = {run.run_id for run in Journal(self.journal).runs()}
        child, reading = self.fork(None)
        time.sleep(self.random.uniform(0, self.usual))
        self.kill(victim, child)
        started = time.perf_counter()
        ends = [self.result(child, reading)]
        if victim == "host":  # so that about half of the kills come in time, also where the machine's load changes
            self.usual = max(self.usual * (0.9 if "answer" in ends[0] else 1.1), 0.05)
        if victim == "endpoint":
            self.endpoint = self.serve()
        new = [run.run_id for run in Journal(self.journal).runs() if run.run_id not in known]
        while new and "answer" not in ends[-1] and len(ends) < 8:
            ends.append(self.result(*self.fork(new[0])))
        lines = ledger().read_text().splitlines() if ledger().exists() else []
        return {
            "victim": victim,
            "ends": ends,
            "begun": bool(new),
            "lines": lines,
            "seconds": time.perf_counter() - started,
        }

    def kill(self, victim: str, run: int) -> None:
        """SIGKILL one of the three, if it is there."""
        if victim == "endpoint":
            os.kill(self.endpoint, signal.SIGKILL)
            os.waitpid(self.endpoint, 0)
            return
        below = descendants(run)
        for process in [run] if victim == "host" else below[-1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def result(self, child: int, reading: int) -> dict[str, Any]:
        """What the process says at its end; nothing where it was killed."""
        with os.fdopen(reading, "rb") as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def close(self) -> None:
        """End the endpoint."""
        os.kill(self.endpoint, signal.SIGKILL)
        os.waitpid(self.endpoint, 0)


def descendants(process: int) -> list[int]:
    """All processes below one, parents first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found = [process]
    for each in found:
        found += parents.get(each, [])
    return found[1:]


def main(folder: str, runs: str, seed: str) -> None:
    """Drive the runs; one line of JSON for each."""
    driver = Driver(Path(folder), int(seed))
    try:
        for _ in range(2):
            started = time.perf_counter()
            os.environ["LEDGER"] = str(Path(folder) / "calm.txt")
            driver.result(*driver.fork(None))
            driver.usual = time.perf_counter() - started
        for number in range(int(runs)):
            print(json.dumps(driver.disturbed(number)), flush=True)  # noqa: T201
    finally:
        driver.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
