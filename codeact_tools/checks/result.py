"""`CheckResult`: what the check of one action found."""

from __future__ import annotations

from dataclasses import dataclass

from ..events import Finding
from .render import render


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """What the check of one action found; nothing of the action has run."""

    code: str
    """The action as it should be run: repaired where a repair is certain, such as markdown fences around it."""
    findings: tuple[Finding, ...] = ()
    """All findings, most important first; lines and columns are those of `code`."""
    effects: tuple[str, ...] = ()
    """Qualified names of the tools with side effects that the action can reach."""
    seconds: float = 0.0
    degraded: str | None = None
    """Why the type check took no part; None where it did."""

    @property
    def ok(self) -> bool:
        """Whether nothing was found that blocks the action."""
        return not any(finding.severity == "error" for finding in self.findings)

    def render(self, max_tokens: int = 400) -> str:
        """The findings as the model reads them, in about ``max_tokens`` tokens at most."""
        return render(self.code, self.findings, tokens=max_tokens)
