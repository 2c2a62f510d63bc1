"""From a function to its `ToolSpec`: signature, annotations, docstring and options, checked at registration."""

from __future__ import annotations

import builtins
import functools
import inspect
import itertools
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final, NamedTuple, NotRequired, Required, Unpack, get_args, get_origin

import typing_extensions
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .context import Depends, ToolContext
from .definitions import TypeDef
from .docstrings import ParsedDocstring, parse_docstring
from .errors import DefinitionError
from .expressions import UNSET, Constrained, Generic, Ref, TypeExpr, Union
from .naming import identifier
from .records import enclosing_names, resolve_hints
from .signatures import Catalog
from .specs import Injection, Parameter, ParameterKind, Raised, ToolKind, ToolOptions, ToolSpec
from .validation import build_validator
from .vocabulary import STREAMS

OPTIONS: Final = "__codeact_tool__"
"""The attribute in which `tool` leaves its options on a function."""

_KINDS: Final[dict[Any, ParameterKind]] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional_only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional_or_keyword",
    inspect.Parameter.VAR_POSITIONAL: "var_positional",
    inspect.Parameter.KEYWORD_ONLY: "keyword_only",
    inspect.Parameter.VAR_KEYWORD: "var_keyword",
}
_MISSING: Final = inspect.Parameter.empty


def options_of(function: Any) -> ToolOptions | None:
    """What `tool` left on a function, the function of a method, or what a partial wraps."""
    while True:
        found = getattr(function, OPTIONS, None)
        if isinstance(found, ToolOptions):
            return found
        if not isinstance(function, functools.partial):
            return None
        function = function.func


def make_spec(
    function: Callable[..., Any],
    *,
    catalog: Catalog,
    toolkit: str | None = None,
    config: Any = None,
    options: ToolOptions | None = None,
) -> ToolSpec:
    """Make the specification of one tool; its types go into ``catalog``.

    Raises:
        DefinitionError: The function cannot be a tool; the message names it, its file and line, the parameter, and what
            to write instead. ``catalog`` is as it was.
    """
    known = len(catalog.types)
    with catalog.transaction():
        reflection = _Reflection(function, catalog, toolkit, options or options_of(function) or ToolOptions())
        spec = reflection.spec(config)
        _try_validators(spec, list(itertools.islice(catalog.types.values(), known, None)), reflection.owner)
    return spec


def _try_validators(spec: ToolSpec, added: list[TypeDef], owner: str) -> None:
    """Make the validators that may turn out impossible: those of new classes, and of conditions on other classes.

    The others wait for the first call.
    """
    for definition in added:
        if definition.kind in ("record", "typeddict", "namedtuple", "alias"):
            parameter = inspect.Parameter("value", inspect.Parameter.POSITIONAL_ONLY, annotation=definition.python)
            build_validator(inspect.Signature([parameter]), owner=f"{owner}: type {definition.name}", strict=False)
    expressions = [node for each in (*(each.type for each in spec.parameters), spec.returns) for node in each.walk()]
    if any(isinstance(node, Constrained) and isinstance(node.base, Ref | Union) for node in expressions):
        spec.prepare()


def declared_name(function: Any) -> str:
    """The function's own name; that of the class for an instance with ``__call__``."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", None) or type(function).__name__)


def location_of(function: Any) -> str:
    """File and line of a function, ``shop.py:12``; the module where there is no source."""
    code = getattr(inspect.unwrap(_annotated_function(function)), "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    return str(getattr(function, "__module__", None) or type(function).__module__)


def _annotated_function(function: Any) -> Any:
    """The plain function that carries the annotations."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, types.MethodType):
        return function.__func__
    if isinstance(function, types.FunctionType | types.BuiltinFunctionType | type):
        return function
    call = type(function).__call__ if callable(function) else None
    return call if isinstance(call, types.FunctionType) else function


class _Visible(NamedTuple):
    """A parameter on its way into the specification."""

    name: str
    kind: ParameterKind
    hint: Any
    default: object
    has_factory: bool
    doc: str


