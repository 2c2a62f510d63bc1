"""The grammar of actions: what is valid is never forbidden, and a call that the tools cannot take is."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_tools.dialects import DIALECTS
from codeact_tools.errors import ConfigurationError
from codeact_tools.models.endpoint_server import UNKNOWN, Served
from codeact_tools.models.grammar import action_grammar, lark_grammar
from codeact_tools.registry import ToolRegistry
from tests.checks_shop import make_registry

ROOT = Path(__file__).parent.parent
ACTIONS = [
    action
    for name in ("valid", "session", "libraries")
    for action in (ROOT / "tests/actions" / f"{name}.txt").read_text().split("----\n")
]
SOURCES = sorted((ROOT / "codeact_tools").rglob("*.py"))[::12]

llguidance = pytest.importorskip("llguidance", reason="llguidance is not installed")
Accepts = Callable[[str], bool]


def reader(gbnf: str) -> Accepts:
    """Return a function that tells whether a text is a whole reply by the grammar."""
    lark = llguidance.LLMatcher.grammar_from_lark(lark_grammar(gbnf))
    fresh: Any = llguidance.LLMatcher(llguidance.LLTokenizer("byte"), lark)
    assert not fresh.is_error(), fresh.get_error()

    def accepts(text: str) -> bool:
        matcher, tokens = fresh.deep_copy(), list(text.encode())
        return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())

    return accepts


@pytest.fixture(scope="module")
def accepts() -> Accepts:
    """The grammar of the shop's tools in the chat dialect."""
    return reader(action_grammar(make_registry(), DIALECTS["chat"].action))


@pytest.fixture(scope="module")
def action(accepts: Accepts) -> Accepts:
    """The same for the inside of an action."""
    return lambda code: accepts(f"I look.\n<execute>\n{code}\n</execute>")


@pytest.mark.parametrize("code", ACTIONS)
def test_valid_actions(action: Accepts, code: str) -> None:
    """Every action that the check must let pass can be written."""
    assert action(code)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_python_of_this_project(action: Accepts, path: Path) -> None:
    """So can every statement of a real code base."""
    source = path.read_text()
    for node in ast.parse(source).body:
        code = ast.get_source_segment(source, node)
        if code is not None and "</execute>" not in code and len(code) < 3000:
            assert action(code), code


@pytest.mark.parametrize(
    "code",
    [
        "f'{x!r:>{width}} {{}} {d[\"a\"]}'", 'f"{x:%Y-%m-%d}" f\'{y}\'', "rf'\\d{n}'", "b'\\x00' + rb'\\d'",
        "'''a\n'b' ''c\n'''", '"""a "b"\n"""', "'it\\'s'", "x = [\n    1,  # one\n    2,\n]", "a = b = c, *d = e",
        "{k: v for k, v in x.items() if v}", "{**a, 'b': 1}", "print(*a, sep='')", "x[1:, ::2, ...]", "x[a:=1]",
        "lambda x, *y, z=1, **k: x + z", "sorted(x, key=lambda o: (-o.total, o.name))", "not x in(1, 2)",
        "x if y else z", "(yield)", "a <b> -c", "1e-5 + 0xFF + 1_000.5j", "if x: y = 1; z = 2",
        "try:\n    pass\nexcept (A, B) as e:\n    raise X from e\nelse:\n    pass\nfinally:\n    pass",
        "with open(p) as f, (g) as h:\n    f.read()",
        "async with a() as b:\n    await b", "async def f():\n    yield 1",
        "match x:\n    case {'a': [1, *_], **rest} if rest:\n        pass\n    case A(b=1) | None as c:\n        pass",
        "match = re.match(r'a', x)", "type = 5", "@cache\ndef f(a, /, b: int = 1, *, c) -> list[int]:\n    ...",
        "class A(B, metaclass=C):\n\n    # note\n    x: int = 1", "x = 1 \\\n    + 2", "global x", "del x[0], y",
        "assert x, 'no'", "from . import a", "from .tools import a as b", "import a.b as c, d", "größe = 1",
        "if a:\n\tb()\nelse:\n\tc()", "while True:\n    break  # done", "", "# only a note", "x = 1\r\ny = 2",
        "def average(values, extra=1):\n    return values", "for get_order in x:\n    pass", "ships = ship",
        "tools = 5", "(tools)", "obj.search_orders(any=1)", "search_orders_2(any=1)", "mysearch_orders(any=1)",
        "search_orders", "[search_orders, get_order][0]('x')", "map(get_order, ids)", "f(get_order=1)",
    ],
)  # fmt: skip
def test_forms_of_python(action: Accepts, code: str) -> None:
    """Quotes in quotes, brackets over lines, soft keywords, names of tools as mere names: all can be written."""
    assert action(code)


