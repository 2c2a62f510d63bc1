"""The mkdocs plugin ``codeact-tools``: pages of the installed toolkits, in any theme.

    plugins:
      - search
      - codeact-tools:
          toolkits: [finance]       # default: all that are installed
          folder: catalog           # where the pages are; `- Tools: catalog/` in `nav` is filled in with them
          examples: safe            # which examples run: safe (read-only tools), all, none
          source_url: https://git.example/finance/blob/main/src/{path}#L{line}
          record: release.json      # of the last release, for what changed since; `codeact-tools docs record` writes it

Nothing is written into the docs folder. The pages are made in a process of their own at each build, so that
``mkdocs serve`` shows a changed docstring. Whatever is wrong with a toolkit, an example or a directive is a warning,
which ends a build with ``--strict``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mkdocs.config import config_options
from mkdocs.config.base import Config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.livereload import LiveReloadServer
from mkdocs.plugins import BasePlugin, CombinedEvent, event_priority, get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page as SitePage

from ..errors import CodeActError
from .collect import Collection, Page, Request, collect_apart
from .directive import expand
from .llms import Document, first_sentence, llms_full_txt, llms_txt, relinked
from .plain import markdown_of

log = get_plugin_logger(__name__)

STYLE: Final = "assets/codeact-tools.css"
_CSS: Final = """\
.codeact-facts code { border: 1px solid currentColor; border-radius: 1em; padding: 0.1em 0.7em; opacity: 0.85; }
.codeact-facts { line-height: 2; }
.codeact-facts ~ * td:first-child code, .codeact-facts ~ table td:first-child code { white-space: nowrap; }
"""
_FILLED: Final = re.compile(r"^#* *::: ", re.MULTILINE)
"""A line that mkdocstrings replaces in the rendered page."""
_REPEATED: Final = re.compile(r"<h2(?=[^>]*>(?:What the model sees|JSON Schema|Source)\b)")
"""Sections that say once more what stands above them."""
_FACTS: Final = re.compile(r"(</h1>\s*)<p>(?=(?:<code>[^<]*</code>\s*)+</p>)")


class ToolDocsConfig(Config):  # type: ignore[no-untyped-call]  # mkdocs leaves its hook unannotated
    """The plugin's options."""

    toolkits = config_options.ListOfItems(config_options.Type(str), default=[])
    """Names of installed toolkits, or ``module:attribute``; none: all that are installed."""
    folder = config_options.Type(str, default="catalog")
    """Where the pages are in the site."""
    examples = config_options.Choice(("safe", "all", "none"), default="safe")
    """Which examples run."""
    source_url = config_options.Type(str, default="")
    """Where the source is read, with ``{path}`` and ``{line}``."""
    record = config_options.Optional(config_options.File(exists=True))
    """The record of the last release; without it pages do not tell of changes."""
    llms = config_options.Type(bool, default=True)
    """Whether the site has ``llms.txt``, ``llms-full.txt`` and an ``.md`` beside each page."""


