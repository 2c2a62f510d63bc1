"""The toolkit ``agenda`` keeps the contract of toolkits, at its highest level."""

from __future__ import annotations

from pathlib import Path

from codeact_tools_calendar.agenda import CalendarConfig, toolkit

from codeact_tools import Toolkit
from codeact_tools.testing import ToolkitContract
from toolkits.calendar.tests.calendars import CLUB, write


class TestAgenda(ToolkitContract):
    """Its tools change the calendar that they hold; only saving writes a file."""

    examples = "all"

    def prepare(self, folder: Path) -> Toolkit:
        """Calendars in a folder of their own."""
        return toolkit.configured(CalendarConfig(folder=write(folder, club=CLUB), zone="Europe/Berlin"))
