"""What a model reads of a registry: each tool as a Python function, each type as its class body, once.

Three tiers: ``full`` with the docs, ``signature`` with one line, ``name`` with one line. A token budget picks them.

    @dataclass(kw_only=True)
    class Order:
        id: str
        total: Decimal  # In euros.

    def search_orders(query: str, limit: Annotated[int, 1 <= limit <= 100] = 20) -> list[Order]:
        \"\"\"Find orders by free text.

        query: Words to look for in customer and item names.
        limit: At most this many, newest first.
        Returns: Matching orders, newest first.
        Raises ShopClosed: The shop's database is in maintenance.
        \"\"\"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from . import vocabulary
from .definitions import TypeDef, docstring_source
from .expressions import TypeExpr, Variable
from .registry import ToolRegistry
from .specs import Raised, ToolSpec
from .stubs import render_stubs
from .tools import Toolkit

__all__ = ["Listing", "Tier", "estimate_tokens", "render_listing", "render_stubs", "render_tool", "render_types"]

Tier = Literal["full", "signature", "name"]
_TIERS: Final[tuple[Tier, ...]] = ("full", "signature", "name")
_KEYWORDS: Final = {"coroutine": "async def", "generator": "def", "async_generator": "def", "function": "def"}
NO_TYPES: Final[Mapping[str, TypeDef]] = MappingProxyType({})
_TOKEN: Final = re.compile(r"[A-Za-z]+|\d{1,3}|[^\sA-Za-z0-9]{1,3}|\n[ \t]*| {2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The tools as text for a prompt."""

    text: str
    tiers: Mapping[str, Tier]
    """How much of each tool the text shows, by qualified name."""
    tokens: int
    """Length of ``text`` by the counter that was used."""

    @property
    def note(self) -> str:
        """What the budget did, in one line; empty where everything is shown in full."""
        counts = {tier: sum(each == tier for each in self.tiers.values()) for tier in _TIERS}
        if counts["full"] == len(self.tiers):
            return ""
        return (
            f"{counts['full']} tools in full, {counts['signature']} by signature, {counts['name']} by name, "
            f"{self.tokens} tokens"
        )


