"""Calendars in files: what is read, unfolded, changed and saved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import icalendar
import pytest
from codeact_tools_calendar.agenda import (
    Calendar,
    CalendarChanged,
    CalendarConfig,
    Conflict,
    Event,
    UnknownEvent,
    add_event,
    cancel_event,
    free_slots,
    list_events,
    move_event,
    open_calendar,
    save_calendar,
    toolkit,
)
from codeact_tools_calendar.errors import InvalidPeriod, InvalidTime

from codeact_tools import CallRecord, Session, ToolContext, ToolRegistry
from toolkits.calendar.tests.calendars import write

Open = Callable[[str], Calendar]

DECEMBER = date(2026, 12, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two calendars."""
    return write(tmp_path)


@pytest.fixture
def opened(folder: Path) -> Open:
    """Opens calendars as one session does."""
    context = ToolContext(config=CalendarConfig(folder=folder, zone="Europe/Berlin"))
    return lambda name: open_calendar(name, context=context)


def shown(calendar: Calendar, start: date, end: date) -> list[str]:
    """Events as short lines."""
    return [f"{each.start:%d %H:%M}-{each.end:%H:%M} {each.title}" for each in list_events(calendar, start, end)]


# ---- reading ---------------------------------------------------------------------------------------------------------


def test_series_with_exceptions_across_the_change_of_the_clocks(opened: Open) -> None:
    """Nine o'clock stays nine o'clock in winter; what was left out is left out, what was moved is moved."""
    work = opened("work")
    assert shown(work, date(2026, 10, 6), date(2026, 10, 27)) == [
        "06 09:00-10:00 Team meeting",
        "20 09:00-10:00 Team meeting",
        "27 09:00-10:00 Team meeting",
    ]
    offsets = [each.start.utcoffset() for each in list_events(work, date(2026, 10, 20), date(2026, 10, 27))]
    assert offsets == [timedelta(hours=2), timedelta(hours=1)]
    assert shown(work, DECEMBER, DECEMBER) == ["01 10:00-11:00 Team meeting"]


def test_times_of_all_kinds_come_in_the_calendar_s_zone(opened: Open) -> None:
    """UTC is converted, a time without a zone is meant here, a whole day begins at midnight here."""
    assert shown(opened("work"), date(2026, 12, 2), date(2026, 12, 2)) == ["02 14:00-14:45 Dentist"]
    home = opened("home")
    assert shown(home, DECEMBER, date(2026, 12, 3)) == [
        "01 13:00-15:00 Plumber",
        "02 00:00-00:00 Birthday of Ada",
        "03 00:00-00:00 Skiing",
    ]
    skiing = next(each for each in list_events(home, date(2026, 12, 4), date(2026, 12, 4)))
    assert (skiing.all_day, skiing.end - skiing.start) == (True, timedelta(days=2))


def test_long_periods_stream_in_order_without_repeating_anything(opened: Open) -> None:
    """A period is unfolded four weeks at a time, which nobody sees."""
    found = list(list_events(opened("work"), date(2026, 1, 1), date(2027, 12, 31)))
    starts = [each.start for each in found]
    assert starts == sorted(starts)
    assert len(starts) == len(set(starts)) == 65


def test_a_stream_is_a_picture_of_its_beginning(opened: Open) -> None:
    """What is cancelled while somebody goes through the events does not disturb them."""
    work = opened("work")
    stream = list_events(work, date(2026, 10, 1), date(2027, 3, 31))
    first = next(stream)
    cancel_event(work, first, series=True)
    assert len(list(stream)) == 25
    assert shown(work, date(2026, 10, 1), date(2027, 3, 31)) == ["02 14:00-14:45 Dentist"]


def test_one_session_has_one_calendar(opened: Open) -> None:
    """Opening it again gives the one with the changes."""
    work = opened("work")
    add_event(work, "Review", datetime(2026, 12, 4, 9))
    assert opened("work") is work
    assert repr(work) == "<calendar 'work': 4 events, Europe/Berlin, not saved>"


# ---- free time -------------------------------------------------------------------------------------------------------


