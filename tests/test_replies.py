"""Replies as models write them: what is an action, what an answer, and what neither, in every dialect."""

from __future__ import annotations

import time

import pytest

from codeact_tools.dialects import DIALECTS, Dialect
from codeact_tools.pycode import extract_code, is_prose

CHAT, TRAINING, FENCES = (DIALECTS[name] for name in ("chat", "training", "fences"))

CODE = "x = search('shoes')\nprint(x)"
LOOP = "for i in range(2):\n    print(i)"

in_every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)


ACTIONS: dict[str, tuple[str, str]] = {
    "misspelt closing tag": (f"<execute>\n{CODE}\n</excecute>", CODE),
    "shortened closing tag, and prose": (f"<execute>\n{CODE}\n</exec>\nThis prints them.", CODE),
    "misspelt closing tag behind a fence": (f"<execute>\n```python\n{CODE}\n```\n</exec>\nThis prints them.", CODE),
    "misspelt closing tag before the right one": (f"<execute>\nCode:\n{CODE}\n</exec>\n</execute>", CODE),
    "heading above indented code": (
        f"<execute>\nCode:\n    {CODE.replace(chr(10), chr(10) + '    ')}\n</execute>",
        CODE,
    ),
    "loop beside the opening tag": (f"<execute> {LOOP} </execute>", LOOP),
    "closing tag of another form": (f"<execute>\n{CODE}\n</code>", CODE),
    "backslash for slash": (f"<execute>\n{CODE}\n<\\execute>", CODE),
    "opening tag for the closing one": (f"<execute>\n{CODE}\n<execute>\nThis prints them all.", CODE),
    "fence for the closing tag": (f"<execute>\n{CODE}\n```\nThis prints them.", CODE),
    "half a closing tag, and invented output": (f"<execute>\n{CODE}\n</exe\nExecution Output:\n3", CODE),
    "closing tag of which only the bracket came": (f"<execute>\n{CODE}\n<", CODE),
    "attribute": (f'<execute lang="python">\n{CODE}\n</execute>', CODE),
    "tag of another framework": (f"<execute_ipython>\n{CODE}\n</execute_ipython>", CODE),
    "self-closing tag": (f"<execute/>\n{CODE}\n</execute>", CODE),
    "tags in bold type": (f"**<execute>**\n{CODE}\n**</execute>**", CODE),
    "tags as inline code": (f"`<execute>`\n{CODE}\n`</execute>`", CODE),
    "escaped tags": ("&lt;execute&gt;\nprint(1 &lt; 2)\n&lt;/execute&gt;", "print(1 < 2)"),
    "tag mentioned before it is used": (f"I use the <execute> tag to run it:\n<execute>\n{CODE}\n</execute>", CODE),
    "tag mentioned as inline code": (f"I use `<execute>` tags.\n<execute>\n{CODE}\n</execute>", CODE),
    "both tags mentioned": (f"Code stands in <execute> and </execute>.\n<execute>\n{CODE}\n</execute>", CODE),
    "stray closing tag behind prose and code": (f"I search the shop.\n{CODE}\n</execute>", CODE),
    "fence around the tags": (f"```xml\n<execute>\n{CODE}\n</execute>\n```", CODE),
    "fence cut off": ("```python\nprint(1)\n``", "print(1)"),
    "label on a line of its own": (f"<execute>\npython\n{CODE}\n</execute>", CODE),
    "prompts without spaces": ("<execute>\n>>>print(1)\n1\n</execute>", "print(1)"),
    "prompts behind prose": ("<execute>\nI run it:\n>>> a = f()\n>>> a\n3\n</execute>", "a = f()\na"),
    "prompts of IPython": (
        "<execute>\nIn [1]: a = f()\n\nIn [2]: print(a)\nOut[2]: 3\n</execute>",
        "a = f()\n\nprint(a)",
    ),
    "continued prompts of IPython": (
        f"<execute>\nIn [1]: {LOOP.replace(chr(10), chr(10) + '   ...: ')}\n</execute>",
        LOOP,
    ),
    "command of the shell": ("<execute>\n!pip install sympy\nimport sympy\n</execute>", "import sympy"),
    "typographic quotes": (
        "<execute>\nprint(\u201chello\u201d, \u2018you\u2019)\n</execute>",
        "print(\"hello\", 'you')",
    ),
    "typographic quotes in a string": ("<execute>\nprint('\u201chi\u201d')\n</execute>", "print('\u201chi\u201d')"),
    "typographic minus": ("<execute>\nprint(3 \u2212 2)\n</execute>", "print(3 - 2)"),
    "no-break spaces": (f"<execute>\n{LOOP.replace('    ', chr(160) * 4)}\n</execute>", LOOP),
    "signs without width": ("\ufeff<execute>\n\ufeffprint(1\u200b)\n</execute>", "print(1)"),
    "entities": ("<execute>\nif 1 &lt; 2:\n    print(&quot;a&quot;)\n</execute>", 'if 1 < 2:\n    print("a")'),
    "entity in a string": ("<execute>\nprint('a &lt; b')\n</execute>", "print('a &lt; b')"),
    "carriage returns alone": ("<execute>\rprint(1)\rprint(2)\r</execute>", "print(1)\nprint(2)"),
    "sentence with brackets inside": (f"<execute>\nLet me call search (the tool) first:\n{CODE}\n</execute>", CODE),
    "heading inside": (f"<execute>\nCode:\n{CODE}\n</execute>", CODE),
    "tags of an answer in a string": (
        "<execute>\nprint('<solution>')\nprint('</solution>')\n</execute>",
        "print('<solution>')\nprint('</solution>')",
    ),
    "tag of an action in a string": ("<execute>\ns = '<execute>'\nprint(s)\n</execute>", "s = '<execute>'\nprint(s)"),
    "HTML in a string": (
        "<execute>\ns = '''\n<b>\n</b>\n'''\nprint(s)\n</execute>",
        "s = '''\n<b>\n</b>\n'''\nprint(s)",
    ),
    "reasoning's end in a string": ("<execute>\nprint('</think>')\n</execute>", "print('</think>')"),
    "reasoning under another name": (
        f"<thinking>Or <execute>f()</execute>?</thinking><execute>\n{CODE}\n</execute>",
        CODE,
    ),
    "code that does not parse": ("<execute>\nprint(1\n</execute>\nI wait.", "print(1"),
    "invented output of another dialect": (
        f"<execute>\n{CODE}\n</execute>\nObservation:\n3\n<execute>\ng(3)\n</execute>",
        CODE,
    ),
    "invented output beside the tag": (
        f"<execute>\n{CODE}\n</execute> Execution Output: 3\n<execute>\ng()\n</execute>",
        CODE,
    ),
    "invented output in an open block": (f"<execute>\n{CODE}\nObservation:\n3\n", CODE),
    "invented feedback": (f"<execute>\n{CODE}\n</execute>\nExpert feedback:\nGood.\n<execute>\ng()\n</execute>", CODE),
    "invented user": (f"<execute>\n{CODE}\n</execute>\nUser: 3\nAssistant: <execute>\ng()\n</execute>", CODE),
    "leaked turn of Mistral": (
        f"<s> <execute>\n{CODE}\n</execute></s><s>[INST] 3 [/INST] <execute>g()</execute>",
        CODE,
    ),
    "half of a leaked token": (f"<execute>\n{CODE}\n</execute><|im_end", CODE),
}


