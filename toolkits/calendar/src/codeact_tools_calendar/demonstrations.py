"""Tasks that are solved with the tools, for models to read."""

from __future__ import annotations

from codeact_tools import Demonstration

CALENDAR = [
    Demonstration(
        task="A course of 10 working days begins in Austria on 4 May 2026. On which date and weekday does it "
        "end, how many days is that before 1 July 2026, and how many of the public holidays in May 2026 "
        "fall on a weekday?",
        steps=[
            (
                """
                last = add_working_days(date(2026, 5, 4), 9, "AT")
                left = date_difference(last, date(2026, 7, 1)).total_days
                holidays = public_holidays(date(2026, 5, 1), date(2026, 5, 31), "AT")
                on_weekdays = [holiday.name for holiday in holidays if not holiday.on_weekend]
                print(last, weekday(last), left, len(on_weekdays))
                """,
                """
                2026-05-18 Monday 44 3
                """,
            ),
        ],
        answer="The course ends on Monday, 18 May 2026, which is 44 days before 1 July 2026. Three public "
        "holidays of that May fall on a weekday.",
    ),
]

AGENDA = [
    Demonstration(
        task="How many events has the calendar 'work' from 1 to 10 December 2026, and how many minutes does "
        "the dentist take?",
        steps=[
            (
                """
                work = open_calendar("work")
                found = list(list_events(work, date(2026, 12, 1), date(2026, 12, 10)))
                dentist = [event for event in found if event.title == "Dentist"]
                print(len(found), sum(event.minutes for event in dentist))
                """,
                """
                3 45.0
                """,
            ),
        ],
        answer="The calendar has 3 events in that time, and the dentist takes 45 minutes.",
    ),
]
