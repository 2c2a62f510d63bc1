"""The terminal's view of a run, made of recorded events."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import date

import pytest
from rich.console import Console

from codeact_tools.cli.render import TerminalRenderer, shortened
from codeact_tools.cli.streaming import ReplySplitter
from codeact_tools.events import (
    ActionChecked,
    ActionFinished,
    ActionStarted,
    Artifact,
    CallRecord,
    Choice,
    Event,
    ExecutionError,
    Finding,
    Observation,
    OutputReceived,
    ReplyFinished,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCalled,
    ToolReturned,
    TurnStarted,
    Usage,
    WarningRaised,
)
from tests.conftest import Snapshot

STARTED = RunStarted(
    run_id="1f",
    task="How many working days has December 2026 in Germany?",
    model="Qwen2.5-Coder-1.5B-Instruct",
    sandbox="local (jail)",
    dialect="chat",
    tools=("calendar.working_days", "calendar.public_holidays"),
    choices=(
        Choice(name="embedded", reason="no endpoint and no GPU here, so the embedded CPU model"),
        Choice(name="local", reason="no E2B key", warnings=("No user namespaces here: jail-lite.",)),
    ),
)
CALL = CallRecord(
    id=1,
    tool="calendar.working_days",
    arguments={"start": date(2026, 12, 1), "end": date(2026, 12, 31), "country": "DE"},
)
USAGE = Usage(prompt_tokens=1200, completion_tokens=80, cached_tokens=1100, turns=1, seconds=3.2)


def in_deltas(reply: str, size: int = 5) -> Iterable[Event]:
    """A reply as a model streams it."""
    yield from (TextDelta(text=reply[at : at + size]) for at in range(0, len(reply), size))
    yield ReplyFinished(text=reply, usage=USAGE)


def good_run() -> Iterable[Event]:
    """Two turns: an action with a tool call, and the answer."""
    yield STARTED
    yield TurnStarted(turn=1)
    code = "days = working_days(date(2026, 12, 1), date(2026, 12, 31), 'DE')\n\nprint(days)"
    yield from in_deltas(f"I count the working days.\n\n<execute>\n{code}\n</execute>\n")
    yield ActionStarted(code=code)
    yield ActionChecked(effects=(), seconds=0.02)
    yield ToolCalled(call=CALL)
    yield ToolReturned(call=CALL.model_copy(update={"result": 22, "seconds": 0.0021}))
    yield OutputReceived(text="22\n")
    yield ActionFinished(observation=Observation(text="22\n", stdout="22\n"))
    yield TurnStarted(turn=2)
    yield from in_deltas("December 2026 has 22 working days.")
    yield RunFinished(answer="December 2026 has 22 working days.", usage=USAGE + USAGE)


def bad_run() -> Iterable[Event]:
    """All that can go wrong on the way."""
    yield STARTED
    yield WarningRaised(message="The tools' docs are shortened to fit the prompt.")
    yield TurnStarted(turn=1)
    yield from in_deltas("```python\nworking_days('soon')\n```")
    finding = Finding(kind="argument", message="working_days() misses 'end' and 'country'.", line=1, hint="add them")
    yield ActionStarted(code="working_days('soon')")
    yield ActionChecked(findings=(finding,))
    error = ExecutionError(kind="check", message=finding.message)
    yield ActionFinished(observation=Observation(text="...", error=error, findings=(finding,)))
    yield TurnStarted(turn=2)
    code = "text = '''a\nb'''\nworking_days(1, 2, 'Germny')"
    yield from in_deltas(f"<execute>\n{code}")
    yield ActionStarted(code=code)
    yield ActionChecked()
    yield OutputReceived(text="half a line")
    yield ToolCalled(call=CALL.model_copy(update={"id": 2}))
    yield OutputReceived(text="\x1b[2J from a thread\n", stream="stderr")
    failed = {"id": 2, "error": "UnknownCountry: no country is known as 'Germny'", "seconds": 1.5}
    yield ToolReturned(call=CALL.model_copy(update=failed))
    raised = ExecutionError(kind="tool", name="UnknownCountry", message="no country is known as 'Germny'")
    plot = Artifact(name="plot.png", media_type="image/png", data=b"PNG")
    yield ActionFinished(observation=Observation(text="...", result="[1,\n 2]", error=raised, artifacts=(plot,)))
    yield RunFailed(error="TurnLimitReached", message="The model used all its 2 turns.", usage=USAGE + USAGE)


def rendered(events: Iterable[Event], *, color: bool = False) -> str:
    """What the terminal shows."""
    screen = io.StringIO()
    console = Console(file=screen, width=100, force_terminal=color, color_system="standard" if color else None)
    renderer = TerminalRenderer(console)
    for event in events:
        renderer.show(event)
    return screen.getvalue()


def test_a_good_run(snapshot: Snapshot) -> None:
    """Prose, code, the tool call on one line with its result, output, and what was used."""
    snapshot("terminal-good-run.txt", rendered(good_run()))


def test_a_bad_run(snapshot: Snapshot) -> None:
    """Findings, tool errors, output in the middle of a call, artifacts; control characters are made visible."""
    snapshot("terminal-bad-run.txt", rendered(bad_run()))


def test_plain_output_holds_no_escape_sequences() -> None:
    """A log file is readable, whatever the model and the tools write."""
    assert "\x1b" not in rendered(good_run()) + rendered(bad_run())


def test_code_is_highlighted_on_a_terminal() -> None:
    """A keyword, a name and a string have colours, and the text is the same."""
    coloured = rendered(good_run(), color=True)
    assert "\x1b[96mprint\x1b[0m" in coloured
    assert "\x1b[33mDE" in coloured


def test_a_reply_that_was_not_streamed_is_shown_all_the_same() -> None:
    """Models that give a whole reply at once look like the others."""
    whole = [event for event in good_run() if not isinstance(event, TextDelta)]
    assert rendered(whole) == rendered(good_run())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("reply", "prose", "code"),
    [
        ("Hi.\n<execute>\nx = 1\n\nprint(x < 2)\n</execute>\nBye.", "Hi.\n\nBye.", ["x = 1", "", "print(x < 2)"]),
        ("```python\nx\n```", "", ["x"]),
        ("<execute>\n```python\nx\n```\n</execute>", "", ["x"]),
        ("<execute>\nx</execute", "", ["x"]),
        ("<execute>\nx\n", "", ["x"]),
        ("if a < b: ```json\n{}\n```", "if a < b: ```json\n{}\n```", []),
        ("<execute>a</execute> and <execute>b</execute>", " and ", ["a", "b"]),
        ("ends with <exec", "ends with <exec", []),
    ],
)
def test_a_reply_is_split_the_same_however_it_is_cut(size: int, reply: str, prose: str, code: list[str]) -> None:
    """Deltas may split a tag anywhere."""
    splitter = ReplySplitter()
    pieces = [piece for at in range(0, len(reply), size) for piece in splitter.feed(reply[at : at + size])]
    pieces += splitter.finish()
    assert "".join(piece.text for piece in pieces if piece.kind == "prose") == prose
    assert [piece.text for piece in pieces if piece.kind == "code"] == code


def test_long_values_are_cut_in_the_middle() -> None:
    """One line per call, whatever it carries."""
    assert len(shortened("x" * 5000)) == 99
    assert shortened([1, "a\nb"]) == "[1, 'a\\nb']"
