"""The loop, with a scripted model over the real sandbox."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from codeact_tools import CodeActAgent, tool
from codeact_tools.errors import AnswerInvalid, ConfigurationError, ModelReplyError, TurnLimitReached
from codeact_tools.events import (
    EVENT_ADAPTER,
    ActionFinished,
    Event,
    ReplyFinished,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
)
from codeact_tools.models.base import Sampling
from codeact_tools.testing import ReplySource, ScriptedModel
from tests.shop import SHOP, cancelled


class Report(BaseModel):
    """What the boss wants to know."""

    customer: str
    total: Decimal


def agent(*replies: ReplySource, **options: Any) -> CodeActAgent:
    """An agent over the shop whose model says ``replies``."""
    return CodeActAgent(tools=SHOP, model=ScriptedModel(replies), sandbox="local", **options)


def script(solver: CodeActAgent) -> ScriptedModel:
    """The agent's scripted model."""
    assert isinstance(solver.model, ScriptedModel)
    return solver.model


def observed(solver: CodeActAgent, index: int) -> str:
    """The last message that the model read before its reply number ``index``."""
    return script(solver).calls[index].messages[-1].content


def test_a_task_from_question_to_answer() -> None:
    """The model's code runs, the model reads the output, and its plain text is the answer."""
    solver = agent(
        "Let me look.\n<execute>\nprint(sum(o.total for o in search_orders('ada')))\n</execute>",
        "Ada ordered for 207.25 EUR.",
    )
    result = solver.run("For how much did Ada order?")
    assert result.answer == "Ada ordered for 207.25 EUR."
    assert result.usage.turns == 2
    assert observed(solver, 1) == "Execution Output:\n207.25"
    assert isinstance(result.events[0], RunStarted)
    assert isinstance(result.events[-1], RunFinished)


@pytest.mark.parametrize(
    "action",
    [
        "<execute>\nprint(6 * 7)",
        "<execute>print(6 * 7)</execute",
        "```python\nprint(6 * 7)\n```",
        "<execute>\n```python\nprint(6 * 7)\n```\n</execute>",
        "<execute>\n    print(6 * 7)\n</execute>\nThe answer is surely 43.",
    ],
)
def test_broken_forms_are_read(action: str) -> None:
    """A block may be unclosed, half closed, fenced or indented; what follows an action is not its answer."""
    solver = agent(action, "42")
    assert solver.run("What is 6 times 7?").answer == "42"
    assert observed(solver, 1) == "Execution Output:\n42"


def test_the_model_repairs_a_refused_action() -> None:
    """A refused action costs a turn and nothing else: no tool ran, and the model reads how to repair it."""
    cancelled.clear()
    solver = agent(
        "<execute>\ncancel_order('A17')\nsearch_orders(limit=500)\n</execute>",
        "<execute>\nlen(search_orders(limit=100))\n</execute>",
        "3 orders.",
    )
    assert solver.run("How many orders are there?").answer == "3 orders."
    assert cancelled == []
    assert "limit" in observed(solver, 1)
    assert "3" in observed(solver, 2)


def test_a_typed_answer_comes_through_the_contract() -> None:
    """With ``output_type`` the model calls ``final_answer``, whose value is validated like any other argument."""
    solver = agent("<execute>\nfinal_answer(Report(customer='Ada', total='207.25'))\n</execute>", check="off")
    assert solver.run("For how much did Ada order?", output_type=Report).answer == Report(
        customer="Ada", total=Decimal("207.25")
    )


def test_a_typed_answer_as_text_is_read_and_a_wrong_one_is_repaired() -> None:
    """JSON in plain text is accepted; text that does not fit is shown to the model, which corrects it."""
    solver = agent("It is Ada.", '{"customer": "Ada", "total": "207.25"}')
    answer = solver.run("For how much did Ada order?", output_type=Report).answer
    assert answer == Report(customer="Ada", total=Decimal("207.25"))
    assert "final_answer" in observed(solver, 1)
    assert agent("42").run("What is 6 times 7?", output_type=int).answer == 42


def test_a_wrong_typed_answer_ends_in_a_named_error() -> None:
    """A model that cannot give the type ends the run with what is wrong."""
    with pytest.raises(AnswerInvalid, match="final_answer"):
        agent("no", "never", "no way").run("What is 6 times 7?", output_type=int)


