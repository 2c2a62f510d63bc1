"""What a type checker knows of decorated tools; read by mypy in ``test_typing.py``, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import assert_type

from codeact_tools.tools import Opaque, ToolContext, Toolkit, tool


@tool
def add(x: int, y: int = 1) -> int:
    """Add."""
    return x + y


@tool(read_only=True, timeout=2.5)
async def fetch(url: str, *, context: ToolContext) -> bytes:
    """Fetch."""
    return url.encode()


@tool
def count(n: int) -> Iterator[int]:
    """Count."""
    yield from range(n)


@tool(name="watch")
async def watch_all() -> AsyncIterator[str]:
    """Watch."""
    yield ""


class Connection:
    """A connection."""


@tool
def use(connection: Opaque[Connection]) -> None:
    """Use."""
    assert_type(connection, Connection)


class Counter:
    """Count."""

    @tool
    def more(self, by: int) -> str:
        """Count on."""
        return str(by)


@tool
class Timer:
    """Take times."""

    def start(self) -> float:
        """Start."""
        return 0.0


async def uses(context: ToolContext) -> None:
    """Use the tools as the functions that they are."""
    assert_type(add(1), int)
    assert_type(await fetch("x", context=context), bytes)
    assert_type(count(3), Iterator[int])
    assert_type(watch_all(), AsyncIterator[str])
    assert_type(Counter().more(1), str)
    assert_type(Timer().start(), float)
    plain: Callable[[int, int], int] = add
    Toolkit("maths", tools=[plain])


def misuses() -> None:
    """Each line is a mistake that a checker finds."""
    add("1")  # type: ignore[arg-type]
    add(1, z=2)  # type: ignore[call-arg]
    Counter().more()  # type: ignore[call-arg]
    tool(timeout="soon")  # type: ignore[call-overload]
    tool(3)  # type: ignore[call-overload]
    Toolkit("maths", [add])  # type: ignore[call-arg]