def estimate_tokens(text: str) -> int:
    """Roughly the tokens that a byte-pair tokenizer makes of Python source; within some 15 % for the usual ones.

    >>> estimate_tokens("def add(x: int, y: int) -> int:")
    14
    """
    return sum(1 + (len(match) - 1) // 8 for match in _TOKEN.findall(text))


def render_tool(
    spec: ToolSpec,
    *,
    tier: Tier = "full",
    types: Mapping[str, TypeDef] = NO_TYPES,
    said: Collection[Raised] = (),
) -> str:
    """One tool as the model reads it.

    Args:
        spec: The tool.
        tier: ``full``: signature and docs; ``signature``: with the first line of the docs; ``name``: a comment.
        types: Definitions that the model reads beside it, by name: what they say is not said again.
        said: Errors that another tool has explained in the same words.
    """
    if tier == "name":
        return f"# {spec.name}{': ' if spec.summary else ''}{spec.summary}"
    head = f"{_KEYWORDS[spec.kind]} {spec.signature()}:"
    if tier == "signature":
        return f"{head} {docstring_source(spec.summary) if spec.summary else '...'}"
    lines = doc_lines(spec, types, said)
    if not lines:
        return f"{head} ..."
    return _indented(head, lines)


def render_types(definitions: Sequence[TypeDef], variables: Iterable[str] = ()) -> str:
    """Class bodies of the types; those of the standard library in one line of names.

    Args:
        definitions: In the order in which they are shown.
        variables: Type variables that signatures use besides those of generic classes.
    """
    foreign = [each for each in definitions if each.kind == "import" and vocabulary.is_foreign(each.python)]
    standard = [each for each in definitions if each.kind == "import" and each.base != "builtins"]
    imported = [each.name for each in standard if each not in foreign]
    own = (each.name for definition in definitions for each in definition.variables)
    parts = [f"# defined already: {', '.join(imported)}"] if imported else []
    for each in foreign:
        instead = vocabulary.WITHOUT[each.python.__name__]
        parts.append(f"# {each.name}: of {each.base} where it can be imported, else {instead}")
    parts += [f'{name} = TypeVar("{name}")' for name in dict.fromkeys([*own, *variables])]
    one_liners = [each.source() for each in definitions if each.kind == "alias"]
    bodies = [each.source() for each in definitions if each.kind not in ("alias", "import")]
    return "\n\n".join(filter(None, ["\n".join(parts), "\n".join(one_liners), *bodies]))


def render_listing(
    registry: ToolRegistry, *, budget: int | None = None, count: Callable[[str], int] = estimate_tokens
) -> Listing:
    """All tools as text, within ``budget`` tokens as far as their names allow.

    Tools are shown in full in the order of registration, as many as fit; then by signature; the others by name. A
    budget that even the names exceed is exceeded.

    Args:
        registry: The tools.
        budget: Most tokens of the text; None: everything in full.
        count: Counts the tokens of a text. Pieces are counted one by one, so each tool costs three calls.
    """
    tiers: dict[str, Tier] = {spec.qualified: "full" for spec in registry.specs}
    text = _text(registry, tiers)
    tokens = count(text)
    if budget is None or tokens <= budget:
        return Listing(text=text, tiers=tiers, tokens=tokens)
    tiers, raised = _choose(registry, budget, count)
    while (tokens := count(text := _text(registry, tiers))) > budget and raised:
        name, lower = raised.pop()
        tiers[name] = lower
    return Listing(text=text, tiers=tiers, tokens=tokens)


def _choose(
    registry: ToolRegistry, budget: int, count: Callable[[str], int]
) -> tuple[dict[str, Tier], list[tuple[str, Tier]]]:
    """Raise tools from name to signature and then to full text, in order, until the budget is used up.

    Returns:
        The tiers, and each raise as the tool and the tier before it. The sum of the pieces may miss the length of the
        whole text by a few tokens.
    """
    raised: list[tuple[str, Tier]] = []
    tiers: dict[str, Tier] = {spec.qualified: "name" for spec in registry.specs}
    costs = {
        spec.qualified: {tier: count(render_tool(spec, tier=tier, types=registry.catalog.types)) + 1 for tier in _TIERS}
        for spec in registry.specs
    }
    type_costs = {name: count(each.source()) + 1 for name, each in registry.catalog.types.items()}
    left = budget - count(_text(registry, tiers)) - len(registry.toolkits) - 2
    shown: set[str] = set()
    for tier in ("signature", "full"):
        for spec in registry.specs:
            needed = _needed(registry, [spec]) - shown
            price = costs[spec.qualified][tier] - costs[spec.qualified][tiers[spec.qualified]]
            price += sum(type_costs[name] for name in needed)
            if price > left:
                return tiers, raised
            if tiers[spec.qualified] != tier:
                raised.append((spec.qualified, tiers[spec.qualified]))
                tiers[spec.qualified] = tier
                shown |= needed
                left -= price
    return tiers, raised


def _text(registry: ToolRegistry, tiers: Mapping[str, Tier]) -> str:
    detailed = [spec for spec in registry.specs if tiers[spec.qualified] != "name"]
    needed = _needed(registry, detailed)
    variables = [
        node.name
        for spec in detailed
        for each in _expressions(spec)
        for node in each.walk()
        if isinstance(node, Variable)
    ]
    parts = [render_types([each for name, each in registry.catalog.types.items() if name in needed], variables)]
    said: set[Raised] = set()
    for toolkit in (None, *registry.toolkits):
        specs = [spec for spec in registry.specs if spec.toolkit == (toolkit.name if toolkit else None)]
        parts.append(_group(toolkit, specs, tiers, registry.catalog.types, said))
    return "\n\n".join(filter(None, parts))


def _group(
    toolkit: Toolkit | None,
    specs: Sequence[ToolSpec],
    tiers: Mapping[str, Tier],
    types: Mapping[str, TypeDef],
    said: set[Raised],
) -> str:
    if not specs:
        return ""
    head = f"# tools.{toolkit.name}{': ' if toolkit.summary else ''}{toolkit.summary}" if toolkit else ""
    shown = []
    for spec in specs:
        tier = tiers[spec.qualified]
        if tier != "name":
            shown.append(render_tool(spec, tier=tier, types=types, said=said))
        if tier == "full":
            said.update(spec.raises)
    named = [render_tool(spec, tier="name") for spec in specs if tiers[spec.qualified] == "name"]
    more = [f"# Further tools; help(name) shows one:\n{chr(10).join(named)}"] if named else []
    return "\n\n".join(filter(None, [head, *shown, *more]))


def _needed(registry: ToolRegistry, specs: Sequence[ToolSpec]) -> set[str]:
    """Names of the types that the specifications mention, directly or through other types."""
    types = registry.catalog.types
    pending = [name for spec in specs for name in mentioned(spec)]
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in found and name in types:
            found.add(name)
            pending += types[name].references()
    return found


def mentioned(spec: ToolSpec) -> Iterable[str]:
    """Names of the types that the signature and the declared errors of a tool mention."""
    for expression in _expressions(spec):
        yield from expression.references()
    yield from (each.name for each in spec.raises if each.exception is not None)


def _expressions(spec: ToolSpec) -> list[TypeExpr]:
    return [*(parameter.type for parameter in spec.parameters), spec.returns]


def doc_lines(spec: ToolSpec, types: Mapping[str, TypeDef] = NO_TYPES, said: Collection[Raised] = ()) -> list[str]:
    """The docs without indentation: summary, prose, one line for each parameter, result, errors, examples.

    Errors that the docs do not explain further than their classes in ``types``, or than ``said``, share one line.
    """
    details = [f"{each.name}: {each.doc}" for each in spec.parameters if each.doc]
    if spec.returns_doc:
        details.append(f"Returns: {spec.returns_doc}")
    told = [each for each in spec.raises if each.doc and each not in said]
    explained = [each for each in told if not _says(types.get(each.name), each.doc)]
    if named := [each.name for each in spec.raises if each not in explained]:
        details.append(f"Raises: {', '.join(named)}")
    details += [f"Raises {each.name}: {each.doc}" for each in explained]
    details += [line for example in spec.examples for line in example.split("\n")]
    prose = [line for line in (spec.summary, *spec.description.split("\n")) if line or spec.description]
    return [*prose, *([""] if prose and details else []), *details]


def _says(definition: TypeDef | None, text: str) -> bool:
    return definition is not None and definition.doc.rstrip(".").casefold() == text.rstrip(".").casefold()


def _indented(head: str, lines: Sequence[str]) -> str:
    if len(lines) == 1:
        return f"{head}\n    {docstring_source(lines[0])}"
    body = docstring_source("\n".join(lines) + "\n")
    indented = "\n".join(f"    {line}" if line else "" for line in body.split("\n"))
    return f"{head}\n{indented}"
