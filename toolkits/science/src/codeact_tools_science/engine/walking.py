"""From a tree to a value: what a name, a function and an operator mean is up to a vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from .faults import Fault, nearest, unsupported
from .grammar import Call, Name, Negation, Node, Number, Operation

V = TypeVar("V")


class Vocabulary(Protocol[V]):
    """What values there are, and how to compute with them."""

    functions: Mapping[str, Callable[..., V]]

    def number(self, text: str) -> V:
        """The value of a decimal number."""
        ...

    def name(self, name: str, at: int, /) -> V:
        """The value of a name; a `Fault` where it has none."""
        ...

    def operate(self, operator: str, left: V, right: V, at: int, /) -> V:
        """Add, subtract, multiply, divide or raise; ``operator`` is one of ``+ - * / ^``."""
        ...


class Walk(Generic[V]):
    """Evaluates trees in one vocabulary."""

    def __init__(self, vocabulary: Vocabulary[V]) -> None:
        self._words = vocabulary

    def __call__(self, node: Node) -> V:
        """Evaluate ``node``.

        Raises:
            Fault: A name or a function is not known, or the vocabulary refuses an operation.
        """
        match node:
            case Number(text):
                return self._words.number(text)
            case Name(name, at):
                return self._words.name(name, at)
            case Negation(operand, at):
                return self._words.operate("*", self._words.number("-1"), self(operand), at)
            case Operation(operator, left, right, at):
                return self._words.operate(operator, self(left), self(right), at)
            case Call(name, arguments, at):
                return self._call(name, [self(argument) for argument in arguments], at)

    def _call(self, name: str, arguments: list[V], at: int) -> V:
        function: Callable[..., Any] | None = self._words.functions.get(name)
        if function is None:
            hint = nearest(name, self._words.functions) or f"; functions: {', '.join(sorted(self._words.functions))}"
            raise unsupported(f"{name!r} is no function here (a product needs its '*': {name}*(...)){hint}", at)
        try:
            value: V = function(*arguments)
        except Fault as fault:
            if fault.kind == "UnsupportedExpression":
                fault.fields.setdefault("position", at)
            raise
        except TypeError as error:
            raise unsupported(f"{name}() does not take these {len(arguments)} arguments", at) from error
        return value
