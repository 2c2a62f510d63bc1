"""Every type that a signature may name, through the real sandbox: as argument and as result, right and wrong."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from codeact_tools import Session
from tests import contract_types as ct
from tests.equality import same

NUMBERED = list(enumerate(ct.CASES))
IDS = [f"{number}-{text[:30]}" for number, (_, text, _, _) in NUMBERED]
WRONG = [(number, case) for number, case in NUMBERED if case[3] is not None]

received: dict[int, object] = {}
"""What the tools were given, by the number of the case."""


def _tool(name: str, body: Any, returns: Any, *parameters: inspect.Parameter) -> Any:
    """A function with this signature."""

    def function(*args: Any, **kwargs: Any) -> Any:
        return body(*args, **kwargs)

    function.__name__ = name
    function.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": returns}
    function.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
    return function


def _tools() -> Iterator[Any]:
    """Four tools for each case: one takes the type, one gives a right value, one a wrong one as it is, and promised."""
    for number, (annotation, _, right, wrong) in NUMBERED:
        value = inspect.Parameter("value", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)
        yield _tool(f"take_{number}", lambda value, number=number: received.update({number: value}), None, value)
        yield _tool(f"give_{number}", lambda right=right: right, annotation)
        yield _tool(f"wrong_{number}", lambda wrong=wrong: wrong, Any)
        yield _tool(f"break_{number}", lambda wrong=wrong: wrong, annotation)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One session with the tools of all cases."""
    with Session(tools=_tools(), sandbox="local", check="off", allow_imports=["re"]) as session:
        session.run("import re")
        yield session


@pytest.mark.parametrize("number", range(len(NUMBERED)), ids=IDS)
def test_right_values_cross_exactly(session: Session, number: int) -> None:
    """A result arrives in the action, and passed on as an argument it is on the host what it was."""
    received.pop(number, None)
    seen = session.run(f"value = give_{number}()\ntake_{number}(value)\ntake_{number}(value=give_{number}())")
    assert seen.error is None, seen.text
    assert same(received[number], ct.CASES[number][2])


@pytest.mark.parametrize(("number", "case"), WRONG, ids=[IDS[number] for number, _ in WRONG])
def test_wrong_arguments_are_refused_in_words(session: Session, number: int, case: Any) -> None:
    """The tool does not run, and the model reads its name, the parameter, what came, and the signature."""
    received.pop(number, None)
    seen = session.run(f"take_{number}(wrong_{number}())")
    assert number not in received
    assert seen.error is not None
    assert (seen.error.kind, seen.error.name) == ("tool", "InvalidCall"), seen.text
    assert f"take_{number}" in seen.error.message
    assert "value" in seen.error.message
    assert f"Signature: take_{number}(value: " in seen.error.message
    for jargon in ("pydantic", "http", "validation error", "input_type", "Traceback", "function-", "tagged-union"):
        assert jargon not in seen.error.message


@pytest.mark.parametrize(("number", "case"), WRONG, ids=[IDS[number] for number, _ in WRONG])
def test_wrong_results_are_the_tools_fault(session: Session, number: int, case: Any) -> None:
    """The developer reads tool and field; the model only that the tool misbehaved."""
    seen = session.run(f"break_{number}()")
    assert seen.error is not None
    assert (seen.error.kind, seen.error.name) == ("tool", "InvalidResult"), seen.text
    assert "misbehaved" in seen.error.message
    [call] = seen.calls
    assert call.error is not None
    assert "result" in call.error
    assert f"break_{number}" in call.error


@pytest.mark.parametrize(("number", "source"), list(enumerate(ct.SOURCES)), ids=IDS)
def test_values_that_the_action_writes_arrive_exactly(session: Session, number: int, source: str) -> None:
    """What an action makes with the classes that it was told of is, on the host, an instance of the real class."""
    received.pop(number, None)
    seen = session.run(f"take_{number}({source})")
    assert seen.error is None, seen.text
    assert same(received[number], ct.CASES[number][2])


def test_the_check_accepts_every_right_value() -> None:
    """The stubs agree with the host: values of every type pass the check as result, as argument, and written down."""
    lines = [f"take_{number}(give_{number}())\ntake_{number}({source})" for number, source in enumerate(ct.SOURCES)]
    with Session(tools=_tools(), sandbox="local", check="block", allow_imports=["re"]) as session:
        seen = session.run("import re\n" + "\n".join(lines))
    assert seen.findings == ()
    assert seen.error is None, seen.text
