"""The same measurements in other interpreters of Python actions; see `benchmarks.sandbox`, which starts this file.

It imports nothing of codeact_tools, runs in the Python in which the rivals are installed, and prints JSON: for each
rival its figures, or why it is missing. Actions and repetitions come as JSON in the first argument.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Figures = dict[str, float]


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def best(action: Callable[[], object], rounds: int) -> float:
    """Seconds of the fastest of the rounds."""
    return min(timed(action, rounds))


def median(action: Callable[[], object], rounds: int, rest: float = 0.0) -> float:
    """Seconds of the median round, with a rest before each."""
    return statistics.median(timed(action, rounds, rest))


def timed(action: Callable[[], object], rounds: int, rest: float = 0.0) -> list[float]:
    """Seconds of each round, with a rest before each."""
    seconds: list[float] = []
    for _ in range(rounds):
        if rest:
            time.sleep(rest)
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return seconds


def resident(number: int | str = "self") -> float:
    """Bytes of a process's memory that it does not share with others."""
    text = Path(f"/proc/{number}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) * 1024.0 for line in text.splitlines() if line.startswith("Private"))


def children() -> set[str]:
    """The processes that this one has started."""
    return {child for path in Path("/proc/self/task").glob("*/children") for child in path.read_text().split()}


def plain_exec(plan: dict[str, Any]) -> Figures:
    """`exec` in this process, with nothing around it."""

    def run(code: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, "<action>", "exec"), {"add": add})  # noqa: S102 - it is what is measured

    return {
        "warm": median(lambda: run("1+1"), plan["rounds"]),
        "action": median(lambda: run(plan["action"]), plan["rounds"]),
        "rested": median(lambda: run(plan["action"]), plan["rounds"] // 15, plan["rest"]),
        "work": median(lambda: run(plan["work"]), plan["rounds"]),
        "call": best(lambda: run(plan["calls"]), 5) / plan["per_loop"],
    }


def monty(plan: dict[str, Any]) -> Figures:
    """A worker process each; the interpreter is a subset of Python, written in Rust."""
    from pydantic_monty import CollectString, Monty

    functions: dict[str, Any] = {"add": add}
    started = time.perf_counter()
    with Monty() as pool:
        with pool.checkout() as session:
            session.feed_run("1+1")
            first = time.perf_counter() - started

        def fresh() -> None:
            with pool.checkout() as session:
                session.feed_run("1+1")

        def measured(code: str, measure: Callable[[Callable[[], object]], float]) -> float:
            with pool.checkout() as session:  # one session answers at most a thousand calls
                return measure(
                    lambda: session.feed_run(code, external_lookup=functions, print_callback=CollectString())
                )

        rounds = min(plan["rounds"], 90)
        figures = {
            "first": first,
            "cold": best(fresh, 20),
            "warm": measured("1+1", lambda run: median(run, rounds)),
            "action": measured(plan["action"], lambda run: median(run, rounds)),
            "rested": measured(plan["action"], lambda run: median(run, rounds // 5, plan["rest"])),
            "work": measured(plan["work"], lambda run: median(run, rounds)),
            "call": measured(plan["calls"], lambda run: best(run, 900 // plan["per_loop"])) / plan["per_loop"],
        }
        processes = children()
        if processes:
            figures["memory"] = sum(map(resident, processes)) / len(processes)
        with ThreadPoolExecutor(20) as threads:
            started = time.perf_counter()
            list(threads.map(lambda _: fresh(), range(20)))
            figures["twenty"] = time.perf_counter() - started
    return figures


def smolagents(plan: dict[str, Any]) -> Figures:
    """An interpreter of syntax trees in this process; nothing confines it."""
    from smolagents.local_python_executor import LocalPythonExecutor

    def fresh() -> Any:
        executor = LocalPythonExecutor(additional_authorized_imports=[])
        executor.send_tools({"add": add})
        executor("1+1")
        return executor

    executor = fresh()
    before = resident()
    kept = [fresh() for _ in range(50)]
    memory = (resident() - before) / len(kept)
    started = time.perf_counter()
    for _ in range(20):
        fresh()
    return {
        "twenty": time.perf_counter() - started,
        "memory": memory,
        "cold": best(fresh, 20),
        "warm": median(lambda: executor("1+1"), plan["rounds"]),
        "action": median(lambda: executor(plan["action"]), plan["rounds"]),
        "rested": median(lambda: executor(plan["action"]), plan["rounds"] // 15, plan["rest"]),
        "work": median(lambda: executor(plan["work"]), plan["rounds"]),
        "call": best(lambda: executor(plan["calls"]), 5) / plan["per_loop"],
    }


def jupyter(plan: dict[str, Any]) -> Figures:
    """An IPython kernel per session; it cannot call functions of its client."""
    from jupyter_client.manager import start_new_kernel

    def fresh() -> tuple[Any, Any]:
        manager, client = start_new_kernel(kernel_name="python3")
        run(client, "1+1")
        return manager, client

    def run(client: Any, code: str) -> None:
        client.execute_interactive(code, output_hook=lambda _: None, timeout=60)

    def end(manager: Any, client: Any) -> None:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

    started = time.perf_counter()
    manager, client = fresh()
    cold = time.perf_counter() - started
    figures = {"cold": cold, "warm": median(lambda: run(client, "1+1"), plan["rounds"])}
    figures["memory"] = max(map(resident, children()), default=0.0)
    end(manager, client)
    return figures


def main() -> None:
    """Measure what is installed."""
    plan = json.loads(sys.argv[1])
    found: dict[str, Any] = {}
    for name, measure in {"exec": plain_exec, "monty": monty, "smolagents": smolagents, "jupyter": jupyter}.items():
        try:
            found[name] = measure(plan)
        except ImportError as error:
            found[name] = f"skipped: {error}"
    print(json.dumps(found))


if __name__ == "__main__":
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    main()
