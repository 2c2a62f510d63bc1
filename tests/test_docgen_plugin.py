"""The mkdocs plugin, in somebody else's project: one line in its ``mkdocs.yml``, in any theme."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from codeact_tools.toolkits import ENABLED, GROUP

FINANCE = Path(__file__).with_name("finance_tools.py")
BROKEN = "import a_module_that_is_missing\n"


class Project:
    """A toolkit's own repository, with a docs folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.enabled: list[str] = []
        (folder / "docs").mkdir()
        self.page("index.md", "# Finance\n\nPrices.\n")

    def page(self, name: str, text: str) -> None:
        """Write a page of the docs."""
        (self.folder / "docs" / name).write_text(text)

    def install(self, name: str, source: str) -> None:
        """Write what an installer writes of a toolkit."""
        (self.folder / f"{name}_tools.py").write_text(source)
        info = self.folder / f"{name}_tools-1.2.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-tools\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {name}_tools:toolkit\n")
        self.enabled.append(name)

    def configure(self, *lines: str) -> None:
        """Write the configuration."""
        (self.folder / "mkdocs.yml").write_text("\n".join(["site_name: Finance", *lines]) + "\n")

    def build(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Build the site."""
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(self.site), *arguments]
        root = str(FINANCE.parent.parent)
        path = os.pathsep.join([str(self.folder), root, *filter(None, [os.environ.get("PYTHONPATH", "")])])
        environment = {**os.environ, "PYTHONPATH": path, ENABLED: ",".join(self.enabled), "NO_MKDOCS_2_WARNING": "1"}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def read(self, name: str) -> str:
        """A file of the site."""
        return (self.site / name).read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with the toolkit ``finance``."""
    if not any(each.group == "mkdocs.plugins" for each in distribution("codeact-tools").entry_points):
        pytest.skip("the plugin's entry point is not installed; install this project anew")
    found = Project(tmp_path)
    found.install("finance", FINANCE.read_text())
    return found


@pytest.mark.parametrize("theme", ["material", "readthedocs", "mkdocs"])
def test_one_line_gives_a_toolkit_its_pages(project: Project, theme: str) -> None:
    """Strictly, in any theme, and without a file in the project's own folders."""
    project.configure(f"theme: {theme}", "plugins: [search, codeact-tools]")
    before = {path for path in project.folder.rglob("*") if "__pycache__" not in path.parts}
    done = project.build()
    assert done.returncode == 0, done.stderr
    added = {path for path in project.folder.rglob("*") if "__pycache__" not in path.parts} - before
    assert {path for path in added if project.site not in (path, *path.parents)} == set()
    for name in ("quote", "ticks", "pay"):
        assert f'id="{name}"' in project.read(f"catalog/finance/{name}/index.html")
    assert 'id="parameter-amount"' in project.read("catalog/finance/quote/index.html")
    assert "Look up what a currency costs." in project.read("search/search_index.json")


def test_search_finds_a_tool_once(project: Project) -> None:
    """What the model sees, the JSON Schema and the source say again what stands above them, and are not searched."""
    project.configure("theme: material", "plugins: [search, codeact-tools]")
    done = project.build()
    assert done.returncode == 0, done.stderr
    found = [
        entry["location"].partition("quote/")[2]
        for entry in json.loads(project.read("search/search_index.json"))["docs"]
        if "finance/quote/" in entry["location"]
    ]
    assert {"#parameters", "#examples", "#limits-and-notes"} <= set(found)
    assert not {"#what-the-model-sees", "#json-schema", "#source"} & set(found)
    assert '<h2 data-search-exclude id="json-schema">' in project.read("catalog/finance/quote/index.html")


def test_the_navigation_is_filled_in(project: Project) -> None:
    """The entry that names the folder is replaced by the toolkits and their tools; the order is the user's."""
    project.configure(
        "theme: readthedocs", "plugins: [search, {codeact-tools: {folder: reference/tools}}]",
        "nav: [index.md, {Tools: reference/tools/}, {Last: last.md}]",
    )  # fmt: skip
    project.page("last.md", "# Last\n")
    done = project.build()
    assert done.returncode == 0, done.stderr
    listed = project.read("llms.txt")
    names = ["Prices.", "All toolkits.", "Prices and payments.", "Look up", "Follow", "Send money."]
    assert [listed.find(each) for each in names] == sorted(listed.find(each) for each in names)
    assert "## Tools" in listed


def test_what_models_read(project: Project) -> None:
    """A list, everything in one text, and the Markdown of each page beside it."""
    project.configure("plugins: [search, codeact-tools]", "site_url: https://finance.example/docs/")
    assert project.build().returncode == 0
    assert (
        "- [finance.quote](https://finance.example/docs/catalog/finance/quote/index.md): Look up what a currency costs."
        in project.read("llms.txt")
    )
    page = project.read("catalog/finance/quote/index.md")
    assert page.startswith("# quote\n")
    assert "](../ticks/index.md)" in page
    assert page.strip() in project.read("llms-full.txt")
    for html in project.site.rglob("*.html"):
        assert html.name == "404.html" or html.with_suffix(".md").exists()


def test_a_tool_in_a_guide(project: Project) -> None:
    """The directive becomes the tool in short."""
    project.configure("plugins: [search, codeact-tools]")
    project.page("guide.md", "# Guide\n\n::: tool finance.quote\n")
    done = project.build()
    assert done.returncode == 0, done.stderr
    assert 'href="../catalog/finance/quote/"' in project.read("guide/index.html")


def test_a_broken_toolkit_gets_an_error_page_and_fails_strictly(project: Project) -> None:
    """With its name and the cause; the others get their pages all the same."""
    project.install("dice", BROKEN)
    project.configure("plugins: [search, codeact-tools]")
    done = project.build()
    assert done.returncode != 0
    assert "'dice'" in done.stderr
    assert "No module named 'a_module_that_is_missing'" in done.stderr
    page = project.read("catalog/dice/index.html")
    assert "dice-tools 1.2" in page
    assert "a_module_that_is_missing" in page
    assert "broken" in project.read("catalog/index.html")
    assert "Look up what a currency costs." in project.read("catalog/finance/quote/index.html")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("Decimal('1.80')|Decimal('1.81')", "The example of finance.quote"),
        ("amount: Annotated[int, Field(ge=1, le=1000)] = 1|amount: complex | type = 1", "finance.quote is broken"),
    ],
)
def test_what_is_stale_or_broken_fails_strictly(project: Project, change: str, message: str) -> None:
    """An example whose output is another one, and a tool that cannot be registered."""
    old, new = change.split("|", 1)
    project.install("finance", FINANCE.read_text().replace(old, new))
    project.configure("plugins: [search, codeact-tools]")
    done = project.build()
    assert done.returncode != 0
    assert message in done.stderr