def test_turn_limit() -> None:
    """A model that only acts ends with the turn limit, and the message says what to do."""
    replies = [f"<execute>\nprint({number})\n</execute>" for number in range(5)]
    with pytest.raises(TurnLimitReached, match="max_turns"):
        agent(*replies, max_turns=3).run("Count.")


def test_a_model_that_repeats_itself() -> None:
    """The same action with the same outcome is pointed out once, then the run ends."""
    solver = agent(*["<execute>\n1 / 0\n</execute>"] * 3)
    with pytest.raises(ModelReplyError, match="repeats itself"):
        solver.run("Divide.")
    assert "before" in observed(solver, 2)


def test_a_small_model_that_answers_with_an_error_is_asked_again() -> None:
    """In the dialect ``small``, once for each failed action, and not in the last turn; a denial is no failure."""
    bad, good = "<execute>\n1 / 0\n</execute>", "<execute>\n1 / 1\n</execute>"
    model = ScriptedModel([bad, "There is an error.", good, "It is 1."], dialect="small")
    assert CodeActAgent(model=model, sandbox="local").run("Divide.").answer == "It is 1."
    assert "write the whole action again, repaired" in model.calls[2].messages[-1].content
    model = ScriptedModel([bad, "There is an error.", "It cannot be done."], dialect="small")
    assert CodeActAgent(model=model, sandbox="local").run("Divide.").answer == "It cannot be done."
    model = ScriptedModel([bad, "There is an error."], dialect="small")
    assert CodeActAgent(model=model, sandbox="local", max_turns=2).run("Divide.").answer == "There is an error."
    model = ScriptedModel([bad, "There is an error."], dialect="chat")
    assert CodeActAgent(model=model, sandbox="local").run("Divide.").answer == "There is an error."


def test_a_denied_call_is_no_failure_to_repair() -> None:
    """A small model that says that it may not do it has said what there is to say."""

    @tool(approval=True)
    def delete(name: str) -> None:
        """Delete."""

    model = ScriptedModel(["<execute>\ndelete('x')\n</execute>", "I may not."], dialect="small")
    agent = CodeActAgent(tools=[delete], model=model, sandbox="local")
    assert agent.run("Delete x.").answer == "I may not."


def test_a_model_that_is_stuck_is_asked_at_a_higher_temperature() -> None:
    """At 0 it would write the same again; once it writes something else, it is asked as before."""
    same, other = "<execute>\n1 / 0\n</execute>", "<execute>\n1 / 1\n</execute>"
    model = ScriptedModel([same, same, other, "Done."])
    CodeActAgent(model=model, sandbox="local").run("Divide.")
    assert [call.sampling.temperature for call in model.calls] == [0, 0, 0.8, 0]
    hot = ScriptedModel([same, same, "Done."])
    CodeActAgent(model=hot, sandbox="local", sampling=Sampling(temperature=1)).run("Divide.")
    assert [call.sampling.temperature for call in hot.calls] == [1, 1, 1]


def test_a_model_that_never_closes_its_block() -> None:
    """A block that the token limit cuts off is not run; three in a row end the run."""
    replies = ["<execute>\nx = [1, 2, 3, " + "4, " * 200] * 3
    model = ScriptedModel(replies, finish_reason="length")
    solver = CodeActAgent(model=model, sandbox="local", sampling=Sampling(max_tokens=50))
    with pytest.raises(ModelReplyError, match="never closes"):
        solver.run("Write a list.")


def test_a_model_that_says_nothing() -> None:
    """Empty replies get a reminder, and then a named error."""
    solver = agent("", "", "")
    with pytest.raises(ModelReplyError, match="neither code nor an answer"):
        solver.run("Say something.")


def test_an_empty_task_is_refused() -> None:
    """No model is asked for nothing."""
    solver = agent("hello")
    with pytest.raises(ConfigurationError, match="empty"):
        solver.run("  \n")
    assert script(solver).calls == []


def test_the_training_dialect_counts_down() -> None:
    """The training form speaks of solutions and of the steps that are left."""
    solver = agent(
        "<execute>\nprint(6 * 7)\n</execute>",
        "The answer is <solution> 42 </solution>",
        dialect="training",
        max_turns=5,
    )
    assert solver.run("What is 6 times 7?").answer == "42"
    assert observed(solver, 0) == "Task:\nWhat is 6 times 7?"
    assert observed(solver, 1).startswith("Observation:\n42\nYou have 4 steps left")


