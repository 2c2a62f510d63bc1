"""Values that stand in an action's source, and are therefore known before it runs."""

from __future__ import annotations

import ast
import datetime
import decimal
import fractions
import pathlib
import uuid
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Final

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from ..repair import explain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..signatures import TypeDef
    from ..specs import ToolSpec
    from .names import Scope
    from .source import Source

_HARMLESS: Final = frozenset(
    {
        datetime.date, datetime.datetime, datetime.time, datetime.timedelta, decimal.Decimal, fractions.Fraction,
        uuid.UUID, pathlib.Path, pathlib.PurePath, pathlib.PurePosixPath,
    }
)  # fmt: skip
"""Classes of the standard library whose constructors do nothing but make a value."""

_READERS: Final = frozenset({"fromisoformat", "fromtimestamp"})
_LARGEST: Final = 1 << 53


class NotLiteralError(Exception):
    """The value is known only when the action runs."""


class MalformedError(Exception):
    """A constructor refuses its literal arguments, so the action would fail there."""

    def __init__(self, node: ast.Call, reason: str | ValidationError, value: object = None) -> None:
        super().__init__(str(reason))
        self.node: ast.expr = node
        self._call = node
        self._reason = reason
        self._value = value
        if isinstance(reason, ValidationError):
            self.node = _place(node, reason.errors(include_url=False)[0]["loc"][1:])

    def told(self) -> str:
        """What is wrong, where the value is for no tool."""
        reason = self._reason
        if isinstance(reason, ValidationError):
            reason = f"it must be {reason.errors(include_url=False)[0].get('ctx', {}).get('expected', 'another value')}"
        return f"`{ast.unparse(self._call)}` is not possible: {reason}."

    def explain(self, spec: ToolSpec) -> str:
        """What is wrong, in the host's words for a call of ``spec``."""
        if isinstance(self._reason, ValidationError):
            name = ast.unparse(self._call.func)
            text = explain(self._reason, spec, (), {}, single=name, value=self._value)
            return one_line(text.removeprefix(f"{spec.qualified}():"))
        return self.told()


