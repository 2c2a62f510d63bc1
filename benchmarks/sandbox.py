"""The local sandbox beside a bare socket and beside other interpreters of Python actions, in one run on one machine.

    python -m benchmarks.sandbox [--rivals PYTHON] [--rounds 300] [--live 0] [--cycles 0]

``--rivals`` names a Python in which they are installed; what is missing there is skipped by name:

    python -m venv rivals
    rivals/bin/pip install pydantic-monty smolagents jupyter-client ipykernel

Measured are: ``first`` (nothing is warm), ``cold`` (a fresh session with its first action; in the row of spares from
guests that were forked ahead), ``warm`` (``1+1``),
``call`` (a tool call's round trip; ours with validation of arguments and result), ``action`` (20 lines with ten calls),
``rested`` (the same action after a tenth of a second in which nothing ran), ``work`` (with a loop over 2000 numbers),
``memory`` (of a session alone, not what it shares), and ``twenty`` (sessions opened and run at once). Actions are given
by the median of their rounds, everything else by the best. The floor of ``call`` is JSON going back and forth over the
same kind of socket, between plain loops that sleep until something arrives: where the system places them, both on one
core, and on two. The last two differ by what it takes to wake an idle core, so the load of the machine, which is
printed first, decides where the first one is.
``--live`` opens that many sessions at once, ``--cycles`` opens and closes one after the other and counts what is left.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.sandbox_rivals import best, children, median, resident
from codeact_tools import Session, ToolRegistry
from codeact_tools.events import Event
from codeact_tools.sandbox.local import LocalSandbox

PER_LOOP: Final = 200
REST_SECONDS: Final = 0.1
CALLS: Final = f"for i in range({PER_LOOP}):\n    x = add(i, 2)"
ASYNC_CALLS: Final = f"for i in range({PER_LOOP}):\n    x = await add_async(i, 2)"
ACTION: Final = """total = 0
names = []
for i in range(5):
    total = add(total, i)
squares = [n * n for n in range(20)]
total = add(total, sum(squares))
text = "a,b,c"
for part in text.split(","):
    names.append(part.upper())
if total > 10:
    total = add(total, -10)
table = {}
for name in names:
    table[name] = add(len(name), total)
best = None
for name in table:
    if best is None or table[name] > table[best]:
        best = name
print(best, total)
print(len(table), names[0])"""
"""20 lines and ten calls."""
WORK: Final = ACTION.replace("range(20)", "range(2000)")
"""The same with something to compute."""


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


async def add_async(a: int, b: int) -> int:
    """Add."""
    return a + b


REGISTRY: Final = ToolRegistry([add, add_async])
"""Made once, as an application does."""


def ping_pong(rounds: int = 2000, cores: tuple[int, int] | None = None) -> float:
    """Seconds for a call and its answer as JSON, between two plain loops over a socket pair, on these cores."""
    ours, theirs = socket.socketpair()
    before = os.sched_getaffinity(0)
    child = os.fork()
    if cores is not None:
        os.sched_setaffinity(0, {cores[bool(child)]})
    if not child:
        ours.close()
        while message := _read(theirs):
            _write(theirs, {"op": "return", "call": message["id"], "value": sum(message["args"])})
        os._exit(0)
    theirs.close()
    shortest = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for number in range(rounds):
            _write(ours, {"op": "call", "id": number, "tool": "add", "args": [number, 2], "kwargs": {}})
            _read(ours)
        shortest = min(shortest, (time.perf_counter() - started) / rounds)
    ours.close()
    os.waitpid(child, 0)
    os.sched_setaffinity(0, before)
    return shortest


def _write(end: socket.socket, message: object) -> None:
    body = json.dumps(message).encode()
    end.sendall(len(body).to_bytes(4, "big") + body)


def _read(end: socket.socket) -> Any:
    head = end.recv(4, socket.MSG_WAITALL)
    return json.loads(end.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)) if head else None


def bare_python() -> float:
    """Seconds for a Python that starts and does nothing."""
    return best(lambda: subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True), 10)


def open_session(sandbox: LocalSandbox | None = None, on_event: Callable[[Event], None] | None = None) -> Session:
    """A session with the benchmark's tools."""
    return Session(
        tools=REGISTRY, sandbox=sandbox or LocalSandbox(), check="off", limits={"calls": 10**6}, on_event=on_event
    )


