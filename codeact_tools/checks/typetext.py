"""Types as `ty` writes them in its messages, and whether a value of one can pass for another.

A type checker refuses what it cannot prove right. An action is refused only for what is surely wrong, so each pair of
types that a message names is looked at again here: a union that may hold the right member, a ``list[int]`` where
``list[float]`` is asked for, a text that the host reads as a date are all let through.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..signatures import TypeDef

_OPEN: Final = frozenset({"Unknown", "Any", "object", "Divergent", "Never", "Todo", "Self"})
_ABSTRACT: Final = frozenset(
    {
        "Sequence", "Iterable", "Collection", "Container", "Mapping", "MutableMapping", "MutableSequence", "Set",
        "AbstractSet", "MutableSet", "Buffer", "IO", "TextIO", "BinaryIO", "Hashable", "Sized",
    }
)  # fmt: skip
"""Types that stubs write for parameters and results whose values can do more."""
_SEQUENCES: Final = frozenset({"list", "tuple", "set", "frozenset", "deque"})
_COLLECTIONS: Final = frozenset(
    {*_SEQUENCES, "Sequence", "Iterable", "Collection", "MutableSequence", "Set", "MutableSet"}
)
_MAPPINGS: Final = frozenset({"dict", "Mapping", "MutableMapping", "defaultdict", "OrderedDict", "Counter"})
_ONE_BY_ONE: Final = frozenset({"list", "set", "frozenset", "deque", "GeneratorType", "Generator", "map", "filter"})
_READ_FROM: Final[Mapping[str, frozenset[str]]] = {
    "float": frozenset({"int", "bool", "Decimal", "Fraction"}),
    "int": frozenset({"bool"}),
    "bool": frozenset({"int"}),
    "complex": frozenset({"int", "float", "bool"}),
    "date": frozenset({"str", "datetime"}),
    "datetime": frozenset({"str", "date"}),
    "time": frozenset({"str"}),
    "timedelta": frozenset({"str", "int", "float"}),
    "Decimal": frozenset({"str", "int", "float"}),
    "Fraction": frozenset({"str", "int", "float", "Decimal"}),
    "UUID": frozenset({"str"}),
    "Path": frozenset({"str"}),
    "PurePath": frozenset({"str"}),
    "PurePosixPath": frozenset({"str"}),
    "Pattern": frozenset({"str"}),
    "bytes": frozenset({"str", "bytearray"}),
}
"""Types that the host makes of others when it validates an argument."""


_EXCLUDED: Final = re.compile(r" & ~[\w.]+(?:\[[^\[\]]*\])?")
_TICKED: Final = re.compile(r"`([^`]*)`")
_BARE: Final = re.compile(r"(?<![\w\]])\((\w+)\)")


def options(text: str) -> list[str]:
    """The members of a union; the type itself where it is none."""
    parts, depth, start, quoted = [], 0, 0, ""
    for position, sign in enumerate(text):
        if quoted:
            quoted = "" if sign == quoted and text[position - 1] != "\\" else quoted
        elif sign in "\"'":
            quoted = sign
        elif sign in "[(<":
            depth += 1
        elif sign in "])" or (sign == ">" and text[position - 1 : position] != "-"):
            depth -= 1
        elif sign == "|" and not depth:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()]


def ticked(message: str) -> list[str]:
    """What a message has between backticks: types, names and operators."""
    return _TICKED.findall(message)


def revealed(message: str) -> str:
    """The type in an answer to ``reveal_type``, and the first of what any message has between backticks."""
    found = _TICKED.search(message)
    return found[1] if found else ""


def is_inferred(message: str) -> bool:
    """Whether an answer to ``reveal_type`` names a type, rather than one that nothing is known of."""
    return bool(message) and not any(is_open(each) for each in options(revealed(message)))


def narrowed(message: str) -> str:
    """A message without what values are known not to be: ``Order & ~AlwaysFalsy`` is an ``Order``."""
    return _BARE.sub(r"\1", _EXCLUDED.sub("", message))


def is_certain(text: str) -> bool:
    """Whether `ty` knows exactly one class for the value: no union, nothing unknown in it."""
    vague = head(text) in _OPEN | _ABSTRACT or any(
        sign in text for sign in ("&", "Top[", "Self@", "@Todo", "TypeVar", "special-form", "<class", "~")
    )
    return len(options(text)) == 1 and not vague


def is_open(text: str) -> bool:
    """Whether nothing is known of a value of that type, or only what it is not."""
    return head(text.partition(" & ")[0].lstrip("(")) in _OPEN or "@Todo" in text


def element(text: str) -> str:
    """The type of what a loop over a value of that type gives; empty where that is not known."""
    tree = _tree(text)
    if not isinstance(tree, ast.Subscript):
        return ""
    arguments, name = _elements(tree.slice), head(text)
    if name == "dict_values" and len(arguments) == 2:
        return ast.unparse(arguments[1])
    return ast.unparse(arguments[0]) if name in _ONE_BY_ONE else ""


def head(text: str) -> str:
    """The class of a type, without arguments: ``list`` of ``list[int]``, ``str`` of ``Literal["a"]``."""
    text = text.strip().rstrip("*")
    tree = _tree(text)
    if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name) and tree.value.id == "Literal":
        values = {_literal_class(each) for each in _elements(tree.slice)}
        return values.pop() if len(values) == 1 else "Unknown"
    return text.partition("[")[0].rpartition(".")[2] if tree is not None else text


def plain(text: str) -> str:
    """The type as a model would write it: a literal as its class, checker's notation removed."""
    members = [_plain_one(each) for each in options(text)]
    return " | ".join(dict.fromkeys(members))


