"""The check of every action before it runs: syntax, imports, names, types, literal arguments, reachable effects."""

from __future__ import annotations

from .checker import Checker, check_code
from .result import CheckResult

__all__ = ["CheckResult", "Checker", "check_code"]
