"""What a run is made of, as its journal keeps it, and what has changed of it since."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from .sandbox.manifest import build_manifest
from .wire import Codec

if TYPE_CHECKING:
    from .agent import CodeActAgent
    from .registry import ToolRegistry
    from .session import Session


def describe(agent: CodeActAgent, session: Session, *, seed: int | None, output_type: Any) -> dict[str, Any]:
    """The run's configuration as JSON-ready data: model, sandbox, limits, and the tools with their signatures."""
    return {
        "library": _version(),
        "python": platform.python_version(),
        "model": agent.model.name,
        "dialect": agent.dialect.name,
        "sandbox": session.choice.name,
        "check": agent.session_options["check"],
        "allow_imports": list(session.allow_imports),
        "packages": list(session.packages),
        "limits": asdict(session.limits),
        "max_turns": agent.max_turns,
        "sampling": asdict(agent.sampling),
        "instructions": agent.instructions,
        "observation_chars": agent.session_options["observation_chars"],
        "output_type": "str" if output_type is str else repr(output_type),
        "seed": seed,
        "origin": dict(agent.origin),
        "tools": _tools(session.registry),
        "manifest": build_manifest(session.registry, Codec(session.registry.catalog)),
    }


def changed_tools(then: Mapping[str, Any], now: Mapping[str, Any], *, used: Iterable[str]) -> str:
    """How the tools in ``used`` differ between two configurations, in words; "" where they do not."""
    before, after = then.get("tools", {}), now.get("tools", {})
    changes: list[str] = []
    for name in sorted(set(used) & set(before)):
        if name not in after:
            changes.append(f"{name} is gone")
        elif before[name]["signature"] != after[name]["signature"]:
            changes.append(f"{name} was {before[name]['signature']!r} and is {after[name]['signature']!r}")
        elif before[name]["effects"] != after[name]["effects"]:
            changes.append(f"the effects of {name} were {before[name]['effects']} and are {after[name]['effects']}")
    return "; ".join([*changes, *_changed_types(then, now, used=set(used) & set(before))])


def _changed_types(then: Mapping[str, Any], now: Mapping[str, Any], *, used: Iterable[str]) -> list[str]:
    """How the types differ that tools take and give; descriptions count for nothing."""
    old, new = (_types(configuration) for configuration in (then, now))
    texts = [
        text
        for tool in then.get("manifest", {}).get("tools", ())
        if tool["qualified"] in used
        for text in (tool["returns"], *(parameter["annotation"] for parameter in tool["params"]))
    ]
    changes: list[str] = []
    for name in sorted(_reachable(texts, old)):
        if name not in new:
            changes.append(f"the type {name} is gone")
            continue
        fields, others = ({each["name"]: each for each in types[name]["fields"]} for types in (old, new))
        for field in fields.keys() | others.keys():
            was, now_is = _outline(fields.get(field)), _outline(others.get(field))
            if was != now_is:
                changes.append(f"the field {name}.{field} was {was} and is {now_is}")
        if (was := old[name]["members"]) != (now_is := new[name]["members"]):
            changes.append(f"the members of {name} were {_members(was)} and are {_members(now_is)}")
    return sorted(changes)


def _types(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in configuration.get("manifest", {}).get("types", ())}


def _reachable(texts: Iterable[str], types: Mapping[str, Any]) -> set[str]:
    """The types that these annotations mention, and those that their fields mention."""
    found: set[str] = set()
    left = [*texts]
    while left:
        for name in {*re.findall(r"\w+", left.pop())} & types.keys() - found:
            found.add(name)
            left += [types[name]["base"] or "", types[name].get("target") or ""]
            left += [field["annotation"] for field in types[name]["fields"]]
    return found


def _outline(field: Mapping[str, Any] | None) -> str:
    if field is None:
        return "not there"
    default = field.get("default_text", "..." if field["factory"] else None)
    text = field["annotation"] if default is None else f"{field['annotation']} = {default}"
    return repr(text if field["required"] else f"{text} (optional)")


def _members(members: Iterable[Iterable[Any]]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in members)


_CONCERNS_THE_ACTIONS = (
    "model", "sandbox", "check", "allow_imports", "packages", "limits", "observation_chars", "instructions",
    "python",
)  # fmt: skip


def changed_settings(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How two configurations differ besides their tools, in words; "" where they do not.

    >>> changed_settings({"model": "a", "check": "block"}, {"model": "b", "check": "block"})
    "model was 'a' and is 'b'"
    """
    now = json.loads(json.dumps(now, default=repr))
    changes: list[str] = []
    for name in _CONCERNS_THE_ACTIONS:
        before, after = then.get(name), now.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            names = [each for each in after if each in before and before[each] != after[each]]
            changes += [f"{name}.{each} was {before[each]!r} and is {after[each]!r}" for each in names]
        elif name in then and before != after:
            changes.append(f"{name} was {before!r} and is {after!r}")
    return "; ".join(changes)


def _tools(registry: ToolRegistry) -> dict[str, Any]:
    return {
        spec.qualified: {
            "signature": spec.signature(),
            "effects": [name for name, declared in asdict(spec.effects).items() if declared],
            "secrets": sorted(spec.options.secrets),
        }
        for spec in registry.specs
    }


def _version() -> str:
    try:
        return version("codeact-tools")
    except PackageNotFoundError:
        return "unknown"
