"""The commands of ``codeact-tools``."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from ..errors import CodeActError, RunPaused
from .exits import Exit, exit_code
from .inputs import STDIN, read_task, read_tools
from .output import complain, write
from .running import DEMO_TASK, AgentOptions, Flag, Names, OutputOptions, run_chat, run_task
from .runs import replay, resume, runs_app

EPILOGUE = """\
stdout is the result, stderr the progress; NO_COLOR is respected.
--debug, with any command, adds the traceback to an error.

Exit codes:
    0  an answer; the command did what it should
    1  the run ended without an answer; a check found a difference, or too low a level
    2  an option, a file, a toolkit or a tool is wrong
    3  no model can be reached or loaded
    4  no sandbox can be opened
    5  the run waits for a decision
  130  cancelled
  141  nobody reads the output any more
"""

app = App(
    name="codeact-tools",
    help="""Language models that act by writing Python: typed tools, checked actions, a real sandbox.

Start with one of these:

    codeact-tools doctor
    codeact-tools demo
    codeact-tools run -t calendar "Is 24 December 2027 a Friday?"
""",
    help_format="plaintext",
    help_epilogue=EPILOGUE,
    version=lambda: version("codeact-tools"),
    exit_on_error=False,
    print_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
tools_app = App(name="tools", help="Look at tools as the model sees them.")
model_app = App(name="model", help="The embedded model.")
app.command(tools_app)
app.command(
    "codeact_tools.cli.toolkits:toolkits_app",
    name="toolkits",
    help="Look at the installed toolkits, hold them by a lock, make new ones.",
)
app.command(model_app)
app.command(
    "codeact_tools.cli.docs:docs_app", name="docs", help="Pages of tools as Markdown, made from the tools themselves."
)
app.command(runs_app)
app.command(resume)
app.command(replay)
app.command(
    "codeact_tools.cli.trace:trace_app", name="trace", help="A recorded run as one page, or as OpenTelemetry spans."
)
app.command("codeact_tools.cli.sandboxes:sandboxes_app", name="sandboxes", help="Sandboxes in E2B's cloud.")
app.command("codeact_tools.cli.sandboxes:e2b_app", name="e2b", help="Templates for E2B's cloud.")


@app.command
def run(
    task: str | None = None,
    /,
    *,
    file: Annotated[Path | None, Parameter(alias="-f")] = None,
    agent: AgentOptions | None = None,
    output: OutputOptions | None = None,
) -> Exit:
    """Solve one task, and write the answer to stdout.

    For example:

        codeact-tools run -t calendar "How many days are left in 2026?"
        codeact-tools run -t shop.py --file question.txt > answer.txt
        echo "What is 2 ** 100?" | codeact-tools run - --json

    Args:
        task: What to do, in plain words; - reads it from standard input.
        file: Read the task from this file.
    """
    text = read_task(task, file)
    return run_task((agent or AgentOptions()).agent(), text, output or OutputOptions())


@app.command
def chat(*, agent: AgentOptions | None = None, output: OutputOptions | None = None) -> Exit:
    """Solve tasks in a row, a line each; they share the interpreter's variables and the history.

    Ctrl-C cancels the task at hand, Ctrl-D ends the chat.

    For example:

        codeact-tools chat -t calendar
    """
    return run_chat((agent or AgentOptions()).agent(), output or OutputOptions())


@app.command
def demo(*, agent: AgentOptions | None = None, output: OutputOptions | None = None) -> Exit:
    """Solve a question with several steps, with the toolkit `calendar`.

    Needs no account, key, GPU or endpoint; fetches the embedded model's weights (1.1 GB) once.
    """
    options = agent or AgentOptions()
    options = replace(options, tools=options.tools or ("calendar",))
    complain(f"Task: {DEMO_TASK}\n")
    return run_task(options.agent(), DEMO_TASK, output or OutputOptions())


@app.command
def doctor(*, json: Annotated[bool, Flag] = False) -> Exit:
    """Show what works on this machine: sandboxes with the reason, models, GPU, keys, checker, toolkits.

    The exit code is 3 where no model can be used, and 4 where no sandbox can.

    Args:
        json: As JSON.
    """
    from .doctor import examine

    report = examine()
    if json:
        write(report.as_json())
    else:
        report.write(Console())
    return report.verdict


@tools_app.command(name="list")
def list_tools(*names: str) -> Exit:
    """List the tools of toolkits: signature and summary.

    For example:

        codeact-tools tools list calendar

    Args:
        names: Toolkits by name, or Python files with @tool functions; all installed toolkits by default.
    """
    from ..toolkits import list_toolkits, resolve_tools

    wanted = list(names) or [toolkit.name for toolkit in list_toolkits() if toolkit.enabled and not toolkit.error]
    for spec in resolve_tools(read_tools(wanted)).specs:
        write(f"{spec.qualified}\n    {spec.signature()}\n    {spec.summary}")
    return Exit.ANSWER


@tools_app.command
def show(name: str, /, *, tools: Annotated[tuple[str, ...], Parameter(alias="-t"), Names] = ()) -> Exit:
    """Show a tool as the model sees it: signature, docs, and the types that it mentions.

    For example:

        codeact-tools tools show calendar.working_days
        codeact-tools tools show search_orders -t shop.py

    Args:
        name: The tool, as toolkit.tool or by its own name.
        tools: Where to look for it: toolkits by name, or Python files; all installed toolkits by default.
    """
    from ..registry import ToolRegistry
    from ..rendering import render_listing
    from ..toolkits import list_toolkits, resolve_tools

    toolkit = name.partition(".")[0] if "." in name else None
    installed = [record.name for record in list_toolkits() if record.enabled and not record.error]
    wanted = list(tools) or ([toolkit] if toolkit else installed)
    spec = resolve_tools(read_tools(wanted)).get(name)
    write(render_listing(ToolRegistry([spec])).text)
    return Exit.ANSWER


@model_app.command
def fetch() -> Exit:
    """Download the embedded model's weights (1.1 GB), unless they are there; write their path to stdout."""
    from .weights import fetch_with_progress

    write(str(fetch_with_progress()))
    return Exit.ANSWER


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        arguments: In place of those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        outcome = app([STDIN if word == "-" else word for word in words if word != "--debug"])
    except CycloptsError as error:
        complain(f"error: {error}\nSee `codeact-tools --help`.")
        return Exit.USAGE
    except RunPaused as pause:
        calls = ", ".join(f"{call.id} ({call.tool})" for call in pause.waiting)
        run_id = pause.run_id[:12]
        complain(
            f"The run {run_id} waits for a decision about call {calls}.\n"
            f"Decide with:  codeact-tools runs approve {run_id} {pause.waiting[0].id}   (or --deny REASON)\n"
            f"Go on with:   codeact-tools resume {run_id}"
        )
        return Exit.PAUSED
    except CodeActError as error:
        return _failed(error, exit_code(error), debug=debug)
    except KeyboardInterrupt:
        complain("cancelled")
        return Exit.CANCELLED
    except BrokenPipeError:
        # The interpreter flushes stdout once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.NO_READER
    return outcome if isinstance(outcome, int) else Exit.ANSWER


def _failed(error: Exception, code: Exit, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    complain(f"error: {error}")
    return code
