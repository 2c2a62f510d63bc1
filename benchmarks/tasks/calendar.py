"""Questions for the ``calendar`` toolkit: each needs several calls, or a call and a computation with its result."""

from __future__ import annotations

from datetime import date, datetime

from codeact_tools_calendar import (
    add_working_days,
    convert_time,
    date_difference,
    next_weekday,
    public_holidays,
    weekday,
    working_days,
)

from codeact_tools.evals import Task, mentions

DECEMBER, YEAR_END = date(2026, 12, 1), date(2026, 12, 31)
LATE_2026 = {country: working_days(DECEMBER, YEAR_END, country) for country in ("DE", "FR", "US", "GB")}
GERMAN_2027 = public_holidays(date(2027, 1, 1), date(2027, 12, 31), "DE")
CONTRACT_END = add_working_days(date(2026, 11, 23), 30, "DE")

TASKS = [
    Task(
        name="difference of two countries",
        question="In December 2026, how many more working days does Germany have than the United States?",
        right=mentions(abs(LATE_2026["DE"] - LATE_2026["US"])),
    ),
    Task(
        name="sum over a list",
        question="How many working days do Germany, France and the United States have together in December 2026?",
        right=mentions(LATE_2026["DE"] + LATE_2026["FR"] + LATE_2026["US"]),
    ),
    Task(
        name="deadline and its weekday",
        question="A delivery is due 30 working days after 23 November 2026 in Germany. "
        "On which date and on which weekday is it due?",
        right=mentions(weekday(CONTRACT_END), CONTRACT_END.day, CONTRACT_END.year),
    ),
    Task(
        name="filter a list",
        question="How many public holidays of Germany in 2027 fall on a weekend?",
        right=mentions(sum(holiday.on_weekend for holiday in GERMAN_2027)),
    ),
    Task(
        name="names in a list",
        question="Which public holidays does Germany have in May 2027? Give their names.",
        right=mentions(*(holiday.name for holiday in GERMAN_2027 if holiday.day.month == 5)),
    ),
    Task(
        name="age and weekday of birth",
        question="Someone was born on 17 May 1990. On which weekday was that, and how many years old are they on "
        "24 December 2026?",
        right=mentions(weekday(date(1990, 5, 17)), date_difference(date(1990, 5, 17), date(2026, 12, 24)).years),
    ),
    Task(
        name="chain of dates",
        question="Take the first Friday after 24 December 2026. How many days is it from then to 1 March 2027?",
        right=mentions(date_difference(next_weekday(date(2026, 12, 24), "Friday"), date(2027, 3, 1)).total_days),
    ),
    Task(
        name="a time in two zones",
        question="A call starts at 18:00 on 24 December 2026 in Berlin. What time is it then in New York and in Tokyo?",
        right=mentions(
            convert_time(datetime(2026, 12, 24, 18, 0), "Europe/Berlin", "America/New_York")
            .strftime("%H:%M")
            .lstrip("0"),
        ),
    ),
    Task(
        name="hours times rate",
        question="A contractor works 8 hours on every working day of December 2026 in France, at 95 euros an hour. "
        "How much do they earn?",
        right=mentions(LATE_2026["FR"] * 8 * 95),
    ),
    Task(
        name="comparison",
        question="Which of these has the fewest working days in December 2026: Germany, France, or the United Kingdom?",
        right=mentions(
            {"DE": "Germany", "FR": "France", "GB": "United Kingdom"}[
                min(("DE", "FR", "GB"), key=lambda country: LATE_2026[country])
            ]
        ),
    ),
    Task(
        name="region",
        question="How many public holidays does Bavaria (region BY of Germany) have in 2027, and how many of them are "
        "not nationwide?",
        right=mentions(
            len(public_holidays(date(2027, 1, 1), date(2027, 12, 31), "DE", "BY")),
            len(public_holidays(date(2027, 1, 1), date(2027, 12, 31), "DE", "BY")) - len(GERMAN_2027),
        ),
    ),
    Task(
        name="loop over months",
        question="Which month of 2027 has the most working days in Germany, and how many? "
        "(Only look at January, February and March.)",
        right=mentions("March", working_days(date(2027, 3, 1), date(2027, 3, 31), "DE")),
    ),
    Task(
        name="days until a holiday",
        question="How many days after 22 November 2026 is the next Christmas Day, and on which weekday does it fall?",
        right=mentions((date(2026, 12, 25) - date(2026, 11, 22)).days, weekday(date(2026, 12, 25))),
    ),
    Task(
        name="two steps back and forth",
        question="Which date is 10 working days before 29 January 2027 in the United States, and how many calendar "
        "days lie between the two?",
        right=mentions(
            (date(2027, 1, 29) - add_working_days(date(2027, 1, 29), -10, "US")).days,
            add_working_days(date(2027, 1, 29), -10, "US").day,
        ),
    ),
]
"""Fourteen tasks; the expected answers come from the tools, called as plain functions."""
