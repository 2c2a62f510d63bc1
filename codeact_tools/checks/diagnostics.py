"""What `ty` reports, as findings for a model: only what is surely wrong, in plain words, with the way out.

Here is who reads which rule, and what is certain enough to be read at all. `missing` reads what is said of names,
`calls` of calls and their arguments, `operations` of values in use, `assignments` of what is assigned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .assignments import Assignments
from .calls import Calls
from .evidence import Evidence, as_written
from .missing import Missing
from .operations import Operations, is_extension
from .subscripts import OF_SUBSCRIPTS
from .typetext import narrowed, ticked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..events import Finding
    from .facts import Facts
    from .names import Scope
    from .nodes import Nodes
    from .server import Diagnostic
    from .source import Source


class Translator:
    """Turns the diagnostics of one action into findings."""

    def __init__(self, source: Source, scope: Scope, facts: Facts, nodes: Nodes) -> None:
        self._nodes = nodes
        about = Evidence(source, scope, facts, nodes)
        missing, calls, operations = Missing(about), Calls(about), Operations(about)
        self._rules: Mapping[str, Callable[[Diagnostic], Finding | None]] = {
            "unresolved-reference": missing.name,
            "missing-attribute": missing.attribute,
            "unresolved-attribute": missing.attribute,
            "missing-module-member": missing.member,
            "invalid-typed-dict-key": missing.key,
            "invalid-argument-type": lambda each: operations.index(each) or calls.argument(each),
            "unknown-argument": calls.call,
            "missing-argument": calls.call,
            "too-many-positional-arguments": calls.call,
            "parameter-already-assigned": calls.call,
            "positional-only-parameter-as-kwarg": calls.call,
            "missing-typed-dict-key": calls.missing_key,
            "not-subscriptable": operations.use,
            "not-iterable": operations.use,
            "not-callable": operations.use,
            "call-non-callable": operations.use,
            "unsupported-operator": operations.operator,
            "invalid-await": operations.awaited,
            "unused-awaitable": operations.unused,
            "redundant-condition": operations.unused,
            "invalid-assignment": Assignments(source, scope, nodes).finding,
            "index-out-of-bounds": as_written("key"),
            "invalid-context-manager": as_written("type"),
            "invalid-raise": as_written("type"),
            "invalid-exception-caught": as_written("type"),
            "zero-stepsize-in-slice": as_written("type"),
        }

    def findings(self, diagnostics: Iterable[Diagnostic]) -> list[Finding]:
        """The certain ones among ``diagnostics``."""
        found = []
        diagnostics = [replace(each, message=narrowed(each.message)) for each in diagnostics]
        self._nodes.refuse(each for each in diagnostics if _is_refusal(each))
        for each in diagnostics:
            read = self._rules.get(each.rule)
            node = self._nodes.exactly(each)
            if each.rule in OF_SUBSCRIPTS:
                node = self._nodes.subscripted(each) or node  # whatever its keys are set to
            if read is None:
                continue
            if node is not None and each.rule != "invalid-assignment" and self._nodes.is_uncertain(node):
                continue
            finding = read(each)
            if finding is not None:
                found.append(finding)
        return found


def _is_refusal(each: Diagnostic) -> bool:
    """Whether the diagnostic is about a value that goes where the type checker expects others, and does go there.

    ``list += anything`` works for whatever can be looped over.
    """
    if each.rule == "invalid-assignment":
        return "assign to" not in each.message and "to unpack" not in each.message
    if each.rule == "unsupported-operator":
        return is_extension(ticked(each.message))
    return each.rule in {"invalid-argument-type", "no-matching-overload"}
