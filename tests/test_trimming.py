"""Long conversations fit the model's window: what is left out, in which order, and what never is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeact_tools import CodeActAgent
from codeact_tools.dialects import DIALECTS, Dialect
from codeact_tools.errors import ContextOverflow
from codeact_tools.events import ContextTrimmed
from codeact_tools.models.base import Message
from codeact_tools.models.windows import estimate
from codeact_tools.testing import ScriptedModel, UnconfinedSandbox
from codeact_tools.trimming import UNCUT, Count, Cut, Trimmed, fit, trim, view
from codeact_tools.trimming.views import named

CHAT = DIALECTS["chat"]
TRACEBACK = 'Traceback (most recent call last):\n  File "<action 2>", line 1, in <module>\n    x\nNameError: no x\n'


def conversation(dialect: Dialect, *turns: tuple[str, str], task: str = "Count the orders.") -> list[Message]:
    """A system prompt, a task, and a turn for each pair of code and output."""
    history = [Message("system", "You act."), Message("user", task)]
    for code, output in turns:
        history.append(Message("assistant", dialect.write_action(code, "I look.")))
        history.append(Message("user", dialect.observe(output, steps_left=3)))
    return history


def text_of(messages: Sequence[Message]) -> str:
    """All that is shown."""
    return "\n".join(message.content for message in messages)


def trimmed(history: Sequence[Message], room: int, cut: Cut = UNCUT, **options: object) -> Trimmed:
    """Trim a chat with the estimate that endpoints get."""
    return trim(history, cut, room=room, dialect=CHAT, count=estimate, **options)  # type: ignore[arg-type]


# ---- the order in which things go ------------------------------------------------------------------------------------


def test_a_short_conversation_is_shown_as_it_is() -> None:
    """Below nine tenths of the room nothing is touched."""
    history = conversation(CHAT, ("print(1)", "1"))
    shown = trimmed(history, room=estimate(history) * 2)
    assert shown.messages == history
    assert shown.cut == UNCUT
    assert shown.event is None


def test_old_observations_are_cut_in_the_middle_first() -> None:
    """Their beginning and their end stay, every action stays, and the last two turns are whole."""
    outputs = [f"first {n}\n" + "filler " * 300 + f"\nlast {n}" for n in range(6)]
    history = conversation(CHAT, *((f"print({n})", output) for n, output in enumerate(outputs)))
    shown = trimmed(history, room=int(estimate(history) * 0.95))
    assert shown.event is not None
    assert shown.event.summarised == 0
    assert shown.event.shortened >= 2
    assert len(shown.messages) == len(history)
    oldest = shown.messages[3].content
    assert oldest.startswith("Execution Output:\nfirst 0")
    assert "characters left out" in oldest
    assert oldest.endswith("last 0")
    assert shown.messages[-4:] == history[-4:]


def test_then_old_turns_become_a_line_each() -> None:
    """The line has the first line of the code and the outcome: output, error, refusal, nothing."""
    turns = [
        ("# look\nimport math\norders = search_orders('shoes')\nprint(len(orders))", "17\n18"),
        ("x", TRACEBACK),
        ("search('a'", "The action was not run; nothing happened. Repair it:\nline 1: '(' was never closed"),
        ("y = 2", ""),
        *((f"print({n})", "long " * 150) for n in range(6)),
    ]
    shown = trimmed(conversation(CHAT, *turns), room=1300, variables={"orders": "list[Order]", "y": "int"})
    task = shown.messages[1].content
    assert task.startswith("Count the orders.\n\n[To save room, ")
    assert "1. orders = search_orders('shoes') ... -> 17 (+1 line)" in task
    assert "2. x -> NameError: no x" in task
    assert "3. search('a' -> refused: line 1: '(' was never closed" in task
    assert "4. y = 2 -> no output" in task
    assert task.endswith("Variables that exist now: orders: list[Order], y: int]")
    assert shown.event is not None
    assert shown.event.summarised >= 4
    assert f"{shown.event.tokens_after:,} now" in shown.event.message


def test_earlier_tasks_go_before_turns_of_the_task_at_hand() -> None:
    """A line stands for the task, one for each action, and one for its answer."""
    history = conversation(CHAT, ("print(search())", "filler " * 400))
    history += [Message("assistant", "There are 17."), Message("user", "And in 2025?")]
    history += conversation(CHAT, ("print(search(2025))", "filler " * 40))[2:]
    shown = view(history, Cut(summarised=5, summary_chars=500), dialect=CHAT, tasks=[1, 5])
    assert shown[1].content == (
        "[Earlier in this conversation, a line each:\nTask: Count the orders.\n1. print(search()) -> "
        f"{('filler ' * 400)[:97]}...\nAnswered: There are 17.]\n\nAnd in 2025?"
    )
    assert shown[2:] == history[6:]
    chosen = trimmed(history, room=300, tasks=[1, 5])
    assert chosen.messages[1].content.endswith("And in 2025?")
    assert chosen.messages[-2:] == history[-2:]


def test_the_countdown_of_the_training_form_stays_with_its_observation() -> None:
    """An observation that is cut keeps its last line, and a line about a turn does not quote it."""
    training = DIALECTS["training"]
    history = conversation(training, *(("print(1)", "x" * 3000) for _ in range(4)))
    shown = view(history, Cut(shortened=4, observation_chars=200), dialect=training)
    assert shown[3].content.endswith("You have 3 steps left and 2 chances to propose solution left.\n")
    history = conversation(training, ("print(1)", "5"), ("print(2)", ""))
    told = view(history, Cut(summarised=6, summary_chars=500), dialect=training)[1].content
    assert "1. print(1) -> 5\n2. print(2) -> no output]" in told


def test_a_last_turn_without_room_is_told_with_its_output() -> None:
    """Before a run gives up, even the last action becomes a line; what it printed stays, shortened."""
    history = conversation(CHAT, ("data = '''" + "z" * 3000 + "'''\nprint(data)", "start " + "y" * 3000 + " end"))
    shown = trimmed(history, room=250)
    assert [message.role for message in shown.messages] == ["system", "user"]
    assert "The last of them printed:\nstart " in shown.messages[1].content
    assert estimate(shown.messages) <= 250


def test_what_cannot_fit_says_what_takes_how_much() -> None:
    """And what to do about it."""
    history = [Message("system", "tool " * 2000), *conversation(CHAT, ("print(1)", "1"))[1:]]
    with pytest.raises(
        ContextOverflow, match=r"the system prompt with the tools 2,\d+.*room for 1,000.*prompt_tokens="
    ):
        trimmed(history, room=1000)


def test_thousands_of_lines_are_counted_only() -> None:
    """The lines about old turns have a room of their own; the newest of them stay."""
    history = conversation(CHAT, *((f"step({n})", f"done {n}") for n in range(1000)))
    shown = trimmed(history, room=2000)
    assert estimate(shown.messages) <= 2000 * 0.6
    assert " older lines)\n" in shown.messages[1].content


def test_many_variables_are_counted_only() -> None:
    """Names and types in one line, the last that were defined first to stay."""
    assert named({"a": "int"}, 100) == "a: int"
    assert named({f"v{n}": "int" for n in range(100)}, 30) == "97 others, v97: int, v98: int, v99: int"
    assert named({}, 30) == ""


# ---- big steps -------------------------------------------------------------------------------------------------------


def test_the_prefix_is_stable_between_two_steps() -> None:
    """A run of 120 turns in a window of 4k tokens is trimmed a few times, and only grows at its end in between."""
    history = conversation(CHAT)
    cut, steps, previous = UNCUT, 0, list(history)
    for number in range(120):
        history.append(Message("assistant", CHAT.write_action(f"print(page({number}))", "Next page.")))
        history.append(Message("user", CHAT.observe(f"page {number}: " + "words and more words " * 20)))
        shown = trimmed(history, 3000, cut, variables={"pages": "list[str]"})
        assert estimate(shown.messages) <= 3000
        if shown.event is None:
            assert shown.messages[: len(previous)] == previous
        else:
            steps += 1
            assert shown.event.tokens_after < shown.event.tokens_before
        cut, previous = shown.cut, shown.messages
    assert 5 <= steps <= 30


# ---- with a model ----------------------------------------------------------------------------------------------------


class Windowed(ScriptedModel):
    """A model that counts a token for each word."""

    def count(self, messages: Sequence[Message]) -> int:
        """Words."""
        return sum(len(message.content.split()) for message in messages)


def test_the_reply_has_its_own_room_in_the_window() -> None:
    """The prompt may fill what the reply leaves, at least half of the window."""
    model = Windowed([], context_tokens=200)
    history = conversation(CHAT, *((f"print({n})", "word " * 30) for n in range(6)))
    shown = fit(history, model=model, dialect=CHAT, reply_tokens=50)
    assert shown.event is not None
    assert model.count(shown.messages) <= 150
    generous = fit(history, model=model, dialect=CHAT, reply_tokens=5000)
    assert model.count(generous.messages) <= 100


def test_an_unknown_window_is_left_alone_until_the_model_refuses() -> None:
    """Then the conversation loses a good part, and more with every refusal."""
    model = Windowed([], context_tokens=200)
    model.context_tokens = None
    history = conversation(CHAT, *((f"print({n})", "word " * 200) for n in range(8)))
    first = fit(history, model=model, dialect=CHAT, reply_tokens=50)
    assert first.messages == history
    sizes, cut = [model.count(first.messages)], first.cut
    for _ in range(3):
        again = fit(history, cut, model=model, dialect=CHAT, reply_tokens=50, refused=True)
        sizes.append(model.count(again.messages))
        cut = again.cut
    assert sizes[1] <= sizes[0] * 0.6
    assert all(later < earlier for earlier, later in pairwise(sizes))


def test_what_is_a_little_too_long_is_left_to_the_model() -> None:
    """Counts err on the side of too many; what is far too long is refused before anybody is asked."""
    model = Windowed([], context_tokens=1000)
    history = conversation(CHAT, ("print(1)", "1"), ("print(2)", "2"))
    history[0] = Message("system", "tool " * 1100)
    shown = fit(history, model=model, dialect=CHAT, reply_tokens=200)
    assert shown.messages[0] == history[0]
    with pytest.raises(ContextOverflow, match="the system prompt with the tools 1,100"):
        fit(history, shown.cut, model=model, dialect=CHAT, reply_tokens=200, refused=True)
    history[0] = Message("system", "tool " * 1400)
    with pytest.raises(ContextOverflow):
        fit(history, model=model, dialect=CHAT, reply_tokens=200)


def test_a_refusal_counts_more_than_the_estimate() -> None:
    """Where the model refuses what seemed to fit, it gets less."""
    model = Windowed([], context_tokens=200)
    history = conversation(CHAT, *((f"print({n})", "word " * 10) for n in range(6)))
    model.context_tokens = 10_000
    assert fit(history, model=model, dialect=CHAT, reply_tokens=10).event is None
    again = fit(history, model=model, dialect=CHAT, reply_tokens=10, refused=True)
    assert model.count(again.messages) < model.count(history) * 0.7


# ---- properties ------------------------------------------------------------------------------------------------------

CODE = st.sampled_from(
    [
        "print(1)",
        "x = search_orders('shoes')\nprint(x)",
        "for i in range(3):\n    print(i)",
        "# only a comment",
        "y = 'é🎉'",
    ]
)
OUTPUT = st.one_of(
    st.sampled_from(["", "17", TRACEBACK, "The action was not run; nothing happened. Repair it:\nline 1: no"]),
    st.integers(0, 3000).map(lambda size: "0123456789 lorem\n" * (size // 17)),
    st.text(max_size=300),
)
TURN = st.tuples(CODE, OUTPUT)
COUNTERS: dict[str, Count] = {
    "estimate": estimate,
    "characters": lambda messages: sum(len(message.content) // 4 + 3 for message in messages),
    "words": lambda messages: sum(len(message.content.split()) + 1 for message in messages),
}


@settings(max_examples=60)
@given(
    dialect=st.sampled_from([*DIALECTS.values()]),
    tasks=st.lists(st.lists(TURN, max_size=12), min_size=1, max_size=3),
    room=st.integers(150, 4000),
    counter=st.sampled_from([*COUNTERS]),
)
def test_whatever_is_left_out_the_protocol_holds(
    dialect: Dialect, tasks: list[list[tuple[str, str]]], room: int, counter: str
) -> None:
    """Roles alternate, replies are as written, observations follow their actions, system and task stay, all fits."""
    count = COUNTERS[counter]
    history = [Message("system", "You act with tools. " * 5)]
    stated: list[int] = []
    cut = UNCUT
    for turns in tasks:
        stated.append(len(history))
        history.append(Message("user", f"Task number {len(stated)}."))
        for code, output in turns:
            try:
                shown = trim(
                    history, cut, room=room, dialect=dialect, count=count, tasks=stated, variables={"x": "int"}
                )
            except ContextOverflow:
                assert room < 600
                return
            holds(history, shown, cut, dialect, stated[-1])
            assert count(shown.messages) <= room
            again = trim(
                history, shown.cut, room=room, dialect=dialect, count=count, tasks=stated, variables={"x": "int"}
            )
            assert again.event is None
            assert again.messages == shown.messages
            cut = shown.cut
            history.append(Message("assistant", dialect.write_action(code, f"Thought {len(history)}.")))
            history.append(Message("user", dialect.observe(output, steps_left=4)))
        history.append(Message("assistant", dialect.write_answer(f"Done {len(history)}.")))


def holds(history: list[Message], shown: Trimmed, before: Cut, dialect: Dialect, task: int) -> None:
    """All that is true of any view."""
    messages = shown.messages
    assert messages[0] == history[0]
    assert [message.role for message in messages[1:]] == ["user", "assistant"] * (len(messages) // 2 - 1) + ["user"]
    assert any(history[task].content in message.content for message in messages if message.role == "user")
    place = 0
    for message, following in pairwise(messages):
        if message.role == "assistant":
            place = history.index(message, place) + 1
            reply = dialect.parse(message.content)
            assert reply.text == message.content
            assert reply.closed
            original = history[place].content
            if following.content != original and place < shown.cut.shortened:
                head, _, _ = following.content.partition("\n[... ")
                assert original.startswith(head)
                assert len(following.content) < len(original)
            else:
                assert following.content.endswith(original)
    assert shown.cut.shortened >= before.shortened
    assert shown.cut.summarised >= before.summarised
    if shown.event is not None:
        assert shown.event.tokens_after < shown.event.tokens_before


# ---- in an agent -----------------------------------------------------------------------------------------------------


def test_a_long_run_fits_a_window_of_4k_tokens() -> None:
    """30 turns with 4,000 characters of output each: the answer is reached, and every prompt fitted."""
    actions = [f"<execute>page_{n} = 'words ' * 600\nprint(page_{n})</execute>" for n in range(30)]
    model = ScriptedModel([*actions, "I have read them."], context_tokens=4096)
    agent = CodeActAgent(tools=["calendar"], model=model, sandbox=UnconfinedSandbox(), max_turns=31, prompt_tokens=600)
    result = agent.run("Read all pages.")
    assert result.answer == "I have read them."
    assert max(estimate(call.messages) for call in model.calls) <= 4096 - 1024
    events = [event for event in result.events if isinstance(event, ContextTrimmed)]
    assert events
    assert sum(event.summarised for event in events) >= 20
    last = model.calls[-1].messages
    assert last[1].content.startswith("Read all pages.\n\n[To save room, ")
    assert "page_20: str" in last[1].content
    assert last[-2].content == actions[-1]


def test_a_model_that_refuses_is_asked_with_less() -> None:
    """Where nobody knows the window, its refusal is the sign."""
    seen: list[int] = []

    def picky(messages: Sequence[Message]) -> str:
        seen.append(estimate(messages))
        if seen[-1] > 2500:
            raise ContextOverflow("too long")
        return f"<execute>print('words ' * 500, {len(seen)})</execute>" if len(seen) < 12 else "Done."

    model = ScriptedModel([picky], repeat=True)
    agent = CodeActAgent(tools=["calendar"], model=model, sandbox=UnconfinedSandbox(), max_turns=20, prompt_tokens=600)
    result = agent.run("Read all pages.")
    assert result.answer == "Done."
    assert max(seen) > 2500
    assert any(isinstance(event, ContextTrimmed) for event in result.events)
