"""Dialects: reading replies however they are broken, and writing turns and observations."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_tools.dialects import DIALECTS, Dialect
from codeact_tools.pycode import extract_code, is_program, parses

CHAT, TRAINING, FENCES, M3 = (DIALECTS[name] for name in ("chat", "training", "fences", "m3tooleval"))

CODE = "x = search('shoes')\nprint(x)"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(f"I look.\n<execute>\n{CODE}\n</execute>", CODE, id="closed by its tag"),
        pytest.param(f"<execute>\n{CODE}\n</execute", CODE, id="closed by half a tag"),
        pytest.param(f"<execute>\n{CODE}\n", CODE, id="closed by a stop string that the server dropped"),
        pytest.param(f"<execute>\n{CODE}\n</exec", CODE, id="closing tag cut in two by the end of the reply"),
        pytest.param(f"<execute>{CODE}</execute>", CODE, id="no line breaks"),
        pytest.param(f"<Execute>\n{CODE}\n</EXECUTE>", CODE, id="another case"),
        pytest.param(f"< execute >\n{CODE}\n</ execute >", CODE, id="spaces in the tags"),
        pytest.param("<execute>\n    a = 1\n    print(a)\n</execute>", "a = 1\nprint(a)", id="indented block"),
        pytest.param("<execute> a = 1\n    print(a)\n</execute>", "a = 1\nprint(a)", id="first line beside the tag"),
        pytest.param(f"<execute>\n```python\n{CODE}\n```\n</execute>", CODE, id="fence inside the tags"),
        pytest.param(f"<execute>```py\n{CODE}```</execute>", CODE, id="fence inside the tags, without line breaks"),
        pytest.param(f"<execute>\n```\n{CODE}\n</execute>", CODE, id="unclosed fence inside the tags"),
        pytest.param(
            f"<execute>\nI look it up:\n```python\n{CODE}\n```\n</execute>", CODE, id="prose and fence inside"
        ),
        pytest.param(f"<execute>\nFirst I look it up:\n{CODE}\n</execute>", CODE, id="prose inside the tags"),
        pytest.param(f"So:\n```python\n{CODE}\n```\nThat is all.", CODE, id="fence instead of tags"),
        pytest.param(f"```py\n{CODE}\n```", CODE, id="label py"),
        pytest.param(f"```Python3\n{CODE}\n```", CODE, id="label Python3"),
        pytest.param(f"~~~python\n{CODE}\n~~~", CODE, id="tildes"),
        pytest.param(f"```\n{CODE}\n```", CODE, id="fence without a label that holds a program"),
        pytest.param(f"```python\n{CODE}", CODE, id="unclosed fence"),
        pytest.param(f"Code: ```python\n{CODE}\n```", CODE, id="fence that opens behind prose"),
        pytest.param("```python print(4)```", "print(4)", id="fence on one line"),
        pytest.param(f"{CODE}\n</execute>", CODE, id="closing tag that nothing opened"),
        pytest.param("print(search('shoes'))", "print(search('shoes'))", id="nothing but a program"),
        pytest.param(f"<execute>\n<execute>\n{CODE}\n</execute>\n</execute>", CODE, id="tags twice"),
        pytest.param(f"<execute>\n{CODE}\n</execute><|im_end|>\n<|im_start|>user\nThanks", CODE, id="leaked template"),
        pytest.param(f"<|im_start|>assistant\n<execute>\n{CODE}\n</execute>", CODE, id="leaked start of the turn"),
        pytest.param(f"<execute>\n{CODE}\n</execute>\nExecution Output:\n3\n\nIt is 3.", CODE, id="invented output"),
        pytest.param(f"<execute>\n{CODE}\nExecution Output:\n3\n\nIt is 3.", CODE, id="invented output, block open"),
        pytest.param("<execute>\n>>> a = f()\n>>> a\n3\n</execute>", "a = f()\na", id="prompts of a session"),
        pytest.param(f"<think>maybe <execute>f()</execute></think>\n<execute>{CODE}</execute>", CODE, id="reasoning"),
        pytest.param(f"<execute>\r\n{CODE}\r\n</execute>".replace("\n", "\r\n"), CODE, id="carriage returns"),
    ],
)
def test_broken_forms_of_an_action(text: str, code: str) -> None:
    """Each way in which models and servers break the form yields the same action, and no answer."""
    reply = CHAT.parse(text)
    assert reply.code == code
    assert reply.answer is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The total is 42.", "The total is 42."),
        ("The total is 42.<|im_end|>", "The total is 42."),
        ("The total is 42.</s>", "The total is 42."),
        ("42", "42"),
        ("x = 5", "x = 5"),
        ("Use this:\n```json\n{}\n```", "Use this:\n```json\n{}\n```"),
        ("Run:\n```bash\nls\n```", "Run:\n```bash\nls\n```"),
        ("It printed:\n```\n17\n```", "It printed:\n```\n17\n```"),
        ("Call `print(x)` for that.", "Call `print(x)` for that."),
        ("The result is <solution> 42 </solution>.", "42"),
        ("final_answer('42')", "42"),
        ("<execute>\nfinal_answer(42)\n</execute>", "42"),
        ("<execute></execute>It is 42.", "It is 42."),
        ("Execution Output:\n42", "Execution Output:\n42"),
        ("<think>\nHm.\n</think>\n\nIt is 42.", "It is 42."),
    ],
)
def test_plain_text_is_the_answer_in_chat(text: str, answer: str) -> None:
    """A chat reply without an action is the final answer; blocks in other languages belong to it."""
    reply = CHAT.parse(text)
    assert reply.actions == ()
    assert reply.answer == answer


def test_a_registered_final_answer_gets_its_call() -> None:
    """Where ``final_answer`` is a tool, calling it is an action like any other."""
    assert CHAT.parse("<execute>\nfinal_answer(42)\n</execute>", answer_calls=False).code == "final_answer(42)"
    assert CHAT.parse("final_answer(42)", answer_calls=False).code == "final_answer(42)"


def test_training_needs_a_solution_tag() -> None:
    """In the training dialect a reply with neither tag is no answer, so the loop can remind the model."""
    assert TRAINING.parse("I think it is 42.").answer is None
    assert TRAINING.parse("So <solution> 42 </solution>").answer == "42"
    assert TRAINING.parse("So <solution>42").answer == "42"


def test_an_answer_beside_an_action_is_a_draft() -> None:
    """An answer that was written before the action's output was seen does not end the run."""
    reply = TRAINING.parse("<execute>f()</execute>\nThus <solution>3</solution>")
    assert (reply.code, reply.answer, reply.draft) == ("f()", None, "3")


