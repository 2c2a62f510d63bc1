"""What importing the library costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ["torch", "transformers", "openai", "e2b", "e2b_code_interpreter", "mkdocs", "rich", "cyclopts", "xllamacpp"]


def output_of(code: str) -> str:
    """Run ``code`` in a fresh interpreter and return what it prints."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True)
    return run.stdout


def seconds_for(imports: str) -> float:
    """The best of several runs, each in a fresh interpreter."""
    code = f"import time; start = time.perf_counter(); {imports}; print(time.perf_counter() - start)"
    return min(float(output_of(code)) for _ in range(7))


@pytest.mark.parametrize("imports", ["import codeact_tools", "from codeact_tools import *"])
def test_the_library_imports_no_optional_or_heavy_package(imports: str) -> None:
    """Models, clouds and terminal rendering are imported where they are used, also when every name is taken."""
    loaded = output_of(f"{imports}; import sys; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


def test_the_package_itself_loads_nothing() -> None:
    """Each public name is imported where it is first used."""
    loaded = output_of("import codeact_tools, sys; print(*sys.modules)").split()
    assert not {"pydantic", "asyncio", "codeact_tools.agent"} & set(loaded)


def test_importing_the_library_costs_little_more_than_what_it_stands_on() -> None:
    """The bound is a ratio, because times vary with the machine and what else it does."""
    foundation = "import asyncio; from pydantic import BaseModel, TypeAdapter"
    assert seconds_for("from codeact_tools import *") < 5 * seconds_for(foundation)