@in_every_dialect
@pytest.mark.parametrize("reply", ACTIONS)
def test_habits_of_models(reply: str, dialect: Dialect) -> None:
    """Each habit yields the action that was meant, whatever the dialect, and so does what enters the conversation."""
    text, code = ACTIONS[reply]
    read = dialect.parse(text)
    assert (read.code, read.answer) == (code, None)
    assert dialect.parse(read.text).code == code


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        pytest.param("Thus <solution> 42 <solution>", "42", id="opening tag for the closing one"),
        pytest.param("<solution> 42 </soluton>", "42", id="misspelt closing tag"),
        pytest.param("<solution> 42 </execute>", "42", id="closing tag of an action"),
        pytest.param("The <solution> tag holds it: <solution>7</solution>", "7", id="tag mentioned first"),
        pytest.param("<solution>1</solution> no, <solution>2</solution>", "2", id="corrected"),
        pytest.param("<execute>\n<solution>42</solution>\n</execute>", "42", id="inside of an action"),
        pytest.param("<solution>\ndef f(x):\n    return x\n</solution>", "def f(x):\n    return x", id="code"),
        pytest.param("So <solution>3</solution>\nTask:\nMore\n<execute>\nf()\n</execute>", "3", id="invented task"),
    ],
)  # fmt: skip
def test_answers_in_tags(text: str, answer: str) -> None:
    """Broken tags of an answer give the answer alone."""
    reply = TRAINING.parse(text)
    assert (reply.actions, reply.answer) == ((), answer)


