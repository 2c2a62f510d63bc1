"""Calendars in files: iCalendar (RFC 5545), one file each, all in one folder."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import icalendar
from dateutil.rrule import rrulestr
from icalendar.prop import vRecur
from pydantic import DirectoryPath, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import CalendarChanged, InvalidCalendar, UnknownCalendar, UnknownTimeZone, nearest
from .zones import zone_named

LARGEST_FILE: Final = 5_000_000
"""Bytes."""
MOST_EVENTS: Final = 10_000
MOST_SERIES: Final = 1_000
EARLIEST_SERIES: Final = 1900
"""Year in which a series of events may begin: it is walked from its beginning."""

_YEARS: Final = (1000, 3000)
_NAME: Final = re.compile(r"\w[\w .-]{0,100}")
_SLOW: Final = frozenset({"SECONDLY", "MINUTELY", "HOURLY"})
_PRODUCT: Final = "-//codeact_tools//calendar//EN"


class CalendarConfig(BaseSettings):
    """Where the calendars are; also read from ``CODEACT_TOOLS_CALENDAR_FOLDER`` and ``CODEACT_TOOLS_CALENDAR_ZONE``."""

    model_config = SettingsConfigDict(env_prefix="CODEACT_TOOLS_CALENDAR_", frozen=True)

    folder: DirectoryPath = Field(
        description="The folder with the .ics files; nothing outside of it is read or written."
    )
    zone: str = Field(default="UTC", description="IANA name of the time zone of calendars that name none.")

    @field_validator("zone")
    @classmethod
    def _is_known(cls, zone: str) -> str:
        try:
            zone_named(zone)
        except UnknownTimeZone as error:
            raise ValueError(str(error)) from error
        return zone


class Calendar:
    """An open calendar. Changes stay in it until it is saved.

    The events are replaced, never changed, so whoever goes through them is not disturbed by what happens meanwhile.
    """

    def __init__(self, path: Path, content: bytes | None, zone: str) -> None:
        self.path = path
        self.lock = threading.RLock()
        """Held while the calendar is changed."""
        self._digest = _digest(content)
        self._component = _parsed(path.stem, content) if content is not None else _empty(path.stem, zone)
        named = str(self._component.get("X-WR-TIMEZONE", "") or zone)
        try:
            self.zone: ZoneInfo = zone_named(named)
        except UnknownTimeZone as error:
            raise InvalidCalendar(f"the calendar {path.stem!r} cannot be used: {error}") from error
        self.changed = content is None

    @property
    def name(self) -> str:
        """As it is opened by."""
        return self.path.stem

    @property
    def events(self) -> list[icalendar.Event]:
        """Events, series of them, and the exceptions from series."""
        return list(self._component.events)

    def __repr__(self) -> str:
        unsaved = ", not saved" if self.changed else ""
        return f"<calendar {self.name!r}: {len(self.events)} events, {self.zone.key}{unsaved}>"

    def component(self) -> icalendar.Calendar:
        """The whole as it is now; it does not change."""
        return self._component

    def replace(self, events: list[icalendar.Event]) -> None:
        """Put ``events`` in the place of those that there are."""
        if len(events) > MOST_EVENTS:
            raise InvalidCalendar(f"the calendar {self.name!r} would have more than {MOST_EVENTS} events")
        others = [each for each in self._component.subcomponents if each.name != "VEVENT"]
        self._component = _copy(self._component, [*others, *events])
        self.changed = True

    def save(self) -> int:
        """Write the file, in one step: whoever reads it finds the old one or the new one. Returns its bytes.

        Raises:
            CalendarChanged: The file is not the one that was opened.
        """
        with self.lock:
            if _digest(_read(self.path) if self.path.exists() else None) != self._digest:
                raise CalendarChanged(
                    f"the file of the calendar {self.name!r} was changed since it was opened; nothing is written"
                )
            component = _copy(self._component, self._component.subcomponents)
            component.add_missing_timezones()
            content: bytes = component.to_ical()
            _write(self.path, content)
            self._digest, self.changed = _digest(content), False
            return len(content)


def open_file(name: str, config: CalendarConfig, *, create: bool) -> Path:
    """The path of a calendar in the folder.

    Raises:
        UnknownCalendar: There is none of this name, or it leads out of the folder.
    """
    stem = name.removesuffix(".ics")
    folder = config.folder.resolve()
    path = (folder / f"{stem}.ics").resolve() if _NAME.fullmatch(stem) else None
    if (
        path is not None
        and path.parent == folder
        and path.suffix == ".ics"
        and (path.is_file() or (create and not path.exists()))
    ):
        return path
    known = sorted(each.stem for each in folder.glob("*.ics"))
    hint = nearest(name, known) or (f"; there are {', '.join(map(repr, known))}" if known else "; the folder has none")
    raise UnknownCalendar(f"no calendar is named {name!r}{hint}")


def load(path: Path, zone: str) -> Calendar:
    """Open the file, or begin a calendar where there is none.

    Raises:
        InvalidCalendar: It is no calendar, or one that cannot be used.
    """
    return Calendar(path, _read(path) if path.exists() else None, zone)


def _copy(calendar: icalendar.Calendar, components: Sequence[icalendar.Component]) -> icalendar.Calendar:
    copied: icalendar.Calendar = calendar.copy(recursive=False)
    copied.subcomponents = list(components)
    return copied


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise InvalidCalendar(f"the calendar {path.stem!r} is larger than {LARGEST_FILE} bytes")
    return content


def _write(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _digest(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


def _empty(name: str, zone: str) -> icalendar.Calendar:
    calendar = icalendar.Calendar.new(prodid=_PRODUCT, name=name)
    calendar.add("X-WR-TIMEZONE", zone)
    return calendar


def _parsed(name: str, content: bytes) -> icalendar.Calendar:
    try:
        calendar = icalendar.Calendar.from_ical(content)
        for number, event in enumerate(_checked(calendar)):
            if not event.get("UID"):
                event["UID"] = icalendar.vText(f"event-{number}@{name}")
    except InvalidCalendar as error:
        raise InvalidCalendar(f"the calendar {name!r} cannot be used: {error}") from error
    except Exception as error:  # the library raises many kinds of errors on files that are no calendars
        raise InvalidCalendar(f"the file of {name!r} is no iCalendar file: {error}") from error
    return calendar


def dated(component: icalendar.Event, name: str) -> date:
    """The date or time of a property such as ``DTSTART``."""
    value: Any = component[name]
    when: date = value.dt
    return when


def _text(rule: Any) -> str:
    content: bytes = rule.to_ical()
    return content.decode()


def _checked(calendar: icalendar.Component) -> list[icalendar.Event]:
    """The events, if all can be used."""
    if not isinstance(calendar, icalendar.Calendar):
        raise InvalidCalendar("it is no VCALENDAR")
    events = list(calendar.events)
    if len(events) > MOST_EVENTS:
        raise InvalidCalendar(f"it has more than {MOST_EVENTS} events")
    series = [event for event in events if "RRULE" in event]
    if len(series) > MOST_SERIES:
        raise InvalidCalendar(f"it has more than {MOST_SERIES} series of events")
    for event in events:
        title = str(event.get("SUMMARY", "an event"))[:60]
        if "DTSTART" not in event:
            raise InvalidCalendar(f"{title!r} has no start")
        if event.errors:
            raise InvalidCalendar(f"{title!r} has a wrong {event.errors[0][0]}: {event.errors[0][1]}")
        for name in {"DTSTART", "RECURRENCE-ID"} & set(event):
            when = dated(event, name)
            if not isinstance(when, date) or not _YEARS[0] <= when.year <= _YEARS[1]:
                raise InvalidCalendar(f"{title!r} has a {name} that is no date of the years {_YEARS[0]} to {_YEARS[1]}")
        rules = event.get("RRULE", [])
        for rule in rules if isinstance(rules, list) else [rules]:
            _check_rule(rule, title, dated(event, "DTSTART").year)
    return events


def _check_rule(rule: vRecur, title: str, year: int) -> None:
    """Refuse what would keep the computer busy: series of minutes, and rules that no day fulfils."""
    frequency = str(rule.get("FREQ", [""])[0]).upper()
    if frequency in _SLOW or any(len(rule.get(part, [])) > 1 for part in ("BYMINUTE", "BYSECOND")):
        raise InvalidCalendar(f"{title!r} repeats within a day, which is not supported")
    if any(int(each) < 1 for each in rule.get("INTERVAL", [])):
        raise InvalidCalendar(f"{title!r} repeats at no interval")
    if year < EARLIEST_SERIES:
        raise InvalidCalendar(f"{title!r} repeats since {year}; series may begin in {EARLIEST_SERIES} or later")
    ends = {"UNTIL", "COUNT", "INTERVAL"}
    endless = ";".join(part for part in _text(rule).split(";") if part.partition("=")[0].upper() not in ends)
    # The weekdays of the calendar come again after 28 years, and the library stops in 9999.
    if next(iter(rrulestr(endless, dtstart=datetime(9971, 1, 1))), None) is None:
        raise InvalidCalendar(f"{title!r} never occurs: no day fulfils {endless}")
