"""The host's side of `SandboxContract`: tools, and what happened to them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

from ..sandbox.bridge import CallRefused


class Colour(Enum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Parcel:
    """Something on its way."""

    id: int
    colour: Colour
    due: date
    price: Decimal
    notes: dict[str, list[str]]


class Lost(Exception):
    """A parcel is lost."""


PARCEL = Parcel(7, Colour.BLUE, date(2024, 2, 29), Decimal("12.50"), {"fr": ["été", "\N{SNOWMAN}"]})


class Host:
    """The tools of the tests, and what happened to them."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.ended: list[str] = []
        self.most_at_once = 0
        self._at_once = 0

    def add(self, a: int, b: int) -> int:
        """Add."""
        return a + b

    def echo(self, value: Any) -> Any:
        """Return the value."""
        return value

    def parcel(self, id: int = 7) -> Parcel:  # noqa: A002
        """Find a parcel.

        Raises:
            Lost: It is lost.
        """
        if id != PARCEL.id:
            raise Lost(f"parcel {id} is lost")
        return PARCEL

    def broken(self) -> int:
        """Fail."""
        raise RuntimeError("the shelf fell down")

    async def pause(self, seconds: float) -> float:
        """Wait."""
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self.started.set()
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        finally:
            self._at_once -= 1
        return seconds

    async def count(self, stop: int) -> AsyncIterator[int]:
        """Count."""
        try:
            for number in range(stop):
                yield number
        finally:
            self.ended.append("closed")

    @property
    def tools(self) -> list[Any]:
        """What a session registers."""
        return [self.add, self.echo, self.parcel, self.broken, self.pause, self.count]


class Nobody:
    """Answers no call and takes output for granted."""

    async def call(self, id: int, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Any:  # noqa: A002, ARG002
        """There is no tool."""
        raise CallRefused("ToolDenied", f"there is no tool {tool}")

    def on_output(self, stream: str, text: str) -> None:
        """Drop it."""
