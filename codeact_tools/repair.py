"""Words for a call that does not fit: which parameter, what came, what is allowed, what is near.

Pydantic's errors are data here; their own texts speak of inputs, fields and documentation links, which mean nothing to
the model that has to repair its call.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

if TYPE_CHECKING:
    from .specs import ToolSpec

_MOST_LINES: Final = 6
_MOST_PROBLEMS: Final = 200
"""Errors that are looked at: a list of a hundred thousand wrong items has as many, and comparing each with each other
would keep the host busy for hours."""
_MOST_COUNTED: Final = 20_000
"""Errors that pydantic is asked to tell: each takes a kilobyte, and one message of an action may make millions."""
_LONGEST_VALUE: Final = 80


def explain(
    error: ValidationError,
    spec: ToolSpec,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    *,
    single: str = "",
    value: object = None,
    below: str = "",
) -> str:
    """Say what is wrong with a call, in a few lines.

    Args:
        error: Of the validator.
        spec: The tool.
        args: By position.
        kwargs: By name; with ``below``, the fields of one object inside a result.
        single: The name of the one ``value`` that was validated instead of a call.
        value: That value.
        below: Where the object is.
    """
    if error.error_count() > _MOST_COUNTED:
        return f"{spec.qualified}(): {error.error_count():,} values do not fit the signature."
    problems: dict[str, list[ErrorDetails]] = {}
    found = error.errors(include_url=False)
    for details in found[:_MOST_PROBLEMS]:
        root, location = _root(details, spec, args, kwargs, single, value)
        if below:
            root = (f"{below}.{root[0]}", root[1])
        problems.setdefault(_path(details, root, location), []).append(details)
    lines = [_problem(path, group, spec, kwargs) for path, group in problems.items() if not _has_deeper(path, problems)]
    lines = [line if line.endswith("?") else f"{line}." for line in lines]
    if len(lines) == 1 and len(found) <= _MOST_PROBLEMS:
        return f"{spec.qualified}(): {lines[0]}"
    shown = lines[:_MOST_LINES]
    more = len(lines) - len(shown) + max(len(found) - _MOST_PROBLEMS, 0)
    rest = [f"- and {more} more"] if more else []
    return "\n".join([f"{spec.qualified}():", *(f"- {line}" for line in shown), *rest])


def _has_deeper(path: str, problems: Iterable[str]) -> bool:
    """Whether a branch of a union got further into the value: what the other branches wanted does not matter then."""
    return any(other.startswith((f"{path}.", f"{path}[")) for other in problems)


def short(value: object) -> str:
    """``repr`` in at most 80 characters, clipped in the middle, and safe for objects whose ``repr`` raises."""
    try:
        text = repr(value[: 4 * _LONGEST_VALUE] if isinstance(value, str | bytes) else value)
    except Exception:
        return f"<{type(value).__name__}>"
    half = _LONGEST_VALUE // 2 - 2
    return text if len(text) <= _LONGEST_VALUE else f"{text[:half]} … {text[-half:]}"


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that ``name`` most likely means, or an empty string.

    >>> nearest("qurey", ["query", "limit"])
    'query'
    """
    folded = {each.lower().replace("_", ""): each for each in known}
    found = get_close_matches(name.lower().replace("_", ""), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else ""


def _root(
    details: ErrorDetails,
    spec: ToolSpec,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    single: str,
    value: object,
) -> tuple[tuple[str, object], tuple[int | str, ...]]:
    """The parameter that an error is about, its value, and the location below it."""
    first, *rest = details["loc"] or ("",)
    location = tuple(rest)
    if single:
        return (single, value), location
    if isinstance(first, str):
        return (first, kwargs.get(first)), location
    positional = [each for each in spec.parameters if each.kind in ("positional_only", "positional_or_keyword")]
    given = args[first] if first < len(args) else None
    if first < len(positional):
        return (positional[first].name, given), location
    variadic = next((each.name for each in spec.parameters if each.kind == "var_positional"), "")
    return (f"{variadic}[{first - len(positional)}]" if variadic else f"argument {first + 1}", given), location


def _path(details: ErrorDetails, root: tuple[str, object], location: tuple[int | str, ...]) -> str:
    """``order.items[0].price``: the location without the names of the union branches that were tried."""
    text, value = root
    for index, step in enumerate(location):
        is_last = index == len(location) - 1
        if isinstance(step, int) and isinstance(value, list | tuple | set | frozenset):
            items = list(value)
            text, value = f"{text}[{step}]", items[step] if step < len(items) else None
        elif isinstance(value, Mapping) and step in value:
            text, value = _entry(text, step, details), value[step]
        elif isinstance(step, str) and step.isidentifier() and hasattr(value, step) and not isinstance(value, type):
            text, value = f"{text}.{step}", getattr(value, step)
        elif is_last and details["type"] in ("missing", "extra_forbidden"):
            text = f"{text}.{step}"
        elif isinstance(step, str) and step == "[key]":
            text = f"{text} (the key)"
        elif isinstance(value, Mapping) and (found := [key for key in value if str(key) == str(step)]):
            text, value = f"{text}[{short(found[0])}]", value[found[0]]
    return text


def _entry(text: str, step: int | str, details: ErrorDetails) -> str:
    is_field = isinstance(step, str) and step.isidentifier() and not _is_plain_dict(details, step)
    return f"{text}.{step}" if is_field else f"{text}[{short(step)}]"


def _is_plain_dict(details: ErrorDetails, step: str) -> bool:
    """Whether the error itself says that ``step`` is a key of a dictionary, not a field."""
    location = details["loc"]
    position = location.index(step)
    return location[position + 1 : position + 2] == ("[key]",)


def _problem(path: str, group: list[ErrorDetails], spec: ToolSpec, kwargs: Mapping[str, object]) -> str:
    first = group[0]
    match first["type"]:
        case "missing_positional_only_argument" if path in kwargs:
            return f"'{path}' must be given by position, without its name"
        case "missing_argument" | "missing_positional_only_argument" | "missing_keyword_only_argument" | "missing":
            return f"'{path}' is missing"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return _unknown(path, first, spec, kwargs)
        case "unexpected_positional_argument":
            count = sum(each.kind in ("positional_only", "positional_or_keyword") for each in spec.parameters)
            return f"{path} is too many: it takes at most {count} by position, got {short(first['input'])}"
        case "multiple_argument_values":
            return f"'{path}' is given twice, by position and by name"
        case "positional_only_argument":
            return f"'{path}' must be given by position, without its name"
    wanted = list(dict.fromkeys(_expected(each) for each in group))
    text = _any_of(wanted) if len(wanted) > 1 else wanted[0]
    return f"'{path}' {text}, got {short(first['input'])}{_suggestion(group)}"


def _any_of(wanted: list[str]) -> str:
    """``must be a list or an int`` of what the branches of a union want."""
    kinds = [each for each in wanted if each.startswith("must be ")]
    others = [each for each in wanted if not each.startswith("must be ")]
    nouns = [each.removeprefix("must be ") for each in kinds]
    listed = ", ".join(nouns[:-1]) + f" or {nouns[-1]}" if len(nouns) > 1 else "".join(nouns)
    return " or ".join([*([f"must be {listed}"] if listed else []), *others])


def _unknown(path: str, details: ErrorDetails, spec: ToolSpec, kwargs: Mapping[str, object]) -> str:
    name = path.rpartition(".")[2]
    if details["type"] == "extra_forbidden" and len(details["loc"]) > 1:
        return f"there is no field '{path}'"
    free = [each.name for each in spec.parameters if each.name not in kwargs and not each.kind.startswith("var")]
    if by_position := [each.name for each in spec.parameters if each.kind == "positional_only" and each.name == name]:
        return f"{by_position[0]!r} must be given by position, without its name"
    near = nearest(name, free)
    return f"there is no parameter {short(name)}" + (f"; did you mean {near!r}?" if near else "")


def _suggestion(group: list[ErrorDetails]) -> str:
    for details in group:
        if details["type"] in ("literal_error", "enum", "union_tag_invalid"):
            context = details.get("ctx", {})
            came = context.get("tag", details["input"])
            allowed = [
                str(each) for each in _alternatives(str(context.get("expected", context.get("expected_tags", ""))))
            ]
            if isinstance(came, str) and (near := nearest(came, allowed)):
                return f"; did you mean {near!r}?"
    return ""


def _alternatives(text: str) -> list[object]:
    """The values in pydantic's ``'a', 'b' or 'c'``."""
    found = []
    for word in re.findall(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s,]+", text):
        if word != "or":
            try:
                found.append(ast.literal_eval(word))
            except (ValueError, SyntaxError):
                found.append(word)
    return found


def _expected(details: ErrorDetails) -> str:
    kind = details["type"]
    context = details.get("ctx", {})
    if kind in _TEMPLATES:
        return _TEMPLATES[kind](context)
    base = kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_exact_type")
    if base in _NOUNS and kind != base:
        return f"must be {_NOUNS[base]}"
    if kind in ("value_error", "assertion_error"):
        return f"is refused: {str(context.get('error', '')).rstrip('.') or 'it fails a check of the tool'}"
    text = re.sub(r"^(Input|Value|Field) should be", "must be", details["msg"])
    text = re.sub(r"^(Input|Value|Field) should", "must", text)
    return text if text.startswith("must") else f"is refused: {text}"


_NOUNS: Final = {
    "int": "an int", "float": "a float", "string": "a str", "bool": "a bool", "bytes": "bytes", "list": "a list",
    "tuple": "a tuple", "set": "a set", "frozen_set": "a frozenset", "dict": "a dict", "mapping": "a dict",
    "decimal": "a Decimal", "date": "a date", "time": "a time", "datetime": "a datetime", "time_delta": "a timedelta",
    "uuid": "a UUID", "complex": "a complex number", "path": "a Path", "iterable": "a list", "callable": "a function",
    "complex_str": "a complex number", "date_from_datetime": "a date", "datetime_from_date": "a datetime",
    "url": "a URL", "pattern": "a regular expression", "pattern_str": "a regular expression",
}  # fmt: skip


def _count(context: Mapping[str, Any], word: str) -> str:
    number = context.get(word)
    return f"{number} item{'' if number == 1 else 's'}"


_TEMPLATES: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "greater_than": lambda context: f"must be more than {context['gt']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "less_than": lambda context: f"must be less than {context['lt']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "multiple_of": lambda context: f"must be a multiple of {context['multiple_of']}",
    "finite_number": lambda _: "must be finite",
    "too_short": lambda context: f"must have at least {_count(context, 'min_length')}",
    "too_long": lambda context: f"must have at most {_count(context, 'max_length')}",
    "string_too_short": lambda context: f"must have at least {context['min_length']} characters",
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
    "bytes_too_short": lambda context: f"must have at least {context['min_length']} bytes",
    "bytes_too_long": lambda context: f"must have at most {context['max_length']} bytes",
    "string_pattern_mismatch": lambda context: f"must match the regular expression {context['pattern']!r}",
    "literal_error": lambda context: f"must be {context['expected']}",
    "enum": lambda context: f"must be {context['expected']}",
    "none_required": lambda _: "must be None",
    "int_from_float": lambda _: "must be a whole number",
    "int_parsing_size": lambda _: "must be an int with fewer digits",
    "is_instance_of": lambda context: f"must be a {context['class']}",
    "model_type": lambda context: f"must be a {context['class_name']}",
    "model_attributes_type": lambda _: "must be an object with these fields",
    "dataclass_type": lambda context: f"must be a {context['class_name']}",
    "dataclass_exact_type": lambda context: f"must be a {context['class_name']}",
    "union_tag_invalid": lambda context: f"must have {context['discriminator']} set to {context['expected_tags']}",
    "union_tag_not_found": lambda context: f"must have {context['discriminator']}, which tells its type",
    "decimal_max_digits": lambda context: f"must have at most {context['max_digits']} digits",
    "decimal_max_places": lambda context: f"must have at most {context['decimal_places']} decimal places",
    "decimal_whole_digits": lambda context: f"must have at most {context['whole_digits']} digits before the point",
    "timezone_aware": lambda _: "must have a time zone",
    "timezone_naive": lambda _: "must have no time zone",
    "date_past": lambda _: "must be in the past",
    "date_future": lambda _: "must be in the future",
    "datetime_past": lambda _: "must be in the past",
    "datetime_future": lambda _: "must be in the future",
    "recursion_loop": lambda _: "must not contain itself",
}
"""What a value has to be, by pydantic's error type."""