@pytest.mark.parametrize(
    "code",
    [
        "search_orders(quer='x')", "average([1], scle=3)", "tools.search_orders(quer='x')", "tools.nope(1)",
        "tools.payments.charge(custome='x')", "tools.payments.nope", "from tools import nope", "import tools.nope",
        "from tools.payments import search_orders", "x = = 1", "print(1", "print 1", "a b", "1 +", "x = [1, 2", "f(x",
        "'a", "f'{x'", "for x in y\n    pass", "if x:\nprint(1)", "return return", "import", "def f:\n    pass",
        "else\n    x", "x = (1, 2]", "class:\n    pass", "```python\nx = 1\n```",
    ],
)  # fmt: skip
def test_what_cannot_be_written(action: Accepts, code: str) -> None:
    """A call that the tool cannot take, a name that is not there, and what is no Python."""
    assert not action(code)


@given(before=st.text("<execut> a\n/", max_size=30))
def test_prose_is_free(before: str) -> None:
    """Any text is a reply, up to the tag that opens an action; behind the action's end there is nothing."""
    assert _chat(before) == ("<execute>" not in before)
    prose = before.replace("<execute>", "")
    if "<execute>" not in prose:
        assert _chat(f"{prose}<execute>\nx = 1\n</execute>") == (f"{prose}<execute>".count("<execute>") == 1)
        assert not _chat(f"{prose}<execute>\nx = 1\n</execute> and on")


_chat = reader(action_grammar(ToolRegistry(), DIALECTS["chat"].action))


@pytest.mark.parametrize("dialect", [name for name, dialect in DIALECTS.items() if dialect.action.close])
def test_every_dialect(dialect: str) -> None:
    """The grammar is made of the dialect's own tags; a session without tools has one, too."""
    tags = DIALECTS[dialect].action
    accepts = reader(action_grammar(ToolRegistry(), tags))
    assert accepts(f"Now.\n{tags.open}\nprint(1)\n{tags.close}")
    assert not accepts(f"Now.\n{tags.open}\nprint(1\n{tags.close}")


def test_the_grammar_is_plain_gbnf() -> None:
    """Every rule is defined once, every rule that is used is defined, and each stands on a line of its own."""
    rules = action_grammar(make_registry(), DIALECTS["chat"].action).splitlines()
    names = [rule.partition(" ::= ")[0] for rule in rules]
    assert len(names) == len(set(names))
    used: set[str] = set()
    for rule in rules:
        body = re.sub(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]', "", rule.partition(" ::= ")[2])
        used |= set(re.findall(r"[a-z][\w-]*", body))
    assert used | {"root"} == set(names)


@pytest.mark.parametrize(
    ("owner", "field"),
    [("llamacpp", {"grammar": "g"}), ("vllm", {"structured_outputs": {"grammar": "g"}}), ("sglang", {"ebnf": "g"})],
)
def test_servers_that_take_a_grammar(owner: str, field: dict[str, Any]) -> None:
    """Each has its own name for it."""
    assert Served(windows={}, owner=owner).constrain("g", "tiny") == field


def test_servers_that_do_not() -> None:
    """A model is never silently left without the grammar that was asked for."""
    with pytest.raises(ConfigurationError, match="'tiny' cannot be held to a grammar, because its server is unknown"):
        UNKNOWN.constrain("g", "tiny")
