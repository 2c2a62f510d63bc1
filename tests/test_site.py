"""The site as its readers meet it: built strictly with both themes, opened in a headless Chromium.

The browser's tests need Debian's package ``chromium``; they are skipped, by name, where it is not installed. Set
``SITE_SCREENSHOTS`` to a folder to look at what they saw.
"""

from __future__ import annotations

import dataclasses
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

import codeact_tools
from codeact_tools import ToolRegistry, errors
from codeact_tools.docgen.pages import slug
from codeact_tools.toolkits import ENABLED, GROUP, load_toolkit

pytest.importorskip("mkdocstrings", reason="the extra 'docs' is not installed")
ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}


def _is_installed() -> bool:
    try:
        return any(each.group == "mkdocs.plugins" for each in distribution("codeact-tools").entry_points)
    except PackageNotFoundError:
        return False


pytestmark = [
    pytest.mark.skipif(not _is_installed(), reason="the plugin's entry point is not installed"),
    pytest.mark.timeout(900),  # the first of them builds the site
]


def build(site: Path, *arguments: str) -> None:
    """Build the site strictly, from the repository's own configuration."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != ENABLED} | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    build(folder)
    return folder


def test_the_site_builds_with_another_theme(tmp_path: Path) -> None:
    """Nothing in the pages is there for one theme alone."""
    build(tmp_path, "--theme", "readthedocs")
    assert "add_working_days" in (tmp_path / "catalog/calendar/add_working_days/index.html").read_text()


def bundled() -> list[str]:
    """The toolkits below ``toolkits/``."""
    projects = (tomllib.loads(path.read_text(encoding="utf-8")) for path in ROOT.glob("toolkits/*/pyproject.toml"))
    return sorted(name for each in projects for name in each["project"]["entry-points"][GROUP])


def test_the_site_has_one_page_for_each_bundled_tool(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one for each toolkit, and each page has its Markdown beside it."""
    monkeypatch.delenv(ENABLED)
    assert sorted(path.name for path in (site / "catalog").iterdir() if path.is_dir()) == bundled()
    for name in bundled():
        pages = {path.parent.name for path in (site / "catalog" / name).glob("*/index.html")}
        registry = ToolRegistry([dataclasses.replace(load_toolkit(name), config=None)])
        assert pages == {slug(spec.name) for spec in registry.specs}
    for path in site.rglob("index.html"):
        assert path.with_suffix(".md").exists(), path


def test_every_link_and_anchor_leads_somewhere(site: Path) -> None:
    """In the pages as they are served, generated ones included."""
    anchors: dict[Path, set[str]] = {}
    for page in site.rglob("*.html"):
        anchors[page] = set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8")))
    broken = []
    for page in anchors:
        for link in re.findall(r'<a [^>]*href="([^"]+)"', page.read_text(encoding="utf-8")):
            if link.startswith(("http:", "https:", "mailto:")) or page.name == "404.html":
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (anchor and target in anchors and anchor not in anchors[target]):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert [each for each in broken if "#__" not in each] == []