def test_an_illustration_beside_a_tagged_answer_is_no_action() -> None:
    """Who tags the answer but only fences some code shows the code."""
    assert TRAINING.parse("I used\n```python\nf()\n```\n<solution>3</solution>").answer == "3"


def test_several_blocks_run_as_one_program() -> None:
    """Blocks of one reply share variables and run in order, the text between them is thought."""
    reply = CHAT.parse("First:\n<execute>\na = f()\n</execute>\nthen\n<execute>\nprint(a)\n</execute>")
    assert reply.actions == ("a = f()", "print(a)")
    assert reply.code == "a = f()\n\nprint(a)"
    assert reply.thought == "First:\nthen"


def test_a_block_opened_before_the_last_was_closed() -> None:
    """A forgotten closing tag does not swallow the next block."""
    assert CHAT.parse("<execute>\na = f()\n<execute>\nprint(a)\n</execute>").actions == ("a = f()", "print(a)")


def test_what_follows_an_invented_observation_is_dropped() -> None:
    """Blocks that build on an output that the model made up do not run, and do not enter the conversation."""
    text = "<execute>\nf()\n</execute>\nObservation:\n3\n<execute>\ng(3)\n</execute>"
    reply = TRAINING.parse(text)
    assert reply.actions == ("f()",)
    assert reply.text == "<execute>\nf()\n</execute>"


def test_code_may_hold_what_looks_like_an_observation() -> None:
    """The head of an observation inside of a string of a closed block belongs to the code."""
    code = 'text = """\nObservation:\n"""\nprint(text)'
    assert TRAINING.parse(f"<execute>\n{code}\n</execute>").code == code


@pytest.mark.parametrize("end", ["", "</execute", "</exec", "\n</"])
def test_the_conversation_gets_the_closing_tag_back(end: str) -> None:
    """The reply that enters the conversation is closed, whatever the server dropped."""
    assert CHAT.parse(f"I look.\n<execute>\nf(){end}").text.replace("\n", "") == "I look.<execute>f()</execute>"


def test_open_blocks_are_told() -> None:
    """The caller learns whether the last block was closed, to tell a dropped stop string from a reply cut off."""
    assert CHAT.parse("<execute>f()</execute>").closed
    assert not CHAT.parse("<execute>f()").closed
    assert not CHAT.parse("```python\nf()\n").closed


def test_m3tooleval_is_read() -> None:
    """The form of the paper's tool benchmark is read as well."""
    assert M3.parse("Hm.\nAction:\nprint(f())\nEnd Action\n").code == "print(f())"
    assert M3.parse("Hm.\nAction:\nprint(f())").code == "print(f())"
    assert M3.parse("Answer: the red one\nand the blue one").answer == "the red one\nand the blue one"


@pytest.mark.parametrize("text", ["", "   \n", "<execute></execute>", "<execute>\n```python\n```\n</execute>"])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_empty_replies(dialect: Dialect, text: str) -> None:
    """An empty reply is neither an action nor an answer."""
    reply = dialect.parse(text)
    assert (reply.code, reply.answer) == ("", None)


