"""Runs that earlier versions recorded are read, resumed and replayed by this one.

``journals/format-1.jsonl`` is an exported run of record format 1, in which every record of a call holds its arguments
and its result. Two actions have run, with a stream, a tool's error and three results; then the endpoint was gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeact_tools import CodeActAgent, tool
from codeact_tools.errors import JournalError
from codeact_tools.events import ActionFinished, ToolReturned
from codeact_tools.journal import Journal, read_exported
from codeact_tools.journal.past import FORMAT
from codeact_tools.journal.store import Record
from codeact_tools.replay import replay
from codeact_tools.testing import ScriptedModel

FIRST = Path(__file__).parent / "journals" / "format-1.jsonl"
RUN = "1f0c0ffee0123456789abcdef0123456"
FIRST_ACTION = "<execute>\ncosts = {item: price(item) for item in stock()}\nprint(costs)\n</execute>"
SECOND_ACTION = (
    "<execute>\ntry:\n    order('milk')\nexcept OutOfStock as error:\n    print(error)\n"
    "number = order('tea')\nprint(number)\n</execute>"
)
LAST_ACTION = "<execute>\nprint(costs['jam'], number, price('jam'))\n</execute>"


class OutOfStock(Exception):
    """Nothing is left."""


class Shop:
    """The tools of the run, and what they did."""

    def __init__(self) -> None:
        self.done: list[str] = []

    @tool(read_only=True)
    def price(self, item: str) -> float:
        """Look up a price.

        Args:
            item: Of what.
        """
        self.done.append(f"price {item}")
        return 9.5

    @tool
    def order(self, item: str) -> int:
        """Order something.

        Args:
            item: What.

        Raises:
            OutOfStock: Nothing is left.
        """
        self.done.append(f"order {item}")
        if item == "milk":
            raise OutOfStock("no milk is left")
        return 7

    @tool(read_only=True)
    def stock(self) -> Iterator[str]:
        """List what is there."""
        self.done.append("stock")
        yield from ("tea", "jam")


def recorded(folder: Path, kept: int = 30) -> Journal:
    """A journal with the run's first records."""
    journal = Journal(folder / "runs.sqlite3")
    for line in FIRST.read_text().splitlines()[:kept]:
        fields = json.loads(line)
        journal.store.append(fields.pop("run"), Record(**fields), durable=False)
    return journal


def agent(shop: Shop, journal: Journal, *replies: str) -> CodeActAgent:
    """The agent of the run."""
    return CodeActAgent(
        [shop.price, shop.order, shop.stock], model=ScriptedModel(replies), sandbox="local", journal=journal
    )


def test_every_event_of_an_old_run_is_read() -> None:
    """With arguments and results, as those of a new one."""
    past = read_exported(FIRST.read_text())
    assert past.configuration["format"] == 1 < FORMAT
    assert (past.status, past.records, len(past.events)) == ("failed", 30, 23)
    returned = [event.call for _, event in past.events if isinstance(event, ToolReturned)]
    finished = [event.observation for _, event in past.events if isinstance(event, ActionFinished)]
    assert sorted((call.id, call.result, call.error) for call in returned) == [
        (1, "2 items", None),
        (2, 9.5, None),
        (3, 9.5, None),
        (4, None, "OutOfStock: no milk is left"),
        (5, 7, None),
    ]
    assert [call.arguments for seen in finished for call in seen.calls] == [
        {}, {"item": "tea"}, {"item": "jam"}, {"item": "milk"}, {"item": "tea"}
    ]  # fmt: skip
    assert [call.result for seen in finished for call in seen.calls] == ["2 items", 9.5, 9.5, None, 7]
    assert [past.calls[number].known for number in (1, 5)] == [{"items": "end"}, {"value": 7}]


def test_an_old_run_goes_on(tmp_path: Path) -> None:
    """Its variables are there again, nothing is called twice, and its new records are read with the old ones."""
    shop, journal = Shop(), recorded(tmp_path)
    result = agent(shop, journal, LAST_ACTION, "The order's number is 7.").resume(RUN)
    assert result.answer == "The order's number is 7."
    assert shop.done == ["price jam"]
    past = journal.past(RUN)
    assert past.status == "finished"
    assert [action.observation.text for action in past.actions if action.observation] == [
        "{'tea': 9.5, 'jam': 9.5}",
        "no milk is left\n7",
        "9.5 7 9.5",
    ]
    assert [(call.record.arguments, call.known) for call in past.actions[-1].calls] == [
        ({"item": "jam"}, {"value": 9.5})
    ]
    assert replay(past).differences == ()


@pytest.mark.parametrize(
    ("kept", "replies", "done"),
    [
        (5, [FIRST_ACTION, SECOND_ACTION], ["stock", "price tea", "price jam", "order milk", "order tea"]),
        (12, [SECOND_ACTION], ["stock", "price jam", "order milk", "order tea"]),
        (16, [SECOND_ACTION], ["order milk", "order tea"]),
        (19, [SECOND_ACTION], ["order milk", "order tea"]),
        (24, [], ["order tea"]),
        (26, [], []),
    ],
)
def test_an_old_run_goes_on_from_any_record(tmp_path: Path, kept: int, replies: list[str], done: list[str]) -> None:
    """In the middle of an action, what has an answer on record is not called again."""
    shop, journal = Shop(), recorded(tmp_path, kept)
    result = agent(shop, journal, *replies, "The order's number is 7.").resume(RUN)
    assert result.answer == "The order's number is 7."
    assert shop.done == done
    assert replay(journal.past(RUN)).differences == ()


def test_an_old_run_is_replayed() -> None:
    """Without its tools, and with the same outcome."""
    replayed = replay(read_exported(FIRST.read_text()))
    assert replayed.differences == ()
    assert (replayed.actions, replayed.calls) == (2, 5)


def test_a_run_of_a_later_version_is_not_read() -> None:
    """It is named, instead of being misunderstood."""
    text = FIRST.read_text().replace('"format": 1,', f'"format": {FORMAT + 1},', 1)
    with pytest.raises(JournalError, match=r"Record 1 of the run 1f0c0ffee.* cannot be read by this version"):
        read_exported(text)
