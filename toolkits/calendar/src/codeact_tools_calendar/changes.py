"""Adding, moving and cancelling events of an open calendar."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import icalendar

from .errors import Conflict, InvalidTime, UnknownEvent
from .files import Calendar, dated
from .occurrences import Event, Occurrence, local, midnight, unfold

LONGEST_EVENT = timedelta(days=31)


def placed(when: datetime, calendar: Calendar) -> datetime:
    """A time as the calendar's zone has it; one without a zone is meant in that of the calendar.

    Raises:
        InvalidTime: The clocks skip it, or it is out of range.
    """
    zone = calendar.zone
    if not 1900 <= when.year <= 2200:
        raise InvalidTime(f"{when} is out of range: calendars hold the years 1900 to 2200")
    if when.tzinfo is not None:
        return when.astimezone(zone)
    there = when.replace(tzinfo=zone)
    if there.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != when:
        raise InvalidTime(f"{when} does not exist in {zone.key}: the clocks skip it; pass a later time")
    return there


def add(
    calendar: Calendar, title: str, start: datetime, length: timedelta, place: str, rule: dict[str, object] | None
) -> icalendar.Event:
    """Put a new event into the calendar and return it."""
    event = icalendar.Event.new(
        uid=str(uuid4()), summary=title, start=start, end=start + length, location=place or None, stamp=_now()
    )
    if rule is not None:
        event.add("RRULE", rule)
    calendar.replace([*calendar.events, event])
    return event


def find(calendar: Calendar, event: Event) -> Occurrence:
    """The occurrence that ``event`` names: by its id, and within a series by its place there, wherever it is by now.

    Raises:
        UnknownEvent: It is not in the calendar (any more).
    """
    for when in _places(calendar, event):
        for each in unfold(calendar, when, when + timedelta(seconds=1)):
            if each.event.id == event.id and each.event.occurrence == event.occurrence:
                return each
    raise UnknownEvent(
        f"the calendar {calendar.name!r} has no event {event.title!r} at {event.start} (any more); "
        "list its events again"
    )


def _places(calendar: Calendar, event: Event) -> list[datetime]:
    """When it may begin: as the file says of it alone, or else as its series has it."""
    alone = [
        local(dated(each, "DTSTART"), calendar.zone)
        for each in calendar.events
        if _is(each, event) and (event.occurrence is None or _is_exception(each, event, calendar))
    ]
    occurrence = event.occurrence
    if alone or occurrence is None or not 1900 <= occurrence.year <= 2200:
        return alone
    return [occurrence if occurrence.tzinfo else occurrence.replace(tzinfo=calendar.zone)]


def move(calendar: Calendar, found: Occurrence, start: datetime) -> None:
    """Give one event, or one occurrence of a series, another time; its length stays."""
    event = found.event

    def moved(component: icalendar.Event) -> icalendar.Event:
        changed: icalendar.Event = copy.deepcopy(component)
        for name in ("DTSTART", "DTEND", "DURATION"):
            changed.pop(name, None)
        begin: date = start.date() if event.all_day else start
        changed.add("DTSTART", begin)
        changed.add("DTEND", begin + (event.end - event.start))
        return _revised(changed)

    if event.occurrence is None:
        calendar.replace([moved(each) if _is(each, event) else each for each in calendar.events])
        return
    others = [each for each in calendar.events if not _is_exception(each, event, calendar)]
    exception = next((each for each in calendar.events if _is_exception(each, event, calendar)), None)
    if exception is None:
        exception = copy.deepcopy(next(each for each in others if _is(each, event)))
        original = dated(exception, "DTSTART")
        for name in ("RRULE", "RDATE", "EXDATE"):
            exception.pop(name, None)
        exception.add("RECURRENCE-ID", _like(original, event.occurrence, calendar))
    calendar.replace([*others, moved(exception)])


def cancel(calendar: Calendar, event: Event, *, series: bool) -> None:
    """Remove an event, one occurrence of a series, or the whole series."""
    if event.occurrence is None or series:
        calendar.replace([each for each in calendar.events if not _is(each, event)])
        return
    occurrence = event.occurrence

    def without(component: icalendar.Event) -> icalendar.Event:
        changed: icalendar.Event = copy.deepcopy(component)
        changed.add("EXDATE", _like(dated(component, "DTSTART"), occurrence, calendar))
        return _revised(changed)

    kept = [each for each in calendar.events if not _is_exception(each, event, calendar)]
    calendar.replace([without(each) if _is(each, event) and "RECURRENCE-ID" not in each else each for each in kept])


def check_free(calendar: Calendar, start: datetime, length: timedelta, *, besides: Event | None = None) -> None:
    """Refuse a time at which something else takes place.

    Raises:
        Conflict: It is taken; the message says by what.
    """
    for each in unfold(calendar, start, start + length):
        event = each.event
        if not each.busy or (besides is not None and (event.id, event.occurrence) == (besides.id, besides.occurrence)):
            continue
        if event.start < start + length and event.end > start:
            raise Conflict(
                f"{event.title!r} takes place from {event.start:%Y-%m-%d %H:%M} to {event.end:%H:%M}; "
                "choose a free slot, or pass overlap=True"
            )


def check_series_free(calendar: Calendar, event: Event) -> None:
    """Refuse a series of which an occurrence within a year overlaps with something else.

    Raises:
        Conflict: The message says with what.
    """
    busy = [each.event for each in unfold(calendar, event.start, event.start + timedelta(days=366)) if each.busy]
    others = [each for each in busy if each.id != event.id]
    for own in busy:
        for other in others if own.id == event.id else ():
            if other.start < own.end and other.end > own.start:
                raise Conflict(
                    f"{other.title!r} takes place from {other.start:%Y-%m-%d %H:%M} to {other.end:%H:%M}, as does an "
                    "occurrence of this; choose another time, or pass overlap=True"
                )


def _is(component: icalendar.Event, event: Event) -> bool:
    return str(component["UID"]) == event.id


def _is_exception(component: icalendar.Event, event: Event, calendar: Calendar) -> bool:
    if not _is(component, event) or "RECURRENCE-ID" not in component:
        return False
    return local(dated(component, "RECURRENCE-ID"), calendar.zone) == event.occurrence


def _like(original: date, when: datetime, calendar: Calendar) -> date:
    """``when`` as the file writes the times of this series: a date, a time in its zone, or one without a zone."""
    there = when.astimezone(calendar.zone)
    if not isinstance(original, datetime):
        return there.date()
    return when.astimezone(original.tzinfo) if original.tzinfo is not None else there.replace(tzinfo=None)


def _revised(event: icalendar.Event) -> icalendar.Event:
    number = int(event.get("SEQUENCE", 0)) + 1
    for name in ("SEQUENCE", "DTSTAMP", "LAST-MODIFIED"):
        event.pop(name, None)
    event.add("SEQUENCE", number)
    event.add("DTSTAMP", _now())
    event.add("LAST-MODIFIED", _now())
    return event


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


__all__ = ["LONGEST_EVENT", "add", "cancel", "check_free", "find", "midnight", "move", "placed"]
