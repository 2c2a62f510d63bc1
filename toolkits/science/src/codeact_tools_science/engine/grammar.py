"""The language of expressions: numbers, names, calls, ``+ - * / ^ ** !``, brackets, and one ``=`` in an equation.

It is a grammar of arithmetic, not a part of Python's: attributes, subscripts, strings, lambdas and keywords cannot be
written in it, so there is nothing to forbid, and nothing of a model's text is ever evaluated by Python. A number or a
bracket before a name multiplies it: ``3 kg``, ``2x``. Where people would read that in two ways (``1 / 2 s``), it is
refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from .faults import unsupported

LONGEST: Final = 1000
"""Characters of an expression."""
DEEPEST: Final = 40
"""Brackets, signs and powers within one another."""
MOST_DIGITS: Final = 50
LARGEST_EXPONENT: Final = 400
"""Of a number such as ``6.02e23``."""

Operator = Literal["+", "-", "*", "/", "^"]


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal number, as it is written."""

    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, a constant or a unit."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function of its arguments."""

    name: str
    arguments: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Negation:
    """Minus something."""

    operand: Node
    at: int


@dataclass(frozen=True, slots=True)
class Operation:
    """Two operands and what stands between them."""

    operator: Operator
    left: Node
    right: Node
    at: int


Node = Number | Name | Call | Negation | Operation


class Equation(NamedTuple):
    """Both sides; an expression alone is equal to zero."""

    left: Node
    right: Node | None


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKENS: Final = re.compile(
    r"(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>%|[A-Za-zµμΩΩ°ÅΔ][A-Za-z0-9_µμΩΩ°ÅΔ]*)"
    r"|(?P<operator>\*\*|==|[-+*/^!=(),·×÷−])"  # noqa: RUF001 - as people paste them
    r"|(?P<space>[ \t\n]+)"
)
_PLAIN: Final = {"**": "^", "·": "*", "×": "*", "÷": "/", "−": "-", "==": "="}  # noqa: RUF001
_END: Final = "the end"


def parse(text: str, *, units: bool = False) -> Node:
    """Read an expression.

    Args:
        text: The expression.
        units: Whether a space between two names multiplies them: ``kg m``.

    Raises:
        Fault: ``UnsupportedExpression``, with the position.
    """
    left, right = _Parser(text, units=units).equation()
    if right is not None:
        raise unsupported(f"{text!r} is an equation; write an expression without '='", text.index("="))
    return left


def parse_equation(text: str) -> Equation:
    """Read an equation, or an expression that is to be zero.

    Raises:
        Fault: ``UnsupportedExpression``, with the position.
    """
    return _Parser(text).equation()


def names_in(*nodes: Node | None) -> list[str]:
    """The names of variables in the order in which they stand, each once; functions are not among them."""
    found: dict[str, None] = {}
    pending = [node for node in reversed(nodes) if node is not None]
    while pending:
        match pending.pop():
            case Name(name):
                found[name] = None
            case Call(_, arguments):
                pending.extend(reversed(arguments))
            case Negation(operand):
                pending.append(operand)
            case Operation(_, left, right):
                pending.extend((right, left))
            case Number():
                pass
    return list(found)


