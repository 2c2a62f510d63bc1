"""Public holidays and working days of some 250 countries, from the rules that the ``holidays`` library holds.

A working day is a day that is neither on the country's weekend nor a public holiday; days that a government moves
(China works on some Saturdays) are respected.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Annotated

from holidays import HolidayBase, country_holidays
from holidays.registry import COUNTRIES
from pydantic import Field

from codeact_tools import tool

from .dates import weekday_of
from .errors import InvalidPeriod, UnknownCountry, UnknownRegion, nearest

LONGEST_PERIOD = timedelta(days=36_525)
"""A hundred years: what one call may span."""

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Holiday:
    """A public holiday; ``on_weekend`` tells whether it falls on the country's weekend."""

    day: date
    name: str
    weekday: str
    on_weekend: bool


def _folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalpha())


@lru_cache(maxsize=1)
def _codes() -> dict[str, str]:
    """Two-letter code by folded code or English name."""
    return {_folded(key): names[1] for module, names in COUNTRIES.items() for key in (module, *names)}


@lru_cache(maxsize=256)
def _holidays_of(country: str, region: str | None) -> HolidayBase:
    """Return the holiday rules of a country, with names in English where the library has them.

    Raises:
        UnknownCountry: There is no such country.
        UnknownRegion: The country has no such region.
    """
    code = _codes().get(_folded(country))
    if code is None:
        names = [names[0] for names in COUNTRIES.values()]
        hint = nearest(country, names) or "; use the two-letter code, e.g. 'DE' for Germany"
        raise UnknownCountry(f"no country is known as {country!r}{hint}")
    rules = country_holidays(code, language="en_US")
    if region is None:
        return rules
    aliases = {_folded(alias): subdivision for alias, subdivision in rules.subdivisions_aliases.items()}
    known = {str(subdivision): subdivision for subdivision in rules.subdivisions}
    subdivision = known.get(region.upper()) or known.get(region) or aliases.get(_folded(region))
    if subdivision is None:
        choices = ", ".join(sorted(known)) or "none"
        hint = nearest(region, [*known, *rules.subdivisions_aliases])
        raise UnknownRegion(f"{country!r} has no region {region!r}; its regions: {choices}{hint}")
    return country_holidays(code, subdiv=subdivision, language="en_US")


def _check_years(rules: HolidayBase, first: date, last: date) -> None:
    """Refuse years of which the library knows nothing: it would answer that they have no holidays.

    Raises:
        InvalidPeriod: A date is outside these years.
    """
    for day in (first, last):
        if not rules.start_year <= day.year <= rules.end_year:
            raise InvalidPeriod(f"holidays are known for {rules.start_year} to {rules.end_year} only, not for {day}")


def _period(rules: HolidayBase, start: date, end: date) -> list[date]:
    """Return all days from ``start`` to ``end``, both included.

    Raises:
        InvalidPeriod: The dates are in the wrong order, too far apart, or outside the years that are known.
    """
    if end < start:
        raise InvalidPeriod(f"end {end} is before start {start}; swap them")
    if end - start > LONGEST_PERIOD:
        raise InvalidPeriod(f"{start} to {end} is longer than 100 years; ask for parts of it")
    _check_years(rules, start, end)
    return [start + timedelta(days=days) for days in range((end - start).days + 1)]


@tool(read_only=True, idempotent=True)
def public_holidays(start: date, end: date, country: str, region: str | None = None) -> list[Holiday]:
    """List the public holidays of a country in a period.

    Args:
        start: First day of the period.
        end: Last day of the period, included.
        country: Code or English name, e.g. "DE" or "Germany".
        region: State or province, e.g. "BY"; without it only nationwide holidays count.

    Returns:
        The holidays in the order of their dates.

    Raises:
        UnknownCountry: No country has this code or name.
        UnknownRegion: The country has no such region.
        InvalidPeriod: `end` is before `start`, or the period is too long or outside the known years.

    Examples:
        >>> holidays = public_holidays(date(2026, 12, 1), date(2026, 12, 31), "DE")
        >>> [(h.name, h.weekday, h.on_weekend) for h in holidays]
        [('Christmas Day', 'Friday', False), ('Second Day of Christmas', 'Saturday', True)]
    """
    rules = _holidays_of(country, region)
    return [
        Holiday(day=day, name=rules[day], weekday=weekday_of(day), on_weekend=day.weekday() in rules.weekend)
        for day in _period(rules, start, end)
        if day in rules
    ]


@tool(read_only=True, idempotent=True)
def working_days(start: date, end: date, country: str, region: str | None = None) -> int:
    """Count the working days of a country in a period: no weekends, no public holidays.

    Args:
        start: First day of the period.
        end: Last day of the period, included.
        country: Code or English name, e.g. "DE" or "Germany".
        region: State or province, e.g. "BY"; without it only nationwide holidays count.

    Returns:
        The number of working days, both ends included.

    Raises:
        UnknownCountry: No country has this code or name.
        UnknownRegion: The country has no such region.
        InvalidPeriod: `end` is before `start`, or the period is too long or outside the known years.

    Examples:
        >>> working_days(date(2026, 12, 1), date(2026, 12, 31), "DE")
        22
    """
    rules = _holidays_of(country, region)
    return sum(rules.is_working_day(day) for day in _period(rules, start, end))


@tool(read_only=True, idempotent=True)
def add_working_days(
    start: date, days: Annotated[int, Field(ge=-10_000, le=10_000)], country: str, region: str | None = None
) -> date:
    """Find the date that is a number of working days after (or before) a date: a deadline.

    Args:
        start: The day from which to count; it is not counted itself.
        days: How many working days later; negative for earlier.
        country: Code or English name, e.g. "DE" or "Germany".
        region: State or province, e.g. "BY"; without it only nationwide holidays count.

    Returns:
        The date; `start` itself where `days` is 0.

    Raises:
        UnknownCountry: No country has this code or name.
        UnknownRegion: The country has no such region.
        InvalidPeriod: The count leaves the years of which the holidays are known.

    Examples:
        >>> add_working_days(date(2026, 12, 23), 3, "DE")
        datetime.date(2026, 12, 29)
    """
    rules = _holidays_of(country, region)
    step = ONE_DAY if days > 0 else -ONE_DAY
    day, left = start, abs(days)
    _check_years(rules, day, day)
    while left:
        day += step
        _check_years(rules, day, day)
        left -= rules.is_working_day(day)
    return day
