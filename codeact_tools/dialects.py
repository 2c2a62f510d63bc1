r"""How a model writes an action and an answer, and how it reads an observation: dialects, as data.

    >>> reply = DIALECTS["chat"].parse("I look it up.\n<execute>\nprint(6 * 7)\n</execute>")
    >>> reply.thought, reply.code, reply.answer
    ('I look it up.', 'print(6 * 7)', None)

A dialect has no code of its own; one tolerant parser (`codeact_tools.replies`) reads them all.

Sources: ``chat`` and ``training`` are the forms of CodeAct (Wang et al., ICML 2024): the chat demo, and the MINT
framework that recorded the training data; ``m3tooleval`` is the form of that paper's tool benchmark.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .errors import ConfigurationError
from .replies import Reply, Tags, read_reply

EXECUTE = Tags(open="<execute>", close="</execute>")
SOLUTION = Tags(open="<solution>", close="</solution>")
FENCE = Tags(open="```python", close="```")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way to write actions and answers."""

    name: str
    action: Tags
    """How the model is taught to enclose an action. Python in fences, and `EXECUTE`, are read in any dialect."""
    answer: Tags | None
    """How the model is taught to enclose its final answer; None: a reply without an action is the answer."""

    preamble: str
    """Who the assistant is and what it works with; the start of the system message."""
    acting: str
    """How to write an action."""
    answering: str
    """How to give the final answer."""
    tools_heading: str
    """The line above the listing of the tools."""
    task: str = "{task}"
    """The first user message."""

    observation: str
    """The user message with an action's output, in place of ``{output}``."""
    empty_output: str
    """What stands for an output that is empty."""
    countdown: str | None = None
    """Line below an observation, with ``{steps}`` and ``{answers}`` left; None where the dialect has none."""
    last_step: str | None = None
    """Line below the countdown before the last step."""
    reminder: str
    """What to tell the model after a reply with neither an action nor an answer."""
    insistence: str | None = None
    """What to tell a model that answers right after an action has failed; None: its answer is taken."""

    stop: tuple[str, ...]
    """Generation ends at the first of these; never more than four, the most that hosted endpoints accept."""
    turns: int
    """Turns of a run, unless the caller says otherwise."""
    answers: int | None = None
    """Answers that a run may propose, where the dialect counts them."""

    def parse(self, text: str, *, answer_calls: bool = True) -> Reply:
        """Read a reply, however the model, or the server, broke the form.

        ``answer_calls``: take ``final_answer("...")`` alone, a habit from other frameworks, for the answer that it
        holds. False where a tool of that name is registered, which then gets the call.
        """
        return read_reply(
            text,
            actions=(self.action, EXECUTE),
            answers=(self.answer or SOLUTION, SOLUTION),
            plain_answer=self.answer is None,
            answer_calls=answer_calls,
            invented=(self.observation.partition("{output}")[0], *(mark for mark in self.stop if mark[0] == "\n")),
        )

    def write_action(self, code: str, thought: str = "") -> str:
        """Write a turn with an action, as a model that speaks the dialect would: for worked examples."""
        return self._turn(thought, f"{self.action.open}\n{code.strip()}\n{self.action.close}")

    def write_answer(self, answer: str, thought: str = "") -> str:
        """Write a turn with the final answer."""
        if self.answer is None:
            return self._turn(thought, answer)
        return self._turn(thought, f"{self.answer.open} {answer} {self.answer.close}".rstrip())

    def observe(self, output: str, *, steps_left: int | None = None, answers_left: int | None = None) -> str:
        """Return the user message that shows an action's ``output``.

        The countdown is added where the dialect has one and ``steps_left`` is given.
        """
        text = self.observation.replace("{output}", output if output.strip() else self.empty_output)
        if self.countdown is None or steps_left is None:
            return text
        chances = answers_left if answers_left is not None else self.answers or steps_left
        lines = [text.rstrip("\n"), self.countdown.format(steps=steps_left, answers=chances)]
        if self.last_step is not None and steps_left <= 1:
            lines.append(self.last_step)
        return "\n".join(lines) + "\n"

    @staticmethod
    def _turn(thought: str, body: str) -> str:
        return f"{thought}\n{body}" if thought else body


_TOOLS_HEADING = "Tool function available (already imported in <execute> environment):"

