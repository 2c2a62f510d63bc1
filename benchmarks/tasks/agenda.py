"""Questions for the ``agenda`` toolkit about two calendars that it makes in a temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from codeact_tools_calendar.agenda import (
    CalendarConfig,
    add_event,
    free_slots,
    list_events,
    open_calendar,
    save_calendar,
    toolkit,
)

from codeact_tools import ToolContext
from codeact_tools.evals import Task, mentions

FOLDER = tempfile.TemporaryDirectory(prefix="agenda-")
"""Removed when the process ends."""
CONFIG = CalendarConfig(folder=Path(FOLDER.name), zone="Europe/Berlin")

TOOLS = [toolkit.configured(CONFIG)]
"""What the tasks are about, in place of the installed toolkit."""

WORK = open_calendar("work", create=True, context=ToolContext(config=CONFIG))
add_event(WORK, "Team meeting", datetime(2026, 12, 1, 9), minutes=60, repeat="weekly", until=date(2026, 12, 31))
add_event(WORK, "Dentist", datetime(2026, 12, 2, 14), minutes=45)
add_event(WORK, "Review", datetime(2026, 12, 2, 10), minutes=120)
add_event(WORK, "Lunch with Ada", datetime(2026, 12, 4, 12), minutes=90, place="Canteen")
save_calendar(WORK)
HOME = open_calendar("home", create=True, context=ToolContext(config=CONFIG))
add_event(HOME, "Plumber", datetime(2026, 12, 1, 13), minutes=120)
save_calendar(HOME)

DECEMBER = [*list_events(WORK, date(2026, 12, 1), date(2026, 12, 31))]
FREE = free_slots([WORK, HOME], date(2026, 12, 1), date(2026, 12, 1), minutes=60)


def saved(name: str, *titles: str) -> Callable[[str], bool]:
    """Return a check that the file of a calendar holds events of these titles, whatever the answer says."""

    def right(_answer: str) -> bool:
        calendar = open_calendar(name, context=ToolContext(config=CONFIG))
        found = {each.title for each in list_events(calendar, date(2026, 12, 1), date(2026, 12, 31))}
        return set(titles) <= found

    return right


TASKS = [
    Task(
        name="count a series",
        question="How many team meetings does the calendar 'work' have in December 2026?",
        right=mentions(sum(each.title == "Team meeting" for each in DECEMBER)),
    ),
    Task(
        name="events of a day",
        question="Which events are in the calendar 'work' on 2 December 2026? Give their titles.",
        right=mentions("Review", "Dentist"),
    ),
    Task(
        name="minutes in a week",
        question="How many minutes do the events of the calendar 'work' take from 1 to 4 December 2026 in all?",
        right=mentions(
            sum((each.end - each.start).total_seconds() / 60 for each in DECEMBER if each.start.day <= 4),
        ),
    ),
    Task(
        name="free in both",
        question="How many free slots of at least 60 minutes are there on 1 December 2026, when both calendars, 'work' "
        "and 'home', must be free?",
        right=mentions(len(FREE)),
    ),
    Task(
        name="where is it",
        question="At which place is the lunch with Ada on 4 December 2026, according to the calendar 'work'?",
        right=mentions("Canteen"),
    ),
    Task(
        name="add and save",
        question="Add an event 'Workshop' of 90 minutes on 3 December 2026 at 10:00 to the calendar 'work'. Save it.",
        right=saved("work", "Workshop", "Dentist"),
    ),
]
"""Six tasks; the expected answers come from the tools, called as plain functions. The last one writes."""
