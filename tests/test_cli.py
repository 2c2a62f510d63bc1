"""The command ``codeact-tools``: what goes to stdout, what to stderr, and how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import codeact_tools.agent
from codeact_tools.cli import main
from codeact_tools.events import EVENT_ADAPTER, Choice, RunFinished, RunStarted
from codeact_tools.models.base import Model
from codeact_tools.testing import ScriptedModel

ROOT = Path(__file__).parent.parent

ACTION = "I add them.\n<execute>\ntotal = price('boots') + price('socks')\nprint(total)\n</execute>"

SHOP = """
from codeact_tools import tool

@tool(read_only=True)
def price(product: str) -> float:
    '''Look up the price of a product.

    Args:
        product: boots or socks.
    '''
    return {"boots": 129.0, "socks": 9.5}[product]
"""

Script = Callable[..., ScriptedModel]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Let a scripted model answer in place of whatever ``--model`` says."""

    def script(*replies: str) -> ScriptedModel:
        model = ScriptedModel(replies)

        def resolve(_: object) -> tuple[Model, Choice]:
            return model, Choice(name="scripted", reason="this is a test")

        monkeypatch.setattr(codeact_tools.agent, "resolve_model", resolve)
        return model

    return script


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """A file with a tool."""
    file = tmp_path / "shop.py"
    file.write_text(SHOP)
    return str(file)


