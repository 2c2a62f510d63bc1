"""What a toolkit promises, checked: `checks` are the checks, `rehearsal` runs examples, `guard` watches them."""

from .checks import CHECKS, Check, Subject, examine, perform
from .folders import empty_folder
from .guard import Deed, Guard, Undeclared
from .report import LEVELS, Level, Problem, Result, ToolkitReport

__all__ = [
    "CHECKS",
    "LEVELS",
    "Check",
    "Deed",
    "Guard",
    "Level",
    "Problem",
    "Result",
    "Subject",
    "ToolkitReport",
    "Undeclared",
    "empty_folder",
    "examine",
    "perform",
]