@in_every_dialect
@pytest.mark.parametrize(
    "text",
    [
        f"<execute>\n{CODE}\nThe answer is <solution>3</solution>",
        f"<execute>\n{CODE}\n<solution>3</solution>",
        f"<solution>3</solution>\nI verify it.\n<execute>\n{CODE}\n</execute>",
    ],
)
def test_drafts(text: str, dialect: Dialect) -> None:
    """An answer beside an action is a draft, also where the action was never closed."""
    reply = dialect.parse(text)
    assert (reply.code, reply.answer, reply.draft) == (CODE, None, "3")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Paris (France)", "Paris (France)"),
        ("You can write `<execute>` to run code.", "You can write `<execute>` to run code."),
        ("It is 42.<|im_end", "It is 42."),
        ("It is 42.\n</execute>", "It is 42."),
        ("Sales fell.\nObservation: so did costs.", "Sales fell.\nObservation: so did costs."),
    ],
)
def test_plain_answers(text: str, answer: str) -> None:
    """Prose that resembles an action, or speaks of one, is an answer."""
    assert CHAT.parse(text).actions == ()
    assert CHAT.parse(text).answer == answer


@pytest.mark.parametrize("text", ["I search.\n<execute>", "I search.\n<execu", "I search.\n```python\n"])
@pytest.mark.parametrize("dialect", [CHAT, FENCES], ids=lambda dialect: dialect.name)
def test_an_action_that_has_hardly_begun(text: str, dialect: Dialect) -> None:
    """A reply that ends where its action begins is open, and no answer."""
    reply = dialect.parse(text)
    assert (reply.code, reply.answer, reply.closed) == ("", None, False)


@pytest.mark.parametrize(
    "piece",
    ["</b>\n", "<execute>( </execute> ", "<execute>(\n</b>\n", "Output:\n", ">>> ", "<solution>", "<|", "In [1]: x\n"],
)
@pytest.mark.parametrize("start", ["a word\n", "<execute>\n'''\nOutput:\n", "<execute>\ns = '''\n", "<solution>\n"])
def test_long_replies(start: str, piece: str) -> None:
    """Long runs of what may be a tag are read in linear time, also inside of a block."""
    begun = time.process_time()  # of this process alone, whatever else the machine does
    TRAINING.parse(start + piece * (40_000 // len(piece)))
    assert time.process_time() - begun < 5


def test_prose_is_told_from_code() -> None:
    """A sentence or a heading is prose; what parses, or is part of a statement, is none."""
    assert is_prose("I look at it first")
    assert is_prose("Let me call search (the tool) first:")
    assert not is_prose("print(f(1), 2, 3)")
    assert not is_prose("    return a or b")
    assert not is_prose("x = = 1")
    assert not is_prose("if a and b c:")


def test_nothing_is_mended_in_vain() -> None:
    """Where no mending makes the code parse, the model is shown what it wrote."""
    assert extract_code("if a < 2 && b > 3:\n    delete()").startswith("if a")
    broken = "print(\u201ca\u201d\nI wait for the output."
    assert extract_code(broken) == broken
