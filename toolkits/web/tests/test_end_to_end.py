"""A real model, in the real sandbox, over a real site."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from benchmarks.tasks.web import SITE, TASKS, TOOLS
from codeact_tools import CodeActAgent, Session
from codeact_tools.evals import evaluate
from codeact_tools.events import ToolReturned
from codeact_tools.models import EmbeddedModel
from codeact_tools.models.base import Model
from codeact_tools.models.weights import locate

NAMES = ["which page is missing", "heaviest", "sum over a table"]
QUESTIONS = [task for task in TASKS if task.name in NAMES]
LEAST = 2
"""Of three that the model was seen to solve before."""

SOLUTIONS = {
    "value of the stock": "rows = tables('{site}/bikes')[0].rows\n"
    "sum(float(r['Price']) * float(r['In stock']) for r in rows)",
    "sum over linked pages": "import re\npages = fetch_all([l.url for l in links('{site}/shops', '/shops/')])\n"
    "sum(int(n) for p in pages if p.page for n in re.findall(r'(\\d+) people', p.page.text))",
    "newest article": "pages = fetch_all([l.url for l in links('{site}/news', '/news/')])\n"
    "max((p.page for p in pages if p.page), key=lambda p: str(p.published)).title",
    "join JSON with a table": "price = {{r['Name']: float(r['Price']) for r in tables('{site}/bikes')[0].rows}}\n"
    "sum(price[o['bike']] * o['pieces'] for o in fetch_json('{site}/orders.json')['orders'] if o['status'] == 'open')",
    "average of a file": "rows = tables('{site}/repairs.csv')[0].rows\n"
    "sum(int(r['repairs']) for r in rows) / len(rows)",
    "search, then read": "fetch(search('frames motors batteries warranty')[0].url).text",
    "two parts of a page": "5 * 62, [s.text for s in sections('{site}/help') if s.heading == 'Returns']",
    "which page is missing": "urls = ['{site}' + path for path in ('/service', '/jobs', '/news')]\n"
    "[found.url for found in fetch_all(urls) if not found.page]",
}


@pytest.mark.parametrize("name", SOLUTIONS)
def test_the_questions_can_be_answered(name: str) -> None:
    """A short action with these tools finds what the check of the question expects."""
    task = next(task for task in TASKS if task.name == name)
    with Session(tools=TOOLS, sandbox="local", allow_imports=["re"]) as session:
        seen = session.run(SOLUTIONS[name].format(site=SITE))
    assert seen.error is None, seen.text
    assert task.right(seen.text), seen.text


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    """The embedded model."""
    if locate() is None:
        pytest.skip("the embedded model's weights are not here: codeact-tools model fetch")
    model = EmbeddedModel()
    yield model
    asyncio.run(model.aclose())


@pytest.mark.model
@pytest.mark.long
@pytest.mark.timeout(900)
async def test_questions_about_a_site_are_answered(
    model: Model, record_property: Callable[[str, object], None]
) -> None:
    """The model fetches what the question names, and answers from what came."""
    calls: list[str] = []

    def count(event: object) -> None:
        if isinstance(event, ToolReturned):
            calls.append(event.call.tool)

    agent = CodeActAgent(tools=TOOLS, model=model, sandbox="local", max_turns=6)
    scores = [score async for score in evaluate(agent, QUESTIONS, on_event=count)]
    solved = [score.task.name for score in scores if score.solved]
    record_property("solved", f"{len(solved)} of {len(scores)}")
    assert len(solved) >= LEAST, [(score.task.name, score.answer) for score in scores if not score.solved]
    assert len(calls) >= len(solved)