CHAT = Dialect(
    name="chat",
    action=EXECUTE,
    answer=None,
    preamble=(
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful and "
        "polite answers. It can use an interactive Python (Jupyter Notebook) environment and receives the output of "
        "its code."
    ),
    acting=(
        'Code must be enclosed in an "<execute>" tag, for example: <execute> print("Hello World!") </execute>. '
        "The assistant attempts fewer things at a time instead of putting too much code into one <execute> block. "
        "It imports and defines everything before using it. "
        "Whenever possible it executes code with <execute> instead of only showing it."
    ),
    answering=(
        "The assistant stops using <execute> and answers in plain text as soon as the execution result holds what is "
        "needed. It is concise, but does express its thoughts."
    ),
    tools_heading=_TOOLS_HEADING,
    observation="Execution Output:\n{output}",
    empty_output="[Code executed successfully with no output]",
    reminder=(
        "Your reply was empty. To run code, write <execute> YOUR_CODE_HERE </execute>. "
        "To finish, write the answer as plain text."
    ),
    stop=("</execute>", "<|im_end|>", "<|im_start|>"),
    turns=5,
)

SMALL = replace(
    CHAT,
    name="small",
    insistence=(
        "That is no answer, because your last action failed. Do not explain it: "
        "write the whole action again, repaired.\n"
    ),
)
"""`CHAT` for models of one or two billion parameters: they describe an error as if that were an answer."""

TRAINING = Dialect(
    name="training",
    action=EXECUTE,
    answer=SOLUTION,
    preamble=(
        "You are a helpful assistant assigned with the task of problem-solving. You use an interactive coding "
        "environment with tool functions that assist you. At each turn, first give your step-by-step thinking. "
        "After that, you have two options:"
    ),
    acting=(
        "1) Interact with a Python programming environment and receive the corresponding output. Your code should be "
        'enclosed in an "<execute>" tag, for example: <execute> print("Hello World!") </execute>.'
    ),
    answering=(
        "2) Directly provide a solution that follows the format required by the task. Your solution should be "
        'enclosed in a "<solution>" tag, for example: The answer is <solution> A </solution>.'
    ),
    tools_heading=_TOOLS_HEADING,
    task="Task:\n{task}",
    observation="Observation:\n{output}\n",
    empty_output="[Executed Successfully with No Output]",
    countdown="You have {steps} steps left and {answers} chances to propose solution left.",
    last_step="You should take the last step to propose a solution.",
    reminder=(
        "I don't understand your input.\n"
        "If you want to execute code, please use <execute> YOUR_CODE_HERE </execute>.\n"
        "If you want to give me an answer, please use <solution> YOUR_SOLUTION_HERE </solution>.\n"
        "For example: The answer to the question is <solution> 42 </solution>."
    ),
    stop=("\nObservation:", "\nExpert feedback:", "\nTask:", "\n---"),
    turns=5,
    answers=2,
)

FENCES = Dialect(
    name="fences",
    action=FENCE,
    answer=None,
    preamble=(
        "You are a helpful assistant that solves tasks by running Python code in an interactive environment that keeps "
        "its variables between your turns."
    ),
    acting=(
        "To act, write one short Markdown code block that starts with ```python and ends with ```; then stop. "
        "It is run, and you read its output in the next message. Print what you need to see."
    ),
    answering="When you know the answer, write it as plain text, without a Python code block.",
    tools_heading="These functions are available and already imported:",
    observation="Observation:\n{output}",
    empty_output="[Code executed successfully with no output]",
    reminder="Your reply was empty. Write a ```python block to act, or the final answer as plain text.",
    stop=("\nObservation:", "<|im_end|>", "<|im_start|>"),
    turns=10,
)

M3TOOLEVAL = Dialect(
    name="m3tooleval",
    action=Tags(open="Action:", close="End Action"),
    answer=Tags(open="Answer:", close=""),
    preamble="You are a helpful assistant that solves tasks by writing Python code that calls the given functions.",
    acting="To act, write a line `Action:`, then Python code, then a line `End Action`. Print what you need to see.",
    answering="When you know the answer, write `Answer: ` and the answer.",
    tools_heading="You have access to the following functions, which are already imported:",
    observation="{output}",
    empty_output="[Executed Successfully with No Output]\nDid you forget to print the result?",
    reminder="Write either `Action:`, code and `End Action`, or `Answer: ` and the answer.",
    stop=(),
    turns=10,
)

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (CHAT, SMALL, TRAINING, FENCES, M3TOOLEVAL)}
"""All dialects by name."""

__all__ = ["DIALECTS", "EXECUTE", "Dialect", "Reply", "Tags"]


def find_dialect(dialect: str | Dialect) -> Dialect:
    """The dialect that is meant: a name of `DIALECTS`, or the dialect itself.

    Raises:
        ConfigurationError: There is none of this name.
    """
    if isinstance(dialect, Dialect):
        return dialect
    try:
        return DIALECTS[dialect]
    except KeyError:
        raise ConfigurationError(f"dialect={dialect!r} is not known; there are {', '.join(DIALECTS)}.") from None
