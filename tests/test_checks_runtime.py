"""The check with what the interpreter tells of the session's variables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from codeact_tools.checks import Checker
from codeact_tools.checks.runtime import known
from tests.checks_shop import make_registry


@pytest.fixture
def checker() -> Iterator[Checker]:
    """A checker at its first turn, which lets every module be imported."""
    with Checker(make_registry(), allow_imports=["*"]) as one:
        yield one


def messages(checker: Checker, code: str) -> list[str]:
    """What the check finds; the type checker took part."""
    result = checker.check_sync(code)
    assert result.degraded is None
    return [each.message for each in result.findings]


@pytest.mark.parametrize(
    ("told", "wrong", "right"),
    [
        ("list", "data.foo", "data[0].anything\ndata.append(1)\ndata[-1].upper()"),
        ("dict", "data.total", "data['total'].upper()\ndata.get('a').b"),
        ("str", "data['total']", "data.upper()"),
        ("int", "data.upper()", "data + 1"),
        ("None", "data.total", "data is None"),
        ("tools.Order", "data.totl", "data.total + 1"),
        ("list[tools.Order]", "data[0].totl", "data[0].total + 1"),
        ("dict[str, tools.Order]", "data['a'].totl", "data['a'].total + 1"),
        ("list[int]", "data.foo", "data.append('a')\ndata[-1].upper()"),
        ("dict[str, int]", "data.foo", "for key in data:\n    data[key] = 'a'\ndata['b'].upper()"),
        ("tuple[int, str]", "data[0].upper()", "data[1].upper()"),
        ("tuple[int, ...]", "data.append(1)", "data[3] + 1"),
        ("datetime.date", "data.hours", "data.year + 1"),
        ("pathlib.PosixPath", "data.foo", "data.name.upper()"),
        ("collections.Counter", "data.foo", "data.most_common(1)[0]"),
    ],
)
def test_where_inference_gives_up_the_runtime_type_counts(checker: Checker, told: str, wrong: str, right: str) -> None:
    """A value from a library without types has the type that it has in the interpreter."""
    checker.commit("import library\ndata = library.load()", variables={"library": "builtins.module", "data": told})
    assert len(messages(checker, wrong)) == 1
    assert messages(checker, right) == []


def test_what_inference_knows_better_stays(checker: Checker) -> None:
    """Elements that the interpreter does not tell are known from the code."""
    checker.commit("rows = [stock('a')]", variables={"rows": "list[dict]"})
    assert messages(checker, "rows[0]['cout']") == ["`Row` has no key 'cout'."]
    checker.commit("words = ['a'.upper()]\nwords.append(1)", variables={"rows": "list[dict]", "words": "list"})
    assert messages(checker, "words[0].upper()\nwords[-1] + 1") == []


def test_a_value_that_is_none_or_an_order_is_what_it_is(checker: Checker) -> None:
    """Of the types that a branch leaves open, the one in the interpreter counts."""
    checker.commit("found = search_orders('a')\nbest = found[0] if found else None", variables={"best": "tools.Order"})
    assert messages(checker, "best.totl") == ["`Order` has no attribute 'totl'."]
    checker.commit("best = None", variables={"best": "None"})
    assert messages(checker, "best.total") == ["`None` has no attribute 'total'."]
    assert messages(checker, "best = get_order('A1')\nbest.total") == []


def test_a_variable_that_changes_unseen_has_its_new_type(checker: Checker) -> None:
    """Also where a function, `exec` or an append changed it."""
    checker.commit("x = 1\nlines = []", variables={"x": "int", "lines": "list"})
    checker.commit("exec('x = \"a\"')", variables={"x": "str", "lines": "list"})
    assert messages(checker, "x.upper()") == []
    assert len(messages(checker, "x + 1")) == 1
    checker.commit("fill(lines)", variables={"x": "str", "lines": "list[tools.Order]"})
    assert messages(checker, "lines[0].totl") == ["`Order` has no attribute 'totl'."]
    checker.commit("fill(lines)", variables={"x": "numpy.ndarray", "lines": "list"})
    assert messages(checker, "lines[0].totl\nx.anything") == []


def test_names_that_exist_only_at_run_time_are_known(checker: Checker) -> None:
    """What `exec` made is known with its type; what it did not make is not defined."""
    checker.commit("exec(code)", variables={"hidden": "tools.Order", "run": "builtins.function"})
    assert messages(checker, "hidden.total\nrun(1).anything") == []
    assert messages(checker, "hidden.totl\nmissing") == [
        "'missing' is not defined.",
        "`Order` has no attribute 'totl'.",
    ]
    assert "cancel_order" in checker.check_sync("run(1)").effects
    assert checker.check_sync("hidden.total").effects == ()
    assert messages(checker, "exec(code)\nmissing") == []


def test_functions_that_make_names_leave_names_open(checker: Checker) -> None:
    """Where a function of the session may make names, none is missing for sure."""
    checker.commit("def make(name):\n    globals()[name] = 1", variables={"make": "builtins.function"})
    assert messages(checker, "make('a')\na + 1") == []


def test_a_name_that_was_not_bound_does_not_exist(checker: Checker) -> None:
    """A branch that did not run, and what stood behind an early end, bound nothing."""
    checker.commit("if len('') > 5:\n    y = 1\nx = 2\nexit()\nz = 3", variables={"x": "int"})
    assert messages(checker, "x") == []
    assert messages(checker, "y\nz") == ["'y' is not defined.", "'z' is not defined."]
    checker.commit("y = 1", variables={"x": "int", "y": "int"})
    assert messages(checker, "y") == []


def test_hidden_builtins_and_tools_come_back(checker: Checker) -> None:
    """A name that is deleted is again what it was before."""
    checker.commit("list = 5\nsearch_orders = 5", variables={"list": "int", "search_orders": "int"})
    assert len(messages(checker, "list('a')")) == 1
    checker.commit("del list, search_orders", variables={})
    assert messages(checker, "list('a')\nsearch_orders('a')[0].total") == []


def test_imported_tools_are_no_missing_names(checker: Checker) -> None:
    """What was bound from the start is not listed, and exists all the same."""
    checker.commit("import tools\nfrom tools import search_orders\nfrom tools.payments import charge", variables={})
    assert messages(checker, "tools.get_order('A1')\nsearch_orders('a')\ncharge('ann', 1)") == []


def test_names_of_a_star_import_keep_their_types(checker: Checker) -> None:
    """They are in the interpreter, and known from the library's stubs."""
    variables = {"sqrt": "builtins.builtin_function_or_method", "pi": "float", "floor": ""}
    checker.commit("from math import *", variables=variables)
    checker.commit("x = 1", variables={**variables, "x": "int"})
    assert len(messages(checker, "floor(2.5).upper()")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "", "Order", "__main__.Order", "tools.Nothing", "os.system", "int()", "list[int", "int\nimport os", "tools",
        "tools.Order.status", "builtins.int", "datetime.date.today", "[" * 300, "lambda: 0", "1", "'int'", "int | str",
    ],
)  # fmt: skip
def test_only_known_classes_are_taken_over(text: str) -> None:
    """Text of the guest is never code: what is not a known class is no type."""
    assert known(text, {"Order"}) is None


@pytest.mark.parametrize("text", ["list[os.system]", "list[int, int]", "dict[int]", "tuple[x()]", "list[...]"])
def test_a_container_of_something_unknown_is_just_a_container(text: str) -> None:
    """Its elements may be anything."""
    told = known(text, {"Order"})
    assert told is not None
    assert told.source == f"__session__.builtins.{text.partition('[')[0]}"
    assert not told.exact


def test_names_that_are_no_names_are_ignored(checker: Checker) -> None:
    """Keys of `globals` that no code can use do not reach the type checker."""
    checker.commit("x = 1", variables={"class": "int", "a b": "int", "x": "int", "y = 5 #": "str"})
    assert len(messages(checker, "x.upper()")) == 1
