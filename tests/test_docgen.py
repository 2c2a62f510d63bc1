"""Pages of tools: what they hold, where it comes from, and how a guide or a model gets at it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, SecretStr

from codeact_tools import Opaque, Toolkit, ToolRegistry, tool
from codeact_tools.cli import main
from codeact_tools.docgen import Origin, Request, collect, run_examples, tool_page, toolkit_page
from codeact_tools.docgen.changes import Record, Release, record_of
from codeact_tools.docgen.collect import Page, collect_apart
from codeact_tools.docgen.directive import expand
from codeact_tools.docgen.llms import Document, llms_full_txt, llms_txt, relinked
from codeact_tools.docgen.plain import markdown_of
from codeact_tools.docgen.schema import input_schema, output_schema
from codeact_tools.errors import ConfigurationError
from codeact_tools.toolkits import resolve_tools
from tests import finance_tools
from tests.conftest import Snapshot
from tests.finance_tools import FinanceConfig, toolkit

ORIGIN = Origin(distribution="finance-tools", version="1.2.0", source_url="https://git.example/finance/{path}#L{line}")


@pytest.fixture
def registry() -> ToolRegistry:
    """The tools of somebody else's toolkit."""
    return ToolRegistry([toolkit])


@pytest.mark.parametrize("name", ["quote", "ticks", "pay"])
def test_the_page_of_a_tool(registry: ToolRegistry, snapshot: Snapshot, name: str) -> None:
    """All that is known of a tool, in a fixed order; the snapshot is the page as a person reads it."""
    spec = registry.get(name)
    origin = dataclasses.replace(ORIGIN, source_url="https://git.example/finance/{path}")
    snapshot(f"pages/{name}.md", tool_page(spec, registry, origin=origin, runs=run_examples(spec)))


def test_the_page_of_a_toolkit(registry: ToolRegistry, snapshot: Snapshot) -> None:
    """Purpose, installation, configuration, tools."""
    snapshot("pages/finance.md", toolkit_page(toolkit, registry, origin=ORIGIN))


def test_the_order_of_a_page(registry: ToolRegistry) -> None:
    """A reader finds the same thing at the same place on every page."""
    page = tool_page(registry.get("quote"), registry, runs=run_examples(registry.get("quote")))
    assert [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")] == [
        "Signature", "Install and configure", "Parameters", "Returns", "Raises", "Examples", "Permissions and effects",
        "What the model sees", "JSON Schema", "Limits and notes", "See also", "Source",
    ]  # fmt: skip


def test_the_limits_of_a_tool_are_on_its_page() -> None:
    """How often, how fast, what is tried again, and what is never recorded; in that order."""

    @tool(
        retries=2,
        transient=(ConnectionError, TimeoutError),
        backoff=1,
        calls=1,
        rate=2.5,
        concurrency=3,
        secrets=["pin", "return"],
    )
    def pay(pin: str) -> str:
        """Pay."""
        return pin

    @tool(retries=1, backoff=0)
    def plain() -> None:
        """Do nothing."""

    registry = ToolRegistry([pay, plain])

    def limits(name: str) -> list[str]:
        page = tool_page(registry.get(name), registry)
        return page.partition("## Limits and notes\n\n")[2].partition("\n\n")[0].splitlines()

    assert limits("pay") == [
        "- A call has no time limit of its own; the action's limit holds.",
        "- A call that fails with `ConnectionError` or `TimeoutError`, or times out, is tried again up to 2 times "
        "after 1 second, then twice as long each time, at most 30 seconds.",
        "- At most one call is made in a run; more are refused with `ToolDenied`.",
        "- At most 2.5 calls start per second; further ones wait for their turn.",
        "- At most 3 calls are running at the same time; further ones wait.",
        "- Never recorded in a journal: `pin`, the result.",
    ]
    assert limits("plain")[1] == "- A call that fails, or times out, is tried again once."


def test_conditions_are_told_of_what_they_hold_for() -> None:
    """Of the parameter, also where it may be None; of items, keys and values, by these words."""
    Few = Annotated[int, Field(ge=1)]  # noqa: N806

    @tool
    def count(a: Few | None, b: list[Few], c: dict[Annotated[str, Field(max_length=3)], Few | None]) -> None:
        """Count."""

    registry = ToolRegistry([count])
    rows = tool_page(registry.get("count"), registry).partition("## Parameters")[2].partition("## Returns")[0]
    conditions = [re.findall(r"`([^`]*)`", line.rpartition("| **required** |")[2]) for line in rows.splitlines()]
    assert [each for each in conditions if each] == [["a >= 1"], ["item >= 1"], ["len(key) <= 3", "value >= 1"]]