def test_observations() -> None:
    """Each dialect frames an output in its own words; the countdown is the training dialect's."""
    assert CHAT.observe("3\n") == "Execution Output:\n3\n"
    assert CHAT.observe("") == "Execution Output:\n[Code executed successfully with no output]"
    assert CHAT.observe("{x}") == "Execution Output:\n{x}"
    assert TRAINING.observe("3", steps_left=4, answers_left=2) == (
        "Observation:\n3\nYou have 4 steps left and 2 chances to propose solution left.\n"
    )
    assert TRAINING.observe("3\n", steps_left=1, answers_left=1) == (
        "Observation:\n3\nYou have 1 steps left and 1 chances to propose solution left.\n"
        "You should take the last step to propose a solution.\n"
    )


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_a_dialect_reads_what_it_writes(dialect: Dialect) -> None:
    """The turns of a worked example are read back as what they were made of."""
    reply = dialect.parse(dialect.write_action(CODE, "I look it up."))
    assert (reply.thought, reply.code, reply.closed) == ("I look it up.", CODE, True)
    assert dialect.parse(dialect.write_answer("It is 42.")).answer == "It is 42."


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_stop_strings_fit_hosted_endpoints(dialect: Dialect) -> None:
    """No dialect needs more than the four stop strings that hosted endpoints accept."""
    assert len(dialect.stop) <= 4


programs = (
    st.lists(
        st.sampled_from(
            [
                "x = f(1)",
                "print(x)",
                "for i in range(3):\n    print(i)",
                "y = {'a': [1, 2]}",
                "import math",
                "s = 'a < b > c'",
            ]
        ),
        min_size=1,
        max_size=6,
    )
    .map("\n".join)
    .filter(is_program)
)
prose = st.sampled_from(["", "I look it up.", "Let me see:\n", "The *first* step, of 3\n\n"])
openings = st.sampled_from(["<execute>\n", "<execute>", "<execute>\n\n", "<Execute> \n", "<execute>\n```python\n"])
closings = st.sampled_from(
    ["\n</execute>", "</execute>", "\n</execute", "\n", "", "\n</exe", "\n```\n</execute>", "\n```"]
)
endings = st.sampled_from(["", "\n", "<|im_end|>", "<|im_end|>\n<|im_start|>user\n", "\nExecution Output:\n17\n"])
indents = st.sampled_from(["", "    ", "\t"])


@given(code=programs, before=prose, opening=openings, closing=closings, ending=endings, indent=indents)
def test_any_combination_of_breakages(
    code: str, before: str, opening: str, closing: str, ending: str, indent: str
) -> None:
    """Whatever is broken around it, the program comes out as the model wrote it."""
    indented = "\n".join(indent + line for line in code.splitlines())
    text = f"{before}{opening}{indented}{closing}{ending}"
    assert CHAT.parse(text).code == code


MARKS = (
    "<execute>|</execute>|</execute|<solution>|</solution>|```|```python|~~~|\n| |x = f()|Action:|End Action|Answer:|"
    "Observation:|<think>|</think>|word|'|(|\x00|é|\u2028|{output}"
)
pieces = st.sampled_from([*MARKS.split("|"), "<|im_end|>", "<|im_start|>"])


@given(st.lists(pieces, max_size=30).map("".join), st.sampled_from(list(DIALECTS.values())))
def test_every_text_can_be_read(text: str, dialect: Dialect) -> None:
    """No text makes the parser fail, and reading what enters the conversation again finds the same action."""
    reply = dialect.parse(text)
    assert reply.answer is None or not reply.actions
    assert all(action.strip() for action in reply.actions)
    dialect.parse(reply.text)


@given(st.text(max_size=200), st.sampled_from(list(DIALECTS.values())))
def test_arbitrary_text(text: str, dialect: Dialect) -> None:
    """Unicode of any kind is read as well."""
    dialect.parse(text)


@pytest.mark.parametrize(
    "piece",
    ["<execute>\n", "</execute>\n", "```\n", "```python\n", "< ", "<execute", "\nObservation:", "`", " ", "(", "-"],
)
def test_reading_takes_linear_time(piece: str) -> None:
    """Long runs of markers, or of what resembles them, are read quickly."""
    text = "a word\n" + piece * (100_000 // len(piece))
    start = time.process_time()  # of this process alone, whatever else the machine does
    CHAT.parse(text)
    assert time.process_time() - start < 5


def test_programs_are_told_from_prose() -> None:
    """A program parses, and calls or imports something at top level."""
    assert is_program("import math")
    assert is_program("await fetch()")
    assert is_program("for i in range(3):\n    print(i)")
    assert not is_program("x")
    assert not is_program("Hello, world")
    assert not is_program("")


def test_broken_code_stays_as_it_is() -> None:
    """Code that does not parse is handed on unchanged: the check tells the model what is wrong with it."""
    assert extract_code("x = = 1\nprint(x)") == "x = = 1\nprint(x)"
    assert not parses("x = = 1")
