"""What each library does with the same tools; one contender per process: ``python -m benchmarks.contenders NAME FILE``.

Every contender imports what its users import, registers plain functions the way its documentation says, renders what a
model would read of them, and calls ``add`` with validation. It prints one JSON object.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

CALLS: Final = 3000
ROUNDS: Final = 7


class Contender(NamedTuple):
    """One library."""

    distribution: str
    load: str
    """The import that its users write."""
    register: Callable[[Sequence[Any]], Any]
    """Takes the functions, gives what `render` takes."""
    render: Callable[[Any], str]
    call: Callable[[Any], Callable[[], Any] | Callable[[], Awaitable[Any]]]
    """Takes ``add``, gives a call of it with 1 and 2, validated as the library does."""
    note: str = ""


def _ours(functions: Sequence[Any]) -> Any:
    from codeact_tools import ToolRegistry

    return ToolRegistry(functions)


def _our_text(registry: Any) -> str:
    from codeact_tools.rendering import render_listing

    return render_listing(registry).text


def _our_call(add: Any) -> Callable[[], Any]:
    spec = _ours([add]).get("add")

    def call() -> Any:
        bound = spec.bind((1,), {"y": 2})
        return spec.check_result(spec.function(*bound.args, **bound.kwargs))

    return call


def _smolagents(functions: Sequence[Any]) -> Any:
    from smolagents import tool

    return [tool(function) for function in functions if not asyncio.iscoroutinefunction(function)]


def _smolagents_call(add: Any) -> Callable[[], Any]:
    checked = _smolagents([add])[0]
    return lambda: checked(1, y=2)


def _pydantic_ai(functions: Sequence[Any]) -> Any:
    from pydantic_ai import Tool

    return [Tool(function) for function in functions]


def _pydantic_ai_signatures(tools: Any) -> str:
    from pydantic_ai.function_signature import FunctionSignature

    definitions = [tool.tool_def for tool in tools]
    signatures = [definition.function_signature for definition in definitions]
    conflicts = FunctionSignature.get_conflicting_type_names(signatures)
    types = FunctionSignature.render_type_definitions(signatures, conflicts)
    functions = [each.render_signature("...", conflicting_type_names=conflicts) for each in definitions]
    return "\n\n".join([*types, *functions])


def _pydantic_ai_json(tools: Any) -> str:
    definitions = [tool.tool_def for tool in tools]
    return _lines((each.name, each.description, each.parameters_json_schema) for each in definitions)


def _pydantic_ai_call(add: Any) -> Callable[[], Awaitable[Any]]:
    schema = _pydantic_ai([add])[0].function_schema

    async def call() -> Any:
        return await schema.call(schema.validator.validate_python({"x": 1, "y": 2}), None)

    return call


def _fastmcp(functions: Sequence[Any]) -> Any:
    from fastmcp.tools import Tool

    return [Tool.from_function(function) for function in functions]


def _fastmcp_text(tools: Any) -> str:
    return "\n".join(tool.to_mcp_tool().model_dump_json(exclude_none=True) for tool in tools)


def _fastmcp_call(add: Any) -> Callable[[], Awaitable[Any]]:
    tool = _fastmcp([add])[0]
    return lambda: tool.run({"x": 1, "y": 2})


def _langchain(functions: Sequence[Any]) -> Any:
    from langchain_core.tools import StructuredTool

    return [
        StructuredTool.from_function(coroutine=each, parse_docstring=True)
        if asyncio.iscoroutinefunction(each)
        else StructuredTool.from_function(each, parse_docstring=True)
        for each in functions
    ]


def _langchain_text(tools: Any) -> str:
    from langchain_core.utils.function_calling import convert_to_openai_tool

    return "\n".join(json.dumps(convert_to_openai_tool(tool)) for tool in tools)


def _langchain_call(add: Any) -> Callable[[], Any]:
    tool = _langchain([add])[0]
    return lambda: tool.invoke({"x": 1, "y": 2})


def _agents(functions: Sequence[Any]) -> Any:
    from agents import function_tool

    return [function_tool(function, strict_mode=False) for function in functions]


def _agents_text(tools: Any) -> str:
    return _lines((tool.name, tool.description, tool.params_json_schema) for tool in tools)


def _agents_call(add: Any) -> Callable[[], Awaitable[Any]]:
    from agents.tool_context import ToolContext

    tool = _agents([add])[0]
    arguments = '{"x": 1, "y": 2}'
    context: Any = ToolContext(context=None, tool_name="add", tool_call_id="1", tool_arguments=arguments)
    return lambda: tool.on_invoke_tool(context, arguments)


def _pydantic(functions: Sequence[Any]) -> Any:
    from pydantic import TypeAdapter, validate_call

    return [(function, validate_call(validate_return=True)(function), TypeAdapter(function)) for function in functions]


def _pydantic_text(tools: Any) -> str:
    return _lines((function.__name__, function.__doc__, adapter.json_schema()) for function, _, adapter in tools)


def _pydantic_call(add: Any) -> Callable[[], Any]:
    checked = _pydantic([add])[0][1]
    return lambda: checked(1, y=2)


def _lines(tools: Any) -> str:
    return "\n".join(
        json.dumps({"name": name, "description": description, "parameters": schema})
        for name, description, schema in tools
    )


CONTENDERS: Final = {
    "codeact_tools": Contender(
        "codeact-tools", "from codeact_tools import ToolRegistry, tool", _ours, _our_text, _our_call
    ),
    "smolagents": Contender(
        "smolagents",
        "from smolagents import tool",
        _smolagents,
        lambda tools: "\n\n".join(each.to_code_prompt() for each in tools),
        _smolagents_call,
        "without asynchronous tools, which it refuses; types are JSON type names; nothing is validated",
    ),
    "pydantic-ai": Contender(
        "pydantic-ai-slim",
        "from pydantic_ai import Tool",
        _pydantic_ai,
        _pydantic_ai_signatures,
        _pydantic_ai_call,
        "signatures of its code mode; results are not validated",
    ),
    "pydantic-ai json": Contender(
        "pydantic-ai-slim",
        "from pydantic_ai import Tool",
        _pydantic_ai,
        _pydantic_ai_json,
        _pydantic_ai_call,
        "JSON schemas; no result types",
    ),
    "fastmcp": Contender("fastmcp", "from fastmcp.tools import Tool", _fastmcp, _fastmcp_text, _fastmcp_call),
    "langchain-core": Contender(
        "langchain-core",
        "from langchain_core.tools import StructuredTool",
        _langchain,
        _langchain_text,
        _langchain_call,
        "no result types",
    ),
    "openai-agents": Contender(
        "openai-agents", "from agents import function_tool", _agents, _agents_text, _agents_call, "no result types"
    ),
    "pydantic": Contender(
        "pydantic",
        "from pydantic import TypeAdapter, validate_call",
        _pydantic,
        _pydantic_text,
        _pydantic_call,
        "validate_call with the result; JSON schemas",
    ),
}


def measure(contender: Contender, path: Path) -> dict[str, Any]:
    """Seconds of each step, the text, and how many tools it took."""
    started = time.perf_counter()
    exec(contender.load, {})  # noqa: S102 - a constant of this module
    imported = time.perf_counter() - started
    module = _module(path)
    functions = [each for name, each in vars(module).items() if callable(each) and name.partition("_")[2]]
    functions = [each for each in functions if getattr(each, "__module__", "") == module.__name__]
    started = time.perf_counter()
    tools = contender.register(functions)
    registered = time.perf_counter() - started
    prepared = 0.0
    if hasattr(tools, "prepare"):
        started = time.perf_counter()
        tools.prepare()
        prepared = time.perf_counter() - started
    started = time.perf_counter()
    text = contender.render(tools)
    rendered = time.perf_counter() - started
    return {
        "version": _version(contender.distribution),
        "tools": len(tools),
        "import": imported,
        "register": registered,
        "prepare": prepared,
        "render": rendered,
        "call": _seconds(contender.call(module.add)),
        "text": text,
    }  # fmt: skip


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        return str(importlib.import_module(distribution.replace("-", "_")).__version__)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _seconds(call: Callable[[], Any]) -> float:
    """Seconds of one call, in the best of the rounds; awaited on one loop where it is asynchronous."""

    async def awaited() -> float:
        started = time.perf_counter()
        for _ in range(CALLS // 10):
            await call()
        return (time.perf_counter() - started) / (CALLS // 10)

    def plain() -> float:
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        return (time.perf_counter() - started) / CALLS

    first = call()
    if asyncio.iscoroutine(first):
        first.close()
        with asyncio.Runner() as runner:
            return min(runner.run(awaited()) for _ in range(ROUNDS))
    return min(plain() for _ in range(ROUNDS))


if __name__ == "__main__":
    print(json.dumps(measure(CONTENDERS[sys.argv[1]], Path(sys.argv[2]))))