def test_a_version_mark_is_for_people_only(registry: ToolRegistry) -> None:
    """The page has it as a badge, the model does not read it; a deprecation both do."""
    quote = tool_page(registry.get("quote"), registry)
    assert "`since 1.1`" in quote
    assert "versionadded" not in quote.partition("## Source")[0]
    pay = tool_page(registry.get("pay"), registry)
    assert pay.partition("## What the model sees")[0].count("Use `quote` and ask your bank.") == 1
    assert pay.partition("## What the model sees")[2].partition("## JSON")[0].count("ask your bank.") == 1


def test_a_source_link_names_file_and_line(registry: ToolRegistry) -> None:
    """The path is that below the package's folder, which is the same on every machine."""
    page = tool_page(registry.get("quote"), registry, origin=ORIGIN)
    lines = Path(__file__).with_name("finance_tools.py").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.startswith("@tool(read_only=True, timeout"))
    assert f"(https://git.example/finance/tests/finance_tools.py#L{line})" in page


def test_every_bundled_tool_has_exactly_one_page() -> None:
    """No tool is forgotten, and none appears twice."""
    pages = collect(Request(toolkits=("calendar",))).pages
    assert [page.tool for page in pages if page.tool] == [spec.qualified for spec in resolve_tools(["calendar"]).specs]
    assert len({page.path for page in pages}) == len(pages)


def test_the_bundled_examples_are_true() -> None:
    """What the docstrings of the bundled toolkit show is what comes out."""
    assert collect(Request(toolkits=("calendar",))).problems == ()


def test_pages_made_in_another_process_are_the_same() -> None:
    """`collect_apart` only moves the work."""
    request = Request(toolkits=("calendar",))
    assert collect_apart(request) == collect(request)


def test_a_secret_never_reaches_a_page(registry: ToolRegistry) -> None:
    """Not the default of a secret field, and not what an instance holds."""
    page = toolkit_page(dataclasses.replace(toolkit, config=toolkit.config()), registry, origin=ORIGIN)
    assert "kept-to-itself" not in page
    assert "| `key` | `SecretStr` | secret | The account's key. |" in page


@dataclasses.dataclass
class Plain:
    """A configuration without pydantic."""

    url: str
    key: SecretStr | None = None
    names: list[str] = dataclasses.field(default_factory=list)


def test_a_dataclass_is_a_configuration_too() -> None:
    """Its fields are listed with their defaults."""
    page = toolkit_page(Toolkit("plain", tools=[], config=Plain), ToolRegistry(), origin=ORIGIN)
    for row in ("| `url` | `str` | **required** |", "| secret |", "| `names` | `list[str]` | made at start |"):
        assert row in page


def test_a_toolkit_whose_configuration_needs_a_secret_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pages are made there need not be a key: the examples then stand as written."""

    class Locked(FinanceConfig):
        """Prices for members."""

        key: SecretStr

    monkeypatch.setattr(finance_tools, "toolkit", dataclasses.replace(toolkit, config=Locked))
    made = collect(Request(toolkits=("tests.finance_tools:toolkit",)))
    assert made.problems == ()
    pages = {page.tool or page.toolkit: page.markdown for page in made.pages}
    assert "| `key` | `SecretStr` | **required**, secret |" in pages["finance"]
    assert "Not run when this page was made" in pages["finance.quote"]


def test_changes_since_the_last_release(registry: ToolRegistry, tmp_path: Path) -> None:
    """Tools that are new, changed and gone, from the record that was made then."""
    released = record_of(registry).toolkits["finance"]
    assert "No signature has changed." in toolkit_page(toolkit, registry, origin=ORIGIN, last=released)
    tools = {**released.tools, "ticks": "ticks() -> int", "refund": "refund() -> None"}
    del tools["pay"]
    file = tmp_path / "release.json"
    file.write_text(Record(toolkits={"finance": Release(version="1.1", tools=tools)}).model_dump_json())
    made = collect(Request(toolkits=("tests.finance_tools:toolkit",), record=str(file)))
    page = next(page.markdown for page in made.pages if page.toolkit == "finance" and not page.tool)
    assert page.partition("## Changes since 1.1\n\n")[2].splitlines() == [
        "- New: <code>pay(account: str, *, amount: Decimal &#124; None = None) -> None</code>.".replace("->", "-&gt;"),
        "- Changed: `ticks(currency: Currency) -> Iterator[Decimal]`; before: `ticks() -> int`.",
        "- Removed: `refund`.",
    ]


@pytest.mark.parametrize(("text", "message"), [(None, "docs record"), ("{}", "is no record of a release")])
def test_a_record_that_cannot_be_read_is_told(tmp_path: Path, text: str | None, message: str) -> None:
    """With the file's name, and how to write one."""
    file = tmp_path / "release.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        collect(Request(record=str(file)))


