"""The page of a toolkit, the page of one that is broken, and the table of all: pure functions to Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..registry import Problem, ToolRegistry
from ..rendering import render_listing
from ..settings import Setting, settings_of
from ..toolkits import ENABLED, InstalledToolkit
from ..tools import Toolkit
from .changes import Release, changes_since
from .markdown import cell, code, document, fence, section, table
from .origin import Origin
from .pages import slug


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
    shown = [fence(each.text, "pycon") for each in toolkit.demonstrations]
    return document(
        f"# {toolkit.name}",
        facts,
        toolkit.summary,
        _broken_tools(problems),
        section("Tools", table(("Tool", "Effects", "What it does"), rows) or "None."),
        section(
            "Install", fence(f"pip install {origin.distribution}", "sh") if origin.distribution else "", _use(toolkit)
        ),
        section("Configuration and secrets", _configuration(toolkit)),
        section("What it may reach", _grants(toolkit)),
        section(
            "What the model sees",
            f"All {len(specs)} tools in full are about {tokens} tokens of the prompt. Each tool's page shows its part.",
            f"Besides, it reads:\n\n{fence(toolkit.instructions, 'text')}" if toolkit.instructions else "",
            "\n\n".join(["It is shown how tasks are solved:", *shown]) if shown else "",
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


def _configuration(toolkit: Toolkit) -> str:
    settings = settings_of(toolkit)
    if toolkit.config is None and not settings:
        return "It has none: no key, no account."
    rows = [(code(each.name), code(each.type), _default(each), cell(_meaning(each))) for each in settings]
    cls = toolkit.config if isinstance(toolkit.config, type) else type(toolkit.config)
    kept = "Tools read it on the host as `context.config`; neither the sandbox nor the model sees it."
    head = f"{code(cls.__name__)}. {kept}" if toolkit.config is not None else ""
    return "\n\n".join(filter(None, [head, table(("Setting", "Type", "Default", "Meaning"), rows)]))


def _default(setting: Setting) -> str:
    """Markdown; never the value of a secret."""
    if setting.secret:
        return "**required**, secret" if setting.required else "secret"
    if setting.default == "...":
        return "made at start"
    return "**required**" if setting.required else code(setting.default)


def _meaning(setting: Setting) -> str:
    variables = " or ".join(map(code, setting.variables))
    read = f"From the environment: {variables}." if variables else ""
    return " ".join(filter(None, [setting.doc, read]))


def _grants(toolkit: Toolkit) -> str:
    rows = [
        ("Hosts", "any" if "*" in toolkit.hosts else _listed(toolkit.hosts)),
        ("Packages that actions may import", _listed(toolkit.packages)),
    ]
    return table(("", ""), rows)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(code, names)) or "none"


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