def test_free_slots_of_several_calendars(opened: Open) -> None:
    """They are the gaps between all events, on weekdays, within the hours that are given."""
    slots = free_slots([opened("work"), opened("home")], DECEMBER, date(2026, 12, 5), minutes=60)
    assert [f"{each.start:%d %H:%M}-{each.end:%H:%M}" for each in slots] == [
        "01 09:00-10:00",
        "01 11:00-13:00",
        "01 15:00-17:00",
        "02 09:00-14:00",
        "02 14:45-17:00",
    ]


def test_free_slots_on_weekends_and_at_night(opened: Open) -> None:
    """If they are asked for."""
    slots = free_slots(
        [opened("home")], date(2026, 12, 5), date(2026, 12, 6), earliest=time(20), latest=time(22), weekends=True
    )
    assert [f"{each.start:%d %H}" for each in slots] == ["05 20", "06 20"]


def test_what_is_transparent_or_cancelled_takes_no_time(opened: Open) -> None:
    """The birthday is no reason not to meet."""
    slots = free_slots([opened("home")], date(2026, 12, 2), date(2026, 12, 2))
    assert [(each.start.hour, each.end.hour) for each in slots] == [(9, 17)]


def test_wrong_periods(opened: Open) -> None:
    """They are refused, not answered with nothing."""
    work = opened("work")
    with pytest.raises(InvalidPeriod, match="end 2026-11-30 is before start 2026-12-01; swap them"):
        list(list_events(work, DECEMBER, date(2026, 11, 30)))
    with pytest.raises(InvalidPeriod, match="longer than ten years"):
        list(list_events(work, DECEMBER, date(2046, 11, 30)))
    with pytest.raises(InvalidPeriod, match="1900 to 2200"):
        list(list_events(work, date(9999, 12, 1), date(9999, 12, 31)))
    with pytest.raises(InvalidPeriod, match="latest 09:00:00 is not after earliest 09:00:00"):
        free_slots([work], DECEMBER, DECEMBER, latest=time(9))


# ---- changes ---------------------------------------------------------------------------------------------------------


def test_adding_once_and_again_and_again(opened: Open) -> None:
    """A repeated event ends with the day that is given, included."""
    home = opened("home")
    added = add_event(home, "Choir", datetime(2026, 12, 7, 19, 30), minutes=90, place="Hall", repeat="weekly",
                      until=date(2026, 12, 21))  # fmt: skip
    assert (added.end.isoformat(), added.place, added.occurrence) == ("2026-12-07T21:00:00+01:00", "Hall", added.start)
    assert shown(home, date(2026, 12, 6), date(2026, 12, 31)) == [
        "07 19:30-21:00 Choir",
        "14 19:30-21:00 Choir",
        "21 19:30-21:00 Choir",
    ]


def test_times_of_another_zone_are_converted(opened: Open) -> None:
    """The moment counts."""
    added = add_event(opened("home"), "Call", datetime(2026, 12, 8, 20, tzinfo=UTC))
    assert added.start.isoformat() == "2026-12-08T21:00:00+01:00"


def test_taken_times_are_conflicts(opened: Open) -> None:
    """Unless overlapping is wanted; events that touch do not overlap."""
    work = opened("work")
    with pytest.raises(Conflict, match=r"'Team meeting' takes place from 2026-12-08 09:00 to 10:00; choose a free"):
        add_event(work, "Review", datetime(2026, 12, 8, 9, 30))
    add_event(work, "Review", datetime(2026, 12, 8, 10))
    add_event(work, "Lunch", datetime(2026, 12, 8, 9, 30), overlap=True)
    assert [line[3:] for line in shown(work, date(2026, 12, 8), date(2026, 12, 8))] == [
        "09:00-10:00 Team meeting",
        "09:30-10:30 Lunch",
        "10:00-11:00 Review",
    ]


def test_each_occurrence_of_a_new_series_must_be_free(opened: Open) -> None:
    """Within a year; what conflicts is not added."""
    work = opened("work")
    with pytest.raises(Conflict, match="'Dentist' takes place from 2026-12-02 14:00 to 14:45, as does an occurrence"):
        add_event(work, "Choir", datetime(2026, 11, 25, 14), repeat="weekly")
    assert len(work.events) == 3
    add_event(work, "Choir", datetime(2026, 11, 25, 15), repeat="weekly")


