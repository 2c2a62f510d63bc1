"""Weekdays and differences of dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from dateutil.relativedelta import relativedelta

from codeact_tools import tool

from .errors import InvalidPeriod

Weekday = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

WEEKDAYS: tuple[Weekday, ...] = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Time from one date to a later one: ``years``, ``months`` and ``days`` together, or ``total_days`` alone."""

    years: int
    months: int
    days: int
    total_days: int


def weekday_of(day: date) -> Weekday:
    """Return the English name of the weekday of ``day``."""
    return WEEKDAYS[day.weekday()]


@tool(read_only=True, idempotent=True)
def weekday(day: date) -> str:
    """Tell on which weekday a date falls.

    Args:
        day: The date.

    Returns:
        The weekday's English name.

    Examples:
        >>> weekday(date(2026, 12, 24))
        'Thursday'
    """
    return weekday_of(day)


@tool(read_only=True, idempotent=True)
def next_weekday(after: date, weekday: Weekday) -> date:
    """Find the first given weekday after a date.

    Args:
        after: The date after which to look; it is never the result itself.
        weekday: The weekday to find.

    Returns:
        A date 1 to 7 days after `after`.

    Raises:
        InvalidPeriod: The calendar ends before that day (after the year 9999).

    Examples:
        >>> next_weekday(date(2026, 12, 24), "Friday")
        datetime.date(2026, 12, 25)
    """
    days = (WEEKDAYS.index(weekday) - after.weekday() - 1) % 7 + 1
    try:
        return after + timedelta(days=days)
    except OverflowError as error:
        raise InvalidPeriod(f"the calendar ends on {date.max}, before the next {weekday} after {after}") from error


@tool(read_only=True, idempotent=True)
def date_difference(start: date, end: date) -> Difference:
    """Measure the time between two dates: an age, or the days that are left.

    Args:
        start: The first date, e.g. the day of birth.
        end: The last date.

    Returns:
        The difference in years, months and days, and in days alone.

    Raises:
        InvalidPeriod: `end` is before `start`.

    Examples:
        >>> date_difference(date(1990, 5, 17), date(2026, 12, 24))
        Difference(years=36, months=7, days=7, total_days=13370)
        >>> date_difference(date(2026, 12, 24), date(2027, 1, 1)).total_days
        8
    """
    if end < start:
        raise InvalidPeriod(f"end {end} is before start {start}; swap them")
    delta = relativedelta(end, start)
    return Difference(years=delta.years, months=delta.months, days=delta.days, total_days=(end - start).days)
