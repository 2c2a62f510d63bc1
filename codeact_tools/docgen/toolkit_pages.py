"""The page of a toolkit, the page of one that is broken, and the table of all: pure functions to Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, get_args

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ..definitions import default_source
from ..records import resolve_hints
from ..registry import Problem, ToolRegistry
from ..rendering import render_listing
from ..toolkits import ENABLED, InstalledToolkit
from ..tools import Toolkit
from .changes import Release, changes_since
from .markdown import cell, code, document, fence, section, table
from .origin import Origin
from .pages import slug

_SECRETS: Final = (SecretStr, SecretBytes)


class Setting(NamedTuple):
    """A field of a toolkit's configuration."""

    name: str
    type: str
    default: str
    """Markdown; never the value of a secret."""
    meaning: str


class Entry(NamedTuple):
    """A toolkit in the table of all."""

    name: str
    summary: str
    tools: int
    error: str = ""


def toolkit_page(
    toolkit: Toolkit,
    registry: ToolRegistry,
    *,
    origin: Origin,
    problems: Sequence[Problem] = (),
    last: Release | None = None,
) -> str:
    """Purpose, installation, configuration and the table of tools.

    Args:
        toolkit: The toolkit.
        registry: Its tools.
        origin: Its distribution and version.
        problems: Its tools that are broken.
        last: Its last release, for the section about changes.
    """
    specs = [spec for spec in registry.specs if spec.toolkit == toolkit.name]
    rows = [(f"[{code(each.name)}]({slug(each.name)}.md)", _marks(each.effects), cell(each.summary)) for each in specs]
    facts = " ".join(f"`{fact}`" for fact in (origin.distribution, origin.version, origin.stability) if fact)
    tokens = render_listing(registry).tokens
    return document(
        f"# {toolkit.name}",
        facts,
        toolkit.summary,
        _broken_tools(problems),
        section("Tools", table(("Tool", "Effects", "What it does"), rows) or "None."),
        section(
            "Install", fence(f"pip install {origin.distribution}", "sh") if origin.distribution else "", _use(toolkit)
        ),
        section("Configuration and secrets", _configuration(toolkit.config)),
        section(
            "What the model sees",
            f"All {len(specs)} tools in full are about {tokens} tokens of the prompt. Each tool's page shows its part.",
            f"Besides, it reads:\n\n{fence(toolkit.instructions, 'text')}" if toolkit.instructions else "",
        ),
        _changes(toolkit, registry, last) if last is not None else "",
    )


def index_page(entries: Iterable[Entry]) -> str:
    """The table of all toolkits."""
    rows = [
        (f"[{code(each.name)}]({each.name}/index.md)", "broken" if each.error else str(each.tools), cell(each.summary))
        for each in entries
    ]
    return document(
        "# All tools",
        "These pages are made from the tools themselves: signature, types, docs and effects are what the model reads, "
        "what the checker knows and what the host validates. Examples ran when the pages were made.",
        table(("Toolkit", "Tools", "What it is for"), rows) or "No toolkit is installed.",
    )


def error_page(record: InstalledToolkit) -> str:
    """In place of a toolkit that cannot be loaded: its name, its distribution, the cause, the remedy."""
    return document(
        f"# {record.name}",
        "`broken`",
        f"The toolkit {code(record.name)} cannot be loaded, so it has no pages.",
        table(("", ""), [
            ("Distribution", code(f"{record.distribution} {record.version}")),
            ("Entry point", code(record.target)),
            ("Cause", cell(record.error or "")),
        ]),
        "To see the traceback:",
        fence(f'python -c "from codeact_tools.toolkits import load_toolkit; load_toolkit({record.name!r})"', "sh"),
    )  # fmt: skip


def settings_of(config: Any) -> list[Setting]:
    """The fields of a configuration: a pydantic model, a dataclass, or an instance of one; values are never read."""
    cls = config if isinstance(config, type) else type(config)
    if issubclass(cls, BaseModel):
        return [_model_setting(name, field) for name, field in cls.model_fields.items()]
    if dataclasses.is_dataclass(cls):
        hints = resolve_hints(cls, owner=f"the configuration {cls.__name__}")
        return [_dataclass_setting(field, hints[field.name]) for field in dataclasses.fields(cls)]
    return []


def _model_setting(name: str, field: FieldInfo) -> Setting:
    shown = _shown(field.annotation, field.default, has_factory=field.default_factory is not None)
    return Setting(name, _name(field.annotation), shown, field.description or "")


def _dataclass_setting(field: dataclasses.Field[Any], hint: Any) -> Setting:
    default = PydanticUndefined if field.default is dataclasses.MISSING else field.default
    shown = _shown(hint, default, has_factory=field.default_factory is not dataclasses.MISSING)
    return Setting(field.name, _name(hint), shown, "")


def _shown(annotation: Any, default: object, *, has_factory: bool) -> str:
    if _is_secret(annotation):
        return "**required**, secret" if default is PydanticUndefined and not has_factory else "secret"
    if has_factory:
        return "made at start"
    return "**required**" if default is PydanticUndefined else code(default_source(default))


def _is_secret(annotation: Any) -> bool:
    return annotation in _SECRETS or any(_is_secret(each) for each in get_args(annotation))


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _configuration(config: Any) -> str:
    if config is None:
        return "It has none: no key, no account."
    rows = [(code(each.name), code(each.type), each.default, cell(each.meaning)) for each in settings_of(config)]
    cls = config if isinstance(config, type) else type(config)
    kept = "Tools read it on the host as `context.config`; neither the sandbox nor the model sees it."
    return "\n\n".join(
        filter(None, [f"{code(cls.__name__)}. {kept}", table(("Field", "Type", "Default", "Meaning"), rows)])
    )


def _use(toolkit: Toolkit) -> str:
    return "\n\n".join([
        fence(f'agent = CodeActAgent(tools=["{toolkit.name}"])', "python"),
        f"In an action: `from tools.{toolkit.name} import ...`; every tool is bound by its own name already. Where "
        f"`{ENABLED}` is set, it must name `{toolkit.name}`.",
    ])  # fmt: skip


def _changes(toolkit: Toolkit, registry: ToolRegistry, last: Release) -> str:
    found = changes_since(last, registry, toolkit.name)
    lines = "\n".join(f"- {each}" for each in found) or "No signature has changed."
    return section(f"Changes since {last.version or 'the last release'}", lines)


def _marks(effects: Any) -> str:
    words = ("read_only", "destructive", "idempotent", "open_world")
    return " ".join(f"`{word.replace('_', ' ')}`" for word in words if getattr(effects, word))


def _broken_tools(problems: Sequence[Problem]) -> str:
    rows = [(code(each.tool), cell(str(each.error))) for each in problems]
    return (
        section("Broken tools", "These cannot be registered and were left out.", table(("Tool", "Cause"), rows))
        if rows
        else ""
    )
