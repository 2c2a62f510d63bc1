r"""A grammar of what a model may write: prose, and inside the tags of an action Python that calls only what there is.

    sampling = Sampling(grammar=action_grammar(registry, DIALECTS["chat"].action))

The notation is GBNF, llama.cpp's, which llama.cpp, vLLM and SGLang read. Transformers is held to it by `llguidance`: of
the maintained libraries it needs nothing but numpy, and starts at once where xgrammar (which reads this grammar, too)
has to compile it and needs torch; and it reads any context-free grammar, which outlines does not.

What the grammar holds to, and what it leaves to the check:

- Operands and operators alternate, brackets and quotes close, a statement has the form of its keyword, an indented line
  follows a line that ends with a colon. How far a line is indented is not checked: no context-free grammar can.
- A tool that is called by its own name takes only the keyword arguments that it has; ``tools.`` and ``from tools
  import`` take only what is there. Other names may be the action's own, so nothing is known about them.
- An action that defines a name of its own for what is a tool (``def search(x)``) can call it only as it calls the tool.
"""

from __future__ import annotations

import keyword
import re
import string
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING

from ..checks.names import Names

if TYPE_CHECKING:
    from ..registry import ToolRegistry
    from ..replies import Tags
    from ..specs import ToolSpec

_LETTERS = string.ascii_letters + "_"
_BEYOND = "\u0080-\U0010ffff"
"""Of a class of characters: all that ASCII lacks, written out because not every reader knows the same escapes."""


def action_grammar(registry: ToolRegistry, tags: Tags) -> str:
    """Return the grammar of a reply: prose without an action, or prose and one action, which ends it.

    Args:
        registry: The tools that an action may call.
        tags: What opens and closes an action.
    """
    return "\n".join([*_prose(tags), *_python(), *_names(Names.of(registry))]) + "\n"


def _python() -> Iterable[str]:
    """Yield the rules of Python, one a line."""
    source = files(__package__).joinpath("python.gbnf").read_text(encoding="utf-8").replace("\n  |", " |")
    for rule in source.splitlines():
        if not rule or rule.startswith("#"):
            continue
        if "@" in rule.partition("::=")[0]:
            yield from (rule.replace("@", context) for context in ("-i", "-o"))
        else:
            yield rule


def _prose(tags: Tags) -> Iterable[str]:
    """Yield the rules of a text that ends, or goes on with an action, at the first opening tag; one per state of it."""
    tag = tags.open
    yield "root ::= prose-0"
    for state, wanted in enumerate(tag):
        others = dict.fromkeys(char for char in tag if char != wanted)
        backs = {char: back for char in others if (back := _matched(tag, tag[:state] + char))}
        ways = [f"[^{_class(wanted, *backs)}] prose-0"]
        ways += [f"{_literal(char)} prose-{back}" for char, back in backs.items()]
        onward = f"prose-{state + 1}" if state + 1 < len(tag) else f"program {_literal(tags.close)}"
        yield f"prose-{state} ::= ( {' | '.join(ways)} | {_literal(wanted)} {onward} )?"


def _matched(tag: str, text: str) -> int:
    """Return how many characters of ``tag`` the end of ``text`` holds."""
    return next(size for size in range(min(len(tag) - 1, len(text)), -1, -1) if text.endswith(tag[:size]))


def _names(names: Names) -> Iterable[str]:
    """Yield the rules of the names that there are, and of the names that an action may make up."""
    tools = {name: spec for name, spec in names.specs.items() if "." not in name}
    words = set(keyword.kwlist) - {"True", "False", "None"}
    yield f"attribute ::= [{_LETTERS}{_BEYOND}] [{_LETTERS}0-9{_BEYOND}]*"
    yield from _all_but("word", words | set(tools) | {"tools"})
    yield from _all_but("module-word", words | {"tools"})
    yield f"any-word ::= {_choice(['word', *map(_literal, [*sorted(tools), 'tools'])])}"
    numbers = {id(spec): number for number, spec in enumerate(dict.fromkeys(names.specs.values()))}
    for spec in dict.fromkeys(names.specs.values()):
        yield from _arguments(f"arguments-{numbers[id(spec)]}", spec)
    for context in ("-i", "-o"):
        plain = [f"{_literal(name)} after-word{context}" for name in sorted(_plain(names))]
        for rule, called in {"tool": tools, **_by_toolkit(names)}.items():
            ways = [_tool(name, f"arguments-{numbers[id(spec)]}", context) for name, spec in sorted(called.items())]
            own = plain if rule != "tool" else [] if ways else [f"closed{context}"]  # a rule needs a way, if no new one
            yield f"{rule}{context} ::= {_choice([*ways, *own])}"
        kits = [
            f'{_literal(kit)} ( ws{context} "." ws{context} kit-{number}{context} )?'
            for number, kit in enumerate(sorted(names.toolkits))
        ]
        hidden = f'"__" attribute after-word{context}'
        yield f"exported{context} ::= {_choice([f'tool{context}', *kits, *plain, hidden])}"
    yield from _imports(names)