class ToolDocsPlugin(BasePlugin[ToolDocsConfig]):  # type: ignore[no-untyped-call]  # as above
    """Adds a page for each toolkit and each tool, and what models read."""

    def __init__(self) -> None:
        self._collection = Collection(pages=())
        self._generated: dict[str, Page] = {}
        self._markdown: dict[str, str] = {}
        self._pages: dict[str, SitePage] = {}
        self._nav: Navigation | None = None

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        """Add what the pages need of Python-Markdown, and their style sheet."""
        if "md_in_html" not in config.markdown_extensions:
            config.markdown_extensions.append("md_in_html")
        if STYLE not in config.extra_css:
            config.extra_css.append(STYLE)
        return config

    def on_files(self, files: Files, *, config: MkDocsConfig) -> Files:
        """Make the pages, and fill in the navigation's entry."""
        request = Request(
            toolkits=tuple(self.config.toolkits),
            examples=self.config.examples,  # type: ignore[arg-type]  # one of the choices
            source_url=self.config.source_url,
            record=self.config.record or "",
        )
        try:
            self._collection = collect_apart(request)
        except CodeActError as error:
            raise PluginError(str(error)) from error
        for problem in self._collection.problems:
            log.warning(problem)
        self._generated = {f"{self.config.folder}/{page.path}": page for page in self._collection.pages}
        self._markdown.clear()
        for source, page in self._generated.items():
            if files.get_file_from_path(source) is not None:
                log.warning(f"{source} is generated, but it is in the docs too; remove it, or set another 'folder'.")
                continue
            files.append(File.generated(config, source, content=_with_head(page)))
        files.append(File.generated(config, STYLE, content=_CSS))
        if config.nav is not None:
            config.nav = _filled(config.nav, f"{self.config.folder}/", self._entries())
        return files

    def on_nav(self, nav: Navigation, *, config: MkDocsConfig, files: Files) -> Navigation:  # noqa: ARG002
        """Remember the order of the pages."""
        self._nav = nav
        return nav

    @event_priority(50)
    def _expand(self, markdown: str, *, page: SitePage, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG002
        source = page.file.src_uri
        if source in self._generated:
            return markdown
        return expand(
            markdown, self._collection.pages, source=source, folder=self.config.folder, complain=_complain
        )  # fmt: skip

    @event_priority(-100)
    def _remember(self, markdown: str, *, page: SitePage, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG002
        self._markdown[page.file.src_uri] = markdown
        self._pages[page.file.src_uri] = page
        return markdown

    on_page_markdown = CombinedEvent(_expand, _remember)

    def on_page_content(self, html: str, *, page: SitePage, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG002
        """Give the line of facts on a generated page its style, and keep repetitions out of the search.

        The mark is that of material's search; others pass over it.
        Of a page that another plugin fills in, remember what came out: its source tells a model nothing.
        """
        if _FILLED.search(self._markdown.get(page.file.src_uri, "")):
            self._markdown[page.file.src_uri] = markdown_of(html)
        if page.file.src_uri not in self._generated:
            return html
        return _REPEATED.sub("<h2 data-search-exclude", _FACTS.sub(r'\1<p class="codeact-facts">', html, count=1))

    def on_post_build(self, *, config: MkDocsConfig) -> None:
        """Write what models read."""
        if not self.config.llms:
            return
        documents = [self._document(source) for source in self._in_order()]
        site = Path(config.site_dir)
        base = config.site_url or ""
        name, description = config.site_name, config.site_description or ""
        texts = {document.path: document.markdown for document in documents}
        texts["llms.txt"] = llms_txt(name, description, documents, base=base)
        texts["llms-full.txt"] = llms_full_txt(name, description, documents, base=base)
        for path, text in texts.items():
            target = site / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")

    def on_serve(
        self, server: LiveReloadServer, *, config: MkDocsConfig, builder: Callable[..., Any]  # noqa: ARG002
    ) -> LiveReloadServer:  # fmt: skip
        """Build anew where the source of a toolkit changes."""
        for folder in self._collection.folders:
            server.watch(folder)
        return server

    def _entries(self) -> list[Any]:
        """The navigation below the user's entry."""
        prefix = self.config.folder
        toolkits: dict[str, list[Any]] = {}
        for page in self._collection.pages:
            if page.toolkit:
                title = page.title if page.tool else "Overview"
                toolkits.setdefault(page.toolkit, []).append({title: f"{prefix}/{page.path}"})
        return [{"All tools": f"{prefix}/index.md"}, *({name: pages} for name, pages in toolkits.items())]

    def _in_order(self) -> list[str]:
        listed = [page.file.src_uri for page in self._nav.pages] if self._nav else []
        return [source for source in dict.fromkeys([*listed, *self._markdown]) if source in self._markdown]

    def _document(self, source: str) -> Document:
        page, markdown = self._pages[source], self._markdown[source]
        ancestors = list(page.ancestors)
        top = ancestors[-1].title if ancestors else ""
        return Document(
            section=top or "",
            title=generated.tool or generated.title if (generated := self._generated.get(source)) else str(page.title),
            summary=str(page.meta.get("description") or first_sentence(markdown)),
            path=_beside(page.file),
            markdown=relinked(markdown, source=source, own=_beside(page.file), destination=self._destination),
        )

    def _destination(self, source: str) -> str | None:
        page = self._pages.get(source)
        return _beside(page.file) if page is not None else None


def _complain(problem: str) -> None:
    log.warning(problem)


def _beside(file: File) -> str:
    return file.dest_uri.removesuffix(".html") + ".md"


def _with_head(page: Page) -> str:
    """A page with its title and description as mkdocs reads them."""
    return f"---\ntitle: {json.dumps(page.title)}\ndescription: {json.dumps(page.summary)}\n---\n\n{page.markdown}"


def _filled(nav: Any, marker: str, entries: list[Any]) -> Any:
    """The navigation with ``entries`` in the place of ``marker``."""
    match nav:
        case str():
            return entries if nav == marker else nav
        case list():
            filled = (_filled(each, marker, entries) for each in nav)
            return [item for each, new in zip(nav, filled, strict=True) for item in (new if each == marker else [new])]
        case dict():
            return {title: _filled(each, marker, entries) for title, each in nav.items()}
        case _:
            return nav
