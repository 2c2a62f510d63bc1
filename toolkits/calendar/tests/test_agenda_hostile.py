"""What names and files can do to the agenda: nothing outside of the folder, no endless series, no foreign errors."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from codeact_tools_calendar import files
from codeact_tools_calendar.agenda import CalendarConfig, InvalidCalendar, UnknownCalendar, list_events, open_calendar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from codeact_tools import ToolContext
from toolkits.calendar.tests.calendars import HEAD, WORK, write


def context(folder: Path) -> ToolContext:
    """Of a call in a session of its own."""
    return ToolContext(config=CalendarConfig(folder=folder))


def calendar(*events: str) -> str:
    """A calendar with events of the given lines."""
    parts = [f"BEGIN:VEVENT\nUID:{number}\n{event}\nEND:VEVENT\n" for number, event in enumerate(events)]
    return f"{HEAD}{''.join(parts)}END:VCALENDAR\n"


def unfolded(folder: Path, text: str) -> list[str]:
    """The events of December 2026 in a calendar with this text."""
    (folder / "x.ics").write_text(text, encoding="utf-8")
    opened = open_calendar("x", context=context(folder))
    return [each.title for each in list_events(opened, date(2026, 12, 1), date(2026, 12, 31))]


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "../secret.ics",
        "/etc/passwd",
        "..",
        ".",
        "",
        ".hidden",
        "sub/inner",
        "sub\\inner",
        "work.ics\0",
        "link",
        "linked/work",
        "x" * 5000,
        "work\n",
        "~root",
        "$HOME",
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str, create: bool) -> None:
    """Not by dots, not by links, not to be made either."""
    folder = tmp_path / "calendars"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "inner.ics").write_text(WORK, encoding="utf-8")
    (folder / ".hidden.ics").write_text(WORK, encoding="utf-8")
    (tmp_path / "secret.ics").write_text(WORK, encoding="utf-8")
    (folder / "link.ics").symlink_to(tmp_path / "secret.ics")
    (folder / "linked").symlink_to(tmp_path)
    with pytest.raises(UnknownCalendar, match="no calendar is named"):
        open_calendar(name, create=create, context=context(folder))


def test_a_wrong_name_is_answered_with_the_right_ones(tmp_path: Path) -> None:
    """So that the model need not guess."""
    with pytest.raises(UnknownCalendar, match="no calendar is named 'wrok'; did you mean 'work'"):
        open_calendar("wrok", context=context(write(tmp_path)))
    with pytest.raises(UnknownCalendar, match="no calendar is named 'zzz'; there are 'home', 'work'"):
        open_calendar("zzz", context=context(tmp_path))


def test_the_folder_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes as an argument or from the environment, and is checked at once."""
    with pytest.raises(ValidationError, match="folder"):
        CalendarConfig(folder=tmp_path / "nowhere")
    monkeypatch.setenv("CODEACT_TOOLS_CALENDAR_FOLDER", str(tmp_path))
    assert CalendarConfig().folder == tmp_path  # type: ignore[call-arg]  # the environment has it


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no iCalendar file"),
        ("hello", "is no iCalendar file"),
        ("BEGIN:VCALENDAR\n", "is no iCalendar file|no VCALENDAR"),
        ("BEGIN:VEVENT\nUID:1\nEND:VEVENT\n", "no VCALENDAR"),
        (calendar("SUMMARY:Party"), "'Party' has no start"),
        (calendar("SUMMARY:Party\nDTSTART:tomorrow"), "'Party' has a wrong DTSTART"),
        (calendar("SUMMARY:P\nDTSTART:20261201T090000\nRRULE:FREQ=SECONDLY"), "'P' repeats within a day"),
        (calendar("SUMMARY:P\nDTSTART:20261201T090000\nRRULE:FREQ=HOURLY"), "'P' repeats within a day"),
        (calendar("SUMMARY:P\nDTSTART:20261201T090000\nRRULE:FREQ=DAILY;BYSECOND=1,2,3"), "'P' repeats within a day"),
        (calendar("SUMMARY:P\nDTSTART:18000101T090000\nRRULE:FREQ=DAILY"), "'P' repeats since 1800;"),
        (
            calendar("SUMMARY:P\nDTSTART:20260101T090000\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"),
            "'P' never occurs: no day fulfils FREQ=DAILY",
        ),
        (calendar("SUMMARY:P\nDTSTART:20261201\nRRULE:FREQ=DAILY;INTERVAL=0"), "'P' repeats at no interval"),
        (calendar("SUMMARY:P\nDTSTART:00010101T090000\nDTEND:20270101T090000"), "no date of the years 1000 to 3000"),
        (f"{HEAD}X-WR-TIMEZONE:../../etc/passwd\nEND:VCALENDAR\n", "no time zone is named"),
    ],
)
def test_files_that_are_no_calendars(tmp_path: Path, text: str, reason: str) -> None:
    """They are refused when they are opened, with a reason."""
    with pytest.raises(InvalidCalendar, match=reason):
        unfolded(tmp_path, text)


