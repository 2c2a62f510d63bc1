"""Recorded runs are run again, offline, and held against what is different now."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codeact_tools import CodeActAgent, tool
from codeact_tools.approvals import Allow
from codeact_tools.cli import main
from codeact_tools.errors import JournalError, ModelUnavailable, RunPaused
from codeact_tools.journal import Journal, read_exported
from codeact_tools.replay import as_test, replay, replay_file
from codeact_tools.signatures import Opaque
from codeact_tools.testing import ScriptedModel

SCRIPT = [
    "<execute>\nimport asyncio\nprices = [price(n) for n in range(3)]\nprint(sum(prices))\n</execute>",
    "<execute>\nprint(unknown_tool())\n</execute>",
    "<execute>\nbuy('tea', max(prices))\ntotal = [*follow(2)]\ntotal\n</execute>",
    "It costs 3.",
]


@tool(read_only=True)
def price(number: int) -> float:
    """Look up a price.

    Args:
        number: Of what.
    """
    return number / 2


@tool(secrets=["item"])
def buy(item: str, most: float) -> bool:
    """Buy something.

    Args:
        item: What.
        most: For how much.
    """
    return True


@tool(read_only=True)
def follow(most: int) -> list[int]:
    """Count.

    Args:
        most: How far.
    """
    return list(range(most))


def agent(*replies: Any, tools: Any = (price, buy, follow), **options: Any) -> CodeActAgent:
    """An agent with a script."""
    return CodeActAgent(tools, model=ScriptedModel(replies), sandbox="local", **options)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal with one run."""
    journal = Journal(tmp_path / "runs.sqlite3")
    agent(*SCRIPT, journal=journal).run("What does it cost?")
    return journal


def test_a_run_is_the_same_without_its_tools(journal: Journal) -> None:
    """Actions run again in the sandbox, their calls answered from the record; refused ones do not."""
    replayed = replay(journal.past(journal.find("last")))
    assert replayed.differences == ()
    assert (replayed.actions, replayed.calls) == (2, 5)
    assert "the same in 2 actions and 5 tool calls" in replayed.text


def test_a_run_is_the_same_with_its_agent(journal: Journal) -> None:
    """Prompt, signatures, checks, and the model's replies, too."""
    replayed = replay(journal.past(journal.find("last")), agent=agent(*SCRIPT), ask_model=True)
    assert replayed.differences == ()
    assert replayed.replies == 4


def test_another_prompt_is_shown(journal: Journal) -> None:
    """The first line that differs."""
    changed = agent(instructions="Be brief.")
    (found,) = replay(journal.past(journal.find("last")), agent=changed).differences
    assert found.what == "prompt"
    assert "'Be brief.'" in found.message


def test_another_tool_is_shown(journal: Journal) -> None:
    """Signatures that changed, tools that are gone, and what the check makes of the actions now."""

    @tool(read_only=True)
    def price(number: str) -> float:
        """Look up a price."""
        return 1.0

    found = replay(journal.past(journal.find("last")), agent=agent(tools=[price, buy])).differences
    assert found[0].what == "tools"
    assert "price was 'price(number: int) -> float' and is 'price(number: str) -> float'" in found[0].message
    assert "follow is gone" in found[0].message
    assert "check" in {each.what for each in found}


def test_another_model_is_shown(journal: Journal) -> None:
    """The first reply that differs."""
    other = agent(*SCRIPT[:3], "It costs 4.")
    (found,) = replay(journal.past(journal.find("last")), agent=other, ask_model=True).differences
    assert found.what == "reply"
    assert "'It costs 4.' instead of 'It costs 3.'" in found.message


def test_an_action_that_does_something_else_is_shown(journal: Journal) -> None:
    """A recorded result that was changed by hand leads to another output, which is named."""
    past = journal.past(journal.find("last"))
    call = next(call for call in past.calls.values() if call.args == [2])
    call.answer = {"value": 5.0}
    found = replay(past).differences
    assert "Action 1 printed '5.5' instead of '1.5'" in found[0].message


