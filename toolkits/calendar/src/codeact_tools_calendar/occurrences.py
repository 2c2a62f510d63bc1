"""What happens when: series of events unfolded, and the gaps between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events

from .errors import InvalidCalendar, InvalidPeriod
from .files import Calendar, dated
from .zones import with_fixed_offset

LONGEST_PERIOD: Final = timedelta(days=3_660)
"""Ten years: what one call may span."""

_PIECE: Final = timedelta(days=28)
"""How much is unfolded at a time."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event of so many minutes, or an occurrence of a series; ``occurrence``: when the series has it, else None."""

    id: str
    title: str
    start: datetime
    end: datetime
    minutes: float
    all_day: bool
    place: str
    occurrence: datetime | None


@dataclass(frozen=True, kw_only=True)
class Slot:
    """Free time."""

    start: datetime
    end: datetime
    minutes: float


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """An event with what the library knows of it."""

    event: Event
    component: icalendar.Event
    busy: bool
    """Whether it takes time: it is neither cancelled nor marked as transparent."""


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When ``day`` begins in ``zone``."""
    return datetime.combine(day, time(), zone)


def period(start: date, end: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """From the beginning of ``start`` to the end of ``end``.

    Raises:
        InvalidPeriod: They are in the wrong order, too far apart, or at the end of the calendar.
    """
    if end < start:
        raise InvalidPeriod(f"end {end} is before start {start}; swap them")
    if end - start > LONGEST_PERIOD:
        raise InvalidPeriod(f"{start} to {end} is longer than ten years; ask for parts of it")
    if not 1900 <= start.year <= end.year <= 2200:
        raise InvalidPeriod(f"events are known for the years 1900 to 2200, not for {start} to {end}")
    return midnight(start, zone), midnight(end + timedelta(days=1), zone)


def unfold(calendar: Calendar, start: datetime, end: datetime) -> Iterator[Occurrence]:
    """Yield what happens between two times, in the order of its start, piece by piece.

    Raises:
        InvalidCalendar: A series cannot be unfolded.
    """
    query = _query(calendar)
    repeated = {str(event["UID"]) for event in calendar.events if {"RRULE", "RDATE", "RECURRENCE-ID"} & set(event)}
    since = start
    while since < end:
        until = min(since + _PIECE, end)
        found = _between(query, calendar, (since, until), repeated)
        for each in sorted(found, key=lambda each: (each.event.start, each.event.title, each.event.id)):
            begins_here = since <= each.event.start < until
            reaches_in = since == start and each.event.start < since < each.event.end
            if begins_here or reaches_in:
                yield each
        since = until


def _query(calendar: Calendar) -> recurring_ical_events.CalendarQuery:
    try:
        return recurring_ical_events.of(calendar.component())
    except Exception as error:  # rules of RFC 5545 have many ways to be wrong, and the library as many errors
        raise InvalidCalendar(f"a series in the calendar {calendar.name!r} cannot be unfolded: {error}") from error


def _between(
    query: recurring_ical_events.CalendarQuery, calendar: Calendar, span: tuple[datetime, datetime], repeated: set[str]
) -> list[Occurrence]:
    try:
        return [_occurrence(each, calendar.zone, repeated) for each in query.between(*span)]
    except Exception as error:  # as above
        raise InvalidCalendar(f"a series in the calendar {calendar.name!r} cannot be unfolded: {error}") from error


def _occurrence(component: icalendar.Event, zone: ZoneInfo, repeated: set[str]) -> Occurrence:
    uid = str(component["UID"])
    begin = component.start
    event = Event(
        id=uid,
        title=str(component.get("SUMMARY", "")),
        start=local(begin, zone),
        end=local(component.end, zone),
        minutes=minutes(local(begin, zone), local(component.end, zone)),
        all_day=not isinstance(begin, datetime),
        place=str(component.get("LOCATION", "")),
        occurrence=local(dated(component, "RECURRENCE-ID"), zone) if uid in repeated else None,
    )
    cancelled = str(component.get("STATUS", "")).upper() == "CANCELLED"
    transparent = str(component.get("TRANSP", "")).upper() == "TRANSPARENT"
    return Occurrence(event=event, component=component, busy=not cancelled and not transparent)


def minutes(start: datetime, end: datetime) -> float:
    """How long something takes."""
    return (end - start).total_seconds() / 60


def slot(start: datetime, end: datetime) -> Slot:
    """Free time between two times."""
    return Slot(start=start, end=end, minutes=minutes(start, end))


def local(when: date, zone: ZoneInfo) -> datetime:
    """A date or a time of a file as a time in ``zone``, with a fixed offset."""
    if not isinstance(when, datetime):
        return with_fixed_offset(midnight(when, zone), zone)
    return with_fixed_offset(when if when.tzinfo is not None else when.replace(tzinfo=zone), zone)


def gaps(busy: Iterable[Event], windows: Iterable[tuple[datetime, datetime]], least: timedelta) -> Iterator[Slot]:
    """Yield the parts of ``windows``, at least so long, in which nothing happens."""
    taken = sorted((event.start.astimezone(UTC), event.end.astimezone(UTC)) for event in busy)
    for begin, end in windows:
        free = begin
        for start, stop in taken:
            if stop <= free or start >= end:
                continue
            if start - free >= least:
                yield slot(free, start.astimezone(begin.tzinfo))
            free = max(free, stop.astimezone(begin.tzinfo))
        if end - free >= least:
            yield slot(free, end)