def is_coroutine(text: str) -> bool:
    """Whether the type is that of a coroutine, which has to be awaited."""
    return text.startswith(("CoroutineType[", "Coroutine["))


class Compatibility:
    """Whether the host may accept a value of one type as an argument of another."""

    def __init__(self, types: Mapping[str, TypeDef]) -> None:
        self._types = types

    def possible(self, found: str, expected: str) -> bool:
        """Whether any value of type ``found`` could pass validation as ``expected``."""
        return any(
            self._one(_tree(have), _tree(want), have, want) for have in options(found) for want in options(expected)
        )

    def _one(self, have: ast.expr | None, want: ast.expr | None, found: str, expected: str) -> bool:
        have_name, want_name = head(found), head(expected)
        if have_name in _OPEN or want_name in _OPEN or have is None or want is None:
            return "Coroutine" not in found
        if isinstance(want, ast.Subscript) and want_name in {"str", "int", "bytes", "bool"}:
            return self._in_literal(have, want, have_name, want_name)
        if have_name == want_name or have_name in _READ_FROM.get(want_name, ()):
            return self._arguments(have, want)
        if want_name in _COLLECTIONS and have_name in _SEQUENCES:
            return self._elements_fit(have, want)
        if want_name in _MAPPINGS and have_name in _MAPPINGS:
            return self._arguments(have, want)
        return self._catalog(have_name, want_name)

    def _catalog(self, have: str, want: str) -> bool:
        wanted, given = self._types.get(want), self._types.get(have)
        if wanted is None:
            return False
        match wanted.kind:
            case "enum":
                return have in {type(value).__name__ for _, value in wanted.members}
            case "record" | "typeddict":
                return have in _MAPPINGS or (given is not None and given.kind == "typeddict")
            case "namedtuple":
                return have in {*_MAPPINGS, "tuple", "list"}
            case "alias" if wanted.target is not None:
                return self.possible(have, wanted.target.render())
            case _:
                return False

    @staticmethod
    def _in_literal(have: ast.expr, want: ast.Subscript, have_name: str, want_name: str) -> bool:
        if isinstance(want.value, ast.Name) and want.value.id != "Literal":
            return True
        if not isinstance(have, ast.Subscript):
            return have_name == want_name
        allowed = {ast.dump(each) for each in _elements(want.slice)}
        return any(ast.dump(each) in allowed for each in _elements(have.slice))

    def _arguments(self, have: ast.expr, want: ast.expr) -> bool:
        if not isinstance(have, ast.Subscript) or not isinstance(want, ast.Subscript):
            return True
        given, wanted = _elements(have.slice), _elements(want.slice)
        if len(given) != len(wanted):
            return True
        return all(self.possible(ast.unparse(one), ast.unparse(two)) for one, two in zip(given, wanted, strict=True))

    def _elements_fit(self, have: ast.expr, want: ast.expr) -> bool:
        if not isinstance(have, ast.Subscript) or not isinstance(want, ast.Subscript):
            return True
        wanted = ast.unparse(_elements(want.slice)[0])
        return any(self.possible(ast.unparse(each), wanted) for each in _elements(have.slice))


def _tree(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip().rstrip("*"), mode="eval").body
    except SyntaxError:
        return None


def _elements(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _literal_class(node: ast.expr) -> str:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    if isinstance(node, ast.Constant):
        return type(node.value).__name__
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.value.id
    return "Unknown"


def _plain_one(text: str) -> str:
    if text.startswith("Literal["):
        return head(text)
    if text.startswith("CoroutineType["):
        return "coroutine"
    if text.startswith("def "):
        return "function"
    return text.rstrip("*").replace("Unknown", "Any")
