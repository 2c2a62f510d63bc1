"""The loop: a question as a line of JSON on standard input, its answer as a line on standard output."""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module
from typing import IO, Any, Final

from .faults import Fault

OPERATIONS: Final = {
    "convert": "quantities.convert",
    "calculate": "quantities.calculate",
    "constant": "constants.constant",
    "search": "constants.search",
    "solve": "algebra.solve",
    "simplify": "algebra.simplify",
    "differentiate": "algebra.differentiate",
    "integral": "numerics.integral",
    "root": "numerics.root",
    "minimum": "numerics.minimum",
    "trajectory": "numerics.trajectory",
    "describe": "samples.describe",
    "regression": "samples.regression",
    "comparison": "samples.comparison",
}
"""What can be asked for. A library is imported by the first question that needs it."""

GRACE: Final = 5
"""Seconds after its time at which a question ends this process, should the host be gone that would have killed it."""


def main() -> None:
    """Answer until standard input ends. Whatever prints something prints it to the null device."""
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _limit_memory(int(sys.argv[2]))
    sys.set_int_max_str_digits(0)  # the sizes of numbers have limits of their own
    for line in questions:
        question = json.loads(line)
        watchdog(int(question["seconds"]) + GRACE)
        _send(answers, _answer(question["operation"], question["arguments"]))
        watchdog(0)


def watchdog(seconds: int) -> None:
    """End this process after ``seconds`` of computing, also amid a library's C code; 0: never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _answer(operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    module, _, name = OPERATIONS[operation].partition(".")
    try:
        return {"value": getattr(import_module(f"engine.{module}"), name)(**arguments)}
    except Fault as fault:
        return {"fault": fault.kind, "message": str(fault), "fields": fault.fields}
    except RecursionError:
        return {"fault": "TooHard", "message": "the expression is too deep for the computation", "fields": {}}
    except MemoryError:
        return {"fault": "TooHard", "message": "the computation needs too much memory", "fields": {}}
    except Exception as error:
        # Symbolic mathematics fails in more ways than its libraries document; all that the model can do about any of
        # them is to ask differently.
        message = f"the computation failed ({type(error).__name__}: {error}); write it in another way"
        return {"fault": "NoSolution", "message": message, "fields": {}}


def _send(answers: IO[bytes], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _limit_memory(megabytes: int) -> None:
    try:
        import resource
    except ImportError:  # only POSIX has it
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
