"""What the web's tools raise; each message says what to do next.

WebError
├── InvalidURL           it is no address of a web page
├── Blocked              the address, or the host behind it, is not to be reached
├── RobotsDisallowed     the site asks programs to stay away from it
├── Unreachable          there is no such host, or it does not answer, or its certificate is wrong
├── TimedOut             it took longer than allowed
├── HttpError            the server answered with an error; ``status`` is its number
├── TooLarge             it is larger than allowed
├── NotReadable          what came is no text, no JSON, or no HTTP
└── SearchUnavailable    no search engine is set up, or it refuses
"""

from __future__ import annotations


class WebError(Exception):
    """Base of the web's errors."""


class InvalidURL(WebError):
    """The text is no address of a web page."""


class Blocked(WebError):
    """The address, or the host behind it, must not be reached; another spelling of it will not help."""


class RobotsDisallowed(WebError):
    """The site's robots.txt asks programs to stay away from this address."""


class Unreachable(WebError):
    """The host does not exist, does not answer, or cannot prove who it is."""


class TimedOut(WebError):
    """It took longer than allowed, redirects and waiting included."""


class HttpError(WebError):
    """The server answered with an error."""

    status: int

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class TooLarge(WebError):
    """What the address holds is larger than allowed."""


class NotReadable(WebError):
    """What came is not what was asked for: no text, no JSON, or no valid HTTP."""


class SearchUnavailable(WebError):
    """No search engine is set up, or it refuses to answer."""
