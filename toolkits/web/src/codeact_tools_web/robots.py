"""What sites ask of programs, by RFC 9309: no file means everything is allowed, a broken server that nothing is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from protego import Protego

MOST_BYTES: Final = 512_000
"""That are read of a file; RFC 9309 demands 500 KiB at least."""
MOST_REDIRECTS: Final = 5


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one origin: those of its file, or one answer for everything."""

    file: Protego | None
    otherwise: bool = True

    @classmethod
    def of(cls, status: int, text: str) -> Self:
        """The rules that an answer to the request for ``/robots.txt`` means.

        >>> rules = Rules.of(200, "User-agent: *\\nDisallow: /private/\\nCrawl-delay: 2")
        >>> rules.allow("https://example.org/private/a", "bot"), rules.allow("https://example.org/", "bot")
        (False, True)
        >>> Rules.of(404, "").allow("https://example.org/", "bot"), Rules.of(503, "").allow("https://a.org/", "bot")
        (True, False)
        """
        if status < 300:
            return cls(Protego.parse(text))
        return cls(None, otherwise=status < 500)

    def allow(self, url: str, agent: str) -> bool:
        """Whether a program may fetch an address."""
        return self.otherwise if self.file is None else bool(self.file.can_fetch(url, agent))

    def delay(self, agent: str, *, longest: float) -> float:
        """Seconds to leave between two requests, at most ``longest``."""
        if self.file is None:
            return 0.0
        asked = self.file.crawl_delay(agent) or 0.0
        rate = self.file.request_rate(agent)
        if rate is not None and rate.requests:
            asked = max(asked, rate.seconds / rate.requests)
        return min(max(asked, 0.0), longest)
