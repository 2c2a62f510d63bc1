"""Tools: the decorator, toolkits, and what a tool may ask for.

>>> @tool(read_only=True)
... def add(x: int, y: int = 1) -> int:
...     '''Add two numbers.'''
...     return x + y
>>> add(2)
3

A decorated function stays what it is. Its `ToolSpec` is made when a `ToolRegistry` takes it.
"""

from __future__ import annotations

import ast
import functools
import inspect
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, overload

from .context import Depends, ToolContext
from .errors import DefinitionError
from .invocation import invoke
from .naming import identifier
from .opaque import Opaque
from .reflection import OPTIONS, location_of, make_spec
from .specs import BoundCall, Effects, Parameter, ParameterKind, Raised, ToolKind, ToolOptions, ToolSpec

__all__ = [
    "BoundCall", "Demonstration", "Depends", "Effects", "Opaque", "Parameter", "ParameterKind", "Raised", "ToolContext",
    "ToolKind", "ToolOptions", "ToolSpec", "Toolkit", "invoke", "make_spec", "tool",
]  # fmt: skip

API_LEVEL = 1
"""What a `Toolkit` can declare, and what its tools can ask for, as a number that grows with it."""

_F = TypeVar("_F", bound=Callable[..., Any])


@overload
def tool(function: _F, /) -> _F: ...
@overload
def tool(
    *,
    name: str | None = None,
    read_only: bool = False,
    destructive: bool = False,
    idempotent: bool = False,
    open_world: bool = False,
    timeout: float | None = None,
    retries: int = 0,
    transient: type[Exception] | tuple[type[Exception], ...] = (),
    backoff: float = 0.5,
    calls: int | None = None,
    rate: float | None = None,
    concurrency: int | None = None,
    approval: bool = False,
    cache: bool = False,
    strict: bool = False,
    secrets: Iterable[str] = (),
) -> Callable[[_F], _F]: ...
def tool(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    read_only: bool = False,
    destructive: bool = False,
    idempotent: bool = False,
    open_world: bool = False,
    timeout: float | None = None,
    retries: int = 0,
    transient: type[Exception] | tuple[type[Exception], ...] = (),
    backoff: float = 0.5,
    calls: int | None = None,
    rate: float | None = None,
    concurrency: int | None = None,
    approval: bool = False,
    cache: bool = False,
    strict: bool = False,
    secrets: Iterable[str] = (),
) -> Any:
    """Declare a function a tool, and what a call of it means.

    It returns the same object, so that the application can call and test it. It works on functions (``async`` and
    generators too), methods, ``functools.partial``, callable objects and classes. Of a class, or of its instance, the
    public methods that are decorated become tools (all public ones where none is); a registry makes one instance of a
    class for itself, by calling it without arguments, so its tools share state within one session. What a partial
    binds by name is hidden from the model.

    Args:
        function: The function, where the decorator stands without parentheses.
        name: Another name than the function's own.
        read_only: It changes nothing.
        destructive: It may delete or overwrite.
        idempotent: The same call again changes nothing further.
        open_world: It reaches out to systems that others change too, such as the web.
        timeout: Seconds after which a call is given up; None: never. Of a generator, for each item.
        retries: How often a call that failed or timed out is tried again.
        transient: Exceptions after which that makes sense; none named: all of them. Timeouts always count.
        backoff: Seconds before the first retry; each further pause is twice as long, up to 30 seconds.
        calls: Most calls in one run; None: any number.
        rate: Most calls per second; further ones wait for their turn. None: no limit.
        concurrency: How many calls may run at the same time; None: any number.
        approval: Whether each call needs somebody's consent.
        cache: Whether a result may be used again for the same arguments in the same session.
        strict: Whether arguments and results must have their types already, instead of being coerced: no ``"1"`` for 1.
        secrets: Parameters whose values, and ``"return"`` if the result, must never be recorded in a journal.

    Raises:
        DefinitionError: An option is out of range.
    """
    options = ToolOptions(
        name=name,
        effects=Effects(read_only=read_only, destructive=destructive, idempotent=idempotent, open_world=open_world),
        timeout=timeout,
        retries=retries,
        transient=(transient,) if isinstance(transient, type) else tuple(transient),
        backoff=backoff,
        calls=calls,
        rate=rate,
        concurrency=concurrency,
        approval=approval,
        cache=cache,
        strict=strict,
        secrets=frozenset(secrets),
    )
    if function is None:
        return functools.partial(_declare, options=options)
    return _declare(function, options=options)


def _declare(function: Any, *, options: ToolOptions) -> Any:
    if isinstance(function, staticmethod | classmethod):
        setattr(function.__func__, OPTIONS, options)
        return function
    _check(options, function)
    if isinstance(function, types.MethodType):
        raise DefinitionError(
            f"{location_of(function)}: {function.__qualname__} is bound already and cannot carry options; decorate it "
            f"in its class, or write tool(...)(functools.partial(obj.{function.__name__}))."
        )
    try:
        setattr(function, OPTIONS, options)
    except AttributeError:
        raise DefinitionError(
            f"{location_of(function)}: {function!r} cannot carry options; wrap it in functools.partial."
        ) from None
    return function