def test_every_link_for_models_leads_somewhere(site: Path) -> None:
    """``llms.txt`` and the links between the ``.md`` of the pages."""
    for page in [site / "llms.txt", *site.rglob("*.md")]:
        for link in re.findall(r"\]\(([^)\s#:]+\.md)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.relative_to(site)}: {link}"


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    """Scripts, styles, images and fonts come from the site itself."""
    foreign = re.compile(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?//')
    for page in site.rglob("*.html"):
        assert not foreign.search(page.read_text(encoding="utf-8")), page


def test_every_error_has_its_cause_and_its_remedy() -> None:
    """Each class of the tree has a section; those that are raised say why, and what to do."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^###? (\w+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    classes = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.CodeActError)
    ]
    classes.remove(errors.CodeActError)
    assert {each.__name__ for each in classes} == set(sections)
    for each in classes:
        if not each.__subclasses__():
            assert "**Cause.**" in sections[each.__name__], each
            assert "**Remedy.**" in sections[each.__name__], each


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    """Whatever ``codeact_tools`` exports has an entry that can be linked to, for people and for models."""
    pages = [site / "api" / "index.html", site / "events" / "index.html"]
    anchors = re.findall(r'id="codeact_tools\.([\w.]+)"', "".join(page.read_text(encoding="utf-8") for page in pages))
    documented = {anchor.rpartition(".")[2] for anchor in anchors}
    assert set(codeact_tools.__all__) - {"__version__"} <= documented
    assert "most replies of the model in one run" in (site / "api" / "index.md").read_text(encoding="utf-8").lower()
    assert ":::" not in (site / "llms-full.txt").read_text(encoding="utf-8").replace("::: tool", "")


def test_every_environment_variable_is_documented() -> None:
    """Those of the library's own, wherever the code names one."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "codeact_tools").rglob("*.py"))
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bCODEACT_TOOLS_[A-Z_]+\b", sources)) <= set(re.findall(r"CODEACT_TOOLS_[A-Z_]+", page))


def test_every_benchmark_is_on_its_page() -> None:
    """With the command that runs it again."""
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for path in (ROOT / "benchmarks").glob("*.py"):
        command = f"python -m benchmarks.{path.stem}"
        if command in path.read_text(encoding="utf-8") and path.stem != "contenders":  # which `registry` starts
            assert command in page, command


# ---- in a browser ----------------------------------------------------------------------------------------------------


class Silent(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are watched in the browser."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


class Reader:
    """A browser's window, and what went wrong in it."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.address = address
        self.complaints: list[str] = []
        self.page.on("console", self._logged)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._requested)

    def open(self, path: str) -> Any:
        """Open a page of the site and wait until it has loaded all."""
        self.page.goto(self.address + path)
        self.page.wait_for_load_state("networkidle")
        return self.page

    def shoot(self, name: str) -> None:
        """Keep a picture, where somebody wants to look."""
        if folder := os.environ.get("SITE_SCREENSHOTS"):
            self.page.screenshot(path=f"{folder}/{name}.png")

    def _logged(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _requested(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.complaints.append(f"a request to {request.url}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        # Root, as in containers, has no sandbox of Chromium's; the pages are our own.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def reader(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Reader]:
    """A window; afterwards nothing may have gone wrong in it."""
    options = getattr(request, "param", {"viewport": WIDE})
    found = Reader(browser, address, permissions=["clipboard-read", "clipboard-write"], **options)
    yield found
    found.context.close()
    assert found.complaints == []


def test_navigation_leads_from_the_start_to_a_tool(reader: Reader) -> None:
    """Three clicks: the tools, the toolkit, the tool."""
    page = reader.open("")
    reader.shoot("home")
    page.locator("nav.md-tabs").get_by_text("Tools", exact=True).click()
    page.locator(".md-content").get_by_role("link", name="calendar", exact=True).click()
    page.locator(".md-content").get_by_role("link", name="working_days", exact=True).click()
    assert page.locator("h1").inner_text().startswith("working_days")
    reader.shoot("tool")


@pytest.mark.parametrize(
    ("words", "tool"),
    [("deadline", "add_working_days"), ("time zone convert", "convert_time"), ("public holidays", "public_holidays")],
)
def test_search_finds_a_tool_by_what_it_does(reader: Reader, words: str, tool: str) -> None:
    """Without knowing its name."""
    page = reader.open("")
    page.locator("input.md-search__input").click()
    page.keyboard.type(words, delay=20)
    results = page.locator("a.md-search-result__link")
    results.first.wait_for()
    page.wait_for_function(f"document.querySelector('.md-search-result__list').innerText.includes({tool!r})")
    reader.shoot(f"search-{tool}")
    assert any(f"/calendar/{tool}/" in str(link.get_attribute("href")) for link in results.all()[:5])


def test_a_parameter_can_be_linked_to(reader: Reader) -> None:
    """Its name is a link to itself, and the page opens at it."""
    page = reader.open("catalog/calendar/add_working_days/#parameter-region")
    assert page.locator("#parameter-region").evaluate("element => element.getBoundingClientRect().top < innerHeight")
    page.get_by_role("link", name="days", exact=True).first.click()
    assert page.url.endswith("#parameter-days")


def test_code_can_be_copied(reader: Reader) -> None:
    """The button copies the code as it stands."""
    page = reader.open("catalog/calendar/weekday/")
    block = page.locator(".highlight").first
    block.hover()
    block.locator("button, [data-md-type=copy]").first.click()
    page.wait_for_function("navigator.clipboard.readText().then(text => text.length > 0)")
    assert page.evaluate("navigator.clipboard.readText()").strip() == "def weekday(day: date) -> str"


def brightness(page: Any) -> float:
    """Mean of the background's three colours, 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


def test_dark_mode(reader: Reader) -> None:
    """A switch turns it on, and the next page keeps it."""
    page = reader.open("")
    assert brightness(page) > 200
    page.get_by_title("Switch to dark mode").click()
    colours = "getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).slice(0, 3)"
    page.wait_for_function(f"{colours}.every(each => each < 80)")
    assert brightness(page) < 80
    reader.open("catalog/calendar/add_working_days/")
    assert brightness(page) < 80
    reader.shoot("dark")


@pytest.mark.parametrize("reader", [{"viewport": NARROW, "is_mobile": True, "has_touch": True}], indirect=True)
@pytest.mark.parametrize("path", ["", "catalog/calendar/add_working_days/", "api/", "migrating/", "cli/", "one-call/"])
def test_a_narrow_screen(reader: Reader, path: str) -> None:
    """Nothing is wider than the screen; what must be scrolls inside its own frame."""
    page = reader.open(path)
    reader.shoot(f"narrow-{path.strip('/').replace('/', '-') or 'home'}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("label.md-header__button[for=__drawer]").click()
    page.locator("nav.md-nav--primary").get_by_text("Reference", exact=True).first.wait_for()


def test_every_page_opens_without_an_error(reader: Reader, site: Path) -> None:
    """No error on the console and no request that leaves the host, on any page."""
    for path in sorted(site.rglob("index.html")):
        reader.page.goto(reader.address + path.relative_to(site).parent.as_posix() + "/")
    reader.page.wait_for_load_state("networkidle")


def test_folded_blocks_open(reader: Reader) -> None:
    """The JSON Schema is there for those who want it."""
    page = reader.open("catalog/calendar/weekday/")
    block = page.locator("details", has_text="Arguments").first
    assert not block.locator("pre").is_visible()
    block.locator("summary").click()
    assert '"format": "date"' in block.locator("pre").inner_text()
