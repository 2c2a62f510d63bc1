"""The page of a run as its readers meet it: opened from a file, offline, in a headless Chromium.

Needs Debian's package ``chromium``; skipped, by name, where it is not installed. Set ``TRACE_SCREENSHOTS`` to a folder
to look at what the tests saw.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codeact_tools.tracing import render_html

from .trace_runs import full_run, hostile_run, long_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}

CONTRASTS = """() => {
  const part = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const light = ([r, g, b]) => 0.2126 * part(r / 255) + 0.7152 * part(g / 255) + 0.0722 * part(b / 255);
  const ground = (element) => {
    for (let each = element; each !== null; each = each.parentElement) {
      const colour = rgba(getComputedStyle(each).backgroundColor);
      if (colour[3] > 0.9) return colour;
    }
    return [255, 255, 255, 1];
  };
  const bad = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("script, noscript, .offscreen, .skip, #status")) continue;
    if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const text = node.data.trim().slice(0, 30);
    if (ratio < 4.5) bad.push(`${ratio.toFixed(2)} ${element.tagName}.${element.className}: ${text}`);
  }
  return [...new Set(bad)];
}"""


class Reader:
    """A browser's window, and what went wrong in it."""

    def __init__(self, browser: Any, pages: dict[str, Path], **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.pages = pages
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        self.page.on("request", self._requested)

    def open(self, name: str, anchor: str = "") -> Any:
        """Open a page from its file."""
        self.page.goto(self.pages[name].as_uri() + anchor)
        self.page.locator("main").wait_for()
        return self.page

    def unfold(self) -> None:
        """Open everything that can be opened."""
        self.page.evaluate("""() => { for (let more = true; more;) {
            const folds = [...document.querySelectorAll('details:not([open])')];
            for (const fold of folds) { fold.render?.(); fold.open = true; }
            more = folds.length > 0;
        } }""")
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def shoot(self, name: str) -> None:
        """Keep a picture, where somebody wants to look."""
        if folder := os.environ.get("TRACE_SCREENSHOTS"):
            self.page.screenshot(path=f"{folder}/{name}.png", full_page=True)

    def _requested(self, request: Any) -> None:
        if not request.url.startswith((self.pages["full"].parent.as_uri(), "data:", "blob:")):
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


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of three runs, as files."""
    folder = tmp_path_factory.mktemp("pages")
    conversation = [*full_run(), *(each._replace(at=each.at + 300_000) for each in full_run())]
    made = {
        "full": render_html(full_run(), system_prompt="You act by writing Python."),
        "hostile": render_html(hostile_run(), system_prompt="</script><script>window.hacked = 5</script>"),
        "long": render_html(long_run()),
        "conversation": render_html(conversation),
    }
    for name, text in made.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture
def reader(browser: Any, pages: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Reader]:
    """A window that is offline; afterwards nothing may have gone wrong in it."""
    options = {"viewport": WIDE, **getattr(request, "param", {})}
    found = Reader(browser, pages, offline=True, permissions=["clipboard-read", "clipboard-write"], **options)
    yield found
    found.context.close()
    assert found.complaints == []


def in_view(locator: Any) -> bool:
    """Whether the beginning of an element is on the screen."""
    return bool(
        locator.evaluate(
            "each => { const {top} = each.getBoundingClientRect(); return top >= 0 && top < innerHeight; }"
        )
    )


# ---- what is there ---------------------------------------------------------------------------------------------------


def test_the_head_tells_the_run_in_numbers(reader: Reader) -> None:
    """Outcome, task, model, sandbox, duration without the pause, turns, calls, tokens, cost, approvals."""
    page = reader.open("full")
    head = page.locator(".intro").inner_text()
    for text in (
        "finished",
        "Which customers ordered shoes",
        "Qwen2.5-Coder-1.5B-Instruct",
        "local (jail)",
        "14.6 s",
        "8,400",
        "85 % cached",
        "612",
        "$0.0094",
    ):
        assert text in head, text
    facts = dict(
        zip(page.locator(".fact dt").all_inner_texts(), page.locator(".fact dd").all_inner_texts(), strict=True)
    )
    assert (facts["Turns"].split()[0], facts["Tool calls"].split()[0], facts["Approvals"]) == ("6", "6", "2")
    assert page.locator("#answer").inner_text().endswith("order A17 is refunded.")
    reader.shoot("full")


def test_a_finding_stands_below_its_line(reader: Reader) -> None:
    """With a caret under the place, the message and the hint."""
    page = reader.open("full")
    below = page.locator("#turn-1 .line[data-line='1'] + .remark")
    assert "name 'serch_orders' is not defined" in below.inner_text()
    assert "Did you mean search_orders" in below.inner_text()
    caret, name = below.locator(".caret"), page.locator("#turn-1 .t-name", has_text="serch_orders")
    left = (
        "each => { const range = new Range(); range.selectNodeContents(each); return range.getBoundingClientRect(); }"
    )
    marks = caret.evaluate(left)
    start = marks["x"] + marks["width"] * 9 / 21  # nine blanks, twelve carets
    assert abs(start - name.bounding_box()["x"]) < 3
    assert page.locator("#turn-4 .line.raised").get_attribute("data-line") == "2"


def test_code_is_coloured_and_numbered(reader: Reader) -> None:
    """Keywords, strings, comments and the run's own tools; a selection holds no numbers."""
    page = reader.open("full")
    code = page.locator("#turn-2 .code")
    assert {"import", "await", "for", "in"} <= set(code.locator(".t-keyword").all_inner_texts())
    assert {"search_orders", "exchange_rate"} == set(code.locator(".t-tool").all_inner_texts())
    assert "'shoes'" in code.locator(".t-string").all_inner_texts()
    assert code.locator(".t-comment").inner_text() == "# in euros"
    assert code.locator(".line").count() == 6
    assert code.evaluate("each => each.textContent").startswith("import asyncio\n\norders = ")


def test_calls_at_the_same_time_are_seen_to_be(reader: Reader) -> None:
    """Their bars overlap in time and stand in lanes of their own."""
    page = reader.open("full")
    bars = page.locator("#turn-2 .call .bar.tool")
    boxes = [bar.bounding_box() for bar in bars.all()]
    search, *rates = boxes
    assert search["x"] + search["width"] <= rates[0]["x"] + 1
    assert max(box["x"] for box in rates) < min(box["x"] + box["width"] for box in rates)
    tops = {bar.bounding_box()["y"] for bar in page.locator("#timeline a[href='#turn-2'] .bar.tool").all()}
    assert len(tops) == 3


def test_a_call_shows_all_that_is_known(reader: Reader) -> None:
    """Arguments, result as a table, retries, progress, who approved what and when, edited arguments, denial."""
    page = reader.open("full")
    reader.unfold()
    assert page.locator("#call-1 table th").all_inner_texts() == ["id", "customer", "item", "total", "placed"]
    assert "Kurt Gödel" in page.locator("#call-1 table").inner_text()
    assert "RateLimited: 429 tried again after 200 ms" in page.locator("#call-3").inner_text()
    refunded = page.locator("#call-5").inner_text()
    for text in (
        "allowed by maria after 2.1 days",
        "2026-11-20",
        "Asked because: refund moves money",
        "without postage",
        "with these arguments instead",
        "bank has answered",
        "'R-551'",
    ):
        assert text in refunded, text
    assert "denied by terminal after 3.00 s" in page.locator("#call-6").inner_text()
    assert "not run" in page.locator("#call-6 > summary").inner_text()
    reader.shoot("unfolded")


def test_notes_stand_between_the_turns(reader: Reader) -> None:
    """Warning, pause, resumption, limit, trimming."""
    page = reader.open("full")
    titles = [note.locator("b").inner_text() for note in page.locator("#turns > .note").all()]
    assert titles == ["Warning", "Paused", "Resumed", "Limit reached", "Context trimmed"]
    assert "after 2.1 days" in page.locator(".note", has_text="Resumed").inner_text()


def test_pictures_are_shown_and_files_are_saved(reader: Reader) -> None:
    """An SVG's script does not run; a file is saved as it is, never opened."""
    page = reader.open("full")
    pictures = page.locator("#turn-5 img")
    assert [picture.evaluate("each => each.naturalWidth") for picture in pictures.all()] == [320, 120]
    for name, content in (
        ("orders.csv", b"id,total\nA14,89.5\n"),
        ("page.html", b"<script>window.hacked = 2</script>"),
    ):
        with page.expect_download() as download:
            page.locator(".save", has_text=name).click()
        assert download.value.suggested_filename == name
        assert Path(download.value.path()).read_bytes() == content
    assert page.evaluate("window.hacked") is None


def test_a_conversation_shows_each_task(reader: Reader) -> None:
    """With its answer and its turns."""
    page = reader.open("conversation")
    assert page.locator("#answer .answer").count() == 2
    assert page.locator("#task-2").inner_text().startswith("Task 2")
    assert page.locator("#turn-7 .number").inner_text() == "Turn 2.1"


# ---- hostile runs ----------------------------------------------------------------------------------------------------


def test_nothing_of_a_run_is_executed(reader: Reader) -> None:
    """Markup in every text, opened to the last fold and searched for, stays text."""
    page = reader.open("hostile")
    reader.unfold()
    page.locator("#search").fill("onerror")
    page.locator("#hits .hit").first.wait_for()
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img").count() == 2  # the run's own pictures
    assert page.locator("script").count() == 2
    assert "<img src=x onerror=" in page.locator(".intro").inner_text()
    reader.shoot("hostile")


def test_the_policy_stops_what_would_get_through(reader: Reader) -> None:
    """Even a script that was in the page would not run."""
    page = reader.open("full")
    page.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.hacked = 6';
        document.body.append(script);
    }""")
    assert page.evaluate("window.hacked") is None
    assert len(reader.complaints) == 1
    assert "Content Security Policy" in reader.complaints.pop()


# ---- finding things --------------------------------------------------------------------------------------------------


def test_search_finds_what_is_folded(reader: Reader) -> None:
    """In a run of 500 turns: type, Enter, and the call is there, open and marked."""
    page = reader.open("long")
    assert page.locator(".turn > .body").count() == 2
    page.keyboard.press("/")
    page.keyboard.type("needle-377 fox")
    assert page.locator("#hits .sum").inner_text() == "1 hit"
    page.keyboard.press("Enter")
    call = page.locator("#call-377")
    assert call.evaluate("each => each.open")
    assert in_view(call)
    assert page.evaluate("CSS.highlights.get('search').size") > 0
    assert page.url.endswith("#call-377")


FOUND = {
    "serch": "finding",
    "Lovelace": "shop.search_orders",
    "R-551": "shop.refund",
    "maria": "shop.refund",
    "Alonzo KeyError": "error",
    "orders.csv": "file",
    "few points": "error output",
    "twice in a run": "limit reached",
    "312.50": "answer",
    "writing python": "system prompt",
}
"""Words, and in what they are found."""


def test_search_reaches_everything(reader: Reader) -> None:
    """Code, findings, calls, approvals, errors, files, notes, the answer, the system prompt."""
    page = reader.open("full")
    for words, kind in FOUND.items():
        page.locator("#search").fill(words)
        assert kind in page.locator("#hits .where b").all_inner_texts(), words
        page.locator("#hits .hit", has_text=kind).first.click()
        assert page.locator("#hits").is_hidden()


def test_hits_are_chosen_with_the_arrows(reader: Reader) -> None:
    """As in any list of suggestions; Escape closes it."""
    page = reader.open("full")
    page.locator("#search").fill("refund")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.locator(".hit[aria-selected=true]").get_attribute("id") == "hit-1"
    assert page.locator("#search").get_attribute("aria-activedescendant") == "hit-1"
    page.keyboard.press("Escape")
    assert page.locator("#hits").is_hidden()
    page.locator("#search").fill("nowhere to be found")
    assert page.locator("#hits .sum").inner_text() == "Nothing found"


@pytest.mark.parametrize("anchor", ["turn-6", "call-5", "answer", "note-3", "timeline"])
def test_links_lead_into_the_page(reader: Reader, anchor: str) -> None:
    """A page that is opened with an anchor shows that place, opened."""
    page = reader.open("full", f"#{anchor}")
    place = page.locator(f"#{anchor}")
    assert in_view(place)
    if anchor.startswith(("turn", "call")):
        assert place.evaluate("each => each.open")


def test_a_link_of_a_long_run_opens_its_turn(reader: Reader) -> None:
    """Also where nothing of the turn was rendered before."""
    page = reader.open("long", "#turn-250")
    assert in_view(page.locator("#turn-250"))
    assert "page_250" in page.locator("#turn-250 .code").inner_text()
    page.locator("#timeline a[href='#turn-400']").click()
    page.wait_for_function("document.querySelector('#turn-400').open")
    assert in_view(page.locator("#turn-400"))


def test_keys(reader: Reader) -> None:
    """Next turn, next problem, fold, fold all, help; not while somebody types."""
    page = reader.open("full")
    page.keyboard.press("j")
    first = page.evaluate("location.hash")
    page.keyboard.press("j")
    assert (first, page.evaluate("location.hash")) == ("#turn-1", "#turn-2")
    page.keyboard.press("n")
    assert page.evaluate("location.hash") == "#turn-3"
    page.keyboard.press("p")
    page.evaluate("() => new Promise(done => setTimeout(done))")  # what follows a jump is an event of its own
    page.keyboard.press("o")
    assert not page.locator("#turn-1").evaluate("each => each.open")
    page.keyboard.press("e")
    assert page.locator(".turn:not([open])").count() == 0
    page.keyboard.press("e")
    assert page.locator(".turn[open]").count() == 0
    page.keyboard.press("?")
    assert page.locator("dialog#keys").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("je")
    assert page.locator("#search").input_value() == "je"


def test_everything_can_be_copied(reader: Reader) -> None:
    """Code, as it was; arguments and results as JSON."""
    page = reader.open("full")
    page.locator("#turn-2 .panel.action .copy").click()
    assert page.evaluate("navigator.clipboard.readText()").startswith(
        "import asyncio\n\norders = search_orders('shoes')\n"
    )
    page.locator("#call-5 > summary").click()
    page.locator("#call-5 .copyable", has_text="order").first.hover()
    page.get_by_role("button", name="Copy arguments").click()
    assert '"amount": 40' in page.evaluate("navigator.clipboard.readText()")


# ---- looks -----------------------------------------------------------------------------------------------------------


def brightness(page: Any) -> float:
    """Of the ground, 0 to 1."""
    return float(
        page.evaluate("""() => {
        const canvas = document.createElement('canvas').getContext('2d');
        canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)].reduce((a, b) => a + b) / 765;
    }""")
    )


@pytest.mark.parametrize(
    ("reader", "dark"), [({"color_scheme": "dark"}, True), ({"color_scheme": "light"}, False)], indirect=["reader"]
)
def test_light_and_dark(reader: Reader, dark: bool) -> None:
    """As the system has it; a switch turns it over, and the page remembers."""
    page = reader.open("full")
    assert (brightness(page) < 0.2) is dark
    page.locator("#theme").click()
    assert (brightness(page) < 0.2) is not dark
    reader.open("full")
    assert (brightness(page) < 0.2) is not dark
    reader.shoot("dark" if not dark else "light")


@pytest.mark.parametrize("reader", [{"color_scheme": "dark"}, {"color_scheme": "light"}], indirect=True)
@pytest.mark.parametrize("name", ["full", "hostile"])
def test_all_text_can_be_read(reader: Reader, name: str) -> None:
    """Contrast of at least 4.5 to 1, with everything unfolded, in light and in dark."""
    page = reader.open(name)
    reader.unfold()
    assert page.evaluate(CONTRASTS) == []
    page.locator("#search").fill("refund order")
    assert page.evaluate(CONTRASTS) == []


@pytest.mark.parametrize("reader", [{"viewport": NARROW, "is_mobile": True, "has_touch": True}], indirect=True)
@pytest.mark.parametrize("name", ["full", "hostile", "long", "conversation"])
def test_a_narrow_screen(reader: Reader, name: str) -> None:
    """Nothing is wider than the screen, also unfolded; what must be wide scrolls inside its own frame."""
    page = reader.open(name)
    if name != "long":
        reader.unfold()
    reader.shoot(f"narrow-{name}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_it_prints_unfolded(reader: Reader) -> None:
    """Paper has no folds: all turns and calls are there, and the controls are not."""
    page = reader.open("full")
    page.keyboard.press("e")
    page.keyboard.press("e")
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".turn:not([open])").count() == 0
    assert page.locator(".call:not([open])").count() == 0
    assert page.locator("header.top").is_hidden()
    assert len(page.pdf()) > 20_000


def test_every_control_has_a_name(reader: Reader) -> None:
    """For those who cannot see the icons."""
    page = reader.open("full")
    reader.unfold()
    nameless = """[...document.querySelectorAll('button, a, input, [role]')]
        .filter((each) => !(each.getAttribute('aria-label') || each.textContent.trim() || each.title))
        .map((each) => each.outerHTML)"""
    assert page.evaluate(nameless) == ['<div id="status" role="status"></div>']


def test_a_long_run_stays_light(reader: Reader) -> None:
    """500 turns and five megabytes: what is closed is not rendered, and opening all of it works."""
    page = reader.open("long")
    assert page.locator(".turn").count() == 500
    assert page.evaluate("document.querySelectorAll('*').length") < 20_000
    page.keyboard.press("e")
    assert page.locator(".turn > .body").count() == 500
    assert page.locator("#timeline .modes button[aria-pressed=true]").inner_text() == "Side by side"
    page.locator("#timeline .modes button", has_text="In time").click()
    assert page.locator("#timeline .row").count() == 501