class _Parser:
    """Operator precedence by recursive descent; `DEEPEST` bounds the recursion."""

    def __init__(self, text: str, *, units: bool = False) -> None:
        if len(text) > LONGEST:
            raise unsupported(f"the expression has {len(text)} characters; at most {LONGEST} are read", LONGEST)
        self._text = text
        self._units = units
        self._tokens = list(_tokens(text))
        self._index = 0
        self._depth = 0

    def equation(self) -> Equation:
        left = self._sum()
        right = self._sum() if self._take("=") else None
        if self._next.kind != "end":
            raise self._unexpected()
        return Equation(left, right)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._index]

    def _take(self, *texts: str) -> _Token | None:
        token = self._next
        if token.kind != "operator" or token.text not in texts:
            return None
        self._index += 1
        return token

    def _sum(self) -> Node:
        node = self._product()
        while token := self._take("+", "-"):
            node = Operation("+" if token.text == "+" else "-", node, self._product(), token.at)
        return node

    def _product(self) -> Node:
        node, divided = self._signed(), False
        while True:
            token = self._next
            if taken := self._take("*", "/"):
                divided = taken.text == "/"
                right = self._divisor(node) if divided else self._signed()
                node = Operation("/" if divided else "*", node, right, token.at)
            elif token.kind in ("name", "number") or token.text == "(":
                if divided:
                    raise unsupported(
                        f"{token.text!r} without an operator after a division can be read in two ways; "
                        "write brackets or '*': 'J/(kg*K)' or '1/2 * m'",
                        token.at,
                    )
                if token.kind == "number" or (isinstance(node, Name) and not self._units):
                    raise unsupported(f"an operator is missing before {token.text!r}", token.at)
                node = Operation("*", node, self._power(), token.at)
            else:
                return node

    def _divisor(self, dividend: Node) -> Node:
        """What stands behind a division: in ``100 km / 2 h``, after a dividend with a unit, number and unit."""
        node, unit = self._signed(), self._next
        if self._units and isinstance(node, Number) and unit.kind == "name" and names_in(dividend):
            return Operation("*", node, self._power(), unit.at)
        return node

    def _signed(self) -> Node:
        if token := self._take("-", "+"):
            self._enter(token)
            operand = self._signed()
            self._depth -= 1
            return Negation(operand, token.at) if token.text == "-" else operand
        return self._power()

    def _power(self) -> Node:
        node = self._atom()
        while token := self._take("!"):
            node = Call("factorial", (node,), token.at)
        if token := self._take("^"):
            self._enter(token)
            node = Operation("^", node, self._signed(), token.at)
            self._depth -= 1
        return node

    def _atom(self) -> Node:
        token = self._next
        self._index += 1
        match token.kind:
            case "number":
                return Number(token.text, token.at)
            case "name":
                if self._next.text == "(":
                    return Call(token.text, self._arguments(), token.at)
                return Name(token.text, token.at)
        self._index -= 1
        if (opening := self._take("(")) is None:
            raise self._unexpected()
        self._enter(opening)
        node = self._sum()
        self._close(opening)
        self._depth -= 1
        return node

    def _arguments(self) -> tuple[Node, ...]:
        opening = self._next
        self._index += 1
        self._enter(opening)
        arguments = [self._sum()]
        while self._take(","):
            arguments.append(self._sum())
        self._close(opening)
        self._depth -= 1
        return tuple(arguments)

    def _close(self, opening: _Token) -> None:
        if self._take(")") is None:
            if self._next.kind == "end":
                raise unsupported("this '(' is never closed", opening.at)
            raise self._unexpected()

    def _enter(self, token: _Token) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise unsupported(f"the expression is nested more than {DEEPEST} levels deep", token.at)

    def _unexpected(self) -> Exception:
        token = self._next
        if token.kind == "end":
            return unsupported("the expression ends too early" if self._text.strip() else "it is empty", token.at)
        return unsupported(f"{token.text!r} is not expected here, after {self._text[: token.at][-20:]!r}", token.at)


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None:
            raise unsupported(
                f"{text[at]!r} cannot stand in an expression; it has numbers, names, functions such as "
                "sqrt(x), the operators + - * / ^ and round brackets",
                at,
            )
        kind = match.lastgroup or ""
        if kind == "number":
            _check_number(match[0], at)
        if kind != "space":
            tokens.append(_Token(kind, _PLAIN.get(match[0], match[0]), at))
        at = match.end()
    return [*tokens, _Token("end", _END, len(text))]


def _check_number(text: str, at: int) -> None:
    mantissa, _, exponent = text.lower().partition("e")
    if len(mantissa) > MOST_DIGITS:
        raise unsupported(f"a number with {len(mantissa)} digits is too long; at most {MOST_DIGITS}", at)
    if exponent and abs(int(exponent)) > LARGEST_EXPONENT:
        raise unsupported(f"the exponent of {text} is out of range; at most {LARGEST_EXPONENT}", at)
