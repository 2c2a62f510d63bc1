"""What a tool may ask for besides the model's arguments: the context of its call, and dependencies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolContext:
    """The circumstances of one call. A tool gets it by a parameter annotated ``ToolContext``; the model never sees it.

    >>> def search(query: str, context: ToolContext) -> list[str]:
    ...     context.report(f"searching for {query}")
    ...     return []
    """

    run_id: str = ""
    """The run, or the session where there is no run."""
    call_id: int = 0
    """Number of the call within its session, from 1."""
    turn: int = 0
    """1-based; 0 outside of a run."""
    tool: str = ""
    """Qualified name of the tool that is called."""
    config: Any = None
    """The configuration of the tool's toolkit."""
    state: dict[str, Any] = field(default_factory=dict)
    """Shared by all calls that are given the same dictionary; by default fresh for each call."""
    on_report: Callable[[str], None] = field(default=lambda _message: None, repr=False)
    """Where `report` goes."""

    def report(self, message: str) -> None:
        """Tell the run's observer, not the model, how far the tool is."""
        self.on_report(message)


@dataclass(frozen=True, slots=True)
class Depends:
    """A dependency that the host injects: ``db: Annotated[Database, Depends(open_database)]``.

    The factory is called for each call of the tool, with the `ToolContext` if it takes a parameter. It is a function,
    an ``async def``, or a generator (also an async one) that yields the value once and cleans up after the call, with
    or without `contextlib.contextmanager` around it.
    """

    factory: Callable[..., Any]