# ---- examples --------------------------------------------------------------------------------------------------------


@tool(read_only=True)
async def slow_double(x: int) -> int:
    """Double.

    Examples:
        >>> await slow_double(2)
        4
        >>> y = await slow_double(3)
        >>> for step in range(2):
        ...     print(step + y)
        6
        7
        >>> await slow_double(1)  # doctest: +SKIP
        3
    """
    return 2 * x


@tool(read_only=True)
def half(x: int) -> float:
    """Halve.

    Examples:
        >>> half(3)
        1.0
        >>> half(None)
        Traceback (most recent call last):
        TypeError: ...
    """
    return x / 2


def test_examples_of_coroutines_run() -> None:
    """``await`` works at the top level, statements share their variables, and a skipped one is shown as written."""
    (runs,) = run_examples(ToolRegistry([slow_double]).get("slow_double"))
    assert [run.got for run in runs] == ["4\n", "", "6\n7\n", None]
    assert all(run.matches for run in runs)
    assert runs[2].transcript == ">>> for step in range(2):\n...     print(step + y)\n6\n7"
    assert runs[3].transcript.endswith("\n3")


def test_a_stale_example_is_told_and_the_page_shows_what_came() -> None:
    """The page never repeats an output that is not true."""
    registry = ToolRegistry([half])
    spec = registry.get("half")
    runs = run_examples(spec)
    assert [run.matches for run in runs[0]] == [False, True]
    page = tool_page(spec, registry, runs=runs)
    assert ">>> half(3)\n1.5\n" in page
    assert "The docstring shows another output for `half(3)`." in page


def test_examples_with_effects_run_only_where_that_is_asked_for(registry: ToolRegistry) -> None:
    """``ticks`` is not declared to read only, and reaches out."""
    spec = registry.get("ticks")
    assert [run.got for run in run_examples(spec)[0]] == [None]
    assert [run.got for run in run_examples(spec, policy="all")[0]] == ["Decimal('0.90')\n"]
    assert "Not run when this page was made" in tool_page(spec, registry, runs=run_examples(spec))


# ---- JSON Schema -----------------------------------------------------------------------------------------------------


def test_arguments_as_json_schema(registry: ToolRegistry) -> None:
    """Constraints, defaults, enums and docs; parameters of the host are not in it."""
    schema = input_schema(registry.get("quote"))
    assert schema["properties"]["amount"] == {
        "type": "integer", "minimum": 1, "maximum": 1000, "default": 1, "description": "How many units.",
    }  # fmt: skip
    assert list(schema["properties"]) == ["currency", "amount"]
    assert (schema["required"], schema["additionalProperties"]) == (["currency"], False)
    assert schema["properties"]["currency"]["enum"] == ["EUR", "USD"]
    assert output_schema(registry.get("quote"))["properties"].keys() == {"currency", "price"}


class Connection:
    """Something that JSON has no form of."""


def test_what_json_cannot_say_is_named() -> None:
    """A handle has a schema that says that it has none."""

    @tool
    def close(connection: Opaque[Connection], *names: str, **options: int) -> None:
        """Close."""

    schema = input_schema(ToolRegistry([close]).get("close"))
    assert schema["properties"] == {
        "connection": {"$comment": "a Python value without a JSON form: Connection"},
        "names": {"type": "array", "items": {"type": "string"}},
    }
    assert schema["additionalProperties"] == {"type": "integer"}
    json.dumps(schema)


# ---- guides ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pages() -> tuple[Page, ...]:
    """The pages of the bundled toolkit."""
    return collect(Request(toolkits=("calendar",), examples="none")).pages


def embedded(markdown: str, pages: tuple[Page, ...]) -> tuple[str, list[str]]:
    """What a guide becomes, and the complaints."""
    complaints: list[str] = []
    text = expand(markdown, pages, source="guides/dates.md", folder="catalog", complain=complaints.append)
    return text, complaints


def test_a_tool_in_a_guide(pages: tuple[Page, ...]) -> None:
    """Signature, sentence and parameters stand in the guide, with a link to the page."""
    text, complaints = embedded("Before\n\n::: tool calendar.weekday\n\nAfter", pages)
    assert "def weekday(day: date) -> str" in text
    assert "(../catalog/calendar/weekday.md)" in text
    assert text.startswith("Before\n")
    assert text.endswith("\nAfter")
    assert embedded("::: tool weekday", pages)[0] in text
    assert complaints == []


def test_a_toolkit_in_a_guide(pages: tuple[Page, ...]) -> None:
    """The table of its tools."""
    text, _ = embedded("::: toolkit calendar", pages)
    assert "| [`weekday`](../catalog/calendar/weekday.md) | Tell on which weekday a date falls. |" in text


