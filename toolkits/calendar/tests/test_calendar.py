"""The toolkit ``calendar``: right dates, and errors that say what to write instead."""

from __future__ import annotations

import doctest
from datetime import UTC, date, datetime, timedelta
from types import ModuleType

import pytest
from codeact_tools_calendar import (
    CalendarError,
    Difference,
    InvalidPeriod,
    InvalidTime,
    UnknownCountry,
    UnknownRegion,
    UnknownTimeZone,
    Weekday,
    add_working_days,
    convert_time,
    current_time,
    date_difference,
    dates,
    errors,
    next_weekday,
    public_holidays,
    toolkit,
    weekday,
    working_days,
    working_time,
    zones,
)
from hypothesis import given
from hypothesis import strategies as st

from codeact_tools import ToolRegistry
from codeact_tools.errors import InvalidCall

DAYS = st.dates(date(1995, 1, 1), date(2099, 12, 31))


@pytest.mark.parametrize("module", [dates, errors, working_time, zones], ids=lambda module: module.__name__)
def test_the_examples_of_the_docstrings_run(module: ModuleType) -> None:
    """What the model reads as an example is what the tool does."""
    outcome = doctest.testmod(module)
    assert outcome.failed == 0
    assert outcome.attempted > 0


def test_every_tool_is_documented_and_only_reads() -> None:
    """A model that reads the signature, the docs and the example needs nothing else."""
    registry = ToolRegistry([toolkit])
    assert len(registry.specs) == 8
    for spec in registry.specs:
        assert spec.effects.read_only
        assert spec.summary
        assert spec.returns_doc
        assert spec.examples
        assert all(parameter.doc for parameter in spec.parameters)
        assert all(raised.exception for raised in spec.raises)


def test_the_working_days_of_christmas_in_germany() -> None:
    """1 December 2026 to 15 January 2027 has 34 weekdays; Christmas Day and New Year's Day are Fridays."""
    start, end = date(2026, 12, 1), date(2027, 1, 15)
    assert working_days(start, end, "DE") == 32
    assert [(h.day, h.name) for h in public_holidays(start, end, "DE") if not h.on_weekend] == [
        (date(2026, 12, 25), "Christmas Day"),
        (date(2027, 1, 1), "New Year's Day"),
    ]


@pytest.mark.parametrize("country", ["DE", "de", "DEU", "Germany", "germany"])
def test_a_country_has_a_code_and_a_name(country: str) -> None:
    """Models write either."""
    assert working_days(date(2026, 5, 1), date(2026, 5, 4), country) == 1


@pytest.mark.parametrize("name", ["GB", "UK", "United Kingdom", "united-kingdom"])
def test_names_of_several_words(name: str) -> None:
    """Spaces, hyphens and case do not matter."""
    assert [h.name for h in public_holidays(date(2026, 12, 25), date(2026, 12, 25), name)] == ["Christmas Day"]


@pytest.mark.parametrize("region", ["BY", "by", "Bayern"])
def test_a_region_has_holidays_of_its_own(region: str) -> None:
    """Epiphany is a holiday in Bavaria, not in all of Germany."""
    epiphany = date(2026, 1, 6)
    assert [h.name for h in public_holidays(epiphany, epiphany, "DE", region)] == ["Epiphany"]
    assert public_holidays(epiphany, epiphany, "DE") == []


def test_the_weekend_is_the_country_s_own() -> None:
    """Saudi Arabia rests on Friday and Saturday."""
    assert working_days(date(2026, 10, 1), date(2026, 10, 7), "SA") == 5
    assert working_days(date(2026, 10, 2), date(2026, 10, 3), "SA") == 0


def test_days_that_a_government_moves_are_worked() -> None:
    """China works on Saturday 14 February 2026, in exchange for a day of the Spring Festival."""
    assert working_days(date(2026, 2, 14), date(2026, 2, 14), "CN") == 1


@pytest.mark.parametrize(
    ("start", "days", "expected"),
    [
        (date(2026, 12, 23), 0, date(2026, 12, 23)),
        (date(2026, 12, 23), 1, date(2026, 12, 24)),
        (date(2026, 12, 24), 1, date(2026, 12, 28)),
        (date(2026, 12, 28), -1, date(2026, 12, 24)),
        (date(2026, 12, 26), -1, date(2026, 12, 24)),
    ],
)
def test_a_deadline_skips_weekends_and_holidays(start: date, days: int, expected: date) -> None:
    """Forward and backward; the start itself is not counted."""
    assert add_working_days(start, days, "DE") == expected


@given(DAYS, st.integers(1, 300))
def test_counting_undoes_adding(start: date, days: int) -> None:
    """After adding n working days, n of them lie behind the start."""
    end = add_working_days(start, days, "FR") if start.year < 2097 else start
    if end != start:
        assert working_days(start + timedelta(days=1), end, "FR") == days


