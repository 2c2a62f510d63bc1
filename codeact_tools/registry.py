"""The tools of one session: names, toolkits, conflicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .errors import DefinitionError, DeveloperError, RegistryError
from .reflection import declared_name, location_of, make_spec, options_of
from .repair import nearest
from .settings import configured
from .signatures import Catalog
from .specs import ToolSpec
from .tools import Toolkit


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A tool that was left out because it is broken."""

    tool: str
    toolkit: str | None
    error: DeveloperError


class ToolRegistry:
    """Tools by name, with the types that they mention.

    >>> def double(x: int) -> int:
    ...     return 2 * x
    >>> ToolRegistry([double]).get("double").signature()
    'double(x: int) -> int'

    Functions, bound methods, partials and callable objects are one tool each; a class, or an object without
    ``__call__``, gives its methods (see `tool`).

    Args:
        tools: What to add, in order.
        lenient: Leave out a toolkit's broken tools, and note them in `problems`, instead of raising. Functions that are
            given directly always raise.

    Raises:
        DefinitionError: Something cannot be a tool.
        RegistryError: Two tools claim one name.
        ConfigurationError: A setting of a toolkit is missing or wrong.
    """

    def __init__(self, tools: Iterable[Any] = (), *, lenient: bool = False) -> None:
        self.catalog = Catalog()
        self._specs: dict[str, ToolSpec] = {}
        self._short: dict[str, list[ToolSpec]] = {}
        self._toolkits: dict[str, Toolkit] = {}
        self._problems: list[Problem] = []
        self.add(*tools, lenient=lenient)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """All tools, in the order in which they were added."""
        return tuple(self._specs.values())

    @property
    def toolkits(self) -> tuple[Toolkit, ...]:
        """The toolkits, in the order in which they were added."""
        return tuple(self._toolkits.values())

    @property
    def packages(self) -> tuple[str, ...]:
        """Third-party packages that actions may import, as the toolkits declare them; each once, in order."""
        return tuple(dict.fromkeys(name for toolkit in self._toolkits.values() for name in toolkit.packages))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Tools that were left out."""
        return tuple(self._problems)

    @property
    def exported(self) -> dict[str, ToolSpec]:
        """The tools that ``tools`` itself has, by short name; ambiguous names are in their toolkits only."""
        return {name: found[0] for name, found in self._short.items() if len(found) == 1}

    def add(self, *tools: Any, lenient: bool = False) -> None:
        """Add functions, toolkits, specifications or all tools of another registry.

        Either all of ``tools`` are added or, when one raises, those before it.
        """
        for each in tools:
            match each:
                case ToolRegistry():
                    self._merge(each)
                case Toolkit():
                    self._add_toolkit(each, lenient=lenient)
                case _:
                    for function in _functions(each):
                        self._add(function, None)

    def get(self, name: str) -> ToolSpec:
        """The tool with this qualified or short name, or with this declared name (``max`` for ``max_``).

        Raises:
            RegistryError: There is none, or several toolkits have one; the message names the nearest.
        """
        if (spec := self._specs.get(name)) is not None:
            return spec
        found = self._short.get(name) or [spec for spec in self._specs.values() if spec.declared_name == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise RegistryError(
                f"{name!r} is in several toolkits; write {' or '.join(each.qualified for each in found)}."
            )
        near = nearest(name, [*self._specs, *self._short])
        known = f"did you mean {near!r}?" if near else f"there are {', '.join(list(self._specs)[:20]) or 'none'}."
        raise RegistryError(f"There is no tool {name!r}; {known}")

    def __contains__(self, name: object) -> bool:
        return name in self._specs or name in self._short

    def __len__(self) -> int:
        return len(self._specs)

    def prepare(self) -> None:
        """Build all validators now instead of at the first call of each tool."""
        for spec in self._specs.values():
            spec.prepare()

    def _merge(self, other: ToolRegistry) -> None:
        for toolkit in other.toolkits:
            self._claim_toolkit(toolkit)
        for spec in other.specs:
            self._add(spec, self._toolkits.get(spec.toolkit or ""))
        self._problems += other.problems

    def _add_toolkit(self, toolkit: Toolkit, *, lenient: bool) -> None:
        toolkit = self._claim_toolkit(toolkit)
        for each in toolkit.tools:
            try:
                for function in _functions(each):
                    self._add(function, toolkit)
            except (DefinitionError, RegistryError) as error:
                if not lenient:
                    raise
                self._problems.append(Problem(tool=declared_name(each), toolkit=toolkit.name, error=error))

    def _claim_toolkit(self, toolkit: Toolkit) -> Toolkit:
        if self._toolkits.get(toolkit.name, toolkit) is not toolkit:
            raise RegistryError(f"Two toolkits are named {toolkit.name!r}; leave one out, or rename it.")
        if (taken := self._short.get(toolkit.name)) is not None:
            raise RegistryError(
                f"The toolkit {toolkit.name!r} and the tool {taken[0].qualified!r} ({taken[0].location}) would both be "
                f"'tools.{toolkit.name}'; rename one of them: @tool(name='...')."
            )
        toolkit = configured(toolkit)
        self._toolkits[toolkit.name] = toolkit
        self.catalog.reserve([toolkit.name])
        return toolkit

    def _add(self, function: Any, toolkit: Toolkit | None) -> None:
        name = toolkit.name if toolkit else None
        options = options_of(function)
        config = toolkit.config if toolkit else None
        if isinstance(function, ToolSpec):
            function, options, config = function.function, function.options, function.config
        with self.catalog.transaction():
            spec = make_spec(function, catalog=self.catalog, toolkit=name, config=config, options=options)
            self._refuse_clash(spec)
        self._specs[spec.qualified] = spec
        self._short.setdefault(spec.name, []).append(spec)
        self.catalog.reserve([spec.name])

    def _refuse_clash(self, spec: ToolSpec) -> None:
        others = self._short.get(spec.name, [])
        same = [each for each in others if each.toolkit == spec.toolkit or None in (each.toolkit, spec.toolkit)]
        if same:
            owners = f"{_who(same[0])} and {_who(spec)}"
            raise RegistryError(
                f"Two tools are named {spec.qualified!r}: {owners}. Leave one out, or give it another name: "
                f"@tool(name='...'); in two toolkits they could share it."
            )
        if spec.name in self._toolkits:
            raise RegistryError(f"The tool {_who(spec)} and a toolkit are both named {spec.name!r}; rename the tool.")
        if (known := self.catalog.types.get(spec.name)) is not None:
            raise RegistryError(
                f"The tool {_who(spec)} has the name of the type {known.name!r} ({known.python!r}); rename the tool: "
                f"@tool(name='...')."
            )


def _who(spec: ToolSpec) -> str:
    toolkit = f" of the toolkit {spec.toolkit!r}" if spec.toolkit else ""
    declared = spec.declared_name if spec.declared_name == spec.name else f"{spec.declared_name!r} (as {spec.name!r})"
    return f"{declared}{toolkit} ({spec.location})"


def _functions(item: Any) -> Iterable[Any]:
    """The functions that ``item`` stands for: itself, or the methods of a class or an instance."""
    if isinstance(item, str):
        raise RegistryError(f"{item!r} is a name, not a tool; codeact_tools.toolkits.load_toolkit({item!r}) loads one.")
    if isinstance(item, type):
        return _methods(_instance(item))
    if callable(item) or isinstance(item, ToolSpec):
        return (item,)
    return _methods(item)


def _instance(cls: type[Any]) -> Any:
    try:
        return cls()
    except TypeError as error:
        raise DefinitionError(
            f"{cls.__module__}.{cls.__qualname__} cannot be made without arguments ({error}); register an instance: "
            f"tools=[{cls.__name__}(...)]."
        ) from error


def _methods(instance: Any) -> list[Any]:
    """The public methods that are decorated with `tool`; all public ones where none is."""
    names = [name for name in dir(type(instance)) if not name.startswith("_")]
    members = [getattr(instance, name) for name in names if callable(getattr(type(instance), name, None))]
    found = [member for member in members if options_of(member) is not None] or members
    if not found:
        raise DefinitionError(f"{instance!r} has no public methods, so it gives no tools; register a function.")
    return sorted(found, key=lambda member: _line_of(member))


def _line_of(member: Any) -> int:
    line = location_of(member).rpartition(":")[2]
    return int(line) if line.isdigit() else 0
