"""`ToolSpec`: everything that is known about one tool, made once from its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple, cast

from pydantic import ValidationError

from .conformity import Misfit, conform
from .context import Depends
from .definitions import default_source
from .docstrings import Marks
from .errors import CodeActError, InvalidCall, InvalidResult, ToolFailed
from .expressions import UNSET, Name, TypeExpr
from .repair import explain
from .validation import Validator, build_validator

ToolKind = Literal["function", "coroutine", "generator", "async_generator"]
ParameterKind = Literal["positional_only", "positional_or_keyword", "var_positional", "keyword_only", "var_keyword"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Effects:
    """What a call does to the world, in the words of MCP's tool annotations."""

    read_only: bool = False
    """It changes nothing."""
    destructive: bool = False
    """It may delete or overwrite."""
    idempotent: bool = False
    """The same call again changes nothing further."""
    open_world: bool = False
    """It reaches out to systems that others change too, such as the web."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolOptions:
    """What `tool` was told about a function."""

    name: str | None = None
    effects: Effects = Effects()
    timeout: float | None = None
    retries: int = 0
    transient: tuple[type[Exception], ...] = ()
    backoff: float = 0.5
    calls: int | None = None
    rate: float | None = None
    concurrency: int | None = None
    approval: bool = False
    cache: bool = False
    strict: bool = False
    secrets: frozenset[str] = frozenset()
    """Parameters, or ``return``, whose values are never recorded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A parameter that the model sees."""

    name: str
    kind: ParameterKind = "positional_or_keyword"
    type: TypeExpr
    default: object = UNSET
    """The default value; `UNSET` where there is none, or only the host can make it."""
    has_factory: bool = False
    """Whether the action may leave it out though the default is not known there."""
    doc: str = ""

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is UNSET and not self.has_factory and not self.kind.startswith("var")

    def source(self, *, constraints: bool = True, quote: bool = False) -> str:
        """``limit: int = 20``."""
        stars = {"var_positional": "*", "var_keyword": "**"}.get(self.kind, "")
        text = f"{stars}{self.name}: {self.type.render(self.name if constraints else '', quote=quote)}"
        if self.has_factory:
            return f"{text} = ..."
        return text if self.default is UNSET else f"{text} = {default_source(self.default)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Raised:
    """An exception that the docstring declares."""

    name: str
    """As the action catches it; as written in the docstring where no class of this name is found."""
    doc: str
    """When it is raised."""
    exception: type[BaseException] | None
    """None: the name means nothing on the host either, so it is documentation only."""


class Injection(NamedTuple):
    """A parameter that the host fills."""

    parameter: str
    source: Depends | None
    """None: the `ToolContext` itself."""


class BoundCall(NamedTuple):
    """Validated arguments, ready for the function."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    arguments: dict[str, Any]
    """All of them by parameter name, defaults included; ``*args`` as a tuple, ``**kwargs`` merged."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ToolSpec:
    """One tool. It is bound to the catalog that it was made for; two registries have two specs of one function."""

    name: str
    """As the model writes it; an identifier."""
    toolkit: str | None = None
    function: Callable[..., Any]
    kind: ToolKind = "function"
    parameters: tuple[Parameter, ...] = ()
    """Those that the model sees, in order."""
    returns: TypeExpr
    """Of streamed kinds: ``Iterator[T]`` or ``AsyncIterator[T]``."""
    return_annotation: Any = None
    """What a result is validated against; of streamed kinds, what each item is."""
    summary: str = ""
    description: str = ""
    returns_doc: str = ""
    raises: tuple[Raised, ...] = ()
    examples: tuple[str, ...] = ()
    """Source with ``>>>`` and output."""
    marks: Marks = field(default_factory=Marks)
    """For readers of its page: versions, deprecation, related tools."""
    options: ToolOptions = ToolOptions()
    config: Any = None
    """The configuration of its toolkit."""
    declared_name: str = ""
    """The name before it was made an identifier that hides nothing: ``max`` of ``max_``."""
    location: str = ""
    """File and line of the function."""
    injections: tuple[Injection, ...] = ()
    call_signature: inspect.Signature = field(repr=False)
    """Of the function itself, injected parameters included."""
    hints: Mapping[str, Any] = field(repr=False)
    """Resolved annotations of the model's parameters."""

    @property
    def qualified(self) -> str:
        """``toolkit.name``, or ``name`` outside of toolkits."""
        return f"{self.toolkit}.{self.name}" if self.toolkit else self.name

    @property
    def effects(self) -> Effects:
        """What a call does to the world."""
        return self.options.effects

    @property
    def timeout(self) -> float | None:
        """Seconds after which a call is given up; None: never. Of streams, for each item."""
        return self.options.timeout

    @property
    def retries(self) -> int:
        """How often a call that failed or timed out is tried again."""
        return self.options.retries

    @property
    def concurrency(self) -> int | None:
        """How many calls may run at the same time; None: any number."""
        return self.options.concurrency

    @property
    def approval(self) -> bool:
        """Whether each call needs somebody's consent."""
        return self.options.approval

    @property
    def cache(self) -> bool:
        """Whether a result may be used again for the same arguments in the same session."""
        return self.options.cache

    @property
    def strict(self) -> bool:
        """Whether arguments and results must have their types already, instead of being coerced."""
        return self.options.strict

    @property
    def item(self) -> TypeExpr:
        """Of streamed kinds: the type of each item; else that of the result."""
        return self.returns.children()[0] if self.streams else self.returns

    @property
    def streams(self) -> bool:
        """Whether it yields items one by one."""
        return self.kind in ("generator", "async_generator")

    @property
    def repeatable(self) -> bool:
        """Whether calling it once more does no harm."""
        return self.effects.read_only or self.effects.idempotent

    @cached_property
    def plain(self) -> bool:
        """Whether a call is no more than validation and one call of the function, which is not a generator."""
        options = self.options
        special = options.approval or options.cache or options.retries or options.timeout is not None
        limited = any(limit is not None for limit in (options.calls, options.rate, options.concurrency))
        return not self.streams and not special and not limited and not self.injections

    def signature(self, *, constraints: bool = True, quote: bool = False) -> str:
        """``search_orders(query: str, limit: int = 20) -> list[Order]``, with constraints if there are any.

        Args:
            constraints: Whether to write them.
            quote: Write constraints as strings, for checkers that look names up in them.
        """
        parts: list[str] = []
        kinds = [parameter.kind for parameter in self.parameters]
        for index, parameter in enumerate(self.parameters):
            if parameter.kind == "keyword_only" and not {"keyword_only", "var_positional"} & set(kinds[:index]):
                parts.append("*")
            parts.append(parameter.source(constraints=constraints, quote=quote))
            if parameter.kind == "positional_only" and kinds[index + 1 : index + 2] != ["positional_only"]:
                parts.append("/")
        return f"{self.name}({', '.join(parts)}) -> {self.returns.render()}"

    def bind(self, args: Sequence[object], kwargs: Mapping[str, object]) -> BoundCall:
        """Validate a call's arguments and coerce them to their types.

        Raises:
            InvalidCall: They do not fit; the message tells the model how to repair the call.
            ToolFailed: A validator of the tool itself is broken.
        """
        try:
            positional, keyword = self._arguments(tuple(args), dict(kwargs))
        except ValidationError as error:
            raise InvalidCall(f"{explain(error, self, args, kwargs)}\nSignature: {self.signature()}") from None
        except RecursionError:
            raise InvalidCall(f"{self.qualified}(): an argument is nested too deeply.") from None
        except CodeActError:
            raise
        except Exception as error:
            raise ToolFailed(
                f"{self.qualified} failed while it checked its arguments: {type(error).__name__}"
            ) from error
        return BoundCall(positional, keyword, self._by_name(positional, keyword))

    def rebind(self, arguments: Mapping[str, object]) -> BoundCall:
        """`bind` for arguments that somebody gave by name, in place of an action's own."""
        args: list[object] = []
        kwargs = dict(arguments)
        for parameter in self.parameters:
            if parameter.name not in kwargs:
                continue
            if parameter.kind == "positional_only":
                args.append(kwargs.pop(parameter.name))
            elif parameter.kind == "var_positional":
                args.extend(cast("Sequence[object]", kwargs.pop(parameter.name)))
        return self.bind(args, kwargs)

    def check_argument(self, name: str, value: object) -> None:
        """Validate one argument alone, before there is a call.

        Raises:
            InvalidCall: It does not fit, with the same words as in `bind`.
            KeyError: No such parameter.
        """
        try:
            self._argument_validators[name]((value,), {})
        except ValidationError as error:
            raise InvalidCall(explain(error, self, [], {}, single=name, value=value)) from None

    def check_result(self, value: object) -> Any:
        """Validate what the tool returned, and coerce it to what it promised.

        Raises:
            InvalidResult: It is something else; the message is for the tool's developer.
        """
        return self._checked(value, "returned")

    def check_item(self, value: object) -> Any:
        """Validate one item of what the tool yields.

        Raises:
            InvalidResult: It is something else.
        """
        return self._checked(value, "yielded")

    def prepare(self) -> None:
        """Build the validators now instead of at the first call.

        Raises:
            DefinitionError: An annotation has a condition that cannot be checked.
        """
        _ = self._arguments, self._result

    def _checked(self, value: object, verb: str) -> Any:
        try:
            checked = self._result((value,), {})[0][0]
            return conform(checked) if self._has_records else checked
        except ValidationError as error:
            text = explain(error, self, [], {}, single="result", value=value)
            raise InvalidResult(f"{text} ({self.location} {verb} {type(value).__name__})") from None
        except Misfit as misfit:
            text = explain(misfit.error, self, [], misfit.fields, below=f"result{misfit.path}")
            raise InvalidResult(f"{text} ({self.location} {verb} {type(value).__name__})") from None
        except RecursionError:
            raise InvalidResult(f"{self.qualified}(): the result is nested too deeply.") from None

    @cached_property
    def _arguments(self) -> Validator:
        return build_validator(self._model_signature(), owner=self._owner, strict=self.strict, closed=True)

    @cached_property
    def _result(self) -> Validator:
        signature = inspect.Signature([inspect.Parameter("result", _POSITIONAL, annotation=self.return_annotation)])
        return build_validator(signature, owner=f"{self._owner}: return type", strict=self.strict)

    @cached_property
    def _argument_validators(self) -> dict[str, Validator]:
        found = {}
        for parameter in self.parameters:
            each = inspect.Parameter(parameter.name, _POSITIONAL, annotation=self.hints[parameter.name])
            signature = inspect.Signature([each])
            found[parameter.name] = build_validator(signature, owner=self._owner, strict=self.strict, closed=True)
        return found

    @cached_property
    def _has_records(self) -> bool:
        """Whether a result may hold objects whose fields have to be looked at."""
        open_ended = (Name("Any"), Name("object"))
        return bool(self.returns.references()) or any(each in open_ended for each in self.returns.walk())

    def _model_signature(self) -> inspect.Signature:
        hidden = {each.parameter for each in self.injections}
        kept = []
        for name, parameter in self.call_signature.parameters.items():
            if name in hidden or name not in self.hints:
                continue
            kept.append(parameter.replace(annotation=self.hints[name]))
        return inspect.Signature(kept)

    def _by_name(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        names, variadic = self._positional_names
        arguments = dict(zip(names, args, strict=False))
        if variadic:
            arguments[variadic] = args[len(names) :]
        if kwargs:
            arguments.update(kwargs)
        return arguments

    @cached_property
    def _positional_names(self) -> tuple[tuple[str, ...], str]:
        positional = ("positional_only", "positional_or_keyword")
        names = tuple(each.name for each in self.parameters if each.kind in positional)
        return names, next((each.name for each in self.parameters if each.kind == "var_positional"), "")

    @property
    def _owner(self) -> str:
        return f"{self.location}: {self.declared_name or self.name}()"


_POSITIONAL: Final = inspect.Parameter.POSITIONAL_ONLY
