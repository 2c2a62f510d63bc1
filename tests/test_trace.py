"""A recorded run as a tree, and its page as a file: what is in it, and that nothing of it is taken for markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from codeact_tools import CodeActAgent, tool
from codeact_tools.errors import ConfigurationError
from codeact_tools.errors import RunPaused as RunPausedError
from codeact_tools.events import ActionFinished, Recorded, RunFinished, RunResumed, TextDelta
from codeact_tools.journal import Journal, Redactor, RunLog
from codeact_tools.testing import ScriptedModel, UnconfinedSandbox
from codeact_tools.tracing import Recorder, read_trace, render_html
from codeact_tools.tracing.page import as_data, island

from .trace_runs import EVIL, START, full_run, hostile_run, long_run, opening


def data_of(page: str) -> Any:
    """The page's JSON island."""
    found = re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


# ---- the tree --------------------------------------------------------------------------------------------------------


def test_a_run_becomes_turns_actions_and_calls() -> None:
    """In order, with their times."""
    trace = read_trace(full_run())
    assert [turn.number for turn in trace.turns] == [1, 2, 3, 4, 5, 6]
    assert [call.record.tool for call in trace.calls()] == [
        "shop.search_orders",
        *["shop.exchange_rate"] * 3,
        *["shop.refund"] * 2,
    ]
    assert trace.state == "finished"
    assert trace.usage.prompt_tokens == 8400
    assert trace.turns[0].start == pytest.approx(START + 0.11)


def test_a_pause_takes_no_time() -> None:
    """Two days between two processes do not count towards the run's duration."""
    trace = read_trace(full_run())
    assert [round(end - start) for start, end in trace.breaks] == [180_000]
    assert trace.end - trace.start > 180_000
    assert trace.seconds < 20


def test_a_resumed_action_goes_on() -> None:
    """Its calls before and after the pause are calls of the same action."""
    action = read_trace(full_run()).turns[2].action
    assert action is not None
    first, second = action.calls.values()
    assert first.asks[0].decision is not None
    assert (first.asks[0].decision.by, first.asks[0].decision.arguments) == ("maria", {"order": "A17", "amount": 40.0})
    assert (second.start, second.record.error) == (
        None,
        "ToolDenied: The call of shop.refund was not approved: no such order.",
    )


async def test_a_run_that_was_paused_and_approved_elsewhere_is_one_trace(tmp_path: Path) -> None:
    """As the journal has it: the decision between two processes, and the rest of the same action in the second."""

    @tool(approval=True)
    def refund(order: str) -> str:
        """Pay an order back."""
        return f"refunded {order}"

    def agent(*replies: str) -> CodeActAgent:
        model = ScriptedModel(replies)
        return CodeActAgent([refund], model=model, sandbox=UnconfinedSandbox(), approve="pause", journal=file)

    file = tmp_path / "runs.sqlite3"
    with pytest.raises(RunPausedError):
        await agent("<execute>print(refund('A17'))</execute>").arun("Pay it back.")
    journal = Journal(file)
    run = journal.find("last")
    journal.decide(run, 1, True, by="maria")
    await agent("It is done.").aresume(run)
    trace = read_trace(journal.read(run))
    [call] = trace.calls()
    [ask] = call.asks
    assert ask.decision is not None
    assert (ask.decision.by, call.record.result) == ("maria", "refunded A17")
    [(paused, resumed)] = trace.breaks
    assert ask.requested is not None
    assert ask.decided is not None
    assert call.start is not None
    assert ask.requested <= paused <= ask.decided <= resumed <= call.start
    assert (trace.state, len(trace.turns)) == ("finished", 2)


@pytest.mark.parametrize("kept", range(1, len(full_run())))
def test_a_run_that_broke_off_anywhere_has_a_page(kept: int) -> None:
    """Whatever the last thing is that is known."""
    recorded = full_run()[:kept]
    trace = read_trace(recorded)
    assert trace.state in {"open", "paused"}
    assert data_of(render_html(recorded))["state"] == trace.state


def test_the_tasks_of_a_conversation_stand_one_below_the_other() -> None:
    """Each with its own turns and its own end."""
    later = [Recorded(at + 100, event) for at, event in full_run()]
    trace = read_trace([*full_run(), *later])
    assert [len(task.turns) for task in trace.tasks] == [6, 6]
    assert trace.usage.completion_tokens == 2 * 612


def test_pieces_of_a_reply_that_never_ended_are_kept() -> None:
    """What was heard live of a reply stands for it."""
    recorded = [each for each in full_run()[:6] if not isinstance(each.event, RunFinished)]
    assert any(isinstance(each.event, TextDelta) for each in recorded)
    assert read_trace(recorded).turns[0].written.startswith("I look for the orders.")


def test_events_without_a_run_are_refused() -> None:
    """With what is missing."""
    with pytest.raises(ConfigurationError, match="no run_started among them"):
        read_trace([Recorded(1.0, RunResumed(run_id="r", actions=0, calls=0))])


def test_a_real_run_is_recorded_and_traced() -> None:
    """`Recorder` collects the events with their times; pieces of text are left out."""
    recorder = Recorder()
    model = ScriptedModel(["<execute>day = weekday(date(2026, 12, 24))\nprint(day)</execute>", "A Thursday."])
    agent = CodeActAgent(tools=["calendar"], model=model, sandbox=UnconfinedSandbox())
    agent.run("Which weekday is Christmas Eve?", on_event=recorder.on_event)
    assert not any(isinstance(event, TextDelta) for _, event in recorder.recorded)
    trace = read_trace(recorder.recorded)
    action = trace.turns[0].action
    assert action is not None
    [call] = action.calls.values()
    assert (call.record.tool, call.record.result) == ("calendar.weekday", "Thursday")
    assert call.start is not None
    assert call.end is not None
    assert action.start <= call.start <= call.end <= (action.end or 0)
    data = data_of(render_html(recorder.recorded))
    assert data["tasks"][0]["answer"] == "A Thursday."
    assert data["tasks"][0]["items"][0]["action"]["stdout"] == "Thursday\n"


