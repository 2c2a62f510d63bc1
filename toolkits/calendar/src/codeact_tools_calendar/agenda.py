"""The toolkit ``agenda``: calendars in iCalendar files, opened, changed and saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal

from pydantic import Field

from codeact_tools import Opaque, ToolContext, Toolkit, tool

from . import changes
from .demonstrations import AGENDA
from .errors import (
    AgendaError,
    CalendarChanged,
    Conflict,
    InvalidCalendar,
    InvalidPeriod,
    InvalidTime,  # noqa: F401 - the docstrings declare it
    UnknownCalendar,
    UnknownEvent,
)
from .files import Calendar, CalendarConfig, load, open_file
from .occurrences import Event, Slot, gaps, local, period, unfold

__all__ = [
    "AgendaError",
    "Calendar",
    "CalendarChanged",
    "CalendarConfig",
    "Conflict",
    "Event",
    "InvalidCalendar",
    "Slot",
    "UnknownCalendar",
    "UnknownEvent",
    "add_event",
    "cancel_event",
    "free_slots",
    "list_events",
    "move_event",
    "open_calendar",
    "save_calendar",
    "toolkit",
]

Minutes = Annotated[int, Field(ge=1, le=44_640)]
Repeat = Literal["daily", "weekly", "monthly", "yearly"]


@tool(read_only=True, idempotent=True)
def open_calendar(name: str, create: bool = False, *, context: ToolContext) -> Opaque[Calendar]:  # noqa: D417
    """Open a calendar.

    Args:
        name: Its name, e.g. "work".
        create: Whether to begin an empty one where there is none.

    Returns:
        The calendar, for the other tools.

    Raises:
        UnknownCalendar: The folder has no calendar of this name.
        InvalidCalendar: The file, or a series of events in it, is none that can be used.

    Examples:
        >>> open_calendar("work")
        <calendar 'work': 3 events, Europe/Berlin>
    """
    config: CalendarConfig = context.config
    path = open_file(name, config, create=create)
    opened: dict[str, Calendar] = context.state.setdefault(toolkit.name, {})
    if str(path) not in opened:
        opened[str(path)] = load(path, config.zone)
    return opened[str(path)]


@tool(read_only=True, idempotent=True, timeout=30)
def list_events(calendar: Opaque[Calendar], start: date, end: date) -> Iterator[Event]:
    """Go through the events of a period in order, repeated ones included.

    Args:
        calendar: From `open_calendar`.
        start: First day.
        end: Last day, included.

    Yields:
        The events.

    Raises:
        InvalidPeriod: `end` is before `start`, or the period is too long.
        InvalidCalendar: The file, or a series of events in it, is none that can be used.

    Examples:
        >>> work = open_calendar("work")
        >>> [event.title for event in list_events(work, date(2026, 12, 1), date(2026, 12, 3))]
        ['Team meeting', 'Dentist']
    """
    since, until = period(start, end, calendar.zone)
    for each in unfold(calendar, since, until):
        yield each.event


@tool(read_only=True, idempotent=True, timeout=30)
def free_slots(
    calendars: Annotated[Sequence[Opaque[Calendar]], Field(min_length=1, max_length=20)],
    start: date,
    end: date,
    minutes: Minutes = 60,
    earliest: time = time(9),
    latest: time = time(17),
    weekends: bool = False,
) -> list[Slot]:
    """Find times at which all calendars are free.

    Args:
        calendars: Whose events count.
        start: First day.
        end: Last day, included.
        minutes: Least length of a slot.
        earliest: When the day begins.
        latest: When the day ends.
        weekends: Whether Saturday and Sunday count.

    Returns:
        The free slots, as long as they are, in order.

    Raises:
        InvalidPeriod: The dates or the times are in the wrong order, or the period is too long.
        InvalidCalendar: The file, or a series of events in it, is none that can be used.

    Examples:
        >>> work = open_calendar("work")
        >>> slots = free_slots([work], date(2026, 12, 1), date(2026, 12, 1), minutes=120)
        >>> [(slot.start.hour, slot.end.hour) for slot in slots]
        [(11, 17)]
    """
    zone = calendars[0].zone
    since, until = period(start, end, zone)
    earliest, latest = earliest.replace(tzinfo=None), latest.replace(tzinfo=None)
    if latest <= earliest:
        raise InvalidPeriod(f"latest {latest} is not after earliest {earliest}; swap them")
    busy = [each.event for calendar in calendars for each in unfold(calendar, since, until) if each.busy]
    days = (start + timedelta(days=number) for number in range((end - start).days + 1))
    windows = (
        (local(datetime.combine(day, earliest), zone), local(datetime.combine(day, latest), zone))
        for day in days
        if weekends or day.weekday() < 5
    )
    return list(gaps(busy, windows, timedelta(minutes=minutes)))


@tool
def add_event(
    calendar: Opaque[Calendar],
    title: Annotated[str, Field(min_length=1, max_length=500)],
    start: datetime,
    minutes: Minutes = 60,
    place: str = "",
    repeat: Repeat | None = None,
    until: date | None = None,
    overlap: bool = False,
) -> Event:
    """Add an event.

    Args:
        calendar: From `open_calendar`.
        title: What it is.
        start: When it begins, in the calendar's time zone.
        minutes: How long it takes.
        place: Where it is.
        repeat: How often it comes again.
        until: Last day of a repeated event.
        overlap: Whether it may overlap with others.

    Returns:
        The event.

    Raises:
        Conflict: The time is taken.
        InvalidTime: The wall-clock time does not exist in its zone, carries a zone already, or is out of range.
        InvalidPeriod: `until` is before `start`.
        InvalidCalendar: The file, or a series of events in it, is none that can be used.

    Examples:
        >>> work = open_calendar("work")
        >>> add_event(work, "Review", datetime(2026, 12, 1, 14, 0), minutes=30).end.isoformat()
        '2026-12-01T14:30:00+01:00'
    """
    begin, length = changes.placed(start, calendar), timedelta(minutes=minutes)
    rule: dict[str, object] | None = {"FREQ": repeat.upper()} if repeat is not None else None
    if rule is not None and until is not None:
        if until < begin.date():
            raise InvalidPeriod(f"until {until} is before the start {begin.date()}")
        rule["UNTIL"] = changes.placed(datetime.combine(until, time(23, 59, 59)), calendar)
    with calendar.lock:
        if not overlap:
            changes.check_free(calendar, begin, length)
        before = calendar.events
        component = changes.add(calendar, title, begin, length, place, rule)
        when = local(begin, calendar.zone)
        event = Event(
            id=str(component["UID"]),
            title=title,
            start=when,
            end=local(begin + length, calendar.zone),
            minutes=length.total_seconds() / 60,
            all_day=False,
            place=place,
            occurrence=None if rule is None else when,
        )
        if rule is not None and not overlap:
            try:
                changes.check_series_free(calendar, event)
            except Conflict:
                calendar.replace(before)
                raise
    return event


@tool(destructive=True)
def move_event(calendar: Opaque[Calendar], event: Event, start: datetime, overlap: bool = False) -> Event:
    """Move an event, or one occurrence of a series, to another time; its length stays.

    Args:
        calendar: Its calendar.
        event: From `list_events` or `add_event`.
        start: When it is to begin, in the calendar's time zone.
        overlap: Whether it may overlap with others.

    Returns:
        The event at its new time.

    Raises:
        UnknownEvent: The calendar has no such event, or no longer.
        Conflict: The time is taken.
        InvalidTime: The wall-clock time does not exist in its zone, carries a zone already, or is out of range.
        InvalidCalendar: The file, or a series of events in it, is none that can be used.

    Examples:
        >>> work = open_calendar("work")
        >>> dentist = [each for each in list_events(work, date(2026, 12, 1), date(2026, 12, 3))][1]
        >>> move_event(work, dentist, datetime(2026, 12, 4, 8, 0)).start.isoformat()
        '2026-12-04T08:00:00+01:00'
    """
    with calendar.lock:
        found = changes.find(calendar, event)
        begin = changes.placed(start, calendar)
        length = found.event.end - found.event.start
        if found.event.all_day:
            begin = changes.midnight(begin.date(), calendar.zone)
        if not overlap:
            changes.check_free(calendar, begin, length, besides=found.event)
        changes.move(calendar, found, begin)
    return Event(
        id=found.event.id,
        title=found.event.title,
        start=local(begin, calendar.zone),
        end=local(begin + length, calendar.zone),
        minutes=found.event.minutes,
        all_day=found.event.all_day,
        place=found.event.place,
        occurrence=found.event.occurrence,
    )


@tool(destructive=True, approval=True)
def cancel_event(calendar: Opaque[Calendar], event: Event, series: bool = False) -> Event:
    """Cancel an event, or one occurrence of a series; somebody is asked first.

    Args:
        calendar: Its calendar.
        event: From `list_events` or `add_event`.
        series: Whether to cancel all occurrences.

    Returns:
        What was cancelled.

    Raises:
        UnknownEvent: The calendar has no such event, or no longer.
        InvalidCalendar: The file, or a series of events in it, is none that can be used.

    Examples:
        >>> work = open_calendar("work")
        >>> cancel_event(work, next(list_events(work, date(2026, 12, 1), date(2026, 12, 3)))).title
        'Team meeting'
    """
    with calendar.lock:
        found = changes.find(calendar, event)
        changes.cancel(calendar, found.event, series=series)
    return found.event


@tool(destructive=True, idempotent=True)
def save_calendar(calendar: Opaque[Calendar]) -> int:
    """Save a calendar with its changes; without it they are lost.

    Args:
        calendar: From `open_calendar`.

    Returns:
        How many events its file has now.

    Raises:
        CalendarChanged: Somebody else has changed the file since it was opened.

    Examples:
        >>> save_calendar(open_calendar("work"))
        3
    """
    calendar.save()
    return len(calendar.events)


toolkit = Toolkit(
    "agenda",
    tools=[open_calendar, list_events, free_slots, add_event, move_event, cancel_event, save_calendar],
    version="0.1.0",
    summary="Calendars with events: open, list, find free time, add, move, cancel, save.",
    demonstrations=AGENDA,
    config=CalendarConfig,
)
"""What the entry point ``agenda`` names."""
