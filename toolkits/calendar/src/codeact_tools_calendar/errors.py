"""What the calendar's tools raise; each message says what to write instead.

CalendarError
├── UnknownCountry
├── UnknownRegion
├── UnknownTimeZone
├── InvalidPeriod
├── InvalidTime
└── AgendaError
    ├── UnknownCalendar
    ├── InvalidCalendar
    ├── UnknownEvent
    ├── Conflict
    └── CalendarChanged
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class CalendarError(Exception):
    """Base of the calendar's errors."""


class UnknownCountry(CalendarError):
    """No country has this code or name."""


class UnknownRegion(CalendarError):
    """The country has no region of this code or name."""


class UnknownTimeZone(CalendarError):
    """The IANA database has no time zone of this name."""


class InvalidPeriod(CalendarError):
    """The dates are in the wrong order, too far apart, or outside the years that are known."""


class InvalidTime(CalendarError):
    """The wall-clock time does not exist in its zone, carries a zone already, or is out of range."""


class AgendaError(CalendarError):
    """Base of the errors of calendars in files."""


class UnknownCalendar(AgendaError):
    """The folder has no calendar of this name."""


class InvalidCalendar(AgendaError):
    """The file, or a series of events in it, is none that can be used."""


class UnknownEvent(AgendaError):
    """The calendar has no such event, or no longer."""


class Conflict(AgendaError):
    """The time is taken."""


class CalendarChanged(AgendaError):
    """Somebody else has changed the file since it was opened."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence part with the names that are most like ``name``; empty where none is.

    >>> nearest("Europe/Berln", ["Europe/Berlin", "Asia/Tokyo"])
    "; did you mean 'Europe/Berlin'?"
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = [by_folded[match] for match in get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)]
    return f"; did you mean {' or '.join(map(repr, matches))}?" if matches else ""
