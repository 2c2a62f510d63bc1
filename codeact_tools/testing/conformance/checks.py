"""The checks of a toolkit, each a function from what was found out to what it objects to."""

from __future__ import annotations

import ast
import builtins
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...docgen.examples import Policy, Run, runs_examples
from ...errors import CodeActError, ConfigurationError, InvalidCall
from ...expressions import UNSET, Name, TypeExpr
from ...registry import ToolRegistry
from ...rendering import estimate_tokens, render_listing
from ...settings import configured, for_examples
from ...specs import ToolSpec
from ...tools import API_LEVEL, Toolkit
from ...wire import Codec, WireError
from .folders import empty_folder
from .imports import watch_import
from .rehearsal import Call, Rehearsal, declared, is_undeclared, perform_demonstration, rehearse
from .report import Level, Problem, Result, ToolkitReport


@dataclass(kw_only=True)
class Subject:
    """A toolkit under examination."""

    toolkit: Toolkit
    examples: Policy = "safe"
    """Which examples run."""
    tool_tokens: int = 800
    """Most tokens of the prompt for one tool in full, with the types that it mentions."""
    toolkit_tokens: int = 6000
    """Most tokens of the prompt for all tools in full."""
    probe_seconds: float = 10.0
    """After which a call with an edge value counts as failed."""
    folder: Path | None = None
    """Where its examples work, and find what they expect; what a tool that only reads leaves changed there counts.
    None: an empty one, with what `settings.for_examples` puts there."""
    unusable: str = ""
    """Why its configuration could not be made; without one no examples run."""
    results: dict[str, Result] = field(default_factory=dict)

    @cached_property
    def registry(self) -> ToolRegistry:
        """Its tools, without those that are broken."""
        described = isinstance(self.toolkit.config, type) and self.folder is None
        return ToolRegistry([replace(self.toolkit, config=None) if described else self.toolkit], lenient=True)

    @cached_property
    def rehearsals(self) -> tuple[Rehearsal, ...]:
        """Of each tool; made once, when the first check asks."""
        with self._stage() as (registry, folder):
            return tuple(
                rehearse(
                    registry,
                    spec,
                    policy="none" if self.unusable else self.examples,
                    hosts=tuple(self.toolkit.hosts),
                    probe_seconds=self.probe_seconds,
                    folder=folder,
                )
                for spec in registry.specs
            )

    def demonstrated(self) -> list[tuple[str, Run]]:
        """Each step of the toolkit's demonstrations with its task, where the tools that they call may run."""
        with self._stage() as (registry, _):
            closed = {spec.name for spec in registry.specs if not runs_examples(spec, self.examples)}
            allowed = [each for each in self.toolkit.demonstrations if not self.unusable and not closed & each.called]
            return [(each.task, run) for each in allowed for run in perform_demonstration(registry, each)]

    @contextmanager
    def _stage(self) -> Iterator[tuple[ToolRegistry, Path]]:
        """The tools as their examples expect them, and the folder where these work."""
        if self.folder is not None:
            yield self.registry, self.folder
            return
        with empty_folder() as folder:
            sample = for_examples(self.toolkit, folder)
            yield self.registry if sample is None else ToolRegistry([sample], lenient=True), folder


Found = Iterator[Problem | str]
"""Problems, and notes as text."""


def registers(subject: Subject) -> Found:
    """There are tools, each of them can be registered, and this library knows the toolkit's API level."""
    if subject.toolkit.api > API_LEVEL:
        yield Problem(
            where=subject.toolkit.name,
            what=f"is written for level {subject.toolkit.api} of the API, and this library has level {API_LEVEL}",
        )
    for each in subject.registry.problems:
        yield Problem(where=f"{each.toolkit}.{each.tool}", what=str(each.error))
    if not subject.registry.specs:
        yield Problem(where=subject.toolkit.name, what="has no tools")