def run(session: Session, code: str) -> None:
    """Run an action, which must not fail."""
    seen = session.run(code)
    if seen.error is not None:
        raise RuntimeError(seen.text)


def fresh() -> None:
    """A session from its opening to its end, with one action."""
    with open_session() as session:
        run(session, "1+1")


async def twenty() -> float:
    """Seconds to open twenty sessions at once, each with an action."""

    async def one() -> Session:
        session = open_session()
        await session.arun("1+1")
        return session

    started = time.perf_counter()
    sessions = await asyncio.gather(*(one() for _ in range(20)))
    seconds = time.perf_counter() - started
    for session in sessions:
        await session.aclose()
    return seconds


def until_first_action(sandbox: LocalSandbox | None = None) -> float:
    """Seconds from the request for a session to the end of its first action; its end is not part of it."""
    started = time.perf_counter()
    with open_session(sandbox) as session:
        run(session, "1+1")
        return time.perf_counter() - started


def with_spares() -> float:
    """The same from a guest that was forked ahead; in between there is time to fork others."""
    sandbox = LocalSandbox(spares=2)
    seconds = []
    for _ in range(20):
        seconds.append(until_first_action(sandbox))
        time.sleep(0.15)
    return min(seconds[1:])


def ours(rounds: int) -> dict[str, dict[str, float]]:
    """The figures of the local sandbox, through the synchronous face."""
    first = best(fresh, 1)
    with open_session() as session:
        for _ in range(10):
            run(session, ACTION)
        usable = sorted(os.sched_getaffinity(0))
        places = {"socket": None, "  one core": (usable[0], usable[0]), "  two cores": (usable[0], usable[-1])}
        floors = dict.fromkeys(places, float("inf"))
        call = call_heard = call_async = float("inf")
        with open_session(on_event=lambda _: None) as heard:
            for _ in range(3):  # in turns, so that all see the same machine
                for place, cores in places.items():
                    floors[place] = min(floors[place], ping_pong(500, cores))
                call = min(call, best(lambda: run(session, CALLS), 10) / PER_LOOP)
                call_heard = min(call_heard, best(lambda: run(heard, CALLS), 10) / PER_LOOP)
                call_async = min(call_async, best(lambda: run(session, ASYNC_CALLS), 10) / PER_LOOP)
            action_heard = median(lambda: run(heard, ACTION), rounds)
        figures = {
            "first": first,
            "cold": min(until_first_action() for _ in range(20)),
            "warm": median(lambda: run(session, "1+1"), rounds),
            "call": call,
            "action": median(lambda: run(session, ACTION), rounds),
            "work": median(lambda: run(session, WORK), rounds),
            "rested": median(lambda: run(session, ACTION), rounds // 15, REST_SECONDS),
            "memory": _memory_of_guests(20),
            "twenty": min(asyncio.run(twenty()) for _ in range(3)),
        }
        return {
            **{place: {"call": floor} for place, floor in floors.items()},
            session.sandbox: figures,
            "  with a listener": {"call": call_heard, "action": action_heard},
            "  asynchronous tool": {"call": call_async},
            "  spares": {"cold": with_spares()},
        }


def _memory_of_guests(number: int) -> float:
    before = set(_descendants())
    sessions = [open_session() for _ in range(number)]
    for session in sessions:
        session.__enter__()
        run(session, "x = 1")
    memory = sum(resident(each) for each in set(_descendants()) - before) / number
    for session in sessions:
        session.close()
    return memory


def _descendants() -> list[str]:
    found = list(children())
    for number in found:
        for path in Path(f"/proc/{number}/task").glob("*/children"):
            found += path.read_text().split()
    return found


async def live(number: int) -> str:
    """Open so many sessions at once; each answers, and again when all are there."""

    async def one() -> Session:
        session = open_session()
        await session.arun("x = 20")
        return session

    started = time.perf_counter()
    sessions = await asyncio.gather(*(one() for _ in range(number)))
    opened = time.perf_counter() - started
    memory = sum(resident(each) for each in _descendants()) / number
    started = time.perf_counter()
    answers = await asyncio.gather(*(session.arun("x + 1") for session in sessions))
    answered = time.perf_counter() - started
    for session in sessions:
        await session.aclose()
    right = sum(answer.result == "21" for answer in answers)
    return (
        f"{number} live sessions: opened in {opened:.1f} s, {memory / 2**20:.1f} MiB each, {right} right answers in "
        f"{answered:.2f} s"
    )


async def cycles(number: int) -> str:
    """Open and close so many sessions, ten at a time; say what is left."""

    async def one() -> None:
        async with open_session() as session:
            await session.arun("add(1, 2)")

    await one()
    before = len(os.listdir("/proc/self/fd")), len(_descendants())  # noqa: PTH208
    started = time.perf_counter()
    for _ in range(0, number, 10):
        await asyncio.gather(*(one() for _ in range(10)))
    seconds = time.perf_counter() - started
    after = len(os.listdir("/proc/self/fd")), len(_descendants())  # noqa: PTH208
    left = f"{after[0] - before[0]:+} descriptors, {after[1] - before[1]:+} processes"
    return f"{number} sessions in {seconds:.0f} s: {left}"


def rivals(python: str, rounds: int) -> dict[str, Any]:
    """The figures of the others, measured in their Python."""
    plan = {
        "rounds": rounds, "action": ACTION, "work": WORK, "calls": CALLS, "per_loop": PER_LOOP, "rest": REST_SECONDS
    }  # fmt: skip
    script = Path(__file__).with_name("sandbox_rivals.py")
    found = subprocess.run([python, str(script), json.dumps(plan)], check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(found.stdout)
    return answer


_COLUMNS: Final = ("first", "cold", "warm", "call", "action", "rested", "work", "twenty", "memory")


def _table(rows: dict[str, dict[str, float]]) -> None:
    print(f"{'':22}" + "".join(f"{column:>11}" for column in _COLUMNS))
    for name, figures in rows.items():
        print(f"{name:22}" + "".join(f"{_text(column, figures.get(column)):>11}" for column in _COLUMNS))


def _text(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    if column == "memory":
        return f"{value / 2**20:.1f} MiB"
    return f"{value * 1e6:.0f} us" if value < 0.01 else f"{value * 1e3:.0f} ms"


def main() -> None:
    """Measure, and print a table and the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rivals", default=sys.executable, help="the Python in which the others are installed")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--live", type=int, default=0)
    parser.add_argument("--cycles", type=int, default=0)
    options = parser.parse_args()
    load = f"load {os.getloadavg()[0]:.1f}"
    print(f"Python {platform.python_version()}, Linux {platform.release()}, {os.cpu_count()} cores, {load}\n")
    rows: dict[str, dict[str, float]] = ours(options.rounds)
    mine = next(figures for name, figures in rows.items() if name.startswith("local"))
    skipped: list[str] = []
    for name, figures in rivals(options.rivals, options.rounds).items():
        if isinstance(figures, str):
            skipped.append(f"{name}: {figures}")
        else:
            rows[name] = figures
    start = bare_python()
    _table(rows)
    print("\n".join(["", *skipped]))
    call_async = rows["  asynchronous tool"]["call"]
    ratio: Callable[[str, str], float | None] = lambda name, column: (  # noqa: E731
        rows[name][column] / mine[column] if column in rows.get(name, {}) else None
    )
    for text, value in {
        "a call, as a multiple of the bare socket": mine["call"] / rows["socket"]["call"],
        "the same, of the socket between two loops on one core": mine["call"] / rows["  one core"]["call"],
        "the same, of the socket between two cores": mine["call"] / rows["  two cores"]["call"],
        "an asynchronous tool's call, as a multiple of the bare socket": call_async / rows["socket"]["call"],
        "the action of smolagents, as a multiple of ours": ratio("smolagents", "action"),
        "the action that computes, likewise": ratio("smolagents", "work"),
        "the action of Monty, as a multiple of ours": ratio("monty", "action"),
        "a Jupyter kernel's start, as a multiple of ours": ratio("jupyter", "cold"),
        "a bare python -I -S, as a multiple of our session with its action": start / mine["cold"],
    }.items():
        print(f"{text}: {'-' if value is None else f'{value:.2f}'}")
    if options.live:
        print(asyncio.run(live(options.live)))
    if options.cycles:
        print(asyncio.run(cycles(options.cycles)))


if __name__ == "__main__":
    main()