async def test_streaming_yields_tokens_and_each_event_survives_json() -> None:
    """Deltas arrive in pieces, and every event reads back from its JSON line."""
    solver = agent("<execute>\nprint(exchange_rate)\nawait exchange_rate('USD')\n</execute>", "1.10")
    async with aclosing(solver.stream("What is the rate?")) as stream:
        events = [event async for event in stream]
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert text.endswith("1.10")
    assert [event.text for event in events if isinstance(event, ReplyFinished)][-1] == "1.10"
    for event in events:
        assert type(EVENT_ADAPTER.validate_json(event.model_dump_json())) is type(event)


async def test_closing_the_stream_cancels_the_run() -> None:
    """An abandoned stream leaves neither a task nor a guest behind."""
    before = len(asyncio.all_tasks())
    solver = agent("<execute>\nimport tools\nwhile True: pass\n</execute>", "never")
    async with aclosing(solver.stream("Loop.")) as stream:
        async for event in stream:
            if isinstance(event, ReplyFinished):
                break
    assert len(asyncio.all_tasks()) == before


async def test_a_failed_run_ends_with_an_event_and_its_error() -> None:
    """The stream's last event names the error that is raised after it."""
    stream = agent(max_turns=1).stream("Anything.")
    last: Event | None = None
    with pytest.raises(ModelReplyError, match="script"):  # noqa: PT012
        async for event in stream:
            last = event
    assert isinstance(last, RunFailed)


async def test_a_conversation_keeps_variables_and_history() -> None:
    """The second task of a conversation sees the first one's variables and messages."""
    solver = agent(
        "<execute>\nbest = search_orders('ada')[0]\n</execute>",
        "It is C33.",
        "<execute>\nprint(best.total)\n</execute>",
        "78.25 EUR.",
    )
    async with solver.conversation() as conversation:
        first = await conversation.arun("Which is Ada's latest order?")
        second = await conversation.arun("How much was it?")
    assert (first.answer, second.answer) == ("It is C33.", "78.25 EUR.")
    assert observed(solver, 3) == "Execution Output:\n78.25"


async def test_a_typed_conversation_takes_one_answer_per_task() -> None:
    """The answer to the first task is not taken for the answer to the second."""
    solver = agent("<execute>\nfinal_answer(1)\n</execute>", "<execute>\nprint('looking')\n</execute>", "2")
    async with solver.conversation(output_type=int) as conversation:
        assert (await conversation.arun("One?")).answer == 1
        assert (await conversation.arun("Two?")).answer == 2


async def test_a_failed_task_leaves_no_half_history() -> None:
    """After a task that failed, the next one starts from a history in which the roles alternate."""
    solver = agent("<execute>\nkept = 1\n</execute>", ModelReplyError("cut off"), "Hello.")
    async with solver.conversation() as conversation:
        with pytest.raises(ModelReplyError, match="cut off"):
            await conversation.arun("Fail.")
        await conversation.arun("Greet.")
        assert [message.role for message in conversation.messages] == ["system", "user", "assistant"]
        assert (await conversation.session.arun("kept")).result == "1"


def test_artifacts_are_collected() -> None:
    """Files that actions write are in the result, the latest of each name."""
    write = "<execute>\nwith open('note.txt', 'w') as file:\n    _ = file.write('{}')\n</execute>"
    result = agent(write.format("one"), write.format("two"), "Done.").run("Write a note.")
    assert [(item.name, item.data) for item in result.artifacts] == [("note.txt", b"two")]


def test_forgotten_print_shows_the_last_value() -> None:
    """An action that ends on an assignment and prints nothing shows what it assigned."""
    solver = agent("<execute>\ncount = len(search_orders())\n</execute>", "3")
    result = solver.run("How many?")
    [finished] = [event for event in result.events if isinstance(event, ActionFinished)]
    assert "3" in finished.observation.text


def test_a_constrained_agent_gives_the_model_a_grammar() -> None:
    """With ``constrain=True`` each reply is asked for under a grammar with the run's tools; by default under none."""
    for constrain in (False, True):
        model = ScriptedModel(["Done."])
        CodeActAgent(tools=["calendar"], model=model, sandbox="local", constrain=constrain).run("Do it.")
        grammar = model.calls[0].sampling.grammar
        assert (grammar is not None) == constrain
        assert not constrain or "working_days" in (grammar or "")
