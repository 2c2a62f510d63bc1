"""The toolkit ``calendar``: public holidays, working days, dates and time zones. It needs no network."""

from __future__ import annotations

from codeact_tools import Toolkit

from .dates import Difference, Weekday, date_difference, next_weekday, weekday
from .demonstrations import CALENDAR
from .errors import CalendarError, InvalidPeriod, InvalidTime, UnknownCountry, UnknownRegion, UnknownTimeZone
from .working_time import Holiday, add_working_days, public_holidays, working_days
from .zones import convert_time, current_time

__all__ = [
    "CalendarError",
    "Difference",
    "Holiday",
    "InvalidPeriod",
    "InvalidTime",
    "UnknownCountry",
    "UnknownRegion",
    "UnknownTimeZone",
    "Weekday",
    "add_working_days",
    "convert_time",
    "current_time",
    "date_difference",
    "next_weekday",
    "public_holidays",
    "toolkit",
    "weekday",
    "working_days",
]

toolkit = Toolkit(
    "calendar",
    tools=[
        public_holidays,
        working_days,
        add_working_days,
        weekday,
        next_weekday,
        date_difference,
        convert_time,
        current_time,
    ],
    version="0.1.0",
    demonstrations=CALENDAR,
    summary="Public holidays, working days, dates and time zones.",
)
"""What the entry point ``calendar`` names."""