# ---- the page --------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """What a browser's parser finds in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_markup_in_a_run_stays_text() -> None:
    """A page has the same elements whatever the run says, and the data comes back as it was."""
    page = render_html(hostile_run(), system_prompt=EVIL)
    harmless = render_html([Recorded(1.0, opening("Count."))])
    assert [tag for tag, _ in Tags(page).found] == [tag for tag, _ in Tags(harmless).found]
    data = data_of(page)
    assert data["tasks"][0]["task"] == EVIL
    assert data["system"] == EVIL
    assert data["tasks"][0]["items"][1]["action"]["calls"][0]["arguments"][EVIL] == EVIL


def test_the_policy_allows_the_pages_own_script_and_style_only() -> None:
    """By their hashes; no request, no form, no frame."""
    page = render_html(full_run())
    [policy] = [str(each["content"]) for tag, each in Tags(page).found if tag == "meta" and "http-equiv" in each]
    for tag in ("style", "script"):
        source = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert source is not None
        digest = base64.b64encode(hashlib.sha256(source[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_names_no_other_host() -> None:
    """Nothing in it is loaded from anywhere."""
    for _, found in Tags(render_html(full_run())).found:
        for name in ("src", "href"):
            assert (found.get(name) or "data:").startswith(("data:", "#"))


def test_the_script_parses_no_markup() -> None:
    """It writes texts; what could read markup, or run a string, is not used."""
    assets = Path(__file__).parent.parent / "codeact_tools" / "tracing" / "assets"
    for path in assets.glob("*.js"):
        source = path.read_text(encoding="utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "srcdoc",
            "fetch(",
            "XMLHttpRequest",
        ):
            assert word not in source, (path.name, word)
        assert len(source.splitlines()) < 400


@pytest.mark.parametrize(
    "text", ["</script>", "<!--<script>", "\u2028\u2029", "\udc80 lone", "\x00\x07", "&lt;", "ends with \\"]
)
def test_any_text_survives_the_island(text: str) -> None:
    """It cannot end its element, and JSON reads it back."""
    written = island({"text": text})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written.encode("utf-8").decode("utf-8")) == {"text": text}


def test_only_images_are_shown_as_images() -> None:
    """All other files can be saved."""
    turns = as_data(read_trace(full_run()))["tasks"][0]["items"]
    files = next(turn["action"]["artifacts"] for turn in turns if turn["type"] == "turn" and turn["number"] == 5)
    assert [(each["name"], each["image"]) for each in files] == [
        ("totals.png", True),
        ("mark.svg", True),
        ("report/orders.csv", False),
        ("page.html", False),
    ]


def test_a_reader_without_javascript_learns_the_end() -> None:
    """Task and answer stand in the page itself."""
    page = render_html(full_run())
    plain = re.search(r"<noscript>(.*?)</noscript>", page, re.DOTALL)
    assert plain is not None
    assert "Which customers ordered shoes" in plain[1]
    assert "Answer: Four customers" in plain[1]


def test_five_megabytes_are_written_once() -> None:
    """The page of a long run is hardly larger than what is in it."""
    recorded = long_run()
    said = sum(len(event.observation.stdout) for _, event in recorded if isinstance(event, ActionFinished))
    assert said < len(render_html(recorded)) < said * 1.5


# ---- the command -----------------------------------------------------------------------------------------------------


def test_the_command_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a run in a file of events; its path goes to stdout."""
    from codeact_tools.cli.trace import trace_app
    from codeact_tools.events import EVENT_ADAPTER

    file, page = tmp_path / "run.jsonl", tmp_path / "run.html"
    rows = ({"at": at, "event": json.loads(EVENT_ADAPTER.dump_json(event))} for at, event in full_run())
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    trace_app(["html", str(file), "-o", str(page)], result_action="return_value")
    assert capsys.readouterr().out == f"{page}\n"
    assert page.read_text(encoding="utf-8") == render_html(full_run())


def test_the_command_reads_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest run where none is named; the page holds the system prompt, too."""
    from codeact_tools.cli.trace import trace_app

    log = RunLog(Journal(tmp_path / "runs.sqlite3").store, "5f1c0a7e9d3b", Redactor())
    log.opening({})
    log.messages([("system", "You act."), ("user", "Count.")])
    for _, event in full_run():
        log.event(event)
    monkeypatch.chdir(tmp_path)
    trace_app(["html", "--journal", str(tmp_path / "runs.sqlite3")], result_action="return_value")
    assert capsys.readouterr().out == "trace-5f1c0a7e9d3b.html\n"
    data = data_of((tmp_path / "trace-5f1c0a7e9d3b.html").read_text(encoding="utf-8"))
    assert data["system"] == "You act."
    assert len(data["tasks"][0]["items"]) == 11


@pytest.mark.parametrize("content", ["", "no json", '{"at": 1}', '{"at": 1, "event": {"type": "odd"}}'])
def test_a_file_without_a_run_is_refused(tmp_path: Path, content: str) -> None:
    """With its name, and how to write one."""
    from codeact_tools.cli.trace import trace_app

    file = tmp_path / "run.jsonl"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match="no run"):
        trace_app(["html", str(file)], result_action="return_value")