def _by_toolkit(names: Names) -> Mapping[str, Mapping[str, ToolSpec]]:
    """Return, for the rule of each toolkit, what it holds."""
    return {
        f"kit-{number}": {
            path.partition(".")[2]: spec for path, spec in names.specs.items() if path.startswith(f"{kit}.")
        }
        for number, kit in enumerate(sorted(names.toolkits))
    }


def _plain(names: Names) -> Iterable[str]:
    """Return what ``tools`` exports besides tools and toolkits: types and errors."""
    return set(names.bound) - set(names.specs)


def _tool(name: str, arguments: str, context: str) -> str:
    """Return the rule of a tool's name, called with its own arguments, or not called."""
    call = f'ws{context} "(" ws-i {arguments} ")" after-bracket{context}'
    return f"{_literal(name)} ( {call} | after-tool{context} )"


def _arguments(rule: str, spec: ToolSpec) -> Iterable[str]:
    kinds = {parameter.kind for parameter in spec.parameters}
    known = [p.name for p in spec.parameters if p.kind in {"positional_or_keyword", "keyword_only"}]
    if "var_keyword" in kinds or not known:
        yield f"{rule} ::= arguments"
        return
    yield f'{rule} ::= ( {rule}a ( ws-i "," ws-i {rule}a )* ws-i ( "," ws-i )? )?'
    yield f'{rule}a ::= ( {_choice(map(_literal, known))} ) ws-i "=" ws-i expr-i | expr-i'


def _imports(names: Names) -> Iterable[str]:
    modules = ["dotted", '"tools"', *(_literal(f"tools.{kit}") for kit in sorted(names.toolkits))]
    yield f"module ::= {_choice(modules)}"
    ways = []
    for number, kit in enumerate([None, *sorted(names.toolkits)]):
        exports = _choice(map(_literal, names.exports(kit)))
        yield f'export-{number} ::= ( {exports} ) ( gap-i "as" gap-i any-word )?'
        several = f'export-{number} ( ws-i "," ws-i export-{number} )*'
        ways.append(
            f'"from" gap-o {_literal("tools" if kit is None else f"tools.{kit}")} gap-o "import" ws-o '
            f'( "*" | {several} | "(" ws-i {several} ws-i ( "," ws-i )? ")" )'
        )
    yield f"from-tools ::= {_choice(ways)}"


def _all_but(rule: str, words: Iterable[str]) -> Iterable[str]:
    """Yield the rules of all identifiers but ``words``: a tree of their letters, and a way out at every branch."""
    taken = set(words)
    prefixes = sorted({word[:size] for word in taken for size in range(len(word) + 1)})
    numbers = {prefix: number for number, prefix in enumerate(prefixes)}
    yield f"{rule} ::= {rule}-{numbers['']}"
    yield f"{rule}-rest ::= [{_LETTERS}0-9{_BEYOND}]*"
    for prefix in prefixes:
        following = sorted({word[len(prefix)] for word in taken if word.startswith(prefix) and word != prefix})
        allowed = _LETTERS + (string.digits if prefix else "")
        free = "".join(char for char in allowed if char not in following)
        ways = [f"[{free}{_BEYOND}] {rule}-rest"]
        ways += [f"{_literal(char)} {rule}-{numbers[prefix + char]}" for char in following]
        optional = "?" if prefix and prefix not in taken else ""
        yield f"{rule}-{numbers[prefix]} ::= ( {_choice(ways)} ){optional}"


def _choice(ways: Iterable[str]) -> str:
    return " | ".join(ways)


def _literal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _class(*characters: str) -> str:
    escapes = {"\\": "\\\\", "]": "\\]", "\n": "\\n", "^": "\\^", "-": "\\-"}
    return "".join(escapes.get(char, char) for char in characters)


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|[\w-]+|::=|[^\w\s]')


def lark_grammar(gbnf: str) -> str:
    """Return a grammar in the notation of llguidance, which is Lark's, for one in GBNF.

    Its own converter makes tokens of what looks like one, and reads as much of a token as it can, which is another
    language than GBNF's; here every character is a token.
    """
    return "\n".join(" ".join(map(_in_lark, _TOKEN.findall(rule))) for rule in gbnf.splitlines())


def _in_lark(token: str) -> str:
    if token.startswith('"'):
        return " ".join(f'"{char}"' for char in re.findall(r"\\.|.", token[1:-1]))
    if token.startswith("["):
        return "/" + token.replace("/", "\\/") + "/"
    return {"root": "start", "::=": ":"}.get(token, token.replace("-", "_"))