@given(DAYS, st.sampled_from(dates.WEEKDAYS))
def test_the_next_weekday_is_within_a_week(after: date, name: Weekday) -> None:
    """It is never the day itself."""
    found = next_weekday(after, name)
    assert weekday(found) == name
    assert 1 <= (found - after).days <= 7


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (date(2024, 2, 29), date(2025, 2, 28), Difference(years=1, months=0, days=0, total_days=365)),
        (date(2026, 1, 31), date(2026, 3, 1), Difference(years=0, months=1, days=1, total_days=29)),
        (date(2026, 1, 1), date(2026, 1, 1), Difference(years=0, months=0, days=0, total_days=0)),
        (date(2025, 12, 31), date(2026, 1, 1), Difference(years=0, months=0, days=1, total_days=1)),
    ],
)
def test_differences_in_years_months_and_days(start: date, end: date, expected: Difference) -> None:
    """Leap days and turns of the year are counted as calendars do."""
    assert date_difference(start, end) == expected


@pytest.mark.parametrize(
    ("time", "source", "target", "expected"),
    [
        (datetime(2026, 7, 1, 12), "Europe/Berlin", "America/New_York", "2026-07-01T06:00:00-04:00"),
        (datetime(2026, 12, 31, 23), "America/New_York", "Asia/Kolkata", "2027-01-01T09:30:00+05:30"),
        (datetime(2026, 10, 25, 2, 30), "Europe/Berlin", "UTC", "2026-10-25T00:30:00+00:00"),
    ],
    ids=["summer", "next year", "the first of two"],
)
def test_times_of_the_world(time: datetime, source: str, target: str, expected: str) -> None:
    """With daylight saving time on the day in question; of a time that occurs twice, the first is meant."""
    assert convert_time(time, source, target).isoformat() == expected


def test_the_present_time() -> None:
    """To the second, with the zone's offset."""
    now = current_time("Asia/Tokyo")
    assert now.utcoffset() == timedelta(hours=9)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=60)
    assert now.microsecond == 0


def test_mistakes_are_answered_with_what_to_write_instead() -> None:
    """Each error is declared, and names the value and the remedy."""
    first, last = date(2026, 1, 1), date(2026, 12, 31)
    with pytest.raises(UnknownCountry, match=r"no country is known as 'Germny'; did you mean 'Germany' or "):
        working_days(first, last, "Germny")
    with pytest.raises(UnknownCountry, match=r"use the two-letter code, e\.g\. 'DE' for Germany"):
        working_days(first, last, "")
    with pytest.raises(UnknownRegion, match=r"'DE' has no region 'XX'; its regions: Augsburg, BB, BE, BW, BY"):
        working_days(first, last, "DE", "XX")
    with pytest.raises(UnknownRegion, match=r"no region 'Bayren'; .*; did you mean 'Bayern' or "):
        working_days(first, last, "DE", "Bayren")
    with pytest.raises(InvalidPeriod, match="end 2026-01-01 is before start 2026-12-31; swap them"):
        public_holidays(last, first, "DE")
    with pytest.raises(InvalidPeriod, match="longer than 100 years"):
        working_days(date(1777, 1, 1), date(2026, 1, 1), "US")
    with pytest.raises(InvalidPeriod, match="holidays are known for 1991 to 2100 only, not for 3000-01-01"):
        working_days(date(3000, 1, 1), date(3000, 1, 2), "DE")
    with pytest.raises(InvalidPeriod, match="holidays are known for 1991 to 2100 only"):
        add_working_days(date(2100, 12, 1), 100, "DE")
    with pytest.raises(InvalidPeriod, match="swap them"):
        date_difference(last, first)
    with pytest.raises(InvalidPeriod, match="the calendar ends on 9999-12-31"):
        next_weekday(date.max, "Monday")
    with pytest.raises(UnknownTimeZone, match=r"no time zone is named 'Berlin'; did you mean 'Europe/Berlin'\?"):
        current_time("Berlin")
    with pytest.raises(UnknownTimeZone, match=r"'../../etc/passwd'"):
        current_time("../../etc/passwd")
    with pytest.raises(InvalidTime, match="2026-03-29 02:30:00 does not exist in Europe/Berlin"):
        convert_time(datetime(2026, 3, 29, 2, 30), "Europe/Berlin", "UTC")
    with pytest.raises(InvalidTime, match="has a zone already; pass it without one"):
        convert_time(datetime(2026, 3, 29, tzinfo=UTC), "Europe/Berlin", "UTC")
    with pytest.raises(InvalidTime, match="outside the calendar"):
        convert_time(datetime(1, 1, 1), "Asia/Tokyo", "UTC")


@pytest.mark.parametrize("error", [UnknownCountry, UnknownRegion, UnknownTimeZone, InvalidPeriod, InvalidTime])
def test_all_errors_are_calendar_errors(error: type[Exception]) -> None:
    """An action can catch them all at once."""
    assert issubclass(error, CalendarError)


def test_the_host_accepts_dates_in_iso_form_and_refuses_others() -> None:
    """A model that writes "2026-12-24" is understood; "24.12.2026" is answered with a repair hint."""
    spec = ToolRegistry([toolkit]).get("calendar.weekday")
    assert spec.bind(["2026-12-24"], {}).arguments == {"day": date(2026, 12, 24)}
    with pytest.raises(InvalidCall, match="day"):
        spec.bind(["24.12.2026"], {})