class _Reflection:
    """Reads one function."""

    def __init__(self, function: Any, catalog: Catalog, toolkit: str | None, options: ToolOptions) -> None:
        self.function = function
        self.catalog = catalog
        self.toolkit = toolkit
        self.options = options
        self.name = options.name or declared_name(function)
        self.location = location_of(function)
        self.owner = f"{self.location}: {self.name}()"
        if isinstance(function, type) or not callable(function):
            raise DefinitionError(f"{self.owner}: {function!r} is not a function; give the registry a function.")
        self.target = _annotated_function(function)
        self.hints: dict[str, Any] = {}
        self.injections: list[Injection] = []

    def spec(self, config: Any) -> ToolSpec:
        signature = self._signature()
        hints = resolve_hints(self.target, owner=self.owner)
        doc = parse_docstring(self._docstring(), deprecated=getattr(self.target, "__deprecated__", None))
        visible = list(self._visible(signature, hints, doc))
        self._check_docs(doc, signature, visible)
        kind, returns, item = self._returns(hints, signature)
        parameters = tuple(self._parameter(each) for each in visible)
        return ToolSpec(
            name=identifier(self.name, owner=self.owner),
            toolkit=self.toolkit,
            function=self.function,
            kind=kind,
            parameters=parameters,
            returns=returns,
            return_annotation=item,
            summary=doc.summary,
            description=doc.description,
            returns_doc=doc.returns,
            raises=tuple(self._raised(doc)),
            examples=doc.examples,
            marks=doc.marks,
            options=self.options,
            config=config,
            declared_name=self.name,
            location=self.location,
            injections=tuple(self.injections),
            call_signature=signature,
            hints=self.hints,
        )

    def _signature(self) -> inspect.Signature:
        try:
            return inspect.signature(self.function)
        except (TypeError, ValueError) as error:
            raise DefinitionError(
                f"{self.owner}: Python does not know its signature; wrap it in a function with annotations."
            ) from error

    def _docstring(self) -> str | None:
        own = self.target.__doc__
        if own is None and self.target is not self.function and not isinstance(self.function, types.MethodType):
            inner = self.function.func if isinstance(self.function, functools.partial) else self.function
            return inner.__doc__ if isinstance(inner, types.FunctionType) else type(inner).__doc__
        return str(own) if own else None

    def _visible(
        self, signature: inspect.Signature, hints: Mapping[str, Any], doc: ParsedDocstring
    ) -> Iterable[_Visible]:
        bound = _bound_keywords(self.function)
        for name, parameter in signature.parameters.items():
            hint = hints.get(name, _MISSING)
            if name in bound:
                continue
            if (injection := _injection(name, hint)) is not None:
                self.injections.append(injection)
                continue
            if hint is _MISSING:
                raise DefinitionError(
                    f"{self._parameter_owner(name)} has no annotation; write its type, e.g. '{name}: str'."
                )
            self.hints[name] = hint
            if (unpacked := _unpacked(hint)) is not None:
                yield from self._expanded(unpacked, doc)
                continue
            yield self._one(name, parameter, hint, doc)

    def _one(self, name: str, parameter: inspect.Parameter, hint: Any, doc: ParsedDocstring) -> _Visible:
        default, has_factory, described = parameter.default, False, ""
        infos = (
            [each for each in get_args(hint)[1:] if isinstance(each, FieldInfo)]
            if get_origin(hint) is Annotated
            else []
        )
        if isinstance(default, FieldInfo):
            infos.append(default)
            hint = self.hints[name] = Annotated[hint, default]
            default = default.default
        for info in infos:
            described = info.description or described
            has_factory = has_factory or info.default_factory is not None
            if (
                info.default is not PydanticUndefined
                and info.default is not ...
                and default in (_MISSING, PydanticUndefined)
            ):
                default = info.default
        if default is _MISSING or default is PydanticUndefined or default is ...:
            default = UNSET
        if default is None and not _accepts_none(hint):
            hint = self.hints[name] = typing.Optional[hint]  # noqa: UP045
        text = doc.parameters.get(name, "") or " ".join(described.split())
        return _Visible(name, _KINDS[parameter.kind], hint, default, has_factory and default is UNSET, text)

    def _expanded(self, unpacked: Any, doc: ParsedDocstring) -> Iterable[_Visible]:
        """The keys of ``**kwargs: Unpack[SomeTypedDict]`` as keyword parameters."""
        cls = get_origin(unpacked) or unpacked
        for name, annotation in resolve_hints(cls, owner=self.owner).items():
            required = name in cls.__required_keys__
            hint = annotation
            while (origin := get_origin(hint)) in (Required, NotRequired, typing_extensions.ReadOnly):
                required = origin is Required or (required and origin is not NotRequired)
                hint = get_args(hint)[0]
            self.hints.setdefault(name, hint)
            yield _Visible(name, "keyword_only", hint, UNSET, not required, doc.parameters.get(name, ""))

    def _parameter(self, visible: _Visible) -> Parameter:
        owner = self._parameter_owner(visible.name)
        expression = self.catalog.expression(visible.hint, owner=owner, toolkit=self.toolkit)
        self._refuse_streams(expression, owner)
        return Parameter(
            name=visible.name,
            kind=visible.kind,
            type=expression,
            default=visible.default,
            has_factory=visible.has_factory,
            doc=visible.doc,
        )

    def _refuse_streams(self, expression: TypeExpr, owner: str) -> None:
        if any(isinstance(node, Generic) and node.origin in STREAMS for node in expression.walk()):
            raise DefinitionError(f"{owner}: an iterator cannot cross to the tool; write 'list' or 'Iterable'.")

    def _returns(self, hints: Mapping[str, Any], signature: inspect.Signature) -> tuple[ToolKind, TypeExpr, Any]:
        """The kind of the tool, its return type, and what each result or item is validated against."""
        hint = hints.get("return", _MISSING)
        if hint is _MISSING and signature.return_annotation is not _MISSING:
            hint = signature.return_annotation
        owner = f"{self.owner}: the return type"
        if hint is _MISSING:
            raise DefinitionError(f"{self.owner} has no return annotation; write what it returns, e.g. '-> None'.")
        expression = self.catalog.expression(hint, owner=owner, toolkit=self.toolkit)
        if not isinstance(expression, Generic) or expression.origin not in STREAMS:
            self._refuse_inner_streams(expression, owner)
            return ("coroutine" if self._is_async() else "function"), expression, hint
        is_async = expression.origin == "AsyncIterator"
        item = (get_args(hint) or (Any,))[0]
        return ("async_generator" if is_async else "generator"), expression, item

    def _refuse_inner_streams(self, expression: TypeExpr, owner: str) -> None:
        if inspect.isgeneratorfunction(self.target) or inspect.isasyncgenfunction(self.target):
            wanted = "AsyncIterator" if inspect.isasyncgenfunction(self.target) else "Iterator"
            raise DefinitionError(f"{owner} of a generator must be '{wanted}[...]', not {expression.render()!r}.")
        if any(isinstance(node, Generic) and node.origin in STREAMS for node in expression.walk()):
            raise DefinitionError(f"{owner}: an iterator inside another type is not supported; write 'list'.")

    def _is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.target)

    def _check_docs(self, doc: ParsedDocstring, signature: inspect.Signature, visible: list[_Visible]) -> None:
        known = {*signature.parameters, *(each.name for each in visible)}
        if any(each.kind == "var_keyword" for each in visible):
            return
        for name in doc.parameters:
            if name not in known:
                near = get_close_matches(name, sorted(known), n=1)
                hint = f"did you mean {near[0]!r}?" if near else "remove it, or add the parameter."
                raise DefinitionError(
                    f"{self.owner}: its docstring describes a parameter {name!r} that it does not have; {hint}"
                )
        for name in doc.repeated:
            raise DefinitionError(f"{self.owner}: its docstring describes {name!r} twice; keep one of them.")

    def _raised(self, doc: ParsedDocstring) -> Iterable[Raised]:
        for written, when in doc.raises:
            found = self._lookup(written)
            if isinstance(found, type) and issubclass(found, Exception):
                definition = self.catalog.exception(found, owner=self.owner, toolkit=self.toolkit)
                yield Raised(name=definition.name, doc=when, exception=found)
            else:
                yield Raised(name=written, doc=when, exception=None)

    def _lookup(self, dotted: str) -> Any:
        first, *rest = dotted.strip("`~").split(".")
        namespace = getattr(inspect.unwrap(self.target), "__globals__", {})
        found = namespace.get(first, getattr(builtins, first, None))
        if found is None:
            found = enclosing_names(self.target).get(first)
        for each in rest:
            found = getattr(found, each, None)
        return found

    def _parameter_owner(self, name: str) -> str:
        return f"{self.owner}: parameter {name!r}"


def _bound_keywords(function: Any) -> set[str]:
    """Parameters that a partial binds by name: the developer decided about them."""
    bound: set[str] = set()
    while isinstance(function, functools.partial):
        bound.update(function.keywords)
        function = function.func
    return bound


def _injection(name: str, hint: Any) -> Injection | None:
    if get_origin(hint) is Annotated:
        for each in get_args(hint)[1:]:
            if isinstance(each, Depends):
                return Injection(name, each)
        hint = get_args(hint)[0]
    if hint is ToolContext or (ToolContext in get_args(hint) and type(None) in get_args(hint)):
        return Injection(name, None)
    return None


def _unpacked(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) in (Unpack, typing_extensions.Unpack) else None


def _accepts_none(hint: Any) -> bool:
    if hint in (None, type(None), Any, object):
        return True
    origin = get_origin(hint)
    if origin is Annotated:
        return _accepts_none(get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return any(_accepts_none(each) for each in get_args(hint))
    if origin is typing.Literal:
        return None in get_args(hint)
    value = getattr(origin or hint, "__value__", getattr(hint, "__supertype__", _MISSING))
    return isinstance(hint, typing.TypeVar) or (value is not _MISSING and _accepts_none(value))
