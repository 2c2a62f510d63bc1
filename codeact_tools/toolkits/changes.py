"""How two states of a toolkit differ, and whether what worked before still works."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from .locks import Lock, LockedTool, LockedToolkit, skeleton
from .typetexts import accepts

_GRANTS: Final = {"hosts": "host", "secrets": "secret", "packages": "package"}
_HARMLESS: Final = frozenset({"read_only", "idempotent"})
"""Effects that promise something; the others warn of something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between two states of a toolkit."""

    where: str
    """``calendar`` or ``calendar.weekday``."""
    what: str
    breaking: bool
    """Whether what worked before may not work any more, or more is asked for than before."""
    lines: tuple[str, ...] = ()
    """Removed and added lines of a text, marked by ``-`` and ``+``."""

    @property
    def kind(self) -> str:
        """``breaking`` or ``compatible``."""
        return "breaking" if self.breaking else "compatible"


def describe(changes: Iterable[Change]) -> str:
    """All changes as text, breaking ones first; characters that a terminal would not show are escaped."""
    lines = []
    for change in sorted(changes, key=lambda each: not each.breaking):
        lines.append(f"  {change.kind:<10}  {change.where}: {change.what}")
        lines += [f"                {line}" for line in change.lines]
    return "\n".join(_visible(line) for line in lines)


def compare_locks(before: Lock, after: Lock) -> list[Change]:
    """All differences between two locks."""
    changes: list[Change] = []
    for name in sorted({*before.toolkits, *after.toolkits}):
        old, new = before.toolkits.get(name), after.toolkits.get(name)
        if old is None:
            changes.append(Change(where=name, what="is new", breaking=False))
        elif new is None:
            changes.append(Change(where=name, what="is gone", breaking=True))
        else:
            changes += compare(name, old, new)
    return changes


def compare(name: str, before: LockedToolkit, after: LockedToolkit) -> list[Change]:
    """All differences between two states of the toolkit ``name``; none where only its version differs."""
    changes = list(_toolkit_changes(name, before, after))
    changes += _type_changes(name, before, after)
    for tool in sorted({*before.tools, *after.tools}):
        where, old, new = f"{name}.{tool}", before.tools.get(tool), after.tools.get(tool)
        if old is None:
            assert new is not None  # noqa: S101 - it is in one of the two
            lines = tuple(f"+ {line}" for line in (new.signature, *new.description))
            changes.append(Change(where=where, what=f"is new{_named(new.effects)}", breaking=False, lines=lines))
        elif new is None:
            changes.append(Change(where=where, what="is gone", breaking=True))
        elif old != new:
            changes += _tool_changes(where, old, new)
    return changes


def _toolkit_changes(name: str, before: LockedToolkit, after: LockedToolkit) -> Iterator[Change]:
    if before.distribution != after.distribution:
        what = f"comes from the distribution {after.distribution!r} now, not from {before.distribution!r}"
        yield Change(where=name, what=what, breaking=True)
    for attribute, word in _GRANTS.items():
        old, new = getattr(before, attribute), getattr(after, attribute)
        for each in sorted(set(new) - set(old)):
            yield Change(where=name, what=f"asks for the {word} {each!r}", breaking=True)
        for each in sorted(set(old) - set(new)):
            what = f"no longer asks for the {word} {each!r}"
            yield Change(where=name, what=what, breaking=attribute == "packages")
    yield from _text_changes(name, "summary", [before.summary], [after.summary])
    yield from _text_changes(name, "instructions", before.instructions, after.instructions)
    yield from _text_changes(name, "demonstrations", before.demonstrations, after.demonstrations)


def _tool_changes(where: str, before: LockedTool, after: LockedTool) -> Iterator[Change]:
    if before.signature != after.signature:
        yield from _signature_changes(where, before.signature, after.signature)
    for effect in sorted({*before.effects} ^ {*after.effects}):
        gained = effect in after.effects
        verb = "is now" if gained else "is no longer"
        # That calls are no longer asked about is the more dangerous of the two changes of an approval.
        breaking = effect == "approval" or gained != (effect in _HARMLESS)
        what = f"{verb} {'subject to approval' if effect == 'approval' else effect}"
        yield Change(where=where, what=what, breaking=breaking)
    for error in sorted({*before.raises} ^ {*after.raises}):
        gained = error in after.raises
        what = f"{'declares' if gained else 'no longer declares'} the error {error}"
        yield Change(where=where, what=what, breaking=not gained)
    yield from _text_changes(where, "description", before.description, after.description)


def _text_changes(where: str, what: str, before: Iterable[str], after: Iterable[str]) -> Iterator[Change]:
    old, new = list(before), list(after)
    if old != new:
        lines = (line for line in difflib.ndiff(old, new) if line[:1] in "+-")
        yield Change(
            where=where,
            what=f"its {what} {'have' if what.endswith('s') else 'has'} changed",
            breaking=False,
            lines=tuple(map(str.rstrip, lines)),
        )


class _Parameter(NamedTuple):
    kind: str
    type: str
    default: str | None


class _Signature(NamedTuple):
    is_async: bool
    parameters: Mapping[str, _Parameter]
    returns: str


def _parsed(signature: str) -> _Signature | None:
    try:
        (function,) = ast.parse(f"{signature}: ...").body
    except SyntaxError:
        return None
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    arguments = function.args
    found: dict[str, _Parameter] = {}
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + [*arguments.defaults]
    groups = [
        *(("positional only" if each in arguments.posonlyargs else "any", each, default)
          for each, default in zip(positional, defaults, strict=True)),
        *(("*", each, None) for each in filter(None, [arguments.vararg])),
        *(("keyword only", each, default)
          for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)),
        *(("**", each, None) for each in filter(None, [arguments.kwarg])),
    ]  # fmt: skip
    for kind, each, default in groups:
        found[each.arg] = _Parameter(kind, _source(each.annotation), _source(default) if default else None)
    return _Signature(isinstance(function, ast.AsyncFunctionDef), found, _source(function.returns))


def _source(node: ast.expr | None) -> str:
    return ast.unparse(node) if node is not None else ""


def _signature_changes(where: str, before: str, after: str) -> Iterator[Change]:
    old, new = _parsed(before), _parsed(after)
    lines = (f"- {before}", f"+ {after}")
    if old is None or new is None:
        yield Change(where=where, what="its signature has changed", breaking=True, lines=lines)
        return
    found = list(_differences(old, new))
    if not found:
        yield Change(where=where, what="its signature is written differently", breaking=False, lines=lines)
    for number, (what, breaking) in enumerate(found):
        yield Change(where=where, what=what, breaking=breaking, lines=lines if number == len(found) - 1 else ())


def _differences(old: _Signature, new: _Signature) -> Iterator[tuple[str, bool]]:
    if old.is_async != new.is_async:
        yield f"must {'now' if new.is_async else 'no longer'} be awaited", True
    for name, each in old.parameters.items():
        if name not in new.parameters:
            yield f"the parameter {name!r} is gone", True
        else:
            yield from _parameter_differences(name, each, new.parameters[name])
    for name, each in new.parameters.items():
        if name not in old.parameters:
            optional = each.default is not None or each.kind.startswith("*")
            yield f"the parameter {name!r} is new and {'optional' if optional else 'required'}", not optional
    kept = [name for name in _positional(old) if name in _positional(new)]
    if kept != _positional(new)[: len(kept)]:
        yield "the order of its parameters has changed", True
    if old.returns != new.returns:
        narrowed = accepts(old.returns, new.returns)
        yield f"returns {new.returns}, not {old.returns}", not narrowed


def _positional(signature: _Signature) -> list[str]:
    return [name for name, each in signature.parameters.items() if each.kind in ("positional only", "any")]


def _parameter_differences(name: str, old: _Parameter, new: _Parameter) -> Iterator[tuple[str, bool]]:
    if old.type != new.type:
        what = f"the parameter {name!r} takes {new.type}, not {old.type}"
        yield what, not accepts(new.type, old.type)
    if old.kind != new.kind:
        yield f"the parameter {name!r} is given in another way ({new.kind}, not {old.kind})", new.kind != "any"
    if old.default is None and new.default is not None:
        yield f"the parameter {name!r} is now optional", False
    elif old.default is not None and new.default is None:
        yield f"the parameter {name!r} is now required", True
    elif old.default != new.default:
        yield f"the default of {name!r} is {new.default}, not {old.default}", True


@dataclass(frozen=True)
class _Use:
    """Which types a toolkit takes, and which it gives."""

    taken: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)


def _use(toolkit: LockedToolkit) -> _Use:
    use = _Use()
    for tool in toolkit.tools.values():
        parsed = _parsed(tool.signature)
        if parsed is None:
            use.taken.update(toolkit.reachable(tool.signature))
            use.given.update(toolkit.reachable(tool.signature))
        else:
            use.taken.update(toolkit.reachable(*(each.type for each in parsed.parameters.values())))
            use.given.update(toolkit.reachable(parsed.returns, *tool.raises))
    return use


def _type_changes(name: str, before: LockedToolkit, after: LockedToolkit) -> Iterator[Change]:
    use = _use(before)
    for each in sorted({*before.types, *after.types}):
        where, old, new = f"{name}.{each}", before.types.get(each), after.types.get(each)
        if old is None or old == new:
            continue
        if new is None:
            yield Change(where=where, what="this type is gone", breaking=True)
            continue
        if skeleton(old) == skeleton(new):
            yield from _text_changes(where, "description", old, new)
            continue
        lines = tuple(line.rstrip() for line in difflib.ndiff(old, new) if line[:1] in "+-")
        breaking = not _fits(skeleton(old), skeleton(new), taken=each in use.taken, given=each in use.given)
        yield Change(where=where, what="this type has changed", breaking=breaking, lines=lines)


def _fits(old: str, new: str, *, taken: bool, given: bool) -> bool:
    """Whether programs that make or read instances of a type still work."""
    before, after = _fields(old), _fields(new)
    if before is None or after is None or before.keys() - after.keys():
        return False
    for name, (type_, default) in after.items():
        if name not in before:
            if taken and default is None:
                return False
            continue
        was, had = before[name]
        if (taken and not accepts(type_, was)) or (given and not accepts(was, type_)):
            return False
        if had != default and (taken or had is None or default is None):
            return False
    return True


def _fields(source: str) -> dict[str, tuple[str, str | None]] | None:
    """Type and default of each field; None where the source is not that of a class with fields."""
    try:
        (node,) = ast.parse(source).body
    except (SyntaxError, ValueError):
        return None
    if not isinstance(node, ast.ClassDef):
        return None
    found: dict[str, tuple[str, str | None]] = {}
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            found[each.target.id] = (_source(each.annotation), _source(each.value) if each.value else None)
        elif not isinstance(each, ast.Pass):
            return None
    return found


def _named(effects: Iterable[str]) -> str:
    listed = ", ".join(effects)
    return f" ({listed})" if listed else ""


def _visible(line: str) -> str:
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)
