"""All pages of a set of toolkits: loads them, runs their examples, renders.

It is meant for a process of its own, which `collect_apart` starts: a changed docstring then shows without a restart,
and what a toolkit does on import cannot disturb the site's generator.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from ..errors import CodeActError, ConfigurationError
from ..registry import ToolRegistry
from ..toolkits import InstalledToolkit, list_toolkits, load_toolkit
from ..tools import Toolkit, ToolSpec
from .changes import Release, read_record
from .examples import Policy, Run, run_examples
from .origin import Origin
from .pages import slug, tool_card, tool_page
from .toolkit_pages import Entry, error_page, index_page, toolkit_page

MOST_SECONDS: Final = 300.0
"""After which a process that makes pages is given up."""


class Request(BaseModel):
    """What to make pages of."""

    model_config = ConfigDict(frozen=True)

    toolkits: tuple[str, ...] = ()
    """Names of installed toolkits, or ``module:attribute`` of others; none: all that are installed and enabled."""
    examples: Policy = "safe"
    source_url: str = ""
    record: str = ""
    """A file with the last release, see `changes`; empty: pages do not tell of changes."""


class Page(BaseModel):
    """A generated page."""

    model_config = ConfigDict(frozen=True)

    path: str
    """Below the folder of the generated pages: ``calendar/working_days.md``."""
    title: str
    summary: str
    markdown: str
    toolkit: str = ""
    """Empty: the table of all toolkits."""
    tool: str = ""
    """Qualified name; empty: a page of a toolkit."""
    card: str = ""
    """A tool in short, for guides."""


class Collection(BaseModel):
    """All pages, and what is wrong."""

    model_config = ConfigDict(frozen=True)

    pages: tuple[Page, ...]
    problems: tuple[str, ...] = ()
    """Each a sentence with the name of a toolkit or a tool, and the cause."""
    folders: tuple[str, ...] = ()
    """Where the sources of the toolkits are: changes there change the pages."""


def collect(request: Request) -> Collection:
    """Make all pages, in this process.

    Raises:
        ConfigurationError: The record of the last release cannot be read.
    """
    record_file = read_record(request.record)
    released = record_file.toolkits if record_file is not None else {}
    pages: list[Page] = []
    problems: list[str] = []
    folders: dict[str, None] = {}
    entries: list[Entry] = []
    for record in _records(request.toolkits):
        try:
            toolkit = _load(record)
        except CodeActError as error:
            problems.append(str(error))
            pages.append(_error(record, str(error)))
            entries.append(Entry(record.name, "", 0, str(error)))
            continue
        found, wrong, registry = _toolkit(toolkit, record, request, released.get(toolkit.name))
        pages += found
        problems += wrong
        folders.update((str(Path(spec.location).parent), None) for spec in registry.specs if ":" in spec.location)
        entries.append(Entry(toolkit.name, toolkit.summary, len(registry.specs)))
    index = Page(path="index.md", title="All tools", summary="All toolkits.", markdown=index_page(entries))
    return Collection(pages=(index, *pages), problems=tuple(problems), folders=tuple(folders))


def collect_apart(request: Request) -> Collection:
    """Make all pages in a new process.

    Raises:
        ConfigurationError: The process failed; the message holds its last lines.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "pages.json"
        command = [sys.executable, "-m", "codeact_tools.docgen", request.model_dump_json(), str(answer)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=MOST_SECONDS,
                check=False,
                # Compiled modules beside the sources would look like a change to whoever watches them.
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            )
        except subprocess.TimeoutExpired:
            raise ConfigurationError(
                f"The pages of the tools were not made within {MOST_SECONDS:g} seconds; an example may wait for "
                f"something: mark it '# doctest: +SKIP'."
            ) from None
        if done.returncode != 0:
            last = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise ConfigurationError(f"The pages of the tools cannot be made: {last}")
        return Collection.model_validate_json(answer.read_bytes())


def _records(names: Iterable[str]) -> list[InstalledToolkit]:
    installed = {record.name: record for record in list_toolkits()}
    if not (wanted := list(names)):
        return [record for record in installed.values() if record.enabled]
    absent = InstalledToolkit(name="", distribution="", version="", target="")
    return [
        replace(absent, name=name.partition(":")[2], target=name) if ":" in name else installed.get(
            name, replace(absent, name=name)
        )
        for name in wanted
    ]  # fmt: skip


def _load(record: InstalledToolkit) -> Toolkit:
    if record.distribution or ":" not in record.target:
        return load_toolkit(record.name)
    module, _, attribute = record.target.partition(":")
    try:
        toolkit = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"The toolkit {record.target!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(toolkit, Toolkit):
        raise ConfigurationError(f"{record.target!r} is of type {type(toolkit).__name__!r}, not a Toolkit.")
    return toolkit


def _error(record: InstalledToolkit, cause: str) -> Page:
    name = record.name or record.target
    markdown = error_page(replace(record, name=name, error=record.error or cause))
    return Page(path=f"{name}/index.md", title=name, summary=f"{name} is broken.", markdown=markdown, toolkit=name)


def _toolkit(
    toolkit: Toolkit, record: InstalledToolkit, request: Request, last: Release | None
) -> tuple[list[Page], list[str], ToolRegistry]:
    configured = _configured(toolkit)
    policy = request.examples if configured is not None else "none"
    registry = ToolRegistry([configured or replace(toolkit, config=None)], lenient=True)
    origin = Origin(
        distribution=record.distribution,
        version=toolkit.version or record.version,
        source_url=request.source_url,
    )
    markdown = toolkit_page(toolkit, registry, origin=origin, problems=registry.problems, last=last)
    own = Page(
        path=f"{toolkit.name}/index.md", title=toolkit.name, summary=toolkit.summary, markdown=markdown,
        toolkit=toolkit.name,
    )  # fmt: skip
    pages = [own]
    problems = [f"The tool {toolkit.name}.{each.tool} is broken: {each.error}" for each in registry.problems]
    for spec in registry.specs:
        runs = run_examples(spec, policy=policy)
        problems += [_differing(spec, run) for example in runs for run in example if not run.matches]
        pages.append(_tool(spec, registry, origin, runs))
    return pages, problems, registry


def _configured(toolkit: Toolkit) -> Toolkit | None:
    """The toolkit with its configuration made; None where that takes a secret or a setting that is not here."""
    if not isinstance(toolkit.config, type):
        return toolkit
    try:
        return replace(toolkit, config=toolkit.config())
    except (ValueError, TypeError, KeyError, OSError, CodeActError):
        return None


def _tool(spec: ToolSpec, registry: ToolRegistry, origin: Origin, runs: tuple[tuple[Run, ...], ...]) -> Page:
    return Page(
        path=f"{spec.toolkit}/{slug(spec.name)}.md",
        title=spec.name,
        summary=spec.summary,
        markdown=tool_page(spec, registry, origin=origin, runs=runs),
        toolkit=spec.toolkit or "",
        tool=spec.qualified,
        card=tool_card(spec),
    )


def _differing(spec: ToolSpec, run: Run) -> str:
    return (
        f"The example of {spec.qualified} ({spec.location}) is stale: {run.source.strip()!r} gave "
        f"{(run.got or '').strip()!r}, and the docstring shows {run.want.strip()!r}."
    )
