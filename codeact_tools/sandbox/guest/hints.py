"""What an error message leaves out, and a model needs to repair its action."""

from __future__ import annotations

import ast
import linecache
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .interrupts import ACTION
from .records import Record
from .tools import ToolsModule

if TYPE_CHECKING:
    from types import FrameType

_MOST = 20
"""Names in a hint."""


def hint(error: BaseException, names: Mapping[str, Any]) -> str:
    """Return what to add to the message of an error: names that are near, keys and fields that are there; or "".

    ``names`` are the action's variables. Only dictionaries and lists of Python's own, and classes of tools, are looked
    at: no code of the action runs.
    """
    if isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
        return _near(error.name, names)
    if type(error) is KeyError:
        return _keys(error)
    if type(error) is TypeError:
        return _lists(error, names)
    if type(error) is FileNotFoundError:
        return _files()
    return ""


def _near(name: object, names: Iterable[str]) -> str:
    """Where to get what the action lacks, or the nearest name, which Python adds only when it prints to a terminal."""
    if not isinstance(name, str):
        return ""
    tools = sys.modules.get("tools")
    if type(tools) is ToolsModule and name in vars(tools) and name[0] != "_":
        return f". `from tools import {name}` gives it."
    import difflib

    close = difflib.get_close_matches(name, list(names), n=1)
    return f". Did you mean: {close[0]!r}?" if close else ""


def _keys(error: KeyError) -> str:
    """The keys of the dictionary that lacks one, where the action names it by variables and constants."""
    try:
        found = _subscripted(error)
    except (SyntaxError, ValueError, LookupError, TypeError):
        return ""
    if type(found) is not dict or (error.args and type(error.args[0]) is str and error.args[0] in found):
        return ""
    if not found:
        return ". It is empty."
    plain = [key for key in found if type(key) in (str, int)]
    meant = _alike(error.args[0], plain) if error.args else ""
    return f"{meant or '.'} The keys are: {_listed(map(repr, plain), len(plain))}" if plain else ""


def _alike(key: object, keys: Iterable[str | int]) -> str:
    """The text among the keys that differs in the case of letters only, or a little."""
    import difflib

    texts = {each.casefold(): each for each in keys if isinstance(each, str)}
    close = difflib.get_close_matches(key.casefold(), texts, n=1) if isinstance(key, str) else []
    return f". Did you mean: {texts[close[0]]!r}?" if close else ""


def _subscripted(error: KeyError) -> object:
    """What stands before the brackets in the action's innermost line."""
    step, frame, position = error.__traceback__, None, -1
    while step is not None:
        if step.tb_frame.f_code.co_filename.startswith(ACTION):
            frame, position = step.tb_frame, step.tb_lasti
        elif frame is not None:
            return None  # something that the action called has raised it
        step = step.tb_next
    if frame is None:
        return None
    line, last, start, end = list(frame.f_code.co_positions())[position // 2]
    if line is None or line != last:
        return None
    source = linecache.getline(frame.f_code.co_filename, line).encode()[start:end].decode()
    node = ast.parse(source.strip(), mode="eval").body
    return _value(node.value, frame) if isinstance(node, ast.Subscript) else None


def _value(node: ast.expr, frame: FrameType) -> object:
    """The value of a variable, or of a place in a list or dictionary that constants lead to."""
    if isinstance(node, ast.Name):
        return frame.f_locals[node.id] if node.id in frame.f_locals else frame.f_globals[node.id]
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        value = _value(node.value, frame)
        if type(value) in (dict, list, tuple):
            return value[node.slice.value]  # type: ignore[index]
    return None


def _lists(error: TypeError, names: Mapping[str, Any]) -> str:
    """The fields of a record that was used as if it were a list."""
    message = str(error)
    kind = names.get(message.removeprefix("object of type ").partition("'")[2].partition("'")[0])
    fields = kind._fields if isinstance(kind, type) and issubclass(kind, Record) else ()
    if not fields or not any(words in message for words in ("not iterable", "has no len()", "not subscriptable")):
        return ""
    return f". It has: {_listed(fields, len(fields))}"


def _files() -> str:
    """Which files there are: models look for those of the host here."""
    try:
        files = sorted(os.listdir())  # noqa: PTH208
    except OSError:
        return ""
    here = _listed(map(repr, files), len(files)) if files else "none so far"
    return f". Files that are here: {here}; all others only a tool can read"


def _listed(names: Iterable[str], count: int) -> str:
    shown = [name for name, _ in zip(names, range(_MOST), strict=False)]
    return ", ".join(shown) + (f" and {count - _MOST} more" if count > _MOST else "")