def test_times_that_do_not_exist_are_refused(opened: Open) -> None:
    """The clocks skip half past two on 28 March 2027."""
    with pytest.raises(InvalidTime, match="2027-03-28 02:30:00 does not exist in Europe/Berlin"):
        add_event(opened("work"), "Night", datetime(2027, 3, 28, 2, 30))
    with pytest.raises(InvalidTime, match="1900 to 2200"):
        add_event(opened("work"), "Far", datetime(2500, 1, 1))
    with pytest.raises(InvalidPeriod, match="until 2026-12-01 is before the start 2026-12-09"):
        add_event(opened("work"), "Never", datetime(2026, 12, 9), repeat="daily", until=DECEMBER)


def test_moving_a_single_event_keeps_its_length(opened: Open) -> None:
    """And its identity."""
    work = opened("work")
    (dentist,) = list_events(work, date(2026, 12, 2), date(2026, 12, 2))
    moved = move_event(work, dentist, datetime(2026, 12, 3, 8))
    assert (moved.id, moved.end - moved.start) == ("dentist", timedelta(minutes=45))
    assert shown(work, date(2026, 12, 2), date(2026, 12, 3)) == ["03 08:00-08:45 Dentist"]
    move_event(work, dentist, datetime(2026, 12, 14, 8))
    assert shown(work, date(2026, 12, 14), date(2026, 12, 14)) == ["14 08:00-08:45 Dentist"]


def test_moving_one_occurrence_leaves_the_others(opened: Open) -> None:
    """It can be moved again, also one that the file had moved already, and into its own old time."""
    work = opened("work")
    (second,) = list_events(work, date(2026, 12, 8), date(2026, 12, 8))
    moved = move_event(work, second, datetime(2026, 12, 9, 9))
    move_event(work, moved, datetime(2026, 12, 10, 9, 30))
    move_event(work, second, datetime(2026, 12, 9, 9, 30))
    (first,) = list_events(work, DECEMBER, DECEMBER)
    move_event(work, first, datetime(2026, 12, 1, 9))
    assert shown(work, DECEMBER, date(2026, 12, 15)) == [
        "01 09:00-10:00 Team meeting",
        "02 14:00-14:45 Dentist",
        "09 09:30-10:30 Team meeting",
        "15 09:00-10:00 Team meeting",
    ]


def test_moving_whole_days(opened: Open) -> None:
    """They stay whole days, and one birthday does not move the others."""
    home = opened("home")
    (birthday,) = list_events(home, date(2026, 12, 2), date(2026, 12, 2))
    move_event(home, birthday, datetime(2026, 12, 6, 15))
    (moved,) = list_events(home, date(2026, 12, 6), date(2026, 12, 6))
    assert (moved.all_day, moved.start.hour) == (True, 0)
    assert shown(home, date(2027, 12, 2), date(2027, 12, 2)) == ["02 00:00-00:00 Birthday of Ada"]


def test_cancelling_one_occurrence_or_the_series(opened: Open) -> None:
    """An occurrence that was moved is cancelled too."""
    work = opened("work")
    moved, plain = [each for each in list_events(work, DECEMBER, date(2026, 12, 8)) if each.id == "meeting"]
    cancel_event(work, moved)
    cancel_event(work, plain)
    assert shown(work, DECEMBER, date(2026, 12, 15)) == ["02 14:00-14:45 Dentist", "15 09:00-10:00 Team meeting"]
    with pytest.raises(
        UnknownEvent, match=r"no event 'Team meeting' at 2026-12-08 09:00:00\+01:00 \(any more\); list its events again"
    ):
        cancel_event(work, plain)
    (later,) = list_events(work, date(2026, 12, 15), date(2026, 12, 15))
    cancel_event(work, later, series=True)
    assert shown(work, date(2026, 10, 1), date(2027, 12, 31)) == ["02 14:00-14:45 Dentist"]


def test_events_that_somebody_makes_up_are_unknown(opened: Open) -> None:
    """The calendar is asked, not the value that comes back from the action."""
    now = datetime(2026, 12, 2, 14, tzinfo=UTC)
    made_up = Event(id="x", title="Party", start=now, end=now, minutes=0, all_day=False, place="", occurrence=None)
    with pytest.raises(UnknownEvent, match="'Party'"):
        cancel_event(opened("work"), made_up)
    for when in (datetime.min, datetime.max, datetime(2026, 12, 9, 9), datetime(2026, 10, 13, 9, tzinfo=UTC)):
        forged = Event(
            id="meeting", title="Team", start=when, end=when, minutes=0, all_day=True, place="", occurrence=when
        )
        with pytest.raises(UnknownEvent, match="'Team'"):
            cancel_event(opened("work"), forged)


