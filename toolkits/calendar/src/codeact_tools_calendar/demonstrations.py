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
        task="How many trainings has the calendar 'club' in March 2027, how many minutes are that in all, "
        "and where is the match?",
        steps=[
            (
                """
                club = open_calendar("club")
                march = list(list_events(club, date(2027, 3, 1), date(2027, 3, 31)))
                trainings = [event for event in march if event.title == "Training"]
                print(len(trainings), sum(event.minutes for event in trainings))
                print([event.place for event in march if event.title == "Match"])
                """,
                """
                5 450.0
                ['Old field']
                """,
            ),
        ],
        answer="There are 5 trainings in March 2027, which take 450 minutes in all. The match is at the Old field.",
    ),
]
