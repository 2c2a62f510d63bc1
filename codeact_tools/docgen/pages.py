"""The page of a tool, as Markdown: a pure function of its specification, its toolkit and the runs of its examples."""

from __future__ import annotations

import io
import itertools
import json
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ..definitions import FieldDef, TypeDef, default_source
from ..errors import InvalidCall
from ..expressions import Constrained, Generic, TypeExpr, Union
from ..registry import ToolRegistry
from ..rendering import Tier, estimate_tokens, render_listing, render_tool
from ..specs import Parameter, ToolSpec
from .examples import Run, runs_examples
from .markdown import cell, code, document, fence, folded, section, table
from .origin import Origin, source_of
from .schema import input_schema, output_schema

Runs = Sequence[Sequence[Run]]

_WIDTH: Final = 80
_OPENING: Final = ("(", "[", "{")
_CLOSING: Final = (")", "]", "}")
_NO_ORIGIN: Final = Origin()
_RECORDS: Final = ("record", "namedtuple", "typeddict")
_TIERS: Final[tuple[tuple[Tier, str], ...]] = (
    ("full", "signature and docs, and the types that they mention"),
    ("signature", "where the budget is tight"),
    ("name", "where even signatures do not fit; the model asks for the rest with `help(name)`"),
)


def tool_page(
    spec: ToolSpec,
    registry: ToolRegistry,
    *,
    origin: Origin = _NO_ORIGIN,
    runs: Runs = (),
) -> str:
    """The whole page of a tool.

    Args:
        spec: The tool.
        registry: Its toolkit's tools, with the catalog that the specification was made for.
        origin: Its distribution, version and source.
        runs: What became of its examples, see `run_examples`; without them the examples are shown as written.
    """
    listing = render_listing(ToolRegistry([spec]))
    return document(
        f"# {spec.name}",
        badges(spec, origin),
        spec.summary,
        section("Signature", fence(_head(spec), "python")),
        section("Deprecated", spec.marks.warning),
        _install(spec, origin),
        section("Parameters", _parameters(spec.parameters) or "None.", *_parameter_types(spec, registry)),
        section("Returns", *_returns(spec, registry, runs)),
        section("Raises", *_raises(spec)),
        section("Examples", *_examples(spec, runs)),
        section("Permissions and effects", _effects(spec)),
        _seen(spec, listing.text, listing.tokens),
        section("JSON Schema", _schemas(spec)),
        section("Limits and notes", _prose(spec), _limits(spec)),
        section("See also", _see_also(spec, registry)),
        section("Source", _source(spec, origin)),
    )


def tool_card(spec: ToolSpec, *, link: str = "") -> str:
    """A tool in short, to stand in a guide: signature, sentence, parameters, result.

    Args:
        spec: The tool.
        link: Where its page is.
    """
    returns = f"**Returns** {code(spec.returns.render())}{f': {spec.returns_doc}' if spec.returns_doc else ''}"
    more = f"[All about {code(spec.qualified)}]({link})" if link else ""
    return document(
        fence(_head(spec), "python"),
        spec.summary,
        _parameters(spec.parameters, anchors=False),
        returns,
        more,
    )


def badges(spec: ToolSpec, origin: Origin) -> str:
    """A line of facts as inline code."""
    effects = [word.replace("_", " ") for word in ("read_only", "destructive", "idempotent", "open_world")
               if getattr(spec.effects, word)]  # fmt: skip
    stability = "deprecated" if spec.marks.deprecated is not None else origin.stability
    facts = [
        spec.toolkit or "",
        origin.version,
        f"since {spec.marks.added}" if spec.marks.added else "",
        *effects,
        "asks for approval" if spec.approval else "",
        "streams" if spec.streams else "",
        stability,
    ]
    return " ".join(f"`{fact}`" for fact in facts if fact)


def slug(name: str) -> str:
    """The name of a tool's page, without ending; ``index`` is the toolkit's own."""
    return f"{name}-tool" if name == "index" else name


def _head(spec: ToolSpec) -> str:
    """The signature, with a line for each parameter where one line is too long to be read without scrolling."""
    text = f"{'async def' if spec.kind == 'coroutine' else 'def'} {spec.signature()}"
    return text if len(text) <= _WIDTH else _broken(text)


def _broken(signature: str) -> str:
    """Break a signature after the commas between its parameters."""
    cuts: list[int] = []
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(signature).readline):
        if token.type != tokenize.OP:
            continue
        if token.string in _OPENING:
            depth += 1
            cuts += [token.end[1]] if depth == 1 and not cuts else []
        elif token.string in _CLOSING:
            depth -= 1
            if depth == 0:
                cuts.append(token.start[1])
                break
        elif token.string == "," and depth == 1:
            cuts.append(token.end[1])
    parts = [signature[start:end].strip() for start, end in itertools.pairwise(cuts)]
    parameters = "".join(f"    {part.removesuffix(',')},\n" for part in parts)
    return f"{signature[: cuts[0]]}\n{parameters}{signature[cuts[-1] :]}"