class Literals:
    """Evaluates literals, members of enums, and constructors of known types with literal arguments."""

    def __init__(self, scope: Scope, constants: Mapping[str, ast.expr]) -> None:
        self._scope = scope
        self._constants = constants

    def value(self, node: ast.expr) -> Any:
        """The value of ``node``.

        Raises:
            NotLiteralError: It is not a literal.
            MalformedError: It is a literal that cannot exist, such as the 30th of February.
        """
        match node:
            case ast.Constant(value=value) if value is not ...:
                return value
            case ast.List(elts=items):
                return [self.value(item) for item in items]
            case ast.Tuple(elts=items):
                return tuple(self.value(item) for item in items)
            case ast.Set(elts=items):
                return self._hashed(lambda: {self.value(item) for item in items})
            case ast.Dict(keys=keys, values=values):
                return self._hashed(
                    lambda: {self._key(key): self.value(value) for key, value in zip(keys, values, strict=True)}
                )
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                return self._signed(node.op, self.value(operand))
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult(), right=right):
                return self._computed(node.op, self.value(left), self.value(right))
            case ast.Name(id=name) if name in self._constants and self._constants[name].lineno < node.lineno:
                return self.value(self._constants[name])
            case ast.Attribute(value=owner, attr=name):
                return self._member(owner, name)
            case ast.Call():
                return self._constructed(node)
            case _:
                raise NotLiteralError

    def _key(self, node: ast.expr | None) -> Any:
        if node is None:
            raise NotLiteralError
        return self.value(node)

    @staticmethod
    def _hashed(make: Any) -> Any:
        try:
            return make()
        except TypeError:
            raise NotLiteralError from None

    @staticmethod
    def _signed(operator: ast.unaryop, value: Any) -> Any:
        if type(value) not in (int, float):
            raise NotLiteralError
        return -value if isinstance(operator, ast.USub) else value

    @staticmethod
    def _computed(operator: ast.operator, left: Any, right: Any) -> Any:
        if any(type(value) not in (int, float) or abs(value) > _LARGEST for value in (left, right)):
            raise NotLiteralError
        if isinstance(operator, ast.Add):
            return left + right
        return left - right if isinstance(operator, ast.Sub) else left * right

    def _member(self, owner: ast.expr, name: str) -> Any:
        definition = self._scope.type(owner)
        if definition is not None and definition.kind == "enum" and name in dict(definition.members):
            return getattr(definition.python, name)
        raise NotLiteralError

    def _constructed(self, node: ast.Call) -> Any:
        if any(keyword.arg is None for keyword in node.keywords) or any(isinstance(a, ast.Starred) for a in node.args):
            raise NotLiteralError
        reader = node.func.attr if isinstance(node.func, ast.Attribute) and node.func.attr in _READERS else None
        owner = node.func.value if reader and isinstance(node.func, ast.Attribute) else node.func
        definition = self._scope.type(owner)
        if definition is None:
            raise NotLiteralError
        args = [self.value(argument) for argument in node.args]
        keywords = {keyword.arg or "": self.value(keyword.value) for keyword in node.keywords}
        if definition.kind == "import":
            return self._standard(node, definition, reader, args, keywords)
        if reader:
            raise NotLiteralError
        return self._defined(node, definition, args, keywords)

    @staticmethod
    def _standard(
        node: ast.Call, definition: TypeDef, reader: str | None, args: list[Any], keywords: dict[str, Any]
    ) -> Any:
        if definition.python not in _HARMLESS:
            raise NotLiteralError
        make = getattr(definition.python, reader) if reader else definition.python
        try:
            return make(*args, **keywords)
        except (ValueError, OverflowError, ArithmeticError) as error:
            reason = "not a number" if isinstance(error, ArithmeticError) else str(error)
            raise MalformedError(node, reason) from None
        except (TypeError, AttributeError):
            raise NotLiteralError from None  # a wrong type: the type check says it better

    def _defined(self, node: ast.Call, definition: TypeDef, args: list[Any], keywords: dict[str, Any]) -> Any:
        match definition.kind:
            case "enum" if len(args) == 1 and not keywords:
                return self._validated(node, definition, args[0])
            case "alias" if len(args) == 1 and not keywords:
                return args[0]
            case "record" | "namedtuple" | "typeddict" if definition.kind != "typeddict" or not args:
                fields = [field.name for field in definition.fields if field.init and not field.kw_only]
                if len(args) > (len(fields) if definition.positional or definition.kind == "namedtuple" else 0):
                    raise NotLiteralError
                return self._validated(node, definition, {**dict(zip(fields, args, strict=False)), **keywords})
            case _:
                raise NotLiteralError

    @staticmethod
    def _validated(node: ast.Call, definition: TypeDef, value: Any) -> Any:
        try:
            named = {ast.unparse(node.func): value}  # so that the error's location begins with the class
            shape: Any = GenericAlias(dict, (str, definition.python))
            (made,) = TypeAdapter[dict[str, Any]](shape).validate_python(named, by_name=True).values()
        except ValidationError as error:
            raise MalformedError(node, error, value) from None
        except (PydanticUserError, TypeError):
            raise NotLiteralError from None
        return made


def one_line(text: object) -> str:
    """A list of problems as sentences on one line."""
    return " ".join(line.removeprefix("- ") for line in str(text).strip().split("\n"))


def _place(node: ast.Call, path: tuple[int | str, ...]) -> ast.expr:
    """The argument that the first step of ``path`` names, else the whole call."""
    for keyword in node.keywords:
        if path and keyword.arg == path[0]:
            return keyword.value
    return node


def constants_of(source: Source) -> dict[str, ast.expr]:
    """Names that an action binds exactly once, at its top level, to an immutable literal."""
    stores: dict[str, int] = {}
    for node in source.nodes:
        names: tuple[str, ...] = ()
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                names = (name,)
            case ast.Global(names=several) | ast.Nonlocal(names=several):
                names = tuple(several)
            case _:
                continue
        for name in names:
            stores[name] = stores.get(name, 0) + 1
    found = {}
    for statement in source.tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
            if isinstance(target, ast.Name) and stores[target.id] == 1 and _is_immutable(value):
                found[target.id] = value
    return found


def _is_immutable(node: ast.expr) -> bool:
    return not any(
        isinstance(each, ast.List | ast.Dict | ast.Set | ast.Name) for each in ast.walk(node)
    ) and isinstance(node, ast.Constant | ast.UnaryOp | ast.Attribute)