def described(subject: Subject) -> Found:
    """The toolkit has a summary and a version, each tool a summary."""
    toolkit = subject.toolkit
    if not toolkit.summary:
        yield Problem(where=toolkit.name, what="has no summary; write Toolkit(..., summary='What it is for.')")
    if not toolkit.version:
        yield Problem(where=toolkit.name, what="has no version; write Toolkit(..., version='1.0')")
    for spec in subject.registry.specs:
        if not spec.summary:
            yield Problem(where=spec.qualified, what="has no docstring; its first line is what the model reads first")


def fits_a_prompt(subject: Subject) -> Found:
    """Neither a tool nor the toolkit takes more of a prompt than allowed."""
    for spec in subject.registry.specs:
        tokens = render_listing(ToolRegistry([spec])).tokens
        if tokens > subject.tool_tokens:
            what = f"takes about {tokens} tokens of a prompt, more than {subject.tool_tokens}; shorten docs or types"
            yield Problem(where=spec.qualified, what=what)
    tokens = render_listing(subject.registry).tokens
    tokens += sum(estimate_tokens(each.text) for each in subject.toolkit.demonstrations)
    yield f"all tools in full take about {tokens} tokens of a prompt"
    if tokens > subject.toolkit_tokens:
        what = f"takes about {tokens} tokens of a prompt, more than {subject.toolkit_tokens}; split it, or shorten docs"
        yield Problem(where=subject.toolkit.name, what=what)


def documented(subject: Subject) -> Found:
    """The docstring says what each parameter means, what is returned, and when each error is raised."""
    for spec in subject.registry.specs:
        for parameter in spec.parameters:
            if not parameter.doc:
                yield Problem(where=spec.qualified, what=f"does not say what {parameter.name!r} means (Args)")
        if spec.returns != Name("None") and not spec.returns_doc:
            yield Problem(where=spec.qualified, what="does not say what it returns (Returns)")
        for raised in spec.raises:
            if not raised.doc:
                yield Problem(where=spec.qualified, what=f"does not say when it raises {raised.name} (Raises)")
            if raised.exception is None:
                what = f"declares {raised.name}, which is no exception that its module knows; import it there"
                yield Problem(where=spec.qualified, what=what)


def typed(subject: Subject) -> Found:
    """No parameter, result or field is Any or object: the model reads what it gets."""
    for spec in subject.registry.specs:
        for parameter in spec.parameters:
            if vague := _vague(parameter.type):
                yield Problem(where=spec.qualified, what=f"takes {parameter.name!r} as {vague}; write its type")
        if vague := _vague(spec.returns):
            yield Problem(where=spec.qualified, what=f"returns {vague}; return a model, a dataclass or a precise type")
    for definition in subject.registry.catalog.types.values():
        for each in definition.fields:
            if vague := _vague(each.type):
                yield Problem(where=definition.name, what=f"has the field {each.name!r} of type {vague}")


def _vague(expression: TypeExpr) -> str:
    found = any(isinstance(node, Name) and node.text in ("Any", "object") for node in expression.walk())
    return expression.render() if found else ""


def imports_quietly(subject: Subject) -> Found:
    """Importing it reads no environment variable, no foreign file and no host, and writes and starts nothing."""
    modules = {getattr(_target(spec), "__module__", "") for spec in subject.registry.specs}
    watched = watch_import(sorted(name for name in modules if name and name != "__main__"))
    for what in watched.problems:
        yield Problem(where=subject.toolkit.name, what=f"{what} while it is imported; do it when a tool is called")
    yield from watched.notes


