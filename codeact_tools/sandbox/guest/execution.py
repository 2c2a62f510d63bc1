"""One action after the other in one namespace, like the cells of a notebook."""

from __future__ import annotations
import __future__

import ast
import linecache
import sys
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from . import display, report
from .console import Console
from .files import Folder
from .interrupts import ACTION, Interrupts
from .variables import variables

if TYPE_CHECKING:
    import asyncio

_REMEMBERED = 500
"""Actions whose source stays available to tracebacks."""
_COROUTINE = 0x80
"""``inspect.CO_COROUTINE``, without the import."""
_INSIDE = " \t#)]}\"'"
"""How a line begins that may well be a part of the statement before it."""
_SPREAD = ("'" * 3, '"' * 3, "\\")
"""What can make an assignment a part of the statement before it without looking like it."""
_APART = ("\r", "\f", "__future__")
"""What can make a line mean something else than it does by itself."""
_FUTURE = {getattr(__future__, name).compiler_flag for name in __future__.all_feature_names}


class Interpreter:
    """The session's namespace, ``__main__``, and what runs in it."""

    def __init__(self, bound: dict[str, Any], console: Console, folder: Folder, interrupts: Interrupts) -> None:
        module = ModuleType("__main__")
        sys.modules["__main__"] = module
        self.namespace = module.__dict__
        self.namespace.update(bound, __builtins__=console.builtins)
        self._given = dict(self.namespace)
        self._console = console
        self._folder = folder
        self._interrupts = interrupts
        self._flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._loop: asyncio.AbstractEventLoop | None = None
        self.echo_limit = 20000
        """Characters of the last expression's repr."""

    def run(self, number: int, code: str) -> dict[str, Any]:
        """Run one action; return what the ``done`` frame says about it."""
        result: str | None = None
        assigned: str | None = None
        error: report.Report | None = None
        try:
            try:
                self._interrupts.install()
                self._interrupts.acting = True
                assigned, result = self._run(f"{ACTION}{number}>", code)
            finally:
                self._interrupts.acting = False
        except BaseException as failure:
            error = self._described(failure)
        self._save_figures()
        self._console.flush()
        files = self._folder.changed()
        names = variables(self.namespace, self._given)
        return {
            "result": result,
            "assigned": assigned,
            "error": error,
            "files": files,
            "dropped": self._console.dropped,
            "names": names,
        }

    def _described(self, failure: BaseException) -> report.Report | None:
        """What ended the action, whatever its own methods do to whoever looks at it."""
        try:
            if isinstance(failure, SystemExit):
                return self._exit(failure)
            return report.describe(failure, self.namespace)
        except BaseException:
            return report.bare(failure)

    def _save_figures(self) -> None:
        """Save what the action has drawn; that may take long, and may run whatever poses as matplotlib."""
        try:
            try:
                self._interrupts.acting = True
                display.save_figures(self._folder)
            finally:
                self._interrupts.acting = False
        except BaseException as failure:
            error = self._described(failure)
            why = error["message"] if error else "it ended itself"
            self._console.stderr.write(f"[figures could not be saved: {type(failure).__name__}: {why}]\n")

    def _run(self, filename: str, code: str) -> tuple[str | None, str | None]:
        """Run it; return what its last expression shows, or the name and value of its last, silent assignment."""
        lines = code.splitlines(keepends=True)
        linecache.cache[filename] = (len(code), None, lines, filename)
        linecache.cache.pop(f"{ACTION}{int(filename[len(ACTION) : -1]) - _REMEMBERED}>", None)
        main, expression, tree = self._in_two(code, filename) or self._parsed(code, filename)
        if not self._given.keys() <= self.namespace.keys():
            self._give_back()
        value = self._execute(main, expression)
        if expression is not None:
            return None, None if value is None else display.show(value, self.echo_limit)
        name = _assigned(tree) if self._console.quiet and tree is not None else None
        if name is None or name not in self.namespace:
            return None, None
        return name, display.show(self.namespace[name], self.echo_limit)

    def _give_back(self) -> None:
        """Bind again what earlier actions deleted of what was there from the start: every action has its tools."""
        for name, value in self._given.items():
            self.namespace.setdefault(name, value)

    def _parsed(self, code: str, filename: str) -> tuple[CodeType, CodeType | None, ast.Module | None]:
        """Compile the statements, and the last of them by itself where it is an expression."""
        tree = ast.parse(code, filename)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        main = self._compile(tree, filename, "exec")
        if not isinstance(last, ast.Expr):
            return main, None, tree
        return main, self._compile(ast.Expression(last.value), filename, "eval"), None

    def _in_two(self, code: str, filename: str) -> tuple[CodeType, CodeType | None, ast.Module | None] | None:
        """Do the same for the usual action, whose last line is a statement of its own, in half the time.

        A tree that Python can see takes as long to build as all the rest of compiling. So the last line and what is
        before it are compiled each by itself, and where both are complete, they mean what they mean together. In all
        other cases, and where anything is wrong, the answer is None.
        """
        text = code.rstrip(" \t\n")
        start = text.rfind("\n") + 1
        before, last = text[:start], text[start:]
        if not last or last[0] in _INSIDE or "\\" in last or any(mark in code for mark in _APART):
            return None
        try:
            expression = self._compile("\n" * before.count("\n") + last, filename, "eval")
        except (SyntaxError, ValueError):
            return self._assignment(code, last, filename)
        try:
            return self._compile(before, filename, "exec"), expression, None
        except (SyntaxError, ValueError):
            return None

    def _assignment(self, code: str, last: str, filename: str) -> tuple[CodeType, None, ast.Module] | None:
        """The same for an action whose last line is no expression, but may be an assignment, whose tree is needed."""
        try:
            ending = ast.parse(last)
            match ending.body:
                case [ast.Assign() | ast.AnnAssign() | ast.AugAssign()] if not any(mark in code for mark in _SPREAD):
                    return self._compile(code, filename, "exec"), None, ending
        except (SyntaxError, ValueError):
            pass
        return None

    def _compile(self, source: Any, filename: str, mode: str) -> CodeType:
        code: CodeType = compile(source, filename, mode, flags=self._flags, dont_inherit=True)
        for flag in _FUTURE:
            self._flags |= code.co_flags & flag
        return code

    def _execute(self, main: CodeType, expression: CodeType | None) -> Any:
        if not (main.co_flags | (expression.co_flags if expression else 0)) & _COROUTINE:
            exec(main, self.namespace)  # noqa: S102 - this is what the guest is for
            return eval(expression, self.namespace) if expression else None  # noqa: S307

        async def run() -> Any:
            started = eval(main, self.namespace)  # noqa: S307
            if main.co_flags & _COROUTINE:
                await started
            if expression is None:
                return None
            value = eval(expression, self.namespace)  # noqa: S307
            return await value if expression.co_flags & _COROUTINE else value

        return self._run_until_complete(run)

    def _run_until_complete(self, run: Callable[[], Any]) -> Any:
        import asyncio

        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
        loop = self._loop
        asyncio.set_event_loop(loop)
        task = loop.create_task(run())
        interrupts = self._interrupts
        interrupts.cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            return loop.run_until_complete(task)
        except asyncio.CancelledError as error:
            if interrupts.pending:
                raise KeyboardInterrupt from error.__cause__
            raise
        finally:
            interrupts.cancel = None
            if not task.done():  # an interrupt tore another task
                task.cancel()
                loop.run_until_complete(asyncio.wait([task]))

    def _exit(self, request: SystemExit) -> report.Report | None:
        note = "the action ended itself with exit(); the session and its variables are still there"
        if request.code is None or request.code == 0:
            self._console.stderr.write(f"[{note}]\n")
            return None
        described = report.describe(request, self.namespace)
        return {**described, "message": f"{request.code} ({note})"}


def _assigned(tree: ast.Module) -> str | None:
    """The variable that the last statement assigns."""
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Assign):
        target = last.targets[0]
    elif isinstance(last, ast.AnnAssign | ast.AugAssign):
        target = last.target
    else:
        return None
    return target.id if isinstance(target, ast.Name) else None