def _check(options: ToolOptions, function: Any) -> None:
    if not callable(function):
        raise DefinitionError(f"@tool is for functions, not for {function!r}; write @tool(name='...') for options.")
    wrong = {
        "timeout": options.timeout is not None and options.timeout <= 0,
        "retries": options.retries < 0,
        "backoff": options.backoff < 0,
        "calls": options.calls is not None and options.calls < 1,
        "rate": options.rate is not None and options.rate <= 0,
        "concurrency": options.concurrency is not None and options.concurrency < 1,
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            value = getattr(options, name)
            raise DefinitionError(f"{location_of(function)}: {name}={value!r} is out of range; it must be positive.")
    if options.effects.read_only and options.effects.destructive:
        raise DefinitionError(f"{location_of(function)}: a tool is either read_only or destructive; drop one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """A whole task, solved with a toolkit's tools, for models to imitate: a shot, as in few-shot prompting.

    One that reads like the tasks of users shows a small model what rules do not teach it: which results to look at
    first, how calls are combined, and what an answer looks like. The contract kit runs it and compares what it prints.

    >>> adding = Demonstration(
    ...     task="What is the sum of 2, 3 and 4?",
    ...     steps=[("print(add(add(2, 3), 4))", "9")],
    ...     answer="The sum is 9.",
    ... )
    >>> adding.text.splitlines()[-2:]
    ['9', 'The sum is 9.']

    Raises:
        DefinitionError: A step is no pair of texts, or its code is no Python.
    """

    task: str
    """What the user asks."""
    steps: Sequence[tuple[str, str]]
    """Each action's code, and what it prints; indented as the program that holds them likes it."""
    answer: str
    """What the model answers in the end."""

    def __post_init__(self) -> None:
        steps = []
        for step in self.steps:
            try:
                code, output = map(inspect.cleandoc, step)
                ast.parse(code)
            except (SyntaxError, ValueError, TypeError, AttributeError) as error:
                what = f"a step that is not (Python code, what it prints): {error}"
                raise DefinitionError(f"The demonstration {self.task!r} has {what}\n{step!r}") from error
            steps.append((code, output))
        object.__setattr__(self, "steps", tuple(steps))

    @property
    def called(self) -> frozenset[str]:
        """Names of the functions that its code calls and does not define: those of tools, types and built-ins."""
        nodes = [node for code, _ in self.steps for node in ast.walk(ast.parse(code))]
        own = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        calls = (node.func for node in nodes if isinstance(node, ast.Call))
        return frozenset(each.id for each in calls if isinstance(each, ast.Name)) - own

    @property
    def text(self) -> str:
        """The whole of it, with the code as an interpreter shows it."""
        lines = [self.task]
        for code, output in self.steps:
            first, *more = code.strip().split("\n")
            lines += [f">>> {first}", *(f"... {line}".rstrip() for line in more), output.strip("\n")]
        return "\n".join([*lines, self.answer])


@dataclass(frozen=True, slots=True)
class Toolkit:
    """A named set of tools; in an action ``tools.<name>``.

    >>> Toolkit("maths", tools=[], summary="Numbers.").name
    'maths'

    Raises:
        DefinitionError: The name is not an identifier that can stand after ``tools.``, or a string stands for a list.
    """

    name: str
    tools: Sequence[Any] = field(kw_only=True)
    """Functions, bound methods, classes, instances, partials, specifications."""
    version: str | None = field(default=None, kw_only=True)
    summary: str = field(default="", kw_only=True)
    """One sentence for people and models."""
    config: Any = field(default=None, kw_only=True)
    """A configuration, or its class, which is made when a registry takes the toolkit: of pydantic-settings, a model, a
    dataclass. Tools read the object as ``context.config``. See `settings`."""
    instructions: str = field(default="", kw_only=True)
    """What the model should know about the tools together."""
    demonstrations: Sequence[Demonstration] = field(default=(), kw_only=True)
    """Tasks, solved with the tools: the model reads them instead of an example that is made of the docstrings."""
    api: int = field(default=API_LEVEL, kw_only=True)
    """The level of this library's toolkit API that it was written for."""
    secrets: Sequence[str] = field(default=(), kw_only=True)
    """Environment variables with secrets that the tools need, besides the ``SecretStr`` fields of ``config``."""
    packages: Sequence[str] = field(default=(), kw_only=True)
    """Third-party packages that actions with these tools may import."""
    hosts: Sequence[str] = field(default=(), kw_only=True)
    """Network hosts that the tools reach: ``api.example.org``, ``*.example.org``; ``*`` for any."""

    def configured(self, config: Any) -> Toolkit:
        """This toolkit with another configuration: ``files.configured(FilesConfig(roots=["data"]))``."""
        return replace(self, config=config)

    def __post_init__(self) -> None:
        for option in ("secrets", "packages", "hosts"):
            if isinstance(value := getattr(self, option), str):
                raise DefinitionError(f"Toolkit {self.name!r}: {option}={value!r} is a string; write [{value!r}].")
        if self.name != identifier(self.name, owner=f"toolkit {self.name!r}"):
            raise DefinitionError(
                f"{self.name!r} cannot be the name of a toolkit, because 'tools.{self.name}' must be a module; "
                f"write {identifier(self.name, owner='')!r}."
            )
