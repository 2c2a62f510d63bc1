"""The system prompt: the dialect's words, the registered tools, one worked example made of them, the rules."""

from __future__ import annotations

import ast
import builtins
import doctest
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .dialects import Dialect
from .registry import ToolRegistry
from .rendering import render_listing
from .tools import Demonstration, ToolSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A rendered system prompt."""

    text: str
    notes: tuple[str, ...] = ()
    """What did not fit the budget, for the developer."""


def system_prompt(
    registry: ToolRegistry,
    dialect: Dialect,
    *,
    allow_imports: Sequence[str] = (),
    answer_tool: str | None = None,
    budget: int | None = None,
    instructions: str = "",
) -> Prompt:
    """Compose the system message of a run.

    Args:
        registry: The tools that the model may call.
        dialect: How it writes actions and answers.
        allow_imports: Modules that actions may import besides ``tools``.
        answer_tool: The tool that takes a typed answer; None where the answer is plain text.
        budget: Most tokens of the tools' listing.
        instructions: The application's own words, at the end.
    """
    listing = render_listing(registry, budget=budget)
    answering = f"To finish, call {answer_tool}(...) in an action." if answer_tool else dialect.answering
    instructed = (toolkit.instructions for toolkit in registry.toolkits if toolkit.instructions)
    rules = (*_rules(registry, allow_imports), *instructed)
    parts = [
        f"{dialect.preamble}\n{dialect.acting}\n{answering}",
        "\n".join(rules),
        f"{dialect.tools_heading}\n\n{listing.text}" if registry.specs else "",
        worked_example(registry, dialect, answer_tool=answer_tool),
        instructions,
    ]
    shortened = sorted(name for name, tier in listing.tiers.items() if tier != "full")
    notes = (
        (f"The tools' listing was shortened to {listing.tokens} tokens: {len(shortened)} of {len(listing.tiers)} tools "
         f"appear without their full text ({', '.join(shortened[:5])}{', …' if len(shortened) > 5 else ''})."),
    ) if shortened else ()  # fmt: skip
    return Prompt(text="\n\n".join(part.strip() for part in parts if part.strip()), notes=notes)


def _rules(registry: ToolRegistry, allow_imports: Sequence[str]) -> Iterable[str]:
    yield "Use the tools for everything that they can do; never guess what a tool would return."
    yield "Call several tools in one block where they do not depend on what you have yet to see."
    yield "Print what you need to see. Variables keep their values between blocks."
    if any(spec.kind == "coroutine" for spec in registry.specs):
        yield "Write `await` before the call of an `async def` tool; it is allowed at the top level."
    if "*" in allow_imports:
        return
    modules = ", ".join(["tools", "asyncio", "typing", *allow_imports])
    yield f"All tools and the types in their signatures are defined already. Only these can be imported: {modules}."


# ---- the worked example ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """A call from a tool's ``Examples:``, with its output."""

    spec: ToolSpec
    setup: tuple[str, ...]
    """Statements before the expression."""
    expression: str
    output: str
    """What ``print`` writes of its value."""

    def code(self, name: str) -> str:
        """The example as a model would write it."""
        return "\n".join([*self.setup, f"{name} = {self.expression}", f"print({name})"])


def worked_example(registry: ToolRegistry, dialect: Dialect, *, answer_tool: str | None = None) -> str:
    """Return a short dialogue over the registered tools, or "" where none of them has an example.

    It shows what a small model does not do by itself: several calls in one block, ``print``, and an answer once the
    output is there. Toolkits may demonstrate that themselves. Else, and where the answer has a type, calls and outputs
    come from the ``Examples:`` of the tools' docstrings.
    """
    shown = [each for toolkit in registry.toolkits for each in toolkit.demonstrations if _can_run(each, registry)]
    if shown and not answer_tool:
        return "\n\n".join(_dialogue(each, dialect) for each in shown)
    samples = _samples(registry)
    if not samples:
        return ""
    names = ("first", "second", "third")
    code = "\n".join(sample.code(name) for name, sample in zip(names, samples, strict=False))
    output = "\n".join(sample.output for sample in samples)
    question = " and what is ".join(f"`{sample.expression}`" for sample in samples)
    answer = ", and ".join(f"{sample.spec.name} gives {sample.output}" for sample in samples)
    last = dialect.write_action(f"{answer_tool}({names[0]})") if answer_tool else dialect.write_answer(f"{answer}.")
    turns = [
        ("User", dialect.task.replace("{task}", f"What is {question}?")),
        ("Assistant", dialect.write_action(code, "I call the tools and print what they return.")),
        ("User", dialect.observe(output)),
        ("Assistant", last),
    ]
    return _written(turns)


def _dialogue(demonstration: Demonstration, dialect: Dialect) -> str:
    turns = [("User", dialect.task.replace("{task}", demonstration.task))]
    for code, output in demonstration.steps:
        turns += [("Assistant", dialect.write_action(code)), ("User", dialect.observe(output))]
    return _written([*turns, ("Assistant", dialect.write_answer(demonstration.answer))])


def _written(turns: Iterable[tuple[str, str]]) -> str:
    return "Here is an example of a whole task:\n" + "\n".join(f"{role}: {text.strip()}" for role, text in turns)


def _can_run(demonstration: Demonstration, registry: ToolRegistry) -> bool:
    """Whether the functions that it calls are there: an application may have taken a part of a toolkit."""
    tools = {spec.name for spec in registry.specs}
    return demonstration.called <= tools | registry.catalog.types.keys() | vars(builtins).keys()


def _samples(registry: ToolRegistry, most: int = 2) -> list[_Sample]:
    """One example of each of a few tools: those without side effects and without preparations first."""
    samples = [sample for spec in registry.specs if (sample := _sample(spec)) is not None]
    samples.sort(key=lambda sample: (not sample.spec.effects.read_only, len(sample.setup), "\n" in sample.output))
    return samples[:most]


def _sample(spec: ToolSpec) -> _Sample | None:
    """The first example of ``spec`` that ends in an expression with a short output."""
    parser = doctest.DocTestParser()
    for text in spec.examples:
        setup: list[str] = []
        for example in parser.get_examples(text):
            source, want = example.source.strip(), example.want.strip()
            if not want:
                setup.append(source)
            elif _is_expression(source) and len(want) <= 300 and (output := _printed(want)) is not None:
                return _Sample(spec=spec, setup=tuple(setup), expression=source, output=output)
    return None


def _is_expression(source: str) -> bool:
    try:
        ast.parse(source, mode="eval")
    except SyntaxError:
        return False
    return True


def _printed(shown: str) -> str | None:
    """What ``print`` writes of the value that an example shows as its ``repr``; None where that cannot be told."""
    try:
        return str(ast.literal_eval(shown))
    except (ValueError, SyntaxError):
        return None if shown.startswith(_PRINTED_OTHERWISE) else shown


_PRINTED_OTHERWISE = ("datetime.", "Decimal(", "Fraction(", "UUID(", "PosixPath(", "Path(", "<")
"""Beginnings of a ``repr`` that differs from what ``print`` writes."""
