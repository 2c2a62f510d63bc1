"""What the check adds to an action: warm median milliseconds, in one run on one machine.

    python -m benchmarks.check [--rounds 200] [--monty PYTHON]

Compared are the parts of `Checker.check_sync`, the same type check as a process per action (``ty check``), and, where
``--monty`` names a Python that has ``pydantic-monty``, its own type check of the same action plus the run, whose tools
return at once. The action has 20 lines and ten tool calls.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal
from unittest.mock import patch

from pydantic import BaseModel, Field

from codeact_tools.checks import Checker
from codeact_tools.checks.history import ambient_stubs
from codeact_tools.checks.names import Names
from codeact_tools.checks.server import find_ty
from codeact_tools.registry import ToolRegistry
from codeact_tools.rendering import render_stubs
from codeact_tools.tools import tool


class Order(BaseModel):
    """An order."""

    id: str
    customer: str
    total: float


@tool(read_only=True)
def search_orders(
    query: str,  # noqa: ARG001 - no tool runs here
    limit: Annotated[int, Field(ge=1, le=100)] = 20,  # noqa: ARG001
    sort: Literal["newest", "oldest"] = "newest",  # noqa: ARG001
) -> list[Order]:
    """Find orders by free text."""
    return []


@tool(read_only=True)
def get_order(number: str) -> Order:
    """Read one order."""
    return Order(id=number, customer="ann", total=1.0)


@tool
def charge(customer: str, amount: Annotated[float, Field(gt=0)]) -> bool:  # noqa: ARG001
    """Charge a customer."""
    return True


ACTION = """\
found = search_orders("shoes", limit=50)
late = search_orders("late", sort="oldest")
totals = {}
for order in found + late:
    totals[order.customer] = totals.get(order.customer, 0.0) + order.total
first = get_order("A1")
second = get_order("A2")
third = get_order("A3")
picked = [first, second, third]
best = max(picked, key=lambda order: order.total)
names = sorted({order.customer for order in picked})
charge(first.customer, 10.0)
charge(second.customer, second.total)
if best.total > 0:
    charge(best.customer, best.total)
more = [get_order(number) for number in ("B1", "B2")]
average = sum(order.total for order in more) / len(more)
again = search_orders(best.customer, limit=5)
count = len(again) + len(search_orders("x"))
summary = f"{names}: {average:.2f} {count}"
"""

MONTY = '''
import json, statistics, sys, time
from pydantic_monty import Monty

stubs = """
from typing import Literal
class Order:
    id: str
    customer: str
    total: float
def search_orders(query: str, limit: int = 20, sort: Literal["newest", "oldest"] = "newest") -> list[Order]: ...
def get_order(number: str) -> Order: ...
def charge(customer: str, amount: float) -> bool: ...
"""
from pydantic_monty import ClassInstance
class Order:
    def __init__(self, id, customer, total):
        self.id, self.customer, self.total = id, customer, total
order = lambda number: ClassInstance(Order(number, "ann", 1.0), eager_attrs="all")
tools = {
    "search_orders": lambda query, limit=20, sort="newest": [],
    "get_order": order,
    "charge": lambda customer, amount: True,
}
action, rounds = sys.stdin.read(), int(sys.argv[1])
with Monty() as pool:
    for checked in (False, True):
        taken = []
        for _ in range(rounds):
            with pool.checkout(type_check=checked, type_check_stubs=stubs if checked else None) as session:
                started = time.perf_counter()
                session.feed_run(action, external_lookup=tools)
                taken.append(1000 * (time.perf_counter() - started))
        print(json.dumps([min(taken), statistics.median(taken)]))
'''


def timed(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Best and median milliseconds."""
    work()
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - started))
    return min(taken), statistics.median(taken)


def as_process(registry: ToolRegistry, history: list[str], rounds: int) -> tuple[float, float]:
    """The same notebook, checked by a process of its own for each action."""
    executable = find_ty()
    if executable is None:
        raise SystemExit("ty is not installed")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in {**render_stubs(registry), **ambient_stubs(Names.of(registry))}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        cells: list[dict[str, object]] = [
            {"cell_type": "code", "metadata": {}, "source": text, "outputs": [], "execution_count": None, "id": f"c{n}"}
            for n, text in enumerate([*history, ACTION])
        ]
        notebook = {
            "cells": cells,
            "metadata": {"language_info": {"name": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        command = [executable, "check", "--output-format", "concise", "--no-progress", "session.ipynb"]

        def check() -> None:
            (root / "session.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
            subprocess.run(command, cwd=root, env={"PATH": "", "HOME": folder}, check=True, capture_output=True)

        return timed(check, rounds)


def as_server(registry: ToolRegistry, history: list[str], rounds: int, action: str = ACTION) -> tuple[float, float]:
    """`Checker.check_sync`; each action differs from the last, as in a session."""
    with Checker(registry) as checker:
        for code in history:
            checker.commit(code)
        turn = iter(range(rounds + 1))
        return timed(lambda: checker.check_sync(f"{action}turn_{next(turn)} = 1\n"), rounds)


def without_types(registry: ToolRegistry, rounds: int) -> tuple[float, float]:
    """Everything but the type check."""
    checker = Checker(registry, ty=os.devnull, budget_seconds=0.001)
    with patch.object(checker, "_diagnose", lambda _: []):
        return timed(lambda: checker.check_sync(ACTION), rounds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--monty", metavar="PYTHON", help="a Python that has pydantic-monty installed")
    options = parser.parse_args()
    rounds: int = options.rounds
    registry = ToolRegistry([search_orders, get_order, charge])
    history = [ACTION.replace("summary", f"summary_{turn}") for turn in range(49)]
    rows: list[tuple[str, tuple[float, float]]] = [
        ("check, turn 1", as_server(registry, [], rounds)),
        ("check, turn 50", as_server(registry, history, rounds)),
        ("check, turn 1, one line", as_server(registry, [], rounds, "search_orders('a')\n")),
        ("check without types", without_types(registry, rounds)),
        ("type check as a process, turn 1", as_process(registry, [], max(rounds // 5, 3))),
        ("type check as a process, turn 50", as_process(registry, history, max(rounds // 5, 3))),
    ]
    if options.monty:
        command = [options.monty, "-c", MONTY, str(rounds)]
        answer = subprocess.run(command, input=ACTION, text=True, check=True, capture_output=True).stdout.splitlines()
        rows += [
            (f"Monty, {what}", tuple(json.loads(line)))
            for what, line in zip(("run", "type check and run"), answer, strict=True)
        ]
    sys.stdout.write(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds\n\n"
    )
    sys.stdout.write(f"{'':36} {'best ms':>9} {'median ms':>10}\n")
    for name, (best, median) in rows:
        sys.stdout.write(f"{name:36} {best:9.2f} {median:10.2f}\n")


if __name__ == "__main__":
    main()