def test_a_changed_docstring_shows_in_the_next_build_of_one_process(project: Project) -> None:
    """As with ``mkdocs serve``: the process that builds has imported nothing of the toolkit."""
    project.configure("plugins: [search, codeact-tools]")
    script = (
        "import sys, pathlib\n"
        "from mkdocs.config import load_config\n"
        "from mkdocs.commands.build import build\n"
        f"module = pathlib.Path({str(project.folder / 'finance_tools.py')!r})\n"
        "for new in ('Look up what a currency costs.', 'Ask what a currency is worth.'):\n"
        "    module.write_text(module.read_text().replace('Look up what a currency costs.', new))\n"
        f"    build(load_config(site_dir={str(project.site)!r}))\n"
        "    assert 'finance_tools' not in sys.modules\n"
    )
    path = os.pathsep.join([str(project.folder), str(FINANCE.parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, ENABLED: "finance"}
    subprocess.run([sys.executable, "-c", script], cwd=project.folder, env=environment, check=True, capture_output=True)
    assert "Ask what a currency is worth." in project.read("catalog/finance/quote/index.html")


def test_an_unknown_toolkit_is_named(project: Project) -> None:
    """A typing mistake in the configuration is told as such."""
    project.configure("plugins: [search, {codeact-tools: {toolkits: [finanse]}}]")
    done = project.build()
    assert done.returncode != 0
    assert "No toolkit 'finanse' is installed; did you mean 'finance'?" in done.stderr