def test_files_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes, in events, in series."""
    monkeypatch.setattr(files, "LARGEST_FILE", 100)
    with pytest.raises(InvalidCalendar, match="'x' is larger than 100 bytes"):
        unfolded(tmp_path, WORK)
    monkeypatch.undo()
    monkeypatch.setattr(files, "MOST_EVENTS", 2)
    with pytest.raises(InvalidCalendar, match="more than 2 events"):
        unfolded(tmp_path, WORK)
    monkeypatch.undo()
    monkeypatch.setattr(files, "MOST_SERIES", 0)
    with pytest.raises(InvalidCalendar, match="more than 0 series"):
        unfolded(tmp_path, WORK)


def test_special_files_are_not_opened(tmp_path: Path) -> None:
    """A pipe would wait for ever."""
    os.mkfifo(tmp_path / "pipe.ics")
    (tmp_path / "folder.ics").mkdir()
    for name in ("pipe", "folder"):
        for create in (False, True):
            with pytest.raises(UnknownCalendar):
                open_calendar(name, create=create, context=context(tmp_path))


def test_odd_calendars_that_are_right(tmp_path: Path) -> None:
    """Leap days, years between, many rules, events without an id, text that looks like a command."""
    assert unfolded(tmp_path, calendar("SUMMARY:L\nDTSTART:20240229T090000\nRRULE:FREQ=YEARLY")) == []
    assert unfolded(tmp_path, calendar("SUMMARY:F\nDTSTART:20261113T090000\nRRULE:FREQ=MONTHLY;BYDAY=2FR")) == ["F"]
    without_id = calendar("SUMMARY:__import__('os').system('id')\nDTSTART:20261201").replace("UID:0\n", "")
    assert unfolded(tmp_path, without_id) == ["__import__('os').system('id')"]


LINES = st.lists(
    st.sampled_from(
        [
            "DTSTART:20261201T090000", "DTSTART;VALUE=DATE:20261201", "DTSTART;TZID=Nowhere/Land:20261201T090000",
            "DTEND:20261130T090000", "DTEND;VALUE=DATE:20261202", "DURATION:-PT1H", "DURATION:P999999999D",
            "RRULE:FREQ=DAILY;UNTIL=20261301", "RRULE:FREQ=WEEKLY;COUNT=-1", "RRULE:FREQ=NEVER", "RRULE:COUNT=2",
            "RRULE:FREQ=DAILY;INTERVAL=0", "RRULE:FREQ=YEARLY;BYDAY=99XX", "EXDATE:20261201T090000Z", "RDATE:now",
            "RDATE;VALUE=PERIOD:20261205T000000Z/PT1H", "RECURRENCE-ID:20261201T090000", "SEQUENCE:x", "SUMMARY:",
            "STATUS:CANCELLED", "TRANSP:TRANSPARENT", "END:VEVENT", "BEGIN:VALARM", "BEGIN:VTIMEZONE", "\x00", "ü:ö",
        ]
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.lists(LINES, max_size=3))
def test_no_error_of_a_library_escapes(tmp_path: Path, lines: list[list[str]]) -> None:
    """Whatever stands in a file: it has events, or it is an invalid calendar."""
    try:
        unfolded(tmp_path, calendar(*("\n".join(each) for each in lines)))
    except InvalidCalendar:
        return


def test_a_zone_that_there_is_not_is_refused_with_the_configuration(tmp_path: Path) -> None:
    """Not only when a calendar is opened, by an error that the model could do nothing about."""
    with pytest.raises(ValueError, match="'Mars'"):
        CalendarConfig(folder=tmp_path, zone="Mars")
