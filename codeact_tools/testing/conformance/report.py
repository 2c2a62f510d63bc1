"""What a toolkit was found to be: its checks, and the level that they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from ...observing import counted

Level = Literal["none", "bronze", "silver", "gold"]
LEVELS: Final[tuple[Level, ...]] = ("none", "bronze", "silver", "gold")
"""From the lowest to the highest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something that a check objects to."""

    where: str
    """A tool's qualified name, or the toolkit's."""
    what: str
    """What is wrong and what to do, as the rest of a sentence."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One check of one toolkit."""

    check: str
    level: Level
    """The level that it belongs to."""
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    """What the check could not look at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolkitReport:
    """All checks of one toolkit."""

    toolkit: str
    tools: int
    results: tuple[Result, ...]

    @property
    def level(self) -> Level:
        """The highest level of which, and of all below which, every check is passed."""
        reached: Level = "none"
        for level in LEVELS[1:]:
            if any(result.problems for result in self.results if result.level == level):
                break
            reached = level
        return reached

    @property
    def text(self) -> str:
        """The report for people."""
        lines = [f"{self.toolkit}: {counted(self.tools, 'tool')}, level {self.level}"]
        for level in LEVELS[1:]:
            lines.append(f"  {level}")
            for result in (each for each in self.results if each.level == level):
                lines.append(f"    {'✗' if result.problems else '✓'} {result.check}")
                lines += [f"        {problem}" for problem in result.problems]
                lines += [f"        note: {note}" for note in result.notes]
        return "\n".join(lines)
