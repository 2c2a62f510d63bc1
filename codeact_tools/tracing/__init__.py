"""A run for people and for monitoring: one self-contained page, or OpenTelemetry spans. Folds over recorded events.

    >>> from codeact_tools.events import RunStarted
    >>> recorder = Recorder()
    >>> recorder.on_event(RunStarted(run_id="r1", task="Count.", model="m", sandbox="local", dialect="chat", tools=()))
    >>> page = render_html(recorder.recorded)
    >>> page.startswith("<!doctype html>")
    True

- `tree`: recorded events as tasks, turns, actions and calls;
- `page`: the page, with its style and script in ``assets/``;
- `otel`: spans by the semantic conventions for generative AI; needs the extra ``otel``.
"""

from __future__ import annotations

import time

from ..events import Event, OutputReceived, Recorded, TextDelta
from .page import render_html
from .tree import Trace, read_trace

__all__ = ["Recorder", "Trace", "read_trace", "render_html"]


class Recorder:
    """Collects the events of a run with their times, where no journal is kept: ``agent.run(task, on_event=...)``.

    Args:
        whole: Keep pieces of replies and of output, too; they are in the events that follow them anyhow.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self.recorded: list[Recorded] = []
        """What happened so far."""
        self._whole = whole

    def on_event(self, event: Event) -> None:
        """Take the next event."""
        if self._whole or not isinstance(event, TextDelta | OutputReceived):
            self.recorded.append(Recorded(time.time(), event))