def _install(spec: ToolSpec, origin: Origin) -> str:
    lines = []
    if origin.distribution:
        lines.append(fence(f"pip install {origin.distribution}", "sh"))
    if spec.toolkit:
        lines.append(fence(f'agent = CodeActAgent(tools=["{spec.toolkit}"])', "python"))
        lines.append(f"Configuration: see the toolkit {_toolkit_link(spec)}.")
    return section("Install and configure", *lines)


def _toolkit_link(spec: ToolSpec) -> str:
    return f"[{code(spec.toolkit or '')}](index.md)"


def _parameters(parameters: Sequence[Parameter], *, anchors: bool = True) -> str:
    rows = []
    for each in parameters:
        stars = {"var_positional": "*", "var_keyword": "**"}.get(each.kind, "")
        anchor = f"parameter-{each.name}"
        name = f'<a id="{anchor}"></a>[{code(stars + each.name)}](#{anchor})' if anchors else code(stars + each.name)
        meaning = " ".join(filter(None, [cell(each.doc), _constraints(each.type, each.name)]))
        rows.append((f"{name}<br>{code(each.type.render())}", _default(each), meaning))
    return table(("Name and type", "Default", "Meaning"), rows)


def _default(parameter: Parameter) -> str:
    if parameter.has_factory:
        return "made on the host"
    if parameter.kind.startswith("var"):
        return "none"
    return "**required**" if parameter.required else code(default_source(parameter.default))


def _constraints(expression: TypeExpr, name: str) -> str:
    return " ".join(code(text) for text in _conditions(expression, name))


def _conditions(expression: TypeExpr, name: str) -> Iterator[str]:
    """What holds of a value called ``name``, and of those inside of it, which have the words of the signature."""
    if isinstance(expression, Constrained):
        yield expression.describe(name)
    children = expression.children()
    inside: Sequence[str] = [name if isinstance(expression, Constrained | Union) else "item"] * len(children)
    if isinstance(expression, Generic) and expression.origin in ("dict", "Mapping"):
        inside = ("key", "value")
    for child, word in zip(children, inside, strict=True):
        yield from _conditions(child, word)


def _returns(spec: ToolSpec, registry: ToolRegistry, runs: Runs) -> list[str]:
    streamed = " Items come one by one, as the action asks for them." if spec.streams else ""
    parts = [f"{code(spec.returns.render())}{f': {spec.returns_doc}' if spec.returns_doc else ''}{streamed}"]
    parts += [_type(each) for each in _definitions(spec.returns.references(), registry)]
    sample = next((run for example in runs for run in example if run.got and run.matches), None)
    if sample is not None:
        parts.append(f"For example:\n\n{fence(sample.output, 'text')}")
    return parts


def _parameter_types(spec: ToolSpec, registry: ToolRegistry) -> list[str]:
    """The types of the parameters, but those that the result's section shows."""
    names = dict.fromkeys(name for each in spec.parameters for name in each.type.references())
    return [_type(each) for each in _definitions(names, registry) if each.name not in spec.returns.references()]


def _definitions(names: Iterable[str], registry: ToolRegistry) -> list[TypeDef]:
    found = (registry.catalog.types.get(name) for name in names)
    return [each for each in found if each is not None and each.kind != "import"]


def _type(definition: TypeDef) -> str:
    if definition.kind not in _RECORDS:
        return fence(definition.source(), "python")
    rows = [(code(each.name), code(each.type.render()), _field_meaning(each)) for each in definition.fields]
    head = f"**{definition.name}**{f': {definition.doc}' if definition.doc else ''}"
    return f"{head}\n\n{table(('Field', 'Type', 'Meaning'), rows)}" if rows else head


def _field_meaning(field: FieldDef) -> str:
    facts = (cell(field.doc), _constraints(field.type, field.name), "" if field.required else "May be absent.")
    return " ".join(filter(None, facts))


def _raises(spec: ToolSpec) -> list[str]:
    parts = []
    if spec.raises:
        parts.append(table(("Exception", "When"), [(code(each.name), cell(each.doc)) for each in spec.raises]))
    first = next((each for each in spec.raises if each.exception is not None), None)
    if first is not None:
        name = first.name.rpartition(".")[2]
        parts.append(
            f"An action can catch each by its class: `except {name} as error`. One that it does not catch ends the "
            f"action, and the model reads the lines of its own code that led there, then:"
        )
        parts.append(fence(f"tools.{name}: <message>", "text"))
    if refusal := _refusal(spec):
        parts.append("A call that does not fit the signature never reaches the tool. The model reads what to repair:")
        parts.append(fence(refusal, "text"))
    return parts


def _refusal(spec: ToolSpec) -> str:
    """What a call without its required arguments is answered with."""
    if not any(each.required for each in spec.parameters):
        return ""
    try:
        spec.bind((), {})
    except InvalidCall as error:
        return str(error)
    return ""


def _examples(spec: ToolSpec, runs: Runs) -> list[str]:
    if not spec.examples:
        return []
    shown = ["\n".join(run.transcript for run in example) for example in runs] or list(spec.examples)
    blocks = [fence(text, "pycon") for text in shown]
    ran = any(run.got is not None for example in runs for run in example)
    why = "" if runs_examples(spec, "safe") else ": they may change something, or reach out"
    note = "The output is what came when this page was made." if ran else f"Not run when this page was made{why}."
    wrong = [run for example in runs for run in example if not run.matches]
    differing = [f"The docstring shows another output for `{run.source.strip()}`." for run in wrong]
    return [*blocks, note, *differing]