def test_a_directive_in_fenced_code_stays(pages: tuple[Page, ...]) -> None:
    """A guide can show how the directive is written."""
    shown = "```text\n::: tool calendar.weekday\n```"
    assert embedded(shown, pages) == (shown, [])


def test_a_directive_that_names_nothing_is_told(pages: tuple[Page, ...]) -> None:
    """With page and nearest name."""
    _, complaints = embedded("::: tool calendar.weekdy", pages)
    assert complaints == ["guides/dates.md: there is no tool 'calendar.weekdy'; did you mean 'calendar.weekday'?"]


# ---- for models ------------------------------------------------------------------------------------------------------


def test_llms_txt() -> None:
    """The form of https://llmstxt.org: name, description, sections of links with a sentence each."""
    documents = [
        Document(section="", title="Start", summary="Begin here.", path="index.md", markdown="# Start\n"),
        Document(section="Guides", title="Tools", summary="", path="tools/index.md", markdown="# Tools\n"),
    ]
    assert llms_txt("Shop", "A shop.", documents, base="https://shop.example/docs/") == (
        "# Shop\n\n> A shop.\n\n## Docs\n\n- [Start](https://shop.example/docs/index.md): Begin here.\n\n"
        "## Guides\n\n- [Tools](https://shop.example/docs/tools/index.md)\n"
    )
    assert llms_full_txt("Shop", "", documents).endswith("<!-- tools/index.md -->\n\n# Tools\n")


def test_links_between_the_pages_for_models() -> None:
    """A link leads to the other page's ``.md``, with its anchor; one that is no page stays."""
    places = {"a/b.md": "a/b/index.md", "c.md": "c/index.md"}
    text = "[c](../c.md#x) [gone](gone.md) [out](https://e.example/x.md)"
    linked = relinked(text, source="a/b.md", own="a/b/index.md", destination=places.get)
    assert linked == "[c](../../c/index.md#x) [gone](gone.md) [out](https://e.example/x.md)"


def test_a_rendered_page_as_markdown() -> None:
    """For pages that another plugin fills in: lists and tables stand together, buttons and icons are left out."""
    html = (
        "<h1>Limits<a class='headerlink' href='#x'>¶</a></h1><p>See <a href='x.html'>there</a>.</p>"
        "<ul><li><p>One <code>a</code></p></li><li>Two<br>lines</li></ul><button>Copy</button>"
        "<table><thead><tr><th>Name</th><th>Type</th></tr></thead>"
        "<tbody><tr><td><code></code>a</td><td><code>int | None</code></td></tr></tbody></table>"
        "<div><pre><span>x</span> = 1\ny = 2</pre></div><p>End &amp; out.</p>"
    )
    assert markdown_of(html) == (
        "# Limits\n\nSee there.\n\n- One `a`\n- Two lines\n\n| Name | Type |\n| --- | --- |\n"
        "| a | `int \\| None` |\n\n```\nx = 1\ny = 2\n```\n\nEnd & out.\n"
    )


# ---- the command -----------------------------------------------------------------------------------------------------


def test_build_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``check`` passes after ``build``, and fails with the names of pages that are missing, stale or left over."""
    folder = tmp_path / "catalog"
    command = [str(folder), "-t", "calendar", "--examples", "none"]
    assert main(["docs", "build", *command]) == 0
    assert main(["docs", "check", *command]) == 0
    page = folder / "calendar" / "weekday.md"
    (folder / "calendar" / "old.md").write_text(page.read_text())
    (folder / "calendar" / "own.md").write_text("A page of the user.")
    page.write_text(page.read_text() + "changed")
    (folder / "calendar" / "current_time.md").unlink()
    capsys.readouterr()
    assert main(["docs", "check", *command]) == 1
    told = capsys.readouterr().out.splitlines()
    assert [(line.rpartition(" ")[0], Path(line.rpartition(" ")[2]).name) for line in told] == [
        ("missing", "current_time.md"), ("stale", "weekday.md"), ("left over", "old.md"),
    ]  # fmt: skip
    assert main(["docs", "build", *command]) == 0
    assert main(["docs", "check", *command]) == 0
    assert (folder / "calendar" / "own.md").exists()
    assert main(["docs", "record", str(tmp_path / "release.json"), "-t", "calendar"]) == 0
    assert main(["docs", "build", *command, "--record", str(tmp_path / "release.json")]) == 0
    assert "## Changes since 0.1.0" in (folder / "calendar" / "index.md").read_text()


def test_a_process_that_fails_is_told_with_its_last_lines() -> None:
    """Nothing is swallowed on the way from the process that makes pages."""
    with pytest.raises(ConfigurationError, match="cannot be made"):
        collect_apart(Request.model_construct(toolkits=("calendar",), examples="sometimes", source_url=""))
