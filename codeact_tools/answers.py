"""The final answer: text as it is, or a validated value of the type that was asked for."""

from __future__ import annotations

import ast
import json
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError

from .errors import AnswerInvalid
from .registry import ToolRegistry
from .tools import tool

ANSWER_TOOL: Final = "final_answer"
"""The tool that takes a typed answer."""


class AnswerBox:
    """Takes the answer of one run.

    For ``output_type=str`` it is the model's text. For any other type the model gets one more tool, ``final_answer``,
    whose parameter has that type, so the typed contract covers the answer like any other call; a plain text that is
    JSON or a Python literal of the type is accepted too.
    """

    def __init__(self, output_type: Any = str) -> None:
        self._typed = output_type is not str
        self._adapter: TypeAdapter[Any] = TypeAdapter(output_type)
        # In a list, because pydantic takes no configuration for a model; how bytes are written there is its own affair.
        self._recorded: TypeAdapter[list[Any]] = TypeAdapter(
            list[output_type], config=ConfigDict(val_json_bytes="base64", ser_json_inf_nan="strings")
        )
        self.output_type = output_type
        self.given = False
        """Whether ``final_answer`` was called."""
        self.value: Any = None

    def clear(self) -> None:
        """Forget the answer of the task before."""
        self.given, self.value = False, None

    def extend(self, registry: ToolRegistry) -> ToolRegistry:
        """The registry that the run's session uses."""
        if not self._typed:
            return registry

        def final_answer(answer: Any) -> None:
            """Give the final answer; the task is then done.

            Args:
                answer: The answer to the user's task.
            """
            self.given, self.value = True, answer

        final_answer.__annotations__["answer"] = self.output_type
        return ToolRegistry([registry, tool(read_only=True, idempotent=True)(final_answer)])

    @property
    def tool_name(self) -> str | None:
        """How the answer is given: the name of a tool; None for plain text."""
        return ANSWER_TOOL if self._typed else None

    def revive(self, recorded: Any) -> Any:
        """The answer that a journal has as JSON.

        Raises:
            AnswerInvalid: It does not fit ``output_type``.
        """
        try:
            return self._recorded.validate_json(json.dumps([recorded]))[0]
        except ValidationError as error:
            raise AnswerInvalid(
                f"The recorded answer {recorded!r} is no {self.output_type!r}; give its type."
            ) from error

    def read(self, text: str) -> Any:
        """Return the answer that ``text`` is.

        Raises:
            AnswerInvalid: It does not fit ``output_type``; the message tells the model what is wrong.
        """
        if not self._typed:
            return text.strip()
        problem: ValidationError | None = None
        for candidate in _readings(text):
            try:
                return self._adapter.validate_python(candidate)
            except ValidationError as error:
                problem = problem or error
        assert problem is not None  # noqa: S101 - there is always the text itself to read
        details = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'answer'}: {item['msg']}" for item in problem.errors()[:5]
        )
        raise AnswerInvalid(f"The answer is not what was asked for ({details}). Call final_answer(...) with the value.")


def _readings(text: str) -> list[Any]:
    """What ``text`` may mean: a JSON document, a Python literal, the text itself."""
    text = (
        text.strip().removeprefix("```json").removeprefix("```python").removeprefix("```").removesuffix("```").strip()
    )
    readings: list[Any] = []
    for parse in (json.loads, ast.literal_eval):
        try:
            readings.append(parse(text))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return [*readings, text]
