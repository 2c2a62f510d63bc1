"""``codeact-tools docs``: the tools' pages as Markdown files, for site generators other than mkdocs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Group, Parameter

from ..docgen.changes import record_of
from ..docgen.collect import Collection, Request, collect_apart
from ..docgen.examples import Policy
from ..errors import ConfigurationError
from ..toolkits import list_toolkits, resolve_tools
from .exits import Exit
from .output import complain, write
from .running import Names

MARK: Final = "<!-- Made by `codeact-tools docs build`; changes here are lost. -->"
"""First line of each file, by which a page is recognised that no tool stands behind any more."""

docs_app = App(name="docs", help="Pages of tools as Markdown, made from the tools themselves.")


@Parameter(name="*", group=Group("The pages", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """What the pages are made of."""

    tools: Annotated[tuple[str, ...], Parameter(alias="-t"), Names] = ()
    """Toolkit by name, or module:attribute; repeat the option, or separate by commas. All installed ones by default."""
    examples: Policy = "safe"
    """Which examples run: safe (of tools that only read), all, none."""
    source_url: Annotated[str, Parameter(show_default=False)] = ""
    """Where the source is read, with {path} and {line}; without it pages hold the source."""
    record: Annotated[str, Parameter(show_default=False)] = ""
    """What `docs record` wrote at the last release; pages then tell what changed since."""

    def names(self) -> tuple[str, ...]:
        """The toolkits, one by one."""
        return _names(self.tools)

    def made(self) -> Collection:
        """Make the pages."""
        return collect_apart(
            Request(toolkits=self.names(), examples=self.examples, source_url=self.source_url, record=self.record)
        )


@docs_app.command
def build(folder: Path, /, *, pages: PageOptions | None = None) -> Exit:
    """Write a page for each toolkit and each tool; pages of tools that are gone are removed.

    The exit code is 1 where a toolkit is broken or an example is stale; the pages are written all the same.

    For example:

        codeact-tools docs build docs/catalog -t calendar

    Args:
        folder: Where to write; other files in it stay.
    """
    made = (pages or PageOptions()).made()
    wanted = _files(folder, made)
    for path, text in wanted.items():
        _write(path, text)
        write(str(path))
    for path in _left_over(folder, wanted):
        path.unlink()
        complain(f"removed {path}")
    return _verdict(made)


@docs_app.command
def check(folder: Path, /, *, pages: PageOptions | None = None) -> Exit:
    """Compare the pages in a folder with the tools; nothing is written.

    The exit code is 1 where a page is missing, stale or left over, a toolkit is broken, or an example is stale.

    For example:

        codeact-tools docs check docs/catalog -t calendar

    Args:
        folder: Where `docs build` wrote them, with the same options.
    """
    made = (pages or PageOptions()).made()
    wanted = _files(folder, made)
    differing = [f"missing {path}" for path in wanted if not path.exists()]
    differing += [f"stale {path}" for path, text in wanted.items() if path.exists() and path.read_text("utf-8") != text]
    differing += [f"left over {path}" for path in _left_over(folder, wanted)]
    for line in differing:
        write(line)
    if differing:
        differ = "1 page differs" if len(differing) == 1 else f"{len(differing)} pages differ"
        complain(f"error: {differ} from the tools; run `codeact-tools docs build {folder}`.")
        return Exit.FAILED
    return _verdict(made)


@docs_app.command
def record(file: Path, /, *, tools: Annotated[tuple[str, ...], Parameter(alias="-t"), Names] = ()) -> Exit:
    """Record the signatures of a release, so that later pages tell what changed since.

    For example:

        codeact-tools docs record docs/release.json -t calendar

    Args:
        file: Where to write, as JSON.
        tools: Toolkits by name; all installed ones by default.
    """
    names = _names(tools) or tuple(each.name for each in list_toolkits() if each.enabled and not each.error)
    _write(file, record_of(resolve_tools(names)).model_dump_json(indent=2) + "\n")
    write(str(file))
    return Exit.ANSWER


def _names(tools: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.strip() for name in tools for part in name.split(",") if part.strip())


def _files(folder: Path, made: Collection) -> dict[Path, str]:
    return {folder / page.path: f"{MARK}\n\n{page.markdown}" for page in made.pages}


def _left_over(folder: Path, wanted: dict[Path, str]) -> list[Path]:
    """Pages that were written once, and that no tool stands behind any more."""
    others = (path for path in sorted(folder.glob("**/*.md")) if path not in wanted)
    return [path for path in others if path.read_text("utf-8").startswith(MARK)]


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The file {str(path)!r} cannot be written: {error.strerror}.") from error


def _verdict(made: Collection) -> Exit:
    for problem in made.problems:
        complain(f"error: {problem}")
    return Exit.FAILED if made.problems else Exit.ANSWER