# ---- saving ----------------------------------------------------------------------------------------------------------


def test_nothing_is_written_before_it_is_saved(opened: Open, folder: Path) -> None:
    """What is saved is what other programs read, series, exceptions and time zones included."""
    before = (folder / "work.ics").read_bytes()
    work = opened("work")
    (second,) = list_events(work, date(2026, 12, 8), date(2026, 12, 8))
    move_event(work, second, datetime(2026, 12, 9, 9))
    assert (folder / "work.ics").read_bytes() == before
    assert save_calendar(work) == 4
    fresh = ToolContext(config=CalendarConfig(folder=folder))
    assert shown(open_calendar("work", context=fresh), DECEMBER, date(2026, 12, 9)) == [
        "01 10:00-11:00 Team meeting",
        "02 14:00-14:45 Dentist",
        "09 09:00-10:00 Team meeting",
    ]
    saved = icalendar.Calendar.from_ical((folder / "work.ics").read_bytes())
    assert [str(each["TZID"]) for each in saved.timezones] == ["Europe/Berlin"]
    assert sorted(each.name for each in folder.iterdir()) == ["home.ics", "work.ics"]


def test_a_new_calendar(folder: Path) -> None:
    """It is a file once it is saved."""
    context = ToolContext(config=CalendarConfig(folder=folder, zone="Asia/Tokyo"))
    trip = open_calendar("trip", create=True, context=context)
    assert not (folder / "trip.ics").exists()
    add_event(trip, "Flight", datetime(2026, 12, 24, 18))
    assert save_calendar(trip) == 1
    again = open_calendar("trip", context=ToolContext(config=CalendarConfig(folder=folder)))
    assert [each.start.isoformat() for each in list_events(again, DECEMBER, date(2026, 12, 31))] == [
        "2026-12-24T18:00:00+09:00"
    ]


def test_changes_of_others_are_not_overwritten(opened: Open, folder: Path) -> None:
    """The file stays theirs, and the calendar stays open."""
    work = opened("work")
    add_event(work, "Review", datetime(2026, 12, 4, 9))
    (folder / "work.ics").write_bytes(b"theirs")
    with pytest.raises(CalendarChanged, match="'work' was changed since it was opened; nothing is written"):
        save_calendar(work)
    assert (folder / "work.ics").read_bytes() == b"theirs"


def test_saving_twice(opened: Open) -> None:
    """Its own change is none of somebody else."""
    work = opened("work")
    save_calendar(work)
    add_event(work, "Review", datetime(2026, 12, 4, 9))
    assert save_calendar(work) == 4


# ---- in a session ----------------------------------------------------------------------------------------------------


def test_handles_streams_and_approvals_in_the_sandbox(folder: Path) -> None:
    """An action holds the calendar by a handle, stops a stream early, and cannot cancel without consent."""
    asked: list[str] = []

    def approve(call: CallRecord) -> bool:
        asked.append(call.arguments["event"].title)
        return asked[-1] == "Dentist"

    configured = toolkit.configured(CalendarConfig(folder=folder))
    with Session(tools=ToolRegistry([configured]), sandbox="local", approve=approve) as session:
        first = session.run(
            "work = open_calendar('work')\nfirst = next(list_events(work, date(2026, 12, 1), date(2036, 12, 1)))"
        )
        assert first.error is None
        denied = session.run("cancel_event(work, first)")
        assert denied.error is not None
        assert "not approved" in denied.error.message
        done = session.run(
            "for each in list_events(work, date(2026, 12, 1), date(2026, 12, 3)):\n"
            "    if each.title == 'Dentist':\n"
            "        cancel_event(work, each)\n"
            "[each.title for each in list_events(work, date(2026, 12, 1), date(2026, 12, 3))]"
        )
        assert done.result == "['Team meeting']"
        assert asked == ["Team meeting", "Dentist"]
        taken = session.run("add_event(work, 'Review', datetime(2026, 12, 1, 10, 30))")
        assert taken.error is not None
        assert "Conflict" in taken.text
        assert session.run("save_calendar(work)").result == "2"
        forged = session.run("save_calendar(object())")
        assert forged.error is not None