def examples_hold(subject: Subject) -> Found:
    """Each tool has an example, and what an example shows is what comes out."""
    if subject.unusable:
        yield Problem(where=subject.toolkit.name, what=f"has no configuration, so no example ran: {subject.unusable}")
        return
    if subject.examples == "none":
        yield Problem(where=subject.toolkit.name, what="was checked without its examples, so nothing is known of them")
        return
    for task, run in subject.demonstrated():
        if not run.matches:
            what = f"{run.source!r} printed {(run.got or '').strip()!r}, and shows {run.want.strip()!r}"
            yield Problem(where=subject.toolkit.name, what=f"its demonstration {task!r} is stale: {what}")
    for rehearsal in subject.rehearsals:
        name = rehearsal.spec.qualified
        if not rehearsal.spec.examples:
            yield Problem(where=name, what="has no example; write one with >>> under Examples")
        elif not rehearsal.ran:
            yield f"{name}: its examples did not run, because it changes something or reaches out (examples='all')"
        for run in (run for example in rehearsal.runs for run in example):
            if not run.matches:
                what = f"{run.source.strip()!r} gave {(run.got or '').strip()!r}, and shows {run.want.strip()!r}"
                yield Problem(where=name, what=f"its example is stale: {what}")
            elif rehearsal.ran and run.got is None:
                yield f"{name}: {run.source.strip()!r} is marked to be skipped"


def values_round_trip(subject: Subject) -> Found:
    """Arguments and results arrive on the other side of the bridge as what they were; defaults are valid."""
    for spec in subject.registry.specs:
        yield from _defaults(spec)
    codec = Codec(subject.registry.catalog)
    seen: set[str] = set()
    for call in (call for rehearsal in subject.rehearsals for call in rehearsal.calls):
        for problem in _round_trip(codec, call):
            if str(problem) not in seen:
                seen.add(str(problem))
                yield problem
    for rehearsal in subject.rehearsals:
        some = any(run.got is not None for example in rehearsal.runs for run in example)
        if some and not any(call.spec is rehearsal.spec for call in rehearsal.calls):
            yield Problem(where=rehearsal.spec.qualified, what="is not called by its own example")


def _defaults(spec: ToolSpec) -> Found:
    for parameter in spec.parameters:
        if parameter.default is not UNSET:
            try:
                spec.check_argument(parameter.name, parameter.default)
            except InvalidCall as error:
                yield Problem(where=spec.qualified, what=f"the default of {parameter.name!r} is not valid: {error}")


def _round_trip(codec: Codec, call: Call) -> Iterator[Problem]:
    spec = call.spec
    values = [(f"the argument {name!r}", value) for name, value in call.bound.arguments.items() if value is not UNSET]
    values += [("the result", value) for value in call.results]
    for what, value in values:
        try:
            sent = codec.encode_as(value, spec.item) if what == "the result" else codec.encode(value)
            arrived = codec.decode(json.loads(json.dumps(sent)))
            again = codec.encode_as(arrived, spec.item) if what == "the result" else codec.encode(arrived)
            if again != sent:
                yield Problem(where=spec.qualified, what=f"{what} of {call} arrives as {_short(arrived)}")
            elif what == "the result":
                spec.check_result(arrived)
        except (WireError, CodeActError) as error:
            yield Problem(where=spec.qualified, what=f"{what} of {call} cannot cross the bridge: {error}")


def errors_declared(subject: Subject) -> Found:
    """What a tool raises is declared: in its own body, in its examples, and for arguments at the limits."""
    for rehearsal in subject.rehearsals:
        spec = rehearsal.spec
        for name in _raised_in_body(spec):
            yield Problem(where=spec.qualified, what=f"raises {name}, which its docstring does not declare (Raises)")
        own = [call for call in rehearsal.calls if call.spec is spec and is_undeclared(call.error)]
        for call in (*own, *rehearsal.probes):
            yield Problem(where=spec.qualified, what=f"{call} ends in an error that is not declared: {call.error}")


