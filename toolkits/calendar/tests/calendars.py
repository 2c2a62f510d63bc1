"""Calendars for the tests of the agenda: a folder with two of them."""

from __future__ import annotations

from pathlib import Path

HEAD = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//tests//EN\n"

WORK = f"""{HEAD}X-WR-TIMEZONE:Europe/Berlin
BEGIN:VEVENT
UID:meeting
DTSTAMP:20260101T000000Z
DTSTART;TZID=Europe/Berlin:20261006T090000
DTEND;TZID=Europe/Berlin:20261006T100000
RRULE:FREQ=WEEKLY
EXDATE;TZID=Europe/Berlin:20261013T090000
SUMMARY:Team meeting
LOCATION:Room 1
END:VEVENT
BEGIN:VEVENT
UID:meeting
DTSTAMP:20260101T000000Z
RECURRENCE-ID;TZID=Europe/Berlin:20261201T090000
DTSTART;TZID=Europe/Berlin:20261201T100000
DTEND;TZID=Europe/Berlin:20261201T110000
SUMMARY:Team meeting
END:VEVENT
BEGIN:VEVENT
UID:dentist
DTSTAMP:20260101T000000Z
DTSTART:20261202T130000Z
DURATION:PT45M
SUMMARY:Dentist
END:VEVENT
END:VCALENDAR
"""
"""A weekly meeting that is left out once and moved once, and a single event in UTC."""

HOME = f"""{HEAD}BEGIN:VEVENT
UID:birthday
DTSTAMP:20260101T000000Z
DTSTART;VALUE=DATE:20201202
RRULE:FREQ=YEARLY
SUMMARY:Birthday of Ada
TRANSP:TRANSPARENT
END:VEVENT
BEGIN:VEVENT
UID:plumber
DTSTAMP:20260101T000000Z
DTSTART:20261201T130000
DTEND:20261201T150000
SUMMARY:Plumber
END:VEVENT
BEGIN:VEVENT
UID:holiday
DTSTAMP:20260101T000000Z
DTSTART;VALUE=DATE:20261203
DTEND;VALUE=DATE:20261205
SUMMARY:Skiing
END:VEVENT
END:VCALENDAR
"""
"""A birthday every year that takes no time, an event without a zone, and two whole days."""


CLUB = f"""{HEAD}X-WR-TIMEZONE:Europe/Berlin
BEGIN:VEVENT
UID:training
DTSTAMP:20260101T000000Z
DTSTART;TZID=Europe/Berlin:20270302T180000
DTEND;TZID=Europe/Berlin:20270302T193000
RRULE:FREQ=WEEKLY
SUMMARY:Training
END:VEVENT
BEGIN:VEVENT
UID:match
DTSTAMP:20260101T000000Z
DTSTART;TZID=Europe/Berlin:20270313T150000
DURATION:PT2H
SUMMARY:Match
LOCATION:Old field
END:VEVENT
END:VCALENDAR
"""
"""What the toolkit's demonstration is about."""


def write(folder: Path, **more: str) -> Path:
    """Put both, and ``more`` of them, into ``folder``."""
    for name, text in {"work": WORK, "home": HOME, **more}.items():
        (folder / f"{name}.ics").write_bytes(text.replace("\n", "\r\n").encode())
    return folder