def test_an_action_that_calls_something_else_is_shown(journal: Journal) -> None:
    """Other calls than the recorded ones are named, and no tool is called."""
    past = journal.past(journal.find("last"))
    past.actions[0].ran = "price(7)"
    (found,) = replay(past).differences
    assert found.what == "calls"
    assert "price" in found.message


def test_what_a_person_decided_is_replayed(tmp_path: Path) -> None:
    """Edited arguments and denials are part of the record."""
    journal = Journal(tmp_path / "runs.sqlite3")

    @tool(approval=True)
    def pay(euros: int) -> int:
        """Pay."""
        return euros

    code = "<execute>\ntry:\n    print(pay(100))\nexcept ToolDenied as e:\n    print(e)\nprint(pay(2))\n</execute>"
    answers = iter([False, Allow({"euros": 1})])
    agent(code, "Done.", tools=[pay], approve=lambda _: next(answers), journal=journal).run("Pay.")
    replayed = replay(journal.past(journal.find("last")))
    assert replayed.differences == ()
    assert replayed.calls == 2


def test_an_exported_run_is_a_test(journal: Journal, tmp_path: Path) -> None:
    """The file and the test beside it pass anywhere the sandbox works, and fail where the run is another one."""
    run = journal.find("last")
    folder = tmp_path / "exported"
    folder.mkdir()
    (folder / "shop.jsonl").write_text(journal.export(run))
    (folder / "test_shop.py").write_text(as_test(journal.past(run), "shop"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(folder)]
    root = Path(__file__).parent.parent
    assert subprocess.run(command, cwd=root, capture_output=True, check=False).returncode == 0
    lines = [json.loads(line) for line in (folder / "shop.jsonl").read_text().splitlines()]
    number = next(each["event"]["call"]["id"] for each in lines if (each["data"] or {}).get("args") == [2])
    for line in lines:
        if line["kind"] == "tool_returned" and line["event"]["call"]["id"] == number:
            line["data"]["answer"] = {"value": 5.0}
    (folder / "shop.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    failed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "Action 1 printed" in failed.stdout


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    """A file without records names itself."""
    (tmp_path / "x.jsonl").write_text("hello\n")
    with pytest.raises(JournalError, match=r"x\.jsonl holds no record"):
        replay_file(tmp_path / "x.jsonl")


def test_secrets_do_not_leave_with_an_export(journal: Journal) -> None:
    """What was never written cannot be exported."""
    text = journal.export(journal.find("last"))
    past = read_exported(text)
    assert next(call for call in past.calls.values() if call.record.tool == "buy").args[0] == "[redacted]"


def test_secrets_that_the_record_lacks_are_no_difference(tmp_path: Path) -> None:
    """Arguments that hold secrets, by value or by pattern, and secret results; no tool is called for them."""
    made: list[str] = []

    @tool(read_only=True, secrets=["return"])
    def key() -> str:
        """Make a key."""
        made.append("key")
        return "key-of-the-shop"

    @tool(read_only=True)
    def use(text: str) -> int:
        """Use a text."""
        made.append("use")
        return 3

    journal = Journal(tmp_path / "runs.sqlite3", secrets=[r"ID-\d+"])
    code = "k = key()\nprint(use(k))\nprint(use('ID-' + '1234'))"
    run = agent(f"<execute>\n{code}\n</execute>", "Done.", tools=[key, use], journal=journal).run("Use it.").run_id
    made.clear()
    for against in (None, agent(tools=[key, use])):
        replayed = replay(journal.past(run), agent=against)
        assert replayed.differences == ()
        assert replayed.calls == 3
    assert made == []


def test_no_tool_is_called_for_what_stays_on_the_host(journal: Journal) -> None:
    """A recorded handle is enough, also where the agent with its tools is there."""
    opened: list[str] = []

    class Table:
        """Something that stays here."""

    @tool(read_only=True)
    def open_table(name: str) -> Opaque[Table]:
        """Open a table."""
        opened.append(name)
        return Table()

    script = ["<execute>\nt = open_table('a')\n</execute>", "Done."]
    run = agent(*script, tools=[open_table], journal=journal).run("Open it.").run_id
    assert replay(journal.past(run), agent=agent(tools=[open_table])).differences == ()
    assert opened == ["a"]


def test_a_task_cannot_break_out_of_its_test(journal: Journal) -> None:
    """Whatever the task says, the test that is made of it is one function."""
    past = journal.past(journal.find("last"))
    past.tasks = ['""" ; import os \x00\u2028 \\"""\n1 / 0']
    names = [type(node).__name__ for node in ast.parse(as_test(past, "shop")).body]
    assert names == ["Expr", "ImportFrom", "ImportFrom", "FunctionDef"]


# ---- at the command line ---------------------------------------------------------------------------------------------

SHOP = '''
from codeact_tools import tool

@tool(destructive=True)
def wipe(name: str) -> str:
    """Delete something.

    Args:
        name: What.
    """
    return f"{name} is gone"
'''


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a tool, and a model that calls it."""

    def scripted(name: Any) -> Any:
        from codeact_tools.events import Choice

        model = name if not isinstance(name, str) else ScriptedModel(replies.pop(0))
        return model, Choice(name="scripted", reason="told so")

    replies = [["<execute>\nprint(wipe('x'))\n</execute>", "Gone."], ["Gone."], ["Gone."]]
    monkeypatch.setattr("codeact_tools.agent.resolve_model", scripted)
    file = tmp_path / "shop.py"
    file.write_text(SHOP)
    return file


def test_the_way_of_a_paused_run(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """run, runs list, runs show, runs approve, resume, replay, runs export, runs delete."""
    assert main(["run", "-t", str(shop), "--approve", "pause", "Wipe x."]) == 5
    assert "waits for a decision about call 1 (wipe" in capsys.readouterr().err
    assert main(["runs", "list"]) == 0
    listed = capsys.readouterr().out
    assert "waits      Wipe x." in listed
    run = listed.split()[0]
    assert main(["runs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "waits"
    assert main(["runs", "show", run]) == 0
    assert "call 1 waits for a decision: wipe(name='x')" in capsys.readouterr().out
    assert main(["resume", run]) == 5
    assert main(["runs", "approve", run, "7"]) == 2
    assert "it waits for 1 (wipe)" in capsys.readouterr().err
    assert main(["runs", "approve", run, "--arguments", '{"name": "y"}']) == 0
    assert f"codeact-tools resume {run}" in capsys.readouterr().err
    assert main(["resume", run]) == 0
    ended = capsys.readouterr()
    assert ended.out == "Gone.\n"
    assert "y is gone" in ended.err
    assert main(["runs", "show", run]) == 0
    assert capsys.readouterr().out.count("! wipe allowed with other arguments") == 1
    assert main(["resume", run]) == 0
    assert capsys.readouterr().out == "Gone.\n"
    assert main(["replay", "last"]) == 0
    assert "the same in 1 action and 1 tool call." in capsys.readouterr().out
    assert main(["replay", run, "-t", str(shop)]) == 0
    capsys.readouterr()
    assert main(["runs", "export", run]) == 0
    (tmp_path / "run.jsonl").write_text(capsys.readouterr().out)
    assert main(["replay", str(tmp_path / "run.jsonl")]) == 0
    assert main(["runs", "export", run, "--pytest", str(tmp_path / "tests")]) == 0
    assert (tmp_path / "tests" / f"test_run_{run}.py").exists()
    capsys.readouterr()
    assert main(["runs", "show", run, "--json"]) == 0
    kinds = [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()]
    assert "approval_decided" in kinds
    assert main(["runs", "delete", run]) == 0
    assert main(["runs", "show", run]) == 2
    assert "runs list" in capsys.readouterr().err


def test_options_of_a_resumed_run_can_be_set_back(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is given counts, also where it is what a run has by default."""
    assert main(["run", "-t", str(shop), "--approve", "pause", "--max-turns", "1", "Wipe x."]) == 5
    assert main(["resume", "last", "--approve", "allow"]) == 1
    assert "all its 1 turn and" in capsys.readouterr().err
    assert main(["resume", "last", "--max-turns", "10", "--approve", "auto"]) == 0


def test_a_changed_tool_is_shown_by_replay(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 1, and the first line says what is different."""
    assert main(["run", "-t", str(shop), "--approve", "allow", "Wipe x."]) == 0
    shop.write_text(SHOP.replace("name: str)", "name: str, force: bool)"))
    capsys.readouterr()
    assert main(["replay", "last", "-t", str(shop)]) == 1
    assert "The tools have changed: wipe was 'wipe(name: str) -> str'" in capsys.readouterr().out.splitlines()[0]


def test_a_run_of_a_program_needs_its_tools(
    journal: Journal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the command line did not start it cannot make again by itself."""
    monkeypatch.setenv("CODEACT_TOOLS_JOURNAL", journal.where)
    with pytest.raises(ModelUnavailable):
        agent(ModelUnavailable("gone"), journal=journal).run("What else?")
    assert main(["resume", "last"]) == 2
    assert "-t" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs", "show", "nope"], "knows no run 'nope'"),
        (["runs", "approve", "nope"], "knows no run"),
        (["resume", "nope"], "knows no run"),
        (["replay", "nope.jsonl"], "cannot be read"),
        (["runs", "export", "nope"], "knows no run"),
    ],
)
def test_wrong_runs_are_named(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line on stderr, and exit code 2."""
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_an_empty_journal_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Rather than nothing at all, or that there is no run of the name 'last'."""
    assert main(["runs", "list"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err.endswith("holds no run yet.\n")) == ("", True)
    assert main(["runs", "show", "last"]) == 2
    assert "holds no run yet." in capsys.readouterr().err


def test_no_journal_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the journal switched off there are no runs to look at."""
    monkeypatch.setenv("CODEACT_TOOLS_JOURNAL", "off")
    assert main(["runs", "list"]) == 2
    assert "CODEACT_TOOLS_JOURNAL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("y\n", "x is gone"),
        ("n not now\n", "not approved: not now"),
        ('what\ne {"name": "z"}\n', "z is gone"),
        ("", "nobody answered"),
    ],
)
def test_a_person_at_the_terminal_is_asked(
    shop: Path,
    typed: str,
    shown: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The call is shown with its reason; yes, no with a reason, other arguments; the end of the input means no."""
    (tmp_path / "typed").write_text(typed)
    with (tmp_path / "typed").open() as answers:
        monkeypatch.setattr("sys.stdin", answers)
        assert main(["run", "-t", str(shop), "--approve", "ask", "Wipe x."]) == 0
    written = capsys.readouterr().err
    assert "? wipe(name='x')" in written
    assert "the tool may delete or overwrite" in written
    assert shown in written


def test_calls_that_came_together_are_asked_about_in_turn() -> None:
    """Each has its own question and its own line; what is piped in, or closed, is no reason to hang."""
    program = (
        "import asyncio\n"
        "from codeact_tools.approvals import CallRequest\n"
        "from codeact_tools.cli.approving import approval\n"
        "ask = approval('ask')\n"
        "assert approval('auto') is None\n"
        "async def main():\n"
        "    calls = [CallRequest(id=n, tool='pay', arguments={'n': n}) for n in range(2)]\n"
        "    print([type(verdict).__name__ for verdict in await asyncio.gather(*map(ask, calls))])\n"
        "asyncio.run(main())"
    )
    for typed, said in ((b"y\nn\n", "['Allow', 'Deny']\n"), (b"", "['Deny', 'Deny']\n"), (None, "['Deny', 'Deny']\n")):
        done = subprocess.run(
            [sys.executable, "-c", program] if typed is not None else
            ["/bin/sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, program],
            input=typed, capture_output=True, check=True, timeout=200,
        )  # fmt: skip
        assert done.stdout.decode() == said


def test_a_paused_run_is_named_in_its_error(journal: Journal) -> None:
    """The error of a pause carries what a program needs to go on."""
    error = RunPaused("It waits.", run_id="r", waiting=())
    assert (error.run_id, error.waiting) == ("r", ())