def process(*arguments: str, replies: list[str], delay: float = 0.0, **options: object) -> subprocess.Popen[str]:
    """Start the command in a process of its own, with a scripted model."""
    code = (
        "import json, sys, codeact_tools.agent as agent\n"
        "from codeact_tools.cli import main\n"
        "from codeact_tools.events import Choice\n"
        "from codeact_tools.testing import ScriptedModel\n"
        f"model = ScriptedModel(json.loads({json.dumps(json.dumps(replies))}), delay={delay})\n"
        "agent.resolve_model = lambda _: (model, Choice(name='scripted', reason='this is a test'))\n"
        "sys.exit(main())\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "100"},
    )


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_run_writes_the_answer_to_stdout_and_the_rest_to_stderr(
    scripted: Script, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever pipes the command gets the answer alone; whoever watches sees code, calls, output and what was used."""
    scripted(ACTION, "Together 138.5 EUR.")
    assert main(["run", "-t", shop, "--sandbox", "local", "What do boots and socks cost?"]) == 0
    out, err = capsys.readouterr()
    assert out == "Together 138.5 EUR.\n"
    for part in (
        "sandbox  local (jail",
        "I add them.",
        "  │ total = price('boots') + price('socks')",
        "  → price(product='boots') = 129.0",
        "  ┊ 138.5",
        "scripted · local (jail",
        "2 turns",
    ):
        assert part in err
    assert "\x1b" not in err


def test_quiet_writes_nothing_to_stderr(scripted: Script, shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``--quiet`` is for scripts."""
    scripted(ACTION, "Together 138.5 EUR.")
    assert main(["run", "-q", "-t", shop, "-s", "local", "What do boots and socks cost?"]) == 0
    assert capsys.readouterr() == ("Together 138.5 EUR.\n", "")


def test_json_writes_each_event_as_a_line(scripted: Script, shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines are the events that the library's own adapter reads back."""
    scripted(ACTION, "Together 138.5 EUR.")
    assert main(["run", "--json", "-t", shop, "-s", "local", "What do boots and socks cost?"]) == 0
    out, err = capsys.readouterr()
    events = [EVENT_ADAPTER.validate_json(line) for line in out.splitlines()]
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    assert events[-1].answer == "Together 138.5 EUR."
    assert err == ""


@pytest.mark.parametrize("how", ["argument", "stdin", "file"])
def test_a_task_comes_as_an_argument_by_a_pipe_or_from_a_file(
    how: str, scripted: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Long tasks need not be quoted for a shell."""
    model = scripted("Fine.")
    file = tmp_path / "task.txt"
    file.write_text("How are you?\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("How are you?\n"))
    given = {"argument": ["How are you?"], "stdin": ["-"], "file": ["--file", str(file)]}[how]
    assert main(["run", "-q", "-s", "local", *given]) == 0
    assert capsys.readouterr().out == "Fine.\n"
    assert model.calls[0].messages[-1].content.strip() == "How are you?"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "Give the task once"),
        (["run", "  "], "The task is empty (the argument); say what to do."),
        (["run", "a", "--file", "b"], "Give the task once"),
        (["run", "--file", "missing.txt"], "The file 'missing.txt' cannot be read: No such file or directory."),
        (["run", "--file", "."], "The file '.' cannot be read: Is a directory."),
        (["run", "x", "-t", "calender"], "No toolkit 'calender' is installed"),
        (["run", "x", "-t", "missing.py"], "The file 'missing.py' cannot be read"),
        (["run", "x", "--max-turns", "0"], "max_turns=0"),
        (["run", "x", "--max-turns", "many"], "Invalid value"),
        (["run", "x", "--sandbox", "glass"], "sandbox is 'glass'"),
        (["run", "x", "--model", "gtp-7"], "no model is called 'gtp-7'"),
        (["run", "x", "--check", "maybe"], "Invalid value"),
        (["rnu", "x"], 'Unknown command "rnu". Did you mean "run"?'),
        (["run", "x", "--quite"], "Did you mean --quiet?"),
        (["tools", "show", "calendar.woking_days"], "working_days"),
    ],
)
def test_what_is_wrong_with_the_command_line_is_said_in_a_few_lines(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, no traceback, nothing on stdout."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith("error: ")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(:", "raised SyntaxError"),
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
        ("x = 1", "defines no tools; decorate its functions with @tool"),
        ("from codeact_tools import tool\n@tool\ndef f(x): ...", "shop.py"),
    ],
)
def test_a_file_of_tools_that_cannot_be_used_is_named(
    source: str, message: str, tmp_path: Path, scripted: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the file raises is an error of the command line, not a traceback."""
    scripted("Fine.")
    file = tmp_path / "shop.py"
    file.write_text(source)
    assert main(["run", "x", "-t", str(file)]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """For those who look for the cause in the source."""
    assert main(["run", "--debug", "--file", "missing.txt"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.rstrip().endswith("The file 'missing.txt' cannot be read: No such file or directory.")


def test_a_run_without_an_answer_ends_with_1(scripted: Script, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says what to do, and the summary what it cost."""
    scripted("<execute>1</execute>")
    assert main(["run", "-s", "local", "--max-turns", "1", "Do it."]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: The model used all its 1 turn" in err
    assert "Raise max_turns" in err
    assert "scripted · local (jail" in err


def test_no_model_ends_with_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says how to get one."""
    monkeypatch.setenv("CODEACT_TOOLS_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("CODEACT_TOOLS_MODEL", "some-model")
    assert main(["run", "-q", "-s", "local", "Do it."]) == 3
    err = capsys.readouterr().err
    assert "127.0.0.1:9" in err
    assert len(err.splitlines()) <= 4


def test_a_chat_keeps_variables_and_history(
    scripted: Script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line is a task; the second sees what the first defined. Empty lines are passed over."""
    model = scripted("<execute>\nx = 20\n</execute>", "Done.", "<execute>\nprint(x + 1)\n</execute>", "It is 21.")
    monkeypatch.setattr(sys, "stdin", io.StringIO("Set x to 20.\n\nWhat is x + 1?\n"))
    assert main(["chat", "-q", "-s", "local"]) == 0
    assert capsys.readouterr().out == "Done.\nIt is 21.\n"
    assert "21" in model.calls[-1].messages[-1].content


def test_a_task_that_fails_does_not_end_the_chat(
    scripted: Script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is that of the last task."""
    scripted("<execute>1</execute>", "Better.")
    monkeypatch.setattr(sys, "stdin", io.StringIO("Fail.\nSucceed.\n"))
    assert main(["chat", "-q", "-s", "local", "--max-turns", "1"]) == 0
    out, err = capsys.readouterr()
    assert out == "Better.\n"
    assert "error: The model used all its 1 turn" in err


def test_ctrl_c_ends_a_run_with_130(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Long before its end, with how to go on, and without a traceback; the list of runs calls it by its name."""
    with process("run", "-t", shop, "-s", "local", "Go on.", replies=["word " * 5000], delay=0.05) as command:
        assert command.stderr is not None
        while "turn 1" not in command.stderr.readline():
            pass
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=200)
    assert command.returncode == 130
    assert out == ""
    run_id = re.search(r"cancelled; go on with: codeact-tools resume (\w+)$", err.rstrip())
    assert run_id is not None, err
    assert "Traceback" not in err
    assert main(["runs", "list", "--limit", "1"]) == 0
    assert re.match(rf"{run_id[1]} .* cancelled  Go on.$", capsys.readouterr().out.rstrip())


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    """``codeact-tools ... | head -1`` prints a line and nothing about pipes."""
    with process("run", "--json", "-s", "local", "Go on.", replies=["word " * 20000]) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert "run_started" in command.stdout.readline()
        command.stdout.close()
        err = command.stderr.read()
        assert command.wait(timeout=200) == 141
    assert err == ""


def test_colours_are_for_terminals_that_want_them(
    scripted: Script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal gets colours, unless ``NO_COLOR`` is set."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for variable, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        with monkeypatch.context() as patch:
            patch.delenv("NO_COLOR", raising=False)
            for name, value in variable.items():
                patch.setenv(name, value)
            screen = Terminal()
            patch.setattr(sys, "stderr", screen)
            scripted("<execute>\nprint('x')\n</execute>", "Fine.")
            assert main(["run", "-s", "local", "Do it."]) == 0
            assert ("\x1b[96mprint" in screen.getvalue()) is coloured


def test_tools_list_and_show_are_what_the_model_sees(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Signature, docs, and the types that a tool mentions."""
    assert main(["tools", "list", shop]) == 0
    assert capsys.readouterr().out == "price\n    price(product: str) -> float\n    Look up the price of a product.\n"
    assert main(["tools", "show", "price", "-t", shop]) == 0
    out = capsys.readouterr().out
    assert out.startswith("def price(product: str) -> float:\n")
    assert "boots or socks." in out


def test_a_tool_of_an_installed_toolkit_is_shown_with_its_types(capsys: pytest.CaptureFixture[str]) -> None:
    """``calendar.public_holidays`` brings the class ``Holiday``, and nothing of the other tools."""
    assert main(["tools", "show", "calendar.public_holidays"]) == 0
    out = capsys.readouterr().out
    assert "class Holiday" in out
    assert "def public_holidays(" in out
    assert "convert_time" not in out


def test_toolkits_list_says_which_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, distribution and version."""
    assert main(["toolkits", "list", "--load"]) == 0
    assert "calendar             codeact-tools-calendar 0.1.0\n" in capsys.readouterr().out


def test_doctor_reports_for_people_and_for_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What works, with the reason; keys without their values."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    code = main(["doctor", "--json"])
    out = capsys.readouterr().out
    assert "very-secret" not in out
    report = json.loads(out)
    assert report["verdict"] == code
    found = {(check["area"], check["name"]): check for check in report["checks"]}
    assert found["key", "OPENAI_API_KEY"]["detail"] == "set"
    assert found["toolkit", "calendar"]["works"] is True
    assert found["sandbox", "jail"]["detail"]
    assert ("model", "auto") in found
    assert found["journal", "runs"]["works"] is True
    assert main(["doctor"]) == code
    text = capsys.readouterr().out
    assert "sandbox\n" in text
    assert "very-secret" not in text


def test_doctor_without_a_model_ends_with_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A missing weights file that the environment names is found before a run is."""
    monkeypatch.setenv("CODEACT_TOOLS_WEIGHTS", str(tmp_path / "missing.gguf"))
    assert main(["doctor"]) == 3
    assert "missing.gguf" in capsys.readouterr().out


def test_the_version_is_that_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` is one line."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{codeact_tools.__version__}\n"