def effects_honest(subject: Subject) -> Found:
    """A tool does no more than its effects say; who reaches out names the hosts."""
    reaching = [spec.qualified for spec in subject.registry.specs if spec.effects.open_world]
    if reaching and not subject.toolkit.hosts:
        what = "declares no hosts, though it reaches out; write Toolkit(..., hosts=['api.example.org'])"
        yield Problem(where=", ".join(reaching), what=what)
    for rehearsal in subject.rehearsals:
        for deed in rehearsal.deeds:
            what = f"{deed.what}, which its effects and the toolkit's hosts do not allow ({_effects(rehearsal.spec)})"
            yield Problem(where=rehearsal.spec.qualified, what=what)
        if rehearsal.workers:
            yield f"{rehearsal.spec.qualified}: starts a Python process, which the guard does not see into"


def _effects(spec: ToolSpec) -> str:
    words = ("read_only", "destructive", "idempotent", "open_world")
    return ", ".join(word for word in words if getattr(spec.effects, word)) or "no effects declared"


def _raised_in_body(spec: ToolSpec) -> list[str]:
    """Names of exceptions that the function's own body raises, outside of ``try``, and that are not declared."""
    function = _target(spec)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return []
    namespace: dict[str, Any] = {**vars(builtins), **getattr(function, "__globals__", {})}
    raised = {name: namespace.get(name) for name in _raises(tree)}
    known = (*declared(spec), CodeActError)
    return [
        name
        for name, found in raised.items()
        if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, known)
    ]


def _raises(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Raise) and child.exc is not None:
            raised = child.exc.func if isinstance(child.exc, ast.Call) else child.exc
            if isinstance(raised, ast.Name):
                yield raised.id
        if isinstance(child, ast.Try | ast.TryStar):
            for part in (*child.handlers, *child.orelse, *child.finalbody):
                yield from _raises(part)
        else:
            yield from _raises(child)


def _target(spec: ToolSpec) -> Any:
    function = getattr(spec.function, "func", spec.function)
    return inspect.unwrap(getattr(function, "__func__", function))


def _short(value: object) -> str:
    return repr(value)[:80]


class Check(NamedTuple):
    """A check, its name in reports, and the level that it belongs to."""

    name: str
    level: Level
    look: Callable[[Subject], Found]


CHECKS: Final = (
    Check("registers", "bronze", registers),
    Check("described", "bronze", described),
    Check("fits a prompt", "bronze", fits_a_prompt),
    Check("documented", "silver", documented),
    Check("typed", "silver", typed),
    Check("imports quietly", "silver", imports_quietly),
    Check("examples hold", "gold", examples_hold),
    Check("values round-trip", "gold", values_round_trip),
    Check("errors declared", "gold", errors_declared),
    Check("effects honest", "gold", effects_honest),
)
"""All checks, in the order in which they are made."""


def perform(check: Check, subject: Subject) -> Result:
    """Make one check; it is made once for each subject."""
    if check.name not in subject.results:
        found = list(check.look(subject))
        subject.results[check.name] = Result(
            check=check.name,
            level=check.level,
            problems=tuple(each for each in found if isinstance(each, Problem)),
            notes=tuple(each for each in found if isinstance(each, str)),
        )
    return subject.results[check.name]


def subject_of(toolkit: Toolkit, examples: Policy | None = None) -> Subject:
    """What to examine of an installed toolkit, whether or not it can be configured here.

    Args:
        toolkit: As it was loaded.
        examples: Which examples run; None: all, where its configuration says how to be harmless, else the safe ones.
    """
    is_harmless = isinstance(toolkit.config, type) and callable(getattr(toolkit.config, "for_examples", None))
    policy = examples or ("all" if is_harmless else "safe")
    if is_harmless:
        return Subject(toolkit=toolkit, examples=policy)
    try:
        return Subject(toolkit=configured(toolkit), examples=policy)
    except ConfigurationError as error:
        return Subject(toolkit=replace(toolkit, config=None), examples=policy, unusable=str(error))


def examine(subject: Subject) -> ToolkitReport:
    """Make all checks of a toolkit."""
    results = tuple(perform(check, subject) for check in CHECKS)
    return ToolkitReport(toolkit=subject.toolkit.name, tools=len(subject.registry.specs), results=results)