def _effects(spec: ToolSpec) -> str:
    effects = spec.effects
    deletes = "yes, it may" if effects.destructive else "no" if effects.read_only else "not declared"
    again = "changes nothing further" if effects.idempotent or effects.read_only else "may act again"
    rows = (
        ("Changes something", "no" if effects.read_only else "yes, it may"),
        ("Deletes or overwrites", deletes),
        ("The same call again", again),
        ("Reaches out to systems that others change", "yes" if effects.open_world else "not declared"),
        ("Approval", "each call needs somebody's consent" if spec.approval else "not needed"),
        ("Runs", "on the host, with the application's rights; the sandbox sees arguments and result only"),
    )
    return table(("Question", "Answer"), rows)


def _seen(spec: ToolSpec, full: str, tokens: int) -> str:
    counts = {"full": tokens, **{tier: estimate_tokens(render_tool(spec, tier=tier)) for tier, _ in _TIERS[1:]}}
    rows = [(code(tier), f"{counts[tier]}", when) for tier, when in _TIERS]
    shorter = "\n\n".join(fence(render_tool(spec, tier=tier), "python") for tier, _ in _TIERS[1:])
    return section(
        "What the model sees",
        fence(full, "python"),
        "Tokens are counted without a model, by `codeact_tools.rendering.estimate_tokens`: within some 15 % of what "
        "the usual tokenizers make of it.",
        table(("Tier", "Tokens", "When"), rows),
        folded("The shorter tiers, verbatim", shorter),
    )


def _schemas(spec: ToolSpec) -> str:
    schemas = (("Arguments", input_schema(spec)), ("Item" if spec.streams else "Result", output_schema(spec)))
    return "\n\n".join(
        folded(title, fence(json.dumps(schema, indent=2, ensure_ascii=False), "json")) for title, schema in schemas
    )


def _prose(spec: ToolSpec) -> str:
    """What the docstring says besides its sections; the deprecation has a section of its own."""
    return document(spec.description.removeprefix(spec.marks.warning), *spec.marks.changed)


def _limits(spec: ToolSpec) -> str:
    options = spec.options
    facts = [
        f"A call is given up after {_seconds(spec.timeout)}{' for each item' if spec.streams else ''}."
        if spec.timeout else "A call has no time limit of its own; the action's limit holds.",
        _retrying(spec),
        f"{_at_most(options.calls)} made in a run; more are refused with `ToolDenied`." if options.calls else "",
        f"At most {options.rate:g} calls start per second; further ones wait for their turn." if options.rate else "",
        f"{_at_most(options.concurrency)} running at the same time; further ones wait." if options.concurrency else "",
        "A result is used again for the same arguments in the same session." if spec.cache else "",
        _unrecorded(spec),
        "Arguments must have their types already: nothing is coerced." if spec.strict else "",
    ]  # fmt: skip
    return "\n".join(f"- {fact}" for fact in facts if fact)


def _retrying(spec: ToolSpec) -> str:
    options = spec.options
    if not options.retries:
        return ""
    errors = " or ".join(code(each.__name__) for each in options.transient)
    when = f"fails with {errors}" if errors else "fails"
    often = "once" if options.retries == 1 else f"up to {options.retries} times"
    pause = f" after {_seconds(options.backoff)}" if options.backoff else ""
    longer = ", then twice as long each time, at most 30 seconds" if pause and options.retries > 1 else ""
    return f"A call that {when}, or times out, is tried again {often}{pause}{longer}."


def _unrecorded(spec: ToolSpec) -> str:
    hidden = [code(each.name) for each in spec.parameters if each.name in spec.options.secrets]
    hidden += ["the result"] if "return" in spec.options.secrets else []
    return f"Never recorded in a journal: {', '.join(hidden)}." if hidden else ""


def _at_most(calls: int) -> str:
    return "At most one call is" if calls == 1 else f"At most {calls} calls are"


def _seconds(seconds: float) -> str:
    return "1 second" if seconds == 1 else f"{seconds:g} seconds"


def _see_also(spec: ToolSpec, registry: ToolRegistry) -> str:
    near = {each.name: each for each in registry.specs if each.toolkit == spec.toolkit and each is not spec}
    named = [near[name.rpartition(".")[2]] for name in spec.marks.see_also if name.rpartition(".")[2] in near]
    shown = named or list(near.values())
    return "\n".join(f"- [{code(each.name)}]({slug(each.name)}.md): {each.summary}" for each in shown)


def _source(spec: ToolSpec, origin: Origin) -> str:
    source = source_of(spec)
    where = f"{source.path}:{source.line}" if source.line else source.path
    if origin.source_url:
        return f"[{code(where)}]({origin.source_url.format(path=source.path, line=source.line)})"
    return folded(where, fence(source.text, "python")) if source.text else code(where)
