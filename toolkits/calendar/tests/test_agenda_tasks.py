"""The questions about two calendars can be answered: an action for each, through the check and the sandbox."""

from __future__ import annotations

from benchmarks.tasks.agenda import TASKS, TOOLS
from codeact_tools import Session

ACTIONS = {
    "count a series": "work = open_calendar('work')\n"
    "sum(each.title == 'Team meeting' for each in list_events(work, date(2026, 12, 1), date(2026, 12, 31)))",
    "events of a day": "work = open_calendar('work')\n"
    "[each.title for each in list_events(work, date(2026, 12, 2), date(2026, 12, 2))]",
    "minutes in a week": "found = list_events(open_calendar('work'), date(2026, 12, 1), date(2026, 12, 4))\n"
    "sum(each.minutes for each in found)",
    "free in both": "both = [open_calendar('work'), open_calendar('home')]\n"
    "len(free_slots(both, date(2026, 12, 1), date(2026, 12, 1), minutes=60))",
    "where is it": "for each in list_events(open_calendar('work'), datetime(2026, 12, 4), datetime(2026, 12, 4)):\n"
    "    print(each.place)",
    "add and save": "work = open_calendar('work')\n"
    "add_event(work, 'Workshop', datetime(2026, 12, 3, 10, 0), minutes=90)\n"
    "save_calendar(work)",
}


def test_every_task_can_be_solved() -> None:
    """And nothing but the file counts for the one that writes."""
    assert list(ACTIONS) == [task.name for task in TASKS]
    assert not any(task.right("I do not know.") for task in TASKS)
    with Session(tools=TOOLS, sandbox="local", check="block") as session:
        wrong = [task.name for task in TASKS if not task.right(session.run(ACTIONS[task.name]).text)]
    assert wrong == []
